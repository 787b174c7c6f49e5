// Lists that nobody asks a question for, and the items that are like one.

import { ask } from "./api.js";
import { hits, naming, seen } from "./cards.js";
import { $, el, fail, overtake, say, show, tabs } from "./dom.js";
import { filters } from "./filters.js";

const COUNT = 12;
const FEEDS = {
  "trending": ["Trending", "What sells above its usual rate"],
  "new-arrivals": ["New arrivals", "What nobody has bought yet, then by the day of the first sale"],
  "popular": ["Popular", "What sells of late, in all or for an occasion"],
  "bought-together": ["Bought together", "What the buyers of an item took as well, by lift"],
  "because-you-bought": ["Because you bought", "A shelf for each item that the shopper liked of late"],
};
const FIGURES = {
  "trending": (f) => `${f.recent.toFixed(1)} sold of late · ${f.usual.toFixed(1)} is usual`,
  "new-arrivals": (f) => ("days_since_first_sold" in f
    ? `first sold ${Math.round(f.days_since_first_sold).toLocaleString("en")} days ago` : "not sold yet"),
  "popular": () => "",
  "bought-together": (f) => `${f.users} took both · lift ${f.lift.toFixed(1)}`,
};
FIGURES["because-you-bought"] = FIGURES["bought-together"];
const LIKE = {
  text: ["By text", "Nearest in what they are and what reviewers say"],
  vectors: ["By vectors", "Nearest in attributes and title, by the item tower"],
  baskets: ["By baskets", "Taken by the same buyers"],
};

/** What a feed is called; an unknown one is the first. */
export const titleOf = (name) => (FEEDS[name] ?? FEEDS.trending)[0];

function frame(label, bar, title, what, ...rest) {
  $("stages").className = "stages one";
  $("stages").replaceChildren(el("section", { class: "stage", "aria-label": label },
    bar, el("header", {}, el("h2", {}, title), el("p", {}, what)), ...rest));
}

/** Show a feed; `about`: the item of bought-together, the occasion of popular. */
export async function feed(name, about = null) {
  if (!(name in FEEDS)) name = "trending";
  const [title, what] = FEEDS[name];
  const bar = tabs("Feeds", Object.entries(FEEDS).map(([one, [text]]) => [text, `#/feeds/${one}`, one === name]));
  const asked = new URLSearchParams({ k: COUNT, filter: JSON.stringify(filters()) });
  if ($("user").value) asked.set("user_id", $("user").value);
  if (name === "popular" && about) asked.set("context", about);
  if (name === "because-you-bought" && !$("user").value) {
    overtake();
    frame(title, bar, title, what);
    $("notes").replaceChildren();
    return say("Choose a sample shopper: this feed is about what they bought.");
  }
  if (name === "bought-together") {
    if (!seen.size) {
      const isLatest = overtake();
      try {
        await fill();
      } catch (error) {
        if (isLatest()) fail(error);
        return undefined;
      }
      if (!isLatest()) return undefined;
    }
    about ??= [...seen.keys()].at(-1) ?? null;
    if (about === null) {
      overtake();
      frame(title, bar, title, what);
      return say("No item is known to begin with.");
    }
    asked.set("parent_asin", about);
  }
  const count = (answer) => answer.items.length + answer.shelves.flatMap((shelf) => shelf.items).length;
  return show(
    (answer) => (count(answer) ? `${count(answer)} items` : "Nothing to show"),
    () => ask(`/v1/feeds/${name}?${asked}`),
    (answer) => frame(title, bar, title, what, chooser(name, about), ...(answer.shelves.length
      ? answer.shelves.map((shelf) => shelfOf(shelf, FIGURES[name]))
      : [hits(answer.items, title, FIGURES[name])])),
  );
}

/** Get to know a few items, for whoever begins with those that are bought together. */
async function fill() {
  const answer = await ask("/v1/feeds/popular?k=24");
  for (const item of [...answer.items].reverse()) seen.set(item.parent_asin, naming(item));
}

/** What a feed is about, to be chosen: an item that was seen here, an occasion. */
function chooser(name, about) {
  const go = (value) => { location.hash = `#/feeds/${name}/${encodeURIComponent(value)}`; };
  if (name === "bought-together") {
    const options = [...seen].slice(-60).reverse().map(([id, title]) =>
      el("option", { value: id, selected: id === about }, title));
    if (!seen.has(about)) options.unshift(el("option", { value: about, selected: true }, about));
    return el("div", { class: "field about" }, el("label", { htmlFor: "about" }, "With the item"),
      el("select", { id: "about", onchange: (event) => go(event.target.value) }, ...options));
  }
  if (name !== "popular") return "";
  return el("div", { class: "field about" }, el("label", { htmlFor: "about" }, "Occasion"),
    el("input", { id: "about", value: about ?? "", placeholder: "any", maxLength: 2000,
      onchange: (event) => go(event.target.value.trim()) }));
}

function shelfOf(shelf, figures) {
  const title = naming(shelf.because);
  return el("section", { class: "shelf", "aria-label": `Because of ${title}` },
    el("h3", {}, el("small", {}, "Because of "), title),
    hits(shelf.items, `Taken with ${title}`, figures));
}

/** Show the items that are like one. */
export async function similar(by, id) {
  if (!(by in LIKE)) by = "text";
  const address = encodeURIComponent(id);
  const links = Object.entries(LIKE).map(([one, [text]]) => [text, `#/similar/${one}/${address}`, one === by]);
  const bar = tabs("Similar", [...links, ["With lift", `#/feeds/bought-together/${address}`, false]]);
  const asked = new URLSearchParams({ by, k: COUNT, filter: JSON.stringify(filters()) });
  let title = seen.get(id) ?? id;
  return show(
    (answer) => (answer.items.length ? `${answer.items.length} items` : "Nothing is like it"),
    async () => {
      if (!seen.has(id)) title = naming(await ask(`/v1/items/${address}`));
      return ask(`/v1/items/${address}/similar?${asked}`);
    },
    (answer) => frame("Similar", bar, `Like “${title}”`, LIKE[by][1], hits(answer.items, "Similar items")),
  );
}
