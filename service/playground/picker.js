// One image from a person: dropped, pasted, chosen, drawn, or one of the samples.

import { dropZone, el, toast } from "./dom.js";
import { pad } from "./pad.js";
import { samples } from "./image.js";

// `onpick` gets a Blob, and whether it is one of the samples. Returns the element and what ends its listening.
export function picker(onpick, { pen = false } = {}) {
  const strip = el("div", { class: "samples", role: "group", "aria-label": "Sample images" });
  const file = el("input", { type: "file", accept: "image/png,image/jpeg,image/webp", class: "sr" });
  const drop = el(
    "label",
    { class: "drop", tabIndex: 0, onkeydown: (event) => ["Enter", " "].includes(event.key) && file.click() },
    file,
    el("strong", {}, "Drop an image"),
    el("span", {}, "or paste, or press to choose one"),
  );
  const drawing = el("details", { open: pen }, el("summary", {}, "Draw one"), pad(onpick));

  const take = (blob) => {
    if (blob?.type.startsWith("image/")) onpick(blob);
    else toast("That is not an image");
  };
  file.addEventListener("change", () => file.files.length && take(file.files[0]));
  const endDrops = dropZone(drop, (dropped) => take(dropped.files[0]));
  const pasted = (event) => {
    const found = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (found) take(found);
  };
  addEventListener("paste", pasted);

  samples().then((blobs) => {
    strip.append(
      ...blobs.map((blob, index) =>
        el(
          "button",
          { onclick: () => onpick(blob, true), "aria-label": `Sample image ${index + 1}` },
          el("img", { src: URL.createObjectURL(blob), alt: "", width: 28, height: 28 }),
        ),
      ),
    );
  });
  const element = el("div", { class: "picker" }, drop, strip, drawing);
  const leave = () => {
    removeEventListener("paste", pasted);
    endDrops();
  };
  return { element, leave };
}
