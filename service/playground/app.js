// Shows the panel that the address names, with the models that are served.

import { get, Problem, setKey } from "./api.js";
import * as address from "./address.js";
import { compare } from "./compare.js";
import { el, notice } from "./dom.js";
import { generate } from "./generate.js";
import { latents } from "./latents.js";
import { map } from "./map.js";
import { models } from "./models.js";
import { translate } from "./translate.js";

const PANELS = { latents, map, generate, translate, compare, models };
const place = document.querySelector("#panel");
let leave = () => {};
let turns = 0; // how often a panel was asked for: only the last is drawn, and only it writes the address

async function show() {
  const { panel, values } = address.read();
  const draw = PANELS[panel];
  if (!draw) {
    address.write("latents", {});
    return show();
  }
  const turn = ++turns;
  leave();
  leave = () => {};
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.hash === `#${panel}`;
    if (here) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else link.removeAttribute("aria-current");
  }
  document.title = `${panel[0].toUpperCase()}${panel.slice(1)} · latent-service playground`;
  const save = (chosen) => {
    if (turn === turns && address.read().panel === panel) address.write(panel, chosen);
  };
  try {
    const { models: found } = await get("models");
    if (turn !== turns) return;
    const panelElement = el("div", { class: `panel ${panel}` });
    place.replaceChildren(panelElement);
    leave = draw(panelElement, found, values, save) ?? leave;
  } catch (error) {
    if (turn === turns) place.replaceChildren(failure(error));
  }
}

function failure(error) {
  if (!(error instanceof Problem)) throw error;
  if (error.status !== 401) {
    return el("div", { class: "panel" }, notice("error", error.message), el("button", { onclick: show }, "Try again"));
  }
  const key = el("input", { type: "password", autocomplete: "off", required: true, name: "key" });
  const send = (event) => {
    event.preventDefault();
    setKey(key.value);
    show();
  };
  return el(
    "form",
    { class: "panel key", onsubmit: send },
    el("h1", {}, "This service asks for a key"),
    el("label", { class: "field" }, el("span", { class: "name" }, "API key"), key),
    el("p", { class: "hint" }, "It is kept in this tab only."),
    el("button", { class: "primary" }, "Open"),
  );
}

addEventListener("hashchange", () => {
  show().then(() => place.focus({ preventScroll: true }));
});
show();
