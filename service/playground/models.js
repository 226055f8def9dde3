// Every checkpoint: what it offers, how well it does, and how busy it is at the moment.

import { getBlob, getText } from "./api.js";
import { el, notice } from "./dom.js";
import { load } from "./metrics.js";

const EVERY_MS = 2000;

export function models(place, found) {
  place.append(
    el("h1", {}, "Models"),
    el("p", { class: "lead" }, "Checkpoints in the service's folder. A new version is picked up while requests are running."),
  );
  if (!found.length) {
    place.append(notice("empty", "There are no checkpoints. Train one, or give the service another folder."));
    return undefined;
  }
  const live = new Map(found.map((one) => [one.name, el("p", { class: "figures", role: "status" })]));
  place.append(el("div", { class: "cards" }, found.map((one) => card(one, live.get(one.name)))));
  let previous = null;
  const look = async () => {
    try {
      const current = load(await getText("metrics"));
      for (const [name, line] of live) line.textContent = busy(name, current, previous);
      previous = current;
    } catch {
      for (const line of live.values()) line.textContent = "The service does not answer.";
    }
  };
  look();
  const timer = setInterval(look, EVERY_MS);
  return () => clearInterval(timer);
}

function busy(name, current, previous) {
  const now = current.models.get(name);
  if (!now) return "no requests yet";
  const queue = `${now.waiting} waiting`;
  const before = previous?.models.get(name);
  const runs = now.runs - (before?.runs ?? 0);
  if (!runs) return `idle, ${queue}`;
  const ms = (1000 * (now.seconds - (before?.seconds ?? 0))) / runs;
  const rows = (now.rows - (before?.rows ?? 0)) / runs;
  return `${ms.toFixed(1)} ms per run of ${rows.toFixed(1)} rows${before ? "" : " so far"}, ${queue}`;
}

function card(model, live) {
  const serves = model.state === "serving";
  return el("article", { class: `card ${model.state}`, "aria-label": model.name },
    el("header", {},
      el("h2", {}, model.name, el("small", {}, ` version ${model.version ?? "none"}`)),
      el("span", { class: `state ${model.state}` }, model.state)),
    model.title && el("p", {}, model.title),
    model.reason && notice(model.state === "refused" ? "error" : "warning", model.reason),
    serves && preview(model),
    serves && el("p", { class: "chips" }, model.operations.map((name) => el("span", { class: "chip" }, name,
      model.default_for.includes(name) && el("small", {}, " default")))),
    serves && facts(model),
    serves && live,
    serves && figures(model.metrics));
}

function preview(model) {
  const image = el("img", { class: "preview", alt: `Samples of ${model.name}` });
  getBlob(`models/${encodeURIComponent(model.name)}/preview`)
    .then((blob) => {
      image.onload = () => URL.revokeObjectURL(image.src);
      image.src = URL.createObjectURL(blob);
    })
    .catch(() => image.remove());
  return image;
}

function facts(model) {
  const { channels, width, height, stride } = model.image;
  const size = width ? `${width} × ${height}` : `any multiple of ${stride}`;
  const rows = [
    ["images", `${size}, ${channels === 1 ? "grey" : "colour"}`],
    ["latent", model.latent && `${model.latent.shape.map((axis) => axis ?? "any").join(" × ")} numbers, ${model.latent.prior}`],
    ["classes", model.classes?.join(", ")],
    ["domains", model.domains?.join(", ")],
    ["versions", model.versions.join(", ")],
    ["licence", model.licence],
  ];
  return el("dl", {}, rows.filter(([, text]) => text).flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]));
}

function figures(metrics) {
  const rows = [...flat(metrics)];
  if (!rows.length) return undefined;
  return el("details", {}, el("summary", {}, `${rows.length} figures on test images`),
    el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Figures" },
      el("table", {}, rows.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value))))));
}

function* flat(value, path = []) {
  for (const [name, inner] of Object.entries(value ?? {})) {
    const words = [...path, name.replaceAll("_", " ")];
    if (inner !== null && typeof inner === "object") yield* flat(inner, words);
    else if (typeof inner === "number") yield [words.join(", "), Number.isInteger(inner) ? inner.toLocaleString("en") : inner.toPrecision(4)];
  }
}
