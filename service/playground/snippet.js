// The request a panel makes, to be copied: as curl, Python or JavaScript.

import { el, toast } from "./dom.js";

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

const pythonic = (value) =>
  JSON.stringify(value, null, 0)
    .replaceAll(/\btrue\b/g, "True")
    .replaceAll(/\bfalse\b/g, "False")
    .replaceAll(/\bnull\b/g, "None");

const LANGUAGES = {
  curl: (url, body) =>
    `curl ${url} \\\n  -H 'content-type: application/json' \\\n  -d ${quoted(JSON.stringify(body))}`,
  Python: (url, body) =>
    `import httpx\n\nanswer = httpx.post(\n    "${url}",\n    json=${pythonic(body)},\n)\nanswer.raise_for_status()\nprint(answer.json())`,
  JavaScript: (url, body) =>
    `const answer = await fetch("${url}", {\n  method: "POST",\n  headers: { "content-type": "application/json" },\n  body: JSON.stringify(${JSON.stringify(body)}),\n});\nconsole.log(await answer.json());`,
};

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied`);
  } catch {
    toast("This browser does not let a page copy; select the text instead");
  }
}

// Buttons that copy the request; `request` returns [path, body] as they are at that moment.
export function copyButtons(request) {
  const shown = el("pre", { class: "snippet", hidden: true, tabIndex: 0 });
  const buttons = Object.entries(LANGUAGES).map(([language, write]) =>
    el(
      "button",
      {
        onclick: () => {
          const [path, body] = request();
          const text = write(new URL(path, document.baseURI).href, body);
          shown.textContent = text;
          shown.hidden = false;
          copy(text, language);
        },
      },
      language,
    ),
  );
  return el("div", { class: "copy" }, el("span", { class: "hint" }, "Copy as"), buttons, shown);
}

export function download(url, name) {
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}
