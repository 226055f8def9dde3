// An image, the numbers it becomes, and the image those numbers give back while they are dragged.

import { Latest, png, post } from "./api.js";
import { choice, el, field, notice } from "./dom.js";
import { base64, load, pixels, samples, squaredError } from "./image.js";
import { picker } from "./picker.js";
import { copyButtons, download } from "./snippet.js";

const REACH = 4;
const decimals = (value) => Number(value.toFixed(3));

export function latents(place, models, values, save) {
  const able = models.filter((one) => one.operations?.includes("encode") && one.operations.includes("decode")
    && !one.latent.shape.includes(null)); // a latent as large as its image has too many numbers to drag
  if (!able.length) {
    place.append(el("h1", {}, "Latents"), notice("empty", "No model that is served both encodes and decodes, with latents of one size."));
    return undefined;
  }
  const preferred = able.find((one) => one.default_for.includes("encode")) ?? able[0];
  let model = able.find((one) => one.name === values.model) ?? preferred;
  let original = null; // the image's own pixels, to measure against
  let encoded = []; // its latent as encoded
  let latent = [];
  const decoding = new Latest();

  const before = el("img", { alt: "the image as given", class: "pixels" });
  const after = el("img", { alt: "the image its latent gives", class: "pixels" });
  const error = el("p", { class: "figures", role: "status" });
  const bars = el("div", { class: "bars" });
  const problem = el("div");

  const fail = (reason) => problem.replaceChildren(notice("error", reason.message));

  async function pick(blob) {
    problem.replaceChildren();
    try {
      const url = URL.createObjectURL(blob);
      before.src = url;
      original = pixels(await load(url), model.image);
      const answer = await post("encode", { images: [await base64(blob)], model: model.name });
      encoded = answer.latents[0];
      setLatent([...encoded]);
    } catch (reason) {
      fail(reason);
    }
  }

  function setLatent(numbers) {
    if (!numbers.length) return; // nothing is encoded yet
    latent = numbers.map(decimals);
    drawBars();
    decode();
  }

  function decode() {
    save({ model: model.name, latent: latent.join(",") });
    return decoding.run(async () => {
      try {
        const answer = await post("decode", { latents: [latent], model: model.name });
        after.src = png(answer.images[0]);
        problem.replaceChildren();
        await measure();
      } catch (reason) {
        fail(reason);
      }
    });
  }

  async function measure() {
    if (!original) {
      error.textContent = "From a link: no image to compare with.";
      return;
    }
    const mse = squaredError(original, pixels(await load(after.src), model.image));
    const decibels = mse > 0 ? `${(-10 * Math.log10(mse)).toFixed(1)} dB` : "no error";
    error.textContent = `mean squared error ${mse.toFixed(4)} · ${decibels}`;
  }

  function drawBars() {
    const reach = Math.max(REACH, ...latent.map((value) => Math.abs(value) * 1.25));
    bars.replaceChildren(
      ...latent.map((value, index) => {
        const shown = el("output", {}, value.toFixed(2));
        const bar = el("input", { type: "range", min: -reach, max: reach, step: reach / 400, value, "aria-label": `z${index + 1}` });
        bar.addEventListener("input", () => {
          latent[index] = decimals(Number(bar.value));
          shown.textContent = latent[index].toFixed(2);
          decode();
        });
        return el("label", { class: "bar" }, el("span", {}, `z${index + 1}`), bar, shown);
      }),
    );
  }

  function chooseModel(name) {
    model = able.find((one) => one.name === name);
    if (before.src) fetch(before.src).then((found) => found.blob()).then(pick);
  }

  const nudged = () => setLatent(latent.map((value) => value + 0.5 * (Math.random() + Math.random() - 1)));
  const { element: input, leave } = picker(pick);
  place.append(
    el("h1", {}, "An image and its latent"),
    el("p", { class: "lead" }, "An image becomes a few numbers, and the numbers become an image again. Drag a number and watch."),
    el("div", { class: "columns" },
      el("section", { "aria-label": "Image" },
        field("Model", choice(able.map((one) => one.name), model.name, chooseModel)),
        input),
      el("section", { "aria-label": "Before and after" },
        el("div", { class: "pair" },
          el("figure", {}, before, el("figcaption", {}, "given")),
          el("figure", {}, after, el("figcaption", {}, "from its latent"))),
        error,
        problem,
        el("div", { class: "row" },
          el("button", { onclick: () => setLatent([...encoded]) }, "Back to the image"),
          el("button", { onclick: () => setLatent(latent.map(() => 0)) }, "All zero"),
          el("button", { onclick: nudged }, "Nudge"),
          el("button", { onclick: () => download(after.src, "decoded.png") }, "Download PNG")),
        copyButtons(() => ["decode", { latents: [latent], model: model.name }])),
      el("section", { "aria-label": "Latent" }, el("h2", {}, "Latent"), bars)),
  );
  const given = values.latent?.split(",").map(Number);
  if (given?.length === model.latent.shape.reduce((a, b) => a * b, 1) && given.every(Number.isFinite)) setLatent(given);
  else samples().then((blobs) => pick(blobs.at(-1)));
  return leave;
}
