// An image carried over to another domain, and back again beside it; drawings are translated as they grow.

import { Latest, png, post } from "./api.js";
import { choice, el, field, notice } from "./dom.js";
import { base64, edges, samples } from "./image.js";
import { picker } from "./picker.js";
import { copyButtons, download } from "./snippet.js";

// A sample that belongs to the domain, by its place among them.
const FITTING = { edges: 18, photos: 18, bags: 17, boots: 18, sneakers: 14, noisy: 4 };

export function translate(place, models, values, save) {
  const ways = models.flatMap((one) =>
    Object.entries(one.translations ?? {}).map(([to, from]) => ({
      key: `${one.name}/${to}`, model: one.name, from, to, returns: from in one.translations,
    })));
  if (!ways.length) {
    place.append(el("h1", {}, "Translate"), notice("empty", "No model that is served translates."));
    return undefined;
  }
  let way = ways.find((one) => one.key === values.way) ?? ways.find((one) => one.from === "edges") ?? ways[0];
  let image = null;
  const translating = new Latest();

  const given = el("img", { alt: "the image given", class: "pixels" });
  const there = el("img", { alt: "its translation", class: "pixels" });
  const back = el("img", { alt: "translated back again", class: "pixels" });
  const captions = { given: el("figcaption"), there: el("figcaption"), back: el("figcaption") };
  const backFigure = el("figure", {}, back, captions.back);
  const status = el("p", { class: "figures", role: "status" });

  async function body() {
    return { images: [await base64(image)], model: way.model, to: way.to, cycle: way.returns };
  }

  // The samples are photographs; where edges are asked for, theirs are taken.
  async function pick(blob, isSample = false) {
    image = isSample && way.from === "edges" ? await edges(blob) : blob;
    const old = given.src;
    given.src = URL.createObjectURL(image);
    if (old) URL.revokeObjectURL(old);
    run();
  }

  function run() {
    save({ way: way.key });
    captions.given.textContent = way.from;
    captions.there.textContent = `${way.from} → ${way.to}`;
    captions.back.textContent = `and back to ${way.from}`;
    backFigure.hidden = !way.returns;
    if (!image) return undefined;
    return translating.run(async () => {
      const started = performance.now();
      try {
        const answer = await post("translate", await body());
        there.src = png(answer.images[0]);
        let text = `${Math.round(performance.now() - started)} ms`;
        if (answer.cycle) {
          back.src = png(answer.cycle.images[0]);
          text += ` · there and back the pixels are off by ${(100 * answer.cycle.l1[0]).toFixed(1)}% on average`;
        }
        status.textContent = text;
      } catch (reason) {
        status.replaceChildren(notice("error", reason.message));
      }
    });
  }

  let request = {};
  const { element: input, leave } = picker(pick, { pen: way.from === "edges" });
  const names = ways.map((one) => [one.key, `${one.from} → ${one.to} (${one.model})`]);
  place.append(
    el("h1", {}, "From one domain to another"),
    el("p", { class: "lead" }, "Drop an image or draw one: it is carried over while you draw. Beside it stands what comes back."),
    el("div", { class: "columns wide-right" },
      el("section", { "aria-label": "Image" },
        field("Translation", choice(names, way.key, (key) => {
          way = ways.find((one) => one.key === key);
          run();
        })),
        input),
      el("section", { "aria-label": "Translation" },
        el("div", { class: "pair three" },
          el("figure", {}, given, captions.given), el("figure", {}, there, captions.there), backFigure),
        status,
        el("div", { class: "row" },
          el("button", { onclick: () => download(there.src, `${way.to}.png`) }, "Download PNG")),
        copyButtons(() => ["translate", request]))),
  );
  // A copied request holds the image itself; it is read ahead, since copying may not wait.
  const ahead = new MutationObserver(async () => (request = image ? await body() : {}));
  ahead.observe(there, { attributes: true, attributeFilter: ["src"] });
  samples().then((blobs) => image ?? pick(blobs[FITTING[way.from] ?? 0], true));
  return () => {
    ahead.disconnect();
    leave();
  };
}
