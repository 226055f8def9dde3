// Elements in one call: el("button", { class: "primary", onclick: draw }, "Draw").

export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list" && name !== "form") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  if (properties.class) element.className = properties.class;
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

// Let `zone` take what is dropped on it; what misses it must not replace the page. Returns what ends that.
export function dropZone(zone, ondrop) {
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    ondrop(event.dataTransfer);
  });
  const guard = (event) => event.preventDefault();
  addEventListener("dragover", guard);
  addEventListener("drop", guard);
  return () => {
    removeEventListener("dragover", guard);
    removeEventListener("drop", guard);
  };
}

let toastTimer = 0;

// Say something for a moment, to the eye and to a screen reader.
export function toast(text) {
  const place = document.querySelector("#toast");
  place.textContent = text;
  place.classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => place.classList.remove("shown"), 2500);
}

// A label with its control, and what the control says now (no <output>: the label would be that one's).
export function field(label, control, output) {
  return el("label", { class: "field" }, el("span", { class: "name" }, label, output ?? ""), control);
}

export function choice(options, chosen, onchange) {
  const select = el("select", { onchange: () => onchange(select.value) });
  for (const option of options) {
    const [value, text] = Array.isArray(option) ? option : [option, option];
    select.append(el("option", { value, selected: value === chosen }, text));
  }
  return select;
}

export function notice(kind, ...children) {
  return el("p", { class: `notice ${kind}`, role: kind === "error" ? "alert" : undefined }, children);
}
