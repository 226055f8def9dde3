// Images out of seeds, by class. The address holds every choice: a link draws the same images again.

import { Latest, png, post } from "./api.js";
import { number } from "./address.js";
import { choice, el, field, notice } from "./dom.js";
import { copy, copyButtons, download } from "./snippet.js";

const MOST = 64;
const MAX_SEED = 2 ** 53 - 1 - MOST;

export function generate(place, models, values, save) {
  const able = models.filter((one) => one.operations?.includes("generate"));
  if (!able.length) {
    place.append(el("h1", {}, "Generate"), notice("empty", "No model that is served generates."));
    return;
  }
  const preferred = able.find((one) => one.default_for.includes("generate")) ?? able[0];
  const chosen = {
    model: (able.find((one) => one.name === values.model) ?? preferred).name,
    label: values.label ?? "",
    count: number(values.count, 24, 1, MOST),
    seed: Math.round(number(values.seed, 0, 0, MAX_SEED)),
    truncation: number(values.truncation, 1, 0.05, 2),
  };
  const drawing = new Latest();
  const grid = el("div", { class: "grid", role: "list", "aria-label": "Drawn images" });
  const status = el("p", { class: "figures", role: "status" });
  const classes = el("div", { class: "chips", role: "group", "aria-label": "Class" });
  const detail = el("aside", { class: "detail", "aria-label": "One image" });

  const model = () => able.find((one) => one.name === chosen.model);
  const body = (extra = {}) => ({
    model: chosen.model,
    ...(chosen.label ? { label: chosen.label } : {}),
    count: chosen.count,
    seed: chosen.seed,
    truncation: chosen.truncation,
    ...extra,
  });

  function draw() {
    save(chosen);
    return drawing.run(async () => {
      const started = performance.now();
      try {
        const answer = await post("generate", body());
        show(answer, performance.now() - started);
      } catch (reason) {
        grid.replaceChildren();
        status.replaceChildren(notice("error", reason.message));
      }
    });
  }

  function show(answer, took) {
    status.textContent = `${answer.images.length} images in ${Math.round(took)} ms`;
    const tiles = answer.images.map((image, index) => {
      const seed = answer.seeds[index];
      const label = answer.labels?.[index];
      const name = label ? `${label}, seed ${seed}` : `seed ${seed}`;
      return el("button", { class: "tile", role: "listitem", title: name, onclick: () => pick(image, seed, label) },
        el("img", { src: png(image), alt: name, class: "pixels" }));
    });
    grid.replaceChildren(...tiles);
    pick(answer.images[0], answer.seeds[0], answer.labels?.[0]);
  }

  function pick(image, seed, label) {
    const alone = { ...chosen, count: 1, seed, label: label ?? chosen.label };
    const link = new URL(`#generate?${new URLSearchParams(alone)}`, location.href).href;
    detail.replaceChildren(
      el("img", { src: png(image), alt: label ?? "the image", class: "pixels large" }),
      el("p", {}, el("strong", {}, label ?? chosen.model), ` · seed ${seed}`),
      el("div", { class: "row" },
        el("button", { onclick: () => download(png(image), `${chosen.model}-${seed}.png`) }, "Download PNG"),
        el("button", { onclick: () => copy(link, "Link") }, "Copy link")),
      copyButtons(() => ["generate", body({ count: 1, seed, ...(label ? { label } : {}) })]),
    );
  }

  function drawClasses() {
    const { classes: names, null_label: any } = model();
    if (![...(names ?? []), any].includes(chosen.label)) chosen.label = "";
    const chip = (value, text) =>
      el("button", { "aria-pressed": String(chosen.label === value), onclick: () => set({ label: value }) }, text);
    classes.replaceChildren(
      ...(names ? [chip("", "of each"), ...names.map((name) => chip(name, name)), ...(any ? [chip(any, any)] : [])]
        : [el("span", { class: "hint" }, "This model knows no classes.")]),
    );
  }

  const seed = el("input", { type: "number", min: 0, max: MAX_SEED, step: 1, value: chosen.seed });
  const countShown = el("span", {}, chosen.count);
  const truncationShown = el("span", {}, chosen.truncation.toFixed(2));
  const range = (name, low, high, step) => el("input", { type: "range", min: low, max: high, step, value: chosen[name],
    oninput: (event) => set({ [name]: Number(event.target.value) }) });

  function set(changes) {
    Object.assign(chosen, changes);
    seed.value = chosen.seed;
    countShown.textContent = chosen.count;
    truncationShown.textContent = chosen.truncation.toFixed(2);
    if (!("count" in changes || "truncation" in changes || "seed" in changes)) drawClasses();
    draw();
  }
  seed.addEventListener("input", () => {
    if (seed.validity.valid && seed.value !== "") set({ seed: Number(seed.value) });
  });
  const dice = () => set({ seed: Math.floor(Math.random() * 1e9) });

  place.append(
    el("h1", {}, "Images out of seeds"),
    el("p", { class: "lead" }, "Every image comes from its own seed and can be drawn again alone. The address of this page holds your choices."),
    el("div", { class: "columns wide-right" },
      el("section", { class: "controls", "aria-label": "Choices" },
        field("Model", choice(able.map((one) => one.name), chosen.model, (name) => set({ model: name }))),
        el("div", { class: "field" }, el("span", { class: "name" }, "Class"), classes),
        field("Images", range("count", 1, MOST, 1), countShown),
        field("First seed", el("span", { class: "row" }, seed, el("button", { onclick: dice, type: "button" }, "Roll"))),
        field("Truncation", range("truncation", 0.05, 2, 0.05), truncationShown),
        el("p", { class: "hint" }, "Below 1 safer and more alike, above 1 wilder.")),
      el("section", { "aria-label": "Images" }, status, grid),
      detail),
  );
  drawClasses();
  draw();
}
