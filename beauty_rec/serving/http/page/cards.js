// Items as cards, and which of them the shopper likes.

import { $, el } from "./dom.js";

export const liked = new Map(); // parent_asin -> title
export const seen = new Map(); // parent_asin -> title, of every card that was drawn, the latest last

/** What an item is called: its title, or what else is known of it. */
export function naming(item) {
  const known = [item.brand, item.category, ...(item.keywords ?? []).slice(0, 3)].filter(Boolean);
  return item.title || known.join(", ") || `untitled item ${item.parent_asin}`;
}

/**
 * A card. `why`: a list below the facts; `share`: of the bar, 0 to 1; `score`: what is said beside
 * it; `hint`: one line more.
 */
export function card(item, { why, share, score, hint }) {
  const name = naming(item);
  seen.delete(item.parent_asin);
  seen.set(item.parent_asin, name);
  const rating = item.average_rating === null ? ""
    : el("span", {}, `★ ${item.average_rating.toFixed(1)} (${item.rating_number ?? 0})`);
  return el("li", { class: "card", "data-item": item.parent_asin },
    el("div", { class: "line" },
      el("span", { class: "n", "aria-hidden": "true" }, String(item.rank)),
      el("div", {}, el("h3", { title: name }, name), el("p", { class: "by" }, item.store || item.brand || "")),
      heart(item.parent_asin, name)),
    el("div", {},
      el("p", { class: "facts" },
        item.price === null ? "" : el("b", {}, `$${item.price.toFixed(2)}`),
        item.category ? el("span", {}, item.category) : "", rating,
        item.in_stock === false ? el("span", { class: "out" }, "out of stock") : ""),
      moved(item.rules),
      why),
    el("div", { class: "foot" },
      bar(share, score),
      el("span", { class: "score" }, score),
      el("span", { class: "places" }, hint ?? ""),
      el("a", { class: "like", href: `#/similar/text/${encodeURIComponent(item.parent_asin)}`,
        "aria-label": `Similar to ${name}` }, "Similar")));
}

function bar(share, label) {
  const inner = el("i");
  inner.style.width = `${Math.max(3, Math.min(1, share) * 100)}%`;
  return el("div", { class: "bar", role: "img", "aria-label": label }, inner);
}

/** Which of the shop's rules moved an item. */
function moved(rules) {
  if (!rules?.length) return "";
  return el("ul", { class: "rules", "aria-label": "Moved by the shop's rules" },
    ...rules.map((name) => el("li", {}, el("small", {}, "rule "), name)));
}

function heartIcon() {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", "M10 16.5 3.9 10.4a3.9 3.9 0 0 1 5.5-5.5l.6.6.6-.6a3.9 3.9 0 0 1 5.5 5.5Z");
  svg.append(path);
  return svg;
}

function heart(id, name) {
  return el("button", {
    type: "button", class: "heart", "aria-pressed": String(liked.has(id)),
    "aria-label": `Like ${name}`,
    onclick: () => {
      if (liked.has(id)) liked.delete(id);
      else liked.set(id, name);
      drawLiked();
    },
  }, heartIcon());
}

/** Show which items are liked, in the list and on the cards. */
export function drawLiked() {
  $("liked").replaceChildren(...[...liked].map(([id, name]) => el("li", {},
    el("span", { title: name }, name),
    el("button", { type: "button", "aria-label": `Remove ${name}`,
      onclick: () => { liked.delete(id); drawLiked(); } }, "×"))));
  $("liked-hint").hidden = liked.size > 0;
  for (const button of document.querySelectorAll(".card .heart")) {
    const id = button.closest("[data-item]").dataset.item;
    button.setAttribute("aria-pressed", String(liked.has(id)));
  }
}

export function reasons(why) {
  const list = el("ul", { class: "why", "aria-label": "Why" });
  for (const one of why.slice(0, 4)) list.append(el("li", { class: one.kind }, ...words(one)));
  return list;
}

const small = (said) => el("small", {}, said);

function words(one) {
  const unit = /_(cm|kg)$/.exec(one.field ?? "")?.[1];
  const field = (one.field ?? "").replace(/^buyer_/, "").replace(/_(cm|kg)$/, "").replaceAll("_", " ");
  const text = el("em", {}, unit ? `${one.text} ${unit}` : one.text);
  switch (one.kind) {
    case "similar": return [el("span", {}, small("like "), text, small(`, in the past (${one.cosine.toFixed(2)})`))];
    case "attribute": return [el("span", {}, small(`${field} `), text, small(`, as ${one.count} of ${one.of} past items`))];
    case "context": return [el("span", {}, small("often chosen for "), text)];
    case "profile": return [el("span", {}, small(`chosen by buyers of ${field} `), text)];
    default: return [el("span", {}, "“", text, "”", small(`, said in ${one.count} review${one.count === 1 ? "" : "s"}`))];
  }
}

/** What reviewers say of an item, as reasons. */
export const keywords = (item) => reasons(item.keywords.slice(0, 3).map((text, i) =>
  ({ kind: "keyword", text, count: item.keyword_reviews[i] })));

/** A list of found items, the bars as shares of the best score. */
export function hits(items, label, figures = null) {
  const best = Math.max(...items.map((item) => item.score), 1e-12);
  return el("ol", { class: "cards", "aria-label": label }, ...items.map((item) => card(item, {
    why: keywords(item), share: item.score / best,
    score: `place ${item.rank}`, hint: figures?.(item.figures),
  })));
}
