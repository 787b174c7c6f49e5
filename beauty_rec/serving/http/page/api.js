// Asks the API; the key is asked for when it is needed, and kept in this tab.

import { $ } from "./dom.js";

const SHOP = new URLSearchParams(location.search).get("shop");

/** A path of the shop in a segment: of several shops, the one that the page was opened with (/?shop=). */
const at = (path, shop) => (SHOP ? `/v1/shops/${shop}/${path.replace(/^\/(v1\/)?/, "")}` : path);

/** The route of a path, as the labels of /metrics have it. */
export const routeOf = (path) => at(path, "{shop}");

/**
 * Ask for JSON, or with `text` for text; `quiet`: without asking for the key. The error of a refusal
 * has its `status`.
 */
export async function ask(path, { body, text = false, quiet = false } = {}) {
  const headers = {};
  const key = sessionStorage.getItem("key");
  if (key) headers["X-API-Key"] = key;
  if (body) headers["Content-Type"] = "application/json";
  const method = body ? "POST" : "GET";
  const response = await fetch(at(path, encodeURIComponent(SHOP)), { method, headers, body: body && JSON.stringify(body) });
  if (response.status === 401) {
    if (!quiet && await askForKey()) return ask(path, { body, text });
    throw Object.assign(new Error("No key was given."), { status: 401 });
  }
  if (text && response.ok) return response.text();
  const answer = await response.json();
  if (!response.ok && path !== "/readyz") {
    const problem = new Error(answer.detail || answer.title);
    throw Object.assign(problem, { status: response.status });
  }
  return answer;
}

let keyAsked = null;

/** Ask for the key, once for all who wait for it; false when it was not given. */
function askForKey() {
  keyAsked ??= new Promise((done) => {
    const dialog = $("key-dialog");
    dialog.returnValue = "";
    dialog.showModal();
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "go";
      if (given) sessionStorage.setItem("key", $("key").value);
      keyAsked = null;
      done(given);
    }, { once: true });
  });
  return keyAsked;
}
