// Requests to the service this page came from. A refusal becomes a Problem with the service's own words.

const KEY = "latent-service-key";

export class Problem extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `The service answered ${status}.`);
    this.status = status;
    this.code = problem.code;
  }
}

export function setKey(key) {
  sessionStorage.setItem(KEY, key);
}

function headers(extra) {
  const key = sessionStorage.getItem(KEY);
  return key ? { ...extra, "x-api-key": key } : extra;
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: headers(options.headers ?? {}) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: "The service cannot be reached. Is it still running?" });
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Problem(response.status, problem);
}

export async function get(path) {
  return (await ask(path, {})).json();
}

export async function getText(path) {
  return (await ask(path, {})).text();
}

export async function getBlob(path) {
  return (await ask(path, {})).blob();
}

export async function post(path, body, signal) {
  const headers = { "content-type": "application/json", accept: "application/json" };
  return (await ask(path, { method: "POST", headers, body: JSON.stringify(body), signal })).json();
}

// Runs one request at a time and, of those asked for meanwhile, only the last: what a slider wants.
export class Latest {
  #running = false;
  #next = null;

  async run(work) {
    this.#next = work;
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#next) {
        const current = this.#next;
        this.#next = null;
        await current();
      }
    } finally {
      this.#running = false;
    }
  }
}

export const png = (base64) => `data:image/png;base64,${base64}`;
