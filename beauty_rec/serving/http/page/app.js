// The page: which view the address names, and the state of the server in its head.

import { ask } from "./api.js";
import { $, fail, overtake } from "./dom.js";
import { feed, similar, titleOf } from "./feeds.js";
import { startFilters } from "./filters.js";
import { recommend, search, startShopper } from "./shopper.js";

const NARROW = matchMedia("(max-width: 820px)");
const isOperating = () => document.body.dataset.view === "operator";

/** What the address says after #/, in parts. */
const parts = () => location.hash.slice(2).split("/").map(decodeURIComponent);

/** What a view is called, in the browser's tabs and history. */
const NAMES = {
  shop: () => "For you", feeds: titleOf, similar: () => "Similar items",
  search: (...text) => `“${text.join("/")}”`, operator: () => "Operator",
};

/** Show the view that the address names. */
async function route() {
  const [view, what, ...rest] = parts();
  const known = ["feeds", "similar", "search", "operator"].includes(view) ? view : "shop";
  if (document.body.dataset.view !== known) $("stages").replaceChildren();
  document.body.dataset.view = known;
  document.title = `${NAMES[known](what, ...rest)} · beauty_rec`;
  for (const link of document.querySelectorAll("#views a")) {
    const own = link.hash.split("/")[1] || "shop";
    if (own === known) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (known === "feeds") return feed(what, rest[0] || null);
  if (known === "similar") return similar(what, rest.join("/"));
  if (known === "search") return search([what, ...rest].join("/"));
  if (known === "operator") return openOperator();
  return recommend();
}

/** Load the operator's view, which few need, and show it unless the user went on meanwhile. */
async function openOperator() {
  const isLatest = overtake();
  try {
    const { operate } = await import("./operator.js");
    return isLatest() ? operate(isOperating) : undefined;
  } catch (error) {
    return isLatest() ? fail(error) : undefined;
  }
}

/** Go to a view; to the present one: show it anew. */
function go(hash) {
  if (location.hash === hash) return route();
  location.hash = hash;
  return undefined;
}

/** Say what is served; the key is not asked for, once it was not given. */
async function status() {
  try {
    const [ready, version] = await Promise.all([ask("/readyz"), ask("/version", { quiet: true })]);
    $("ready").classList.toggle("on", ready.status === "ready");
    $("set-text").textContent = `${version.items.toLocaleString("en")} items · set ${version.version.slice(0, 8)}`
      + (ready.status === "ready" ? "" : ` · ${ready.reasons[0]}`);
    $("set").title = `published ${version.created_at}`;
  } catch {
    $("ready").classList.remove("on");
    $("set-text").textContent = "the server cannot be reached";
  }
  $("set").hidden = false;
}

addEventListener("hashchange", route);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address stays that of the view
  $("results").focus();
});
$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("query").value.trim();
  if (text) go(`#/search/${encodeURIComponent(text)}`);
});
/** Show a feed anew, or what is recommended. */
const again = () => (document.body.dataset.view === "feeds" ? route() : go("#/"));

$("shopper").addEventListener("submit", async (event) => {
  event.preventDefault();
  await again();
  if (NARROW.matches) $("results").scrollIntoView();
});
startFilters(() => { if (document.body.dataset.view !== "shop") route(); });
startShopper(again).catch(() => {}); // without sample shoppers the page works as well
route().then(status);
setInterval(status, 15000);
