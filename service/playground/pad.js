// A pad to draw on with mouse, finger or pen: white on black, as the models' training images are.

import { el } from "./dom.js";

const SIDE = 280;

export function pad(onchange) {
  const canvas = el("canvas", { width: SIDE, height: SIDE, class: "pad", tabIndex: 0, role: "img" });
  canvas.setAttribute("aria-label", "Drawing pad; draw with mouse or finger");
  const context = canvas.getContext("2d");
  const thickness = el("input", { type: "range", min: 4, max: 36, value: 14, "aria-label": "Thickness of the pen" });
  let last = null;

  const clear = () => {
    context.fillStyle = "#000";
    context.fillRect(0, 0, SIDE, SIDE);
  };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height];
  };
  const stroke = (event) => {
    const [x, y] = at(event);
    context.strokeStyle = event.buttons & 2 || event.shiftKey ? "#000" : "#fff";
    context.lineWidth = Number(thickness.value);
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(...(last ?? [x, y]));
    context.lineTo(x, y);
    context.stroke();
    last = [x, y];
    changed();
  };
  const changed = () => canvas.toBlob((blob) => onchange(blob), "image/png");

  canvas.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    last = null;
    stroke(event);
  });
  canvas.addEventListener("pointermove", (event) => event.buttons && stroke(event));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  clear();

  const erase = () => {
    clear();
    changed();
  };
  return el(
    "div",
    { class: "pad-box" },
    canvas,
    el("div", { class: "row" }, thickness, el("button", { onclick: erase }, "Clear")),
    el("p", { class: "hint" }, "Draw; with Shift or the right button erase."),
  );
}
