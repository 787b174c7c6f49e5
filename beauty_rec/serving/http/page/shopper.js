// Who is shopping, what is recommended to them by which stage, and what a search finds.

import { ask } from "./api.js";
import { card, drawLiked, hits, liked, naming, reasons } from "./cards.js";
import { $, el, percent, show } from "./dom.js";
import { clearFilters, filters } from "./filters.js";

const COUNT = 10;
const IDEAS = ["dry itchy scalp", "gift for my mother", "everyday gym bag", "sensitive skin"];
const SOURCES = {
  text_retriever: "text", lexical: "words", titles: "title", user_tower: "user tower",
  item_to_item: "bought together", popular: "popular", new_arrivals: "new",
};
const ORDERS = {
  hybrid: "Text and words", fused: "All sources, weighed", reranked: "DeepFM", gbdt: "Boosted trees", ...SOURCES,
};
const users = new Map();
let orders = {}; // what the set that answered last serves, and why

const number = (id) => ($(id).value === "" ? null : Number($(id).value));

function request() {
  const profile = {};
  if (number("height") !== null) profile.height_cm = number("height");
  if (number("weight") !== null) profile.weight_kg = number("weight");
  return {
    user_id: $("user").value || null,
    history: [...liked.keys()],
    context: $("context").value.trim() || null,
    profile, filters: filters(), k: COUNT, stages: true,
    diversity: Number($("diversity").value),
  };
}

export function recommend() {
  return show(
    (answer) => (answer.items.length ? `${answer.items.length} recommendations` : "Nothing fits"),
    async () => {
      const asked = request();
      const answer = await ask("/v1/recommend", { body: asked });
      return { ...answer, why: await whyServed(answer, asked.context) };
    },
    drawStages,
  );
}

/** Why this order answers, as /version says it of the kind of ask; nothing where another set answered. */
async function whyServed({ version, order }, context) {
  if (orders.asked !== version) {
    orders = { asked: version, ...await ask("/version", { quiet: true }).catch(() => ({})) };
  }
  if (orders.version !== version) return "";
  const kinds = context ? ["occasion", "text"] : ["nothing"];
  const why = kinds.filter((kind) => orders.served[kind] === order).map((kind) => orders.reasons[kind]);
  return [...new Set(why)].join("\n");
}

export function search(text) {
  $("query").value = text;
  const asked = new URLSearchParams({ q: text, k: 24, filter: JSON.stringify(filters()) });
  return show(
    (answer) => (answer.items.length ? `Nearest to “${text}”` : "Nothing found"),
    () => ask(`/v1/search?${asked}`),
    (answer) => {
      $("stages").className = "stages one";
      $("stages").replaceChildren(el("section", { class: "stage", "aria-label": "Found" },
        el("header", {}, el("h2", {}, "Found"), el("p", {}, `By ${(ORDERS[answer.order] ?? answer.order).toLowerCase()}`)),
        hits(answer.items, "Found items")));
    },
  );
}

function drawStages(answer) {
  const kept = new Map(answer.items.map((item) => [item.parent_asin, item.rank]));
  const all = answer.candidates ?? [];
  const main = all.some((one) => one.sources.text_retriever) ? "text_retriever" : "user_tower";
  const place = (one) => one.sources[main]?.rank ?? Infinity;
  const before = el("ol", { class: "before", "aria-label": "Candidates" });
  for (const one of [...all].sort((x, y) => place(x) - place(y))) {
    const rank = kept.get(one.parent_asin); // by the rules, where they moved it
    const to = rank ? `place ${rank} in the answer` : "not in the answer";
    before.append(el("li", { class: kept.has(one.parent_asin) ? "kept" : "", "data-item": one.parent_asin },
      el("span", { class: "n" }, Number.isFinite(place(one)) ? String(place(one)) : "–"),
      el("span", { class: "t", title: naming(one) }, naming(one)),
      el("span", { class: "to", title: to },
        el("span", { "aria-hidden": "true" }, rank ? `→ ${rank}` : "–"), el("span", { class: "hidden" }, to))));
  }
  const best = Math.max(...answer.items.map((item) => item.score), 1e-12);
  const cards = el("ol", { class: "cards", "aria-label": "Answer" });
  for (const item of answer.items) {
    const hint = Object.entries(SOURCES).filter(([name]) => item.sources[name]?.rank <= 100)
      .map(([name, title]) => `${title} ${item.sources[name].rank}`).join(" · "); // places by source
    const score = item.probability >= 0.01 ? `${percent(item.probability)} likely` : `place ${item.rank}`;
    cards.append(card(item, { why: reasons(item.why), share: item.score / best, score, hint }));
  }
  const order = ORDERS[answer.order] ?? answer.order;
  const ruled = answer.items.filter((item) => item.rules.length).length;
  const what = ruled ? `${order}; the shop's rules moved ${ruled} of ${answer.items.length}` : `${order}, with the reasons`;
  $("stages").className = "stages";
  $("stages").replaceChildren(
    stage("1", "Candidates", `As the ${SOURCES[main]} finds them`, "", before),
    stage("2", "Answer", what, "chosen", cards, answer.why));
}

function stage(n, title, what, kind, list, why) {
  return el("section", { class: `stage ${kind}`, "aria-label": title },
    el("header", {}, el("h2", {}, el("b", { "aria-hidden": "true" }, n), title), el("p", {}, what),
      why ? el("details", {}, el("summary", {}, "Why this order"), el("p", {}, why)) : ""),
    list);
}

/** Light up the same item in both stages. */
function light(event) {
  const id = event.type === "mouseover" || event.type === "focusin"
    ? event.target.closest("[data-item]")?.dataset.item : null;
  for (const node of document.querySelectorAll("[data-item]")) {
    node.classList.toggle("lit", id !== undefined && id !== null && node.dataset.item === id);
  }
}

function chosen() {
  const user = users.get($("user").value);
  const latest = (user?.latest ?? []).map((title) => el("li", { title }, title));
  $("user-hint").replaceChildren(...(latest.length ? [el("span", {}, "Lately"), el("ul", {}, ...latest)] : []));
  for (const [id, column] of [["height", "height_cm"], ["weight", "weight_kg"]]) {
    const value = user?.profile[column];
    $(id).value = typeof value === "number" ? Math.round(value * 10) / 10 : "";
  }
}

/** Make the form of the shopper work; `again` shows the view anew. */
export async function startShopper(again) {
  for (const idea of IDEAS) {
    $("ideas").append(el("button", { type: "button", onclick: () => {
      $("context").value = idea;
      again();
    } }, idea));
  }
  $("shopper").addEventListener("reset", () => setTimeout(() => {
    liked.clear();
    drawLiked();
    chosen();
    clearFilters();
    $("diversity-value").textContent = "off";
    again();
  }));
  $("user").addEventListener("change", () => { chosen(); again(); });
  $("diversity").addEventListener("input", () => {
    const value = Number($("diversity").value);
    $("diversity-value").textContent = value ? value.toFixed(1) : "off";
  });
  for (const kind of ["mouseover", "mouseout", "focusin", "focusout"]) {
    $("stages").addEventListener(kind, light);
  }
  for (const user of await ask("/v1/sample-users")) {
    const option = el("option", { value: user.user_id }, `${user.user_id.slice(0, 10)}… · ${user.events} items`);
    users.set(user.user_id, user);
    $("user").append(option);
  }
}
