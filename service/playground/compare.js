// Two sets of images, or one and the training data: four divergences, and what they mean in words.

import { Latest, post } from "./api.js";
import { choice, dropZone, el, field, notice, toast } from "./dom.js";
import { base64, samples } from "./image.js";

const MOST = 128;
const MEASURES = [
  ["mmd", "Maximum mean discrepancy", "squared; around 0 where the sets are alike"],
  ["wasserstein", "Wasserstein distance", "sliced; how far latents would have to move"],
  ["kl", "Kullback-Leibler divergence", "nats; what is lost when A is taken for B"],
  ["js", "Jensen-Shannon divergence", "nats; 0 if alike, 0.69 if nothing is shared"],
];

export function compare(place, models, values, save) {
  const able = models.filter((one) => one.operations?.includes("encode"));
  if (!able.length) {
    place.append(el("h1", {}, "Compare"), notice("empty", "No model that is served encodes."));
    return undefined;
  }
  const preferred = able.find((one) => one.default_for.includes("encode")) ?? able[0];
  let model = able.find((one) => one.name === values.model) ?? preferred;
  const sets = { a: [], b: [] };
  const leaves = [];
  const comparing = new Latest();
  const answer = el("div", { role: "status" });

  function run() {
    save({ model: model.name });
    if (!sets.a.length) {
      answer.replaceChildren(notice("empty", "Give a first set: a folder, some files, or the samples."));
      return undefined;
    }
    answer.replaceChildren(el("p", { class: "hint" }, "Comparing…"));
    return comparing.run(async () => {
      try {
        const body = { model: model.name, a: await texts(sets.a) };
        if (sets.b.length) body.b = await texts(sets.b);
        show(await post("compare", body));
      } catch (reason) {
        answer.replaceChildren(notice("error", reason.message));
      }
    });
  }

  function show(found) {
    answer.replaceChildren(
      el("p", { class: "verdict" }, verdict(found, sets.b.length ? "the two sets" : "your set and the training images")),
      el("div", { class: "scroll" }, el("table", {},
        el("thead", {}, el("tr", {}, ["measure", "value", "p"].map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, MEASURES.map(([key, name, unit]) => el("tr", {},
          el("th", { scope: "row" }, name, el("br"), el("small", {}, unit)),
          el("td", {}, found[key].toFixed(4)),
          el("td", {}, found[`${key}_p`].toFixed(3))))))),
      el("p", { class: "hint" }, `${found.n[0]} against ${found.n[1]} images, by the ${found.space}. p is how often chance alone, with images dealt at random to the two sides, would bring them as far apart.`),
    );
  }

  function set(key, title, hint) {
    const count = el("p", { class: "figures" }, hint);
    const strip = el("div", { class: "samples" });
    const take = (blobs) => {
      const images = blobs.filter((one) => /^image\/(png|jpeg|webp)$/.test(one.type));
      if (!images.length && blobs.length) toast("There are no PNG, JPEG or WebP images among them");
      sets[key] = images.slice(0, MOST);
      const left = images.length - sets[key].length;
      count.textContent = sets[key].length ? `${sets[key].length} images${left ? `; ${left} more were left out` : ""}` : hint;
      strip.querySelectorAll("img").forEach((image) => URL.revokeObjectURL(image.src));
      strip.replaceChildren(...sets[key].slice(0, 24).map((blob) => el("img", { src: URL.createObjectURL(blob), alt: "", width: 28, height: 28 })));
      run();
    };
    const files = el("input", { type: "file", multiple: true, accept: "image/png,image/jpeg,image/webp", class: "sr",
      "aria-label": `Files of ${title}`, onchange: () => take([...files.files]) });
    const folder = el("input", { type: "file", webkitdirectory: true, class: "sr", tabIndex: -1, "aria-hidden": "true",
      onchange: () => take([...folder.files]) });
    const drop = el("label", { class: "drop" }, files, el("strong", {}, "Drop a folder or images"), el("span", {}, "or press to choose files"));
    leaves.push(dropZone(drop, async (dropped) => {
      const entries = [...dropped.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
      take((await Promise.all(entries.map(filesOf))).flat());
    }));
    return el("section", { "aria-label": title },
      el("h2", {}, title), drop, count, strip, folder,
      el("div", { class: "row" },
        el("button", { onclick: () => folder.click() }, "Choose a folder"),
        el("button", { onclick: async () => take(await samples()) }, "The samples"),
        el("button", { onclick: () => take([]) }, "Clear")));
  }

  const known = () => (model.reference_classes ? "Left empty: training images of the model." : "This model came without training images: give both sets.");
  place.append(
    el("h1", {}, "Do two sets differ?"),
    el("p", { class: "lead" }, "Two folders of images, or one beside what the model was trained on: four divergences between their latents, and how much of it is chance."),
    el("div", { class: "columns compare-columns" },
      set("a", "Set A", "Nothing yet."),
      set("b", "Set B", known()),
      el("section", { "aria-label": "Answer" },
        field("Model", choice(able.map((one) => one.name), model.name, (name) => {
          model = able.find((one) => one.name === name);
          run();
        })),
        answer)),
  );
  run();
  return () => leaves.forEach((leave) => leave());
}

const texts = (blobs) => Promise.all(blobs.map(base64));

function verdict({ mmd, mmd_p: p, mmd_power: power }, sets) {
  const percent = (value) => `${Math.round(100 * value)}%`;
  if (p < 0.05) {
    return `Yes, ${sets} differ: chance alone would bring them this far apart in ${p < 0.002 ? "fewer than 2 of 1,000" : `about ${Math.max(1, Math.round(100 * p))} of 100`} cases.`;
  }
  const weak = mmd > 0 && power < 0.8 ? ` With so few images a difference of this size would be noticed only ${percent(power)} of the time.` : "";
  return `No difference is seen between ${sets}: chance alone brings sets this far apart in ${Math.round(100 * p)} of 100 cases.${weak}`;
}

// The files of a dropped file or folder, with those of the folders in it.
async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return (await Promise.all(found.map(filesOf))).flat();
    found.push(...some);
  }
}
