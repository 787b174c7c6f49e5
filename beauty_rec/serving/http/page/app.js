// The page: asks the API, and shows what it says. Texts of items only ever become text nodes.

const $ = (id) => document.getElementById(id);
const COUNT = 10;
const IDEAS = ["dry itchy scalp", "gift for my mother", "everyday gym bag", "sensitive skin"];
const liked = new Map(); // parent_asin -> title
let last = () => recommend();
let asked = 0;

/** Make an element: properties by name, then children (strings become text). */
function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
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

async function ask(path, body) {
  const headers = {};
  const key = sessionStorage.getItem("key");
  if (key) headers["X-API-Key"] = key;
  if (body) headers["Content-Type"] = "application/json";
  const method = body ? "POST" : "GET";
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const answer = await response.json();
  if (response.status === 401) {
    await askForKey();
    return ask(path, body);
  }
  if (!response.ok && path !== "/readyz") throw new Error(answer.detail || answer.title);
  return answer;
}

let keyAsked = null;
function askForKey() {
  keyAsked ??= new Promise((done) => {
    const dialog = $("key-dialog");
    dialog.showModal();
    dialog.addEventListener("close", () => {
      sessionStorage.setItem("key", $("key").value);
      keyAsked = null;
      done();
    }, { once: true });
  });
  return keyAsked;
}

/** Show one thing at a time: a later question overtakes an earlier one. */
async function show(what, question, draw) {
  const turn = ++asked;
  const results = $("results");
  results.setAttribute("aria-busy", "true");
  try {
    const started = performance.now();
    const answer = await question();
    if (turn !== asked) return;
    draw(answer);
    say(`${what(answer)} · ${Math.round(performance.now() - started)} ms`);
    $("notes").replaceChildren(...(answer.notes ?? []).map((note) => el("li", {}, note)));
  } catch (error) {
    if (turn === asked) say(error.message || "The server cannot be reached.", true);
  } finally {
    if (turn === asked) results.setAttribute("aria-busy", "false");
  }
}

function say(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

const number = (id) => ($(id).value === "" ? null : Number($(id).value));

function request() {
  const profile = {};
  if (number("height") !== null) profile.height_cm = number("height");
  if (number("weight") !== null) profile.weight_kg = number("weight");
  const filters = {};
  if ($("category").value.trim()) filters.category = $("category").value.trim();
  if (number("price") !== null) filters.max_price = number("price");
  return {
    user_id: $("user").value || null,
    history: [...liked.keys()],
    context: $("context").value.trim() || null,
    profile, filters, k: COUNT, stages: true,
    diversity: Number($("diversity").value),
  };
}

function recommend() {
  last = recommend;
  return show(
    (answer) => (answer.items.length ? `${answer.items.length} recommendations` : "Nothing fits"),
    () => ask("/v1/recommend", request()),
    drawStages,
  );
}

function search(text) {
  last = () => search(text);
  return show(
    (answer) => (answer.items.length ? `Nearest to “${text}”` : "Nothing found"),
    () => ask(`/v1/search?${new URLSearchParams({ q: text, k: 24 })}`),
    drawHits,
  );
}

function drawHits(answer) {
  const cards = el("ol", { class: "cards", "aria-label": "Found items" });
  const best = Math.max(...answer.items.map((item) => item.score), 1e-12);
  for (const item of answer.items) {
    cards.append(card(item, keywords(item), item.score / best, `place ${item.rank}`));
  }
  $("stages").className = "stages one";
  $("stages").replaceChildren(cards);
}

const SOURCES = {
  text_retriever: "text", lexical: "words", user_tower: "user tower",
  item_to_item: "bought together", popular: "popular", new_arrivals: "new",
};
const ORDERS = {
  hybrid: "Text and words", fused: "All sources, weighed", reranked: "DeepFM", gbdt: "Boosted trees", ...SOURCES,
};

function drawStages(answer) {
  const kept = new Set(answer.items.map((item) => item.parent_asin));
  const all = answer.candidates ?? [];
  const main = all.some((one) => one.sources.text_retriever) ? "text_retriever" : "user_tower";
  const place = (one) => one.sources[main]?.rank ?? Infinity;
  const before = el("ol", { class: "before", "aria-label": "Candidates" });
  for (const one of [...all].sort((x, y) => place(x) - place(y))) {
    const to = `place ${one.rank} in the answer`;
    before.append(el("li", { class: kept.has(one.parent_asin) ? "kept" : "", "data-item": one.parent_asin },
      el("span", { class: "n" }, Number.isFinite(place(one)) ? String(place(one)) : "–"),
      el("span", { class: "t", title: naming(one) }, naming(one)),
      el("span", { class: "to", title: to, "aria-label": to }, `→ ${one.rank}`)));
  }
  const best = Math.max(...answer.items.map((item) => item.score), 1e-12);
  const cards = el("ol", { class: "cards", "aria-label": "Answer" });
  for (const item of answer.items) {
    const found = Object.entries(SOURCES).filter(([name]) => item.sources[name]?.rank <= 100)
      .map(([name, title]) => `${title} ${item.sources[name].rank}`).join(" · ");
    const likely = item.probability >= 0.01 ? `${percent(item.probability)} likely` : `place ${item.rank}`;
    cards.append(card(item, reasons(item.why), item.score / best, likely, null, found));
  }
  $("stages").className = "stages";
  $("stages").replaceChildren(
    stage("1", "Candidates", `As the ${SOURCES[main]} finds them`, "", before),
    stage("2", "Answer", `${ORDERS[answer.order] ?? answer.order}, with the reasons`, "chosen", cards));
}

function stage(n, title, what, kind, list) {
  return el("section", { class: `stage ${kind}`, "aria-label": title },
    el("header", {}, el("h2", {}, el("b", { "aria-hidden": "true" }, n), title), el("p", {}, what)),
    list);
}

const percent = (share) => (share >= 0.0995 ? `${Math.round(share * 100)}%` : `${(share * 100).toFixed(1)}%`);

/** What an item is called: its title, or what else is known of it. */
function naming(item) {
  const known = [item.brand, item.category, ...(item.keywords ?? []).slice(0, 3)].filter(Boolean);
  return item.title || known.join(", ") || `untitled item ${item.parent_asin}`;
}

function card(item, why, share, score, move, hint) {
  const name = naming(item);
  const bar = el("i");
  bar.style.width = `${Math.max(3, Math.min(1, share) * 100)}%`;
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
        item.category ? el("span", {}, item.category) : "", rating),
      why),
    el("div", { class: "foot" },
      el("div", { class: "bar", role: "img", "aria-label": score }, bar),
      el("span", {}, score, move ? el("span", { class: `move ${move[0]}`, title: move[2], "aria-label": move[2] }, ` ${move[1]}`) : ""),
      hint ? el("span", { class: "places", title: "Places by source" }, hint) : ""));
}

function heart(id, name) {
  const button = el("button", {
    type: "button", class: "heart", "aria-pressed": String(liked.has(id)),
    "aria-label": `Like ${name}`,
    onclick: () => {
      if (liked.has(id)) liked.delete(id);
      else liked.set(id, name);
      drawLiked();
    },
  }, heartIcon());
  return button;
}

function reasons(why) {
  const list = el("ul", { class: "why", "aria-label": "Why" });
  for (const one of why.slice(0, 4)) list.append(el("li", { class: one.kind }, ...words(one)));
  return list;
}

function words(one) {
  const unit = /_(cm|kg)$/.exec(one.field ?? "")?.[1];
  const field = (one.field ?? "").replace(/^buyer_/, "").replace(/_(cm|kg)$/, "").replaceAll("_", " ");
  const text = el("em", {}, unit ? `${one.text} ${unit}` : one.text);
  const small = (said) => el("small", {}, said);
  switch (one.kind) {
    case "similar": return [el("span", {}, small("like "), text, small(`, in the past (${one.cosine.toFixed(2)})`))];
    case "attribute": return [el("span", {}, small(`${field} `), text, small(`, as ${one.count} of ${one.of} past items`))];
    case "context": return [el("span", {}, small("often chosen for "), text)];
    case "profile": return [el("span", {}, small(`chosen by buyers of ${field} `), text)];
    default: return [el("span", {}, "“", text, "”", small(`, said in ${one.count} review${one.count === 1 ? "" : "s"}`))];
  }
}

const keywords = (item) => reasons(item.keywords.slice(0, 3).map((text, i) =>
  ({ kind: "keyword", text, count: item.keyword_reviews[i] })));

function drawLiked() {
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

/** Light up the same item in both stages. */
function light(event) {
  const id = event.type === "mouseover" || event.type === "focusin"
    ? event.target.closest("[data-item]")?.dataset.item : null;
  for (const node of document.querySelectorAll("[data-item]")) {
    node.classList.toggle("lit", id !== undefined && id !== null && node.dataset.item === id);
  }
}

async function start() {
  for (const idea of IDEAS) {
    $("ideas").append(el("button", { type: "button", onclick: () => {
      $("context").value = idea;
      recommend();
    } }, idea));
  }
  $("shopper").addEventListener("submit", (event) => { event.preventDefault(); recommend(); });
  $("shopper").addEventListener("reset", () => setTimeout(() => {
    liked.clear();
    drawLiked();
    chosen();
    $("diversity-value").textContent = "off";
    recommend();
  }));
  $("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("query").value.trim();
    if (text) search(text);
  });
  $("user").addEventListener("change", () => { chosen(); recommend(); });
  $("diversity").addEventListener("input", () => {
    const value = Number($("diversity").value);
    $("diversity-value").textContent = value ? value.toFixed(1) : "off";
  });
  for (const kind of ["mouseover", "mouseout", "focusin", "focusout"]) {
    $("stages").addEventListener(kind, light);
  }
  recommend();
  status();
  setInterval(status, 15000);
  for (const user of await ask("/v1/sample-users")) {
    const option = el("option", { value: user.user_id }, `${user.user_id.slice(0, 10)}… · ${user.events} items`);
    users.set(user.user_id, user);
    $("user").append(option);
  }
}

const users = new Map();
function chosen() {
  const user = users.get($("user").value);
  const latest = (user?.latest ?? []).map((title) => el("li", { title }, title));
  $("user-hint").replaceChildren(...(latest.length ? [el("span", {}, "Lately"), el("ul", {}, ...latest)] : []));
  for (const [id, column] of [["height", "height_cm"], ["weight", "weight_kg"]]) {
    const value = user?.profile[column];
    $(id).value = typeof value === "number" ? Math.round(value * 10) / 10 : "";
  }
}

async function status() {
  try {
    const [ready, version] = [await ask("/readyz"), await ask("/version")];
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

start();
