// What a panel shows stands in the address, so that a link restores it: #generate?model=fashion-cgan&seed=7

export function read() {
  const [panel, query = ""] = location.hash.slice(1).split("?");
  return { panel: panel || "latents", values: Object.fromEntries(new URLSearchParams(query)) };
}

export function write(panel, values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const query = new URLSearchParams(given).toString();
  history.replaceState(null, "", `#${panel}${query ? `?${query}` : ""}`);
}

// A whole number or any number from the address, or the default where it is none or out of bounds.
export function number(text, usual, low, high) {
  const value = Number(text);
  return text !== undefined && Number.isFinite(value) && value >= low && value <= high ? value : usual;
}
