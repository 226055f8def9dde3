// The map: training images as points by class. Any place becomes an image, any two a walk, any image a place.

import { get, getBlob, Latest, png, post } from "./api.js";
import { choice, el, field, notice } from "./dom.js";
import { base64 } from "./image.js";
import { picker } from "./picker.js";
import { copyButtons } from "./snippet.js";
import { View } from "./view.js";

const STEPS = 9;
const NEIGHBOURS = 6;
const NEAR_PX = 14;
const DARK = matchMedia("(prefers-color-scheme: dark)");

export function map(place, models, values, save) {
  const able = models.filter((one) => one.reference_classes);
  if (!able.length) {
    place.append(el("h1", {}, "Map"), notice("empty", "No model that is served came with images for a map."));
    return undefined;
  }
  const preferred = able.find((one) => one.default_for.includes("encode")) ?? able[0];
  let model = able.find((one) => one.name === values.model) ?? preferred;
  const canvas = el("canvas", { class: "plane", tabIndex: 0, role: "application",
    "aria-label": "Map of latent space. Arrow keys move a cross, Enter chooses its place, plus and minus zoom, 0 shows all." });
  const legend = el("div", { class: "chips", role: "group", "aria-label": "Classes" });
  const under = el("p", { class: "under", role: "status" });
  const thumbnail = el("canvas", { class: "thumbnail", hidden: true });
  const result = el("div", { class: "row walk", role: "group", "aria-label": "Images" });
  const near = el("div", { class: "row walk", role: "group", "aria-label": "Nearest training images" });
  const problem = el("div");
  const decoding = new Latest();
  let shown = null; // the map as answered
  let sheet = null;
  let view = null;
  let chosen = []; // one or two places
  let untouched = true; // nobody has chosen a place yet
  let mine = null; // where the image of one's own lies
  let hidden = new Set();
  let request = null;
  let waiting = false;
  let gone = false;

  const fail = (reason) => problem.replaceChildren(notice("error", reason.message));
  const colour = (label) =>
    `hsl(${Math.round((360 * label) / shown.classes.length)} ${DARK.matches ? "75% 68%" : "70% 42%"})`;

  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (view && !gone) paint();
    });
  }

  function paint() {
    const { width, height } = view.size();
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const radius = Math.min(1.6 + view.zoom ** 0.5, 6);
    shown.classes.forEach((_, label) => {
      if (hidden.has(label)) return;
      context.fillStyle = colour(label);
      for (const index of shown.byClass[label]) {
        const [left, top] = view.toPixels(shown.points[index]);
        if (left < -9 || top < -9 || left > width + 9 || top > height + 9) continue;
        context.fillRect(left - radius, top - radius, 2 * radius, 2 * radius);
      }
    });
    const ink = getComputedStyle(canvas).color;
    context.strokeStyle = ink;
    context.lineWidth = 2;
    if (chosen.length === 2) {
      context.beginPath();
      context.moveTo(...view.toPixels(chosen[0]));
      context.lineTo(...view.toPixels(chosen[1]));
      context.stroke();
    }
    chosen.forEach((point) => mark(context, view.toPixels(point), 7));
    if (mine) {
      const [left, top] = view.toPixels(mine);
      context.strokeRect(left - 9, top - 9, 18, 18);
      mark(context, [left, top], 4);
    }
    if (view.cursor && document.activeElement === canvas) mark(context, view.cursor, 12);
  }

  function mark(context, [left, top], size) {
    context.beginPath();
    context.moveTo(left - size, top);
    context.lineTo(left + size, top);
    context.moveTo(left, top - size);
    context.lineTo(left, top + size);
    context.stroke();
  }

  function hover(point) {
    const limit = NEAR_PX / view.scale;
    let best = -1;
    let distance = limit;
    shown.points.forEach(([x, y], index) => {
      if (hidden.has(shown.labels[index])) return;
      const far = Math.hypot(x - point[0], y - point[1]);
      if (far < distance) [best, distance] = [index, far];
    });
    thumbnail.hidden = best < 0;
    if (best < 0) {
      under.textContent = "Point at a dot to see its image.";
      return;
    }
    under.textContent = `${shown.classes[shown.labels[best]]}, training image ${best} of this map`;
    const { width, height, columns } = shown;
    thumbnail.width = width;
    thumbnail.height = height;
    thumbnail.getContext("2d").drawImage(sheet, (best % columns) * width, Math.floor(best / columns) * height,
      width, height, 0, 0, width, height);
  }

  const latent = ([x, y]) => shown.centre.map((value, i) => value + x * shown.axes[0][i] + y * shown.axes[1][i]);

  function choose(where) {
    const point = where.map((value) => Number(value.toFixed(4))); // as the address has it
    chosen = chosen.length === 1 && !untouched ? [chosen[0], point] : [point];
    untouched = false;
    remember();
    draw();
    decode();
  }

  function remember() {
    const [a, b] = chosen.map((point) => point.join(","));
    save({ model: model.name, a, b });
  }

  function decode() {
    return decoding.run(async () => {
      const latents = chosen.map((point) => latent(point).map((value) => Number(value.toFixed(5))));
      request = latents.length === 2
        ? ["interpolate", { model: model.name, stops: latents.map((one) => ({ latent: one })), steps: STEPS, path: "linear" }]
        : ["decode", { model: model.name, latents }];
      try {
        const { images } = await post(...request);
        problem.replaceChildren();
        result.replaceChildren(...images.map((image, index) =>
          el("img", { class: "pixels", src: png(image), alt: images.length > 1 ? `Step ${index + 1}` : "The image of this place" })));
      } catch (reason) {
        fail(reason);
      }
    });
  }

  async function pick(blob) {
    try {
      const answer = await post("neighbours", { images: [await base64(blob)], model: model.name, count: NEIGHBOURS });
      mine = answer.points[0];
      problem.replaceChildren();
      near.replaceChildren(...answer.neighbours[0].map(({ image, label, distance }) =>
        el("figure", {}, el("img", { class: "pixels", src: png(image), alt: label }),
          el("figcaption", {}, `${label}, ${distance.toFixed(2)}`))));
      draw();
    } catch (reason) {
      fail(reason);
    }
  }

  function drawLegend() {
    legend.replaceChildren(...shown.classes.map((name, label) => el("button", {
      "aria-pressed": String(!hidden.has(label)), class: "class",
      onclick: () => {
        hidden = new Set(hidden.has(label) ? [...hidden].filter((one) => one !== label) : [...hidden, label]);
        drawLegend();
        draw();
      },
    }, el("span", { class: "dot", style: `background: ${colour(label)}` }), name)));
  }

  async function open(name, restored = []) {
    model = able.find((one) => one.name === name);
    const path = `models/${encodeURIComponent(name)}/map`;
    try {
      const [found, blob] = await Promise.all([get(path), getBlob(`${path}/thumbnails`)]);
      sheet = await createImageBitmap(blob);
      if (gone) return;
      shown = { ...found, byClass: found.classes.map(() => []) };
      found.labels.forEach((label, index) => shown.byClass[label].push(index));
      [hidden, mine, chosen, request] = [new Set(), null, [], null];
      near.replaceChildren();
      result.replaceChildren();
      drawLegend();
      if (view) {
        view.points = shown.points;
        view.whole();
      } else view = new View(canvas, shown.points, { changed: draw, hovered: hover, chosen: choose });
      hover([Infinity, Infinity]);
      remember();
      draw();
      restored.forEach(choose);
      if (!restored.length) choose(shown.centre.length === 2 ? view.centre : [0, 0]);
      untouched = !restored.length;
      canvas.dataset.ready = name;
    } catch (reason) {
      fail(reason);
    }
  }

  const resized = new ResizeObserver(draw);
  resized.observe(canvas);
  DARK.addEventListener("change", recolour);
  function recolour() {
    if (!shown) return;
    drawLegend();
    draw();
  }

  const { element: input, leave } = picker(pick);
  const zoom = (factor) => () => view?.zoomBy(factor);
  place.append(
    el("h1", {}, "The map of latent space"),
    el("p", { class: "lead" }, "Every dot is a training image. Press anywhere to see the image of that place, and again elsewhere to walk there."),
    el("div", { class: "columns map-columns" },
      el("section", { "aria-label": "Image" },
        field("Model", choice(able.map((one) => one.name), model.name, (name) => open(name))),
        el("p", { class: "hint" }, "An image of yours finds its place among them."),
        input),
      el("section", { "aria-label": "Map" },
        canvas,
        el("div", { class: "row" },
          el("button", { onclick: zoom(1.5) }, "Zoom in"),
          el("button", { onclick: zoom(1 / 1.5) }, "Zoom out"),
          el("button", { onclick: () => view?.whole() }, "Show all")),
        legend),
      el("section", { "aria-label": "What lies there" },
        el("div", { class: "row pointed" }, thumbnail, under),
        el("h2", {}, "Images of the places you pressed"),
        result,
        el("h2", {}, "Training images nearest to your image"),
        near,
        problem,
        copyButtons(() => request ?? ["decode", { model: model.name, latents: [shown.centre] }]))),
  );
  const given = [values.a, values.b].map((text) => text?.split(",").map(Number))
    .filter((point) => point?.length === 2 && point.every(Number.isFinite));
  open(model.name, given);
  return () => {
    gone = true;
    resized.disconnect();
    DARK.removeEventListener("change", recolour);
    leave();
  };
}
