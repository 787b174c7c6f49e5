// What an operator sees: the state of the server, click-through by version and variant, experiments.

import { ask, routeOf } from "./api.js";
import { $, el, overtake, say } from "./dom.js";
import { interval, quantile, rates, readMetrics, total } from "./figures.js";

const small = (share) => (share === null || share === undefined ? "–" : `${(share * 100).toFixed(share < 0.1 ? 2 : 1)}%`);
const count = (value) => Math.round(value).toLocaleString("en");
const short = (version) => String(version ?? "–").slice(0, 8);

const PROBES = ["/healthz", routeOf("/readyz")]; // what a load balancer asks is no request of anybody

/** A time that has passed, in words: 8 s, 12 min, 3 h, 4 days. */
function ago(seconds) {
  const units = [[1, "s", 120], [60, "min", 7200], [3600, "h", 172800], [86400, "days", Infinity]];
  const [size, name] = units.find(([, , most]) => seconds < most);
  return `${Math.round(seconds / size)} ${name}`;
}

let turn = 0;

/** Draw the view, and again every few seconds as long as it is open. */
export function operate(isOpen) {
  const mine = ++turn;
  overtake();
  $("stages").className = "stages one";
  return look(() => mine === turn && isOpen());
}

async function look(isSeen) {
  const again = () => setTimeout(() => { if (isSeen()) look(isSeen); }, 10_000);
  try {
    const [state, text, version] = await Promise.all(
      [ask("/v1/operations"), ask("/metrics", { text: true }), ask("/version")]);
    const experiment = await ask("/v1/experiment").catch(() => null);
    if (!isSeen()) return;
    const open = new Set([...document.querySelectorAll("#stages details[open]")].map((one) => one.id));
    $("stages").replaceChildren(view(state, readMetrics(text), version, experiment));
    for (const id of open) $(id)?.setAttribute("open", "");
    $("notes").replaceChildren(...alarms(state, experiment).map((note) => el("li", { class: "alarm" }, note)));
    say(`As of ${new Date().toLocaleTimeString("en-GB")}; read again every 10 s`);
    again();
  } catch (error) {
    if (!isSeen()) return;
    $("stages").replaceChildren();
    $("notes").replaceChildren();
    say(error.status === 403 ? "This view needs a key: set serve.api_key, then come back with it."
      : error.message || "The server cannot be reached.", true);
    if (error.status === 401) {
      $("stages").append(el("button", { type: "button", class: "go", onclick: () => look(isSeen) }, "Give the key"));
    }
    if (!error.status || error.status >= 500) again();
  }
}

/** What is wrong now, each with its reason. */
function alarms(state, experiment) {
  return [
    ...state.reasons.map((reason) => `Not ready: ${reason}`),
    state.set.refused && `The newest set is refused: ${state.set.refused}`,
    state.rules.refused && `The rules' file is refused, those from before stay: ${state.rules.refused}`,
    experiment?.refused && `The experiment's file is refused: ${experiment.refused}`,
    state.set.looked_s > 5 * state.set.look_every_s + 60 && `No look for a newer set came back for ${ago(state.set.looked_s)}`,
    state.read_only && "The data folder is read-only: events and items are refused, nothing is kept",
  ].filter(Boolean);
}

function view(state, metrics, version, experiment) {
  return el("section", { class: "operator", "aria-label": "Operator" },
    el("h1", {}, "How the shop is served"),
    el("div", { class: "tiles" }, ...tiles(state, metrics)),
    clicks(metrics, state.set.version),
    experiments(experiment),
    rulesTable(state.rules),
    sets(experiment, state),
    parts(version));
}

function tiles(state, metrics) {
  const { set, rules } = state;
  const asked = (labels) => !PROBES.includes(labels.route);
  const ended = (from, to) => (labels) => asked(labels) && labels.status >= from && labels.status < to;
  const requests = "beauty_rec_http_requests_total";
  const route = (labels) => labels.route === routeOf("/v1/recommend");
  const [p50, p95] = [0.5, 0.95].map((share) => quantile(metrics, "beauty_rec_http_request_seconds", share, route));
  const took = (ms) => (ms === null ? "–" : `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`);
  const dropped = total(metrics, "beauty_rec_impressions_dropped_total");
  return [
    tile("Server", state.ready ? "ready" : "not ready", state.ready ? "good" : "bad",
      `${count(state.items)} items · database ${state.database ? "up" : "away"}`,
      state.waiting_items ? `${count(state.waiting_items)} items wait for their vectors` : ""),
    tile("Served set", short(set.version), "", `published ${ago(set.age_s)} ago`, `switches since the start: ${set.switches}`),
    tile("Watcher", set.refused ? "refuses the newest" : "follows", set.refused ? "bad" : "good",
      `looked ${ago(set.looked_s)} ago, every ${set.look_every_s} s`, `refusals since the start: ${set.refusals}`),
    tile("Rules", rules.file === null ? "none" : `${rules.rules.length} at work`, rules.refused ? "bad" : "",
      rules.file === null ? "serve.rules names no file" : `${rules.file}${rules.refused ? " is refused" : " is valid"}`,
      rules.file === null ? "" : `changes since the start: ${rules.loads} taken, ${rules.refusals} refused`),
    tile("Requests", count(total(metrics, requests, asked)), "",
      `${count(total(metrics, requests, ended(400, 500)))} refused (4xx) · ${count(total(metrics, requests, ended(500, 600)))} failed (5xx)`,
      `recommend: p50 ${took(p50)}, p95 ${took(p95)}`),
    tile("Impressions", count(total(metrics, "beauty_rec_impressions_written_total")), dropped ? "bad" : "",
      `${count(total(metrics, "beauty_rec_impressions_waiting"))} wait · ${count(dropped)} dropped`,
      `${count(total(metrics, "beauty_rec_events_total"))} events given`),
  ];
}

function tile(title, value, kind, ...lines) {
  return el("div", { class: `tile ${kind}` }, el("h2", {}, title), el("p", { class: "value" }, value),
    ...lines.filter(Boolean).map((line) => el("p", {}, line)));
}

/** A table: `heads` [text, is it a number]; a cell may be a node. */
function table(caption, heads, rows) {
  return el("div", { class: "table", tabIndex: 0, role: "region", "aria-label": caption }, el("table", {},
    el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ...heads.map(([text, isNumber]) =>
      el("th", { scope: "col", class: isNumber ? "number" : "" }, text)))),
    el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells.map((cell, i) =>
      (i ? el("td", { class: heads[i][1] ? "number" : "" }, cell) : el("th", { scope: "row" }, cell))))))));
}

const block = (title, what, ...rest) =>
  el("section", { class: "block", "aria-label": title }, el("h2", {}, title), el("p", { class: "hint" }, what), ...rest);

/** A rate with its interval, as text and as a line on a scale up to `most`. */
function rate(share, bounds, most) {
  if (!bounds) return "–";
  const line = el("span", { class: "range", "aria-hidden": "true" }, el("i"), el("b"));
  const at = (value) => `${Math.min(value / most, 1) * 100}%`;
  line.children[0].style.left = at(bounds[0]);
  line.children[0].style.right = `${100 - Math.min(bounds[1] / most, 1) * 100}%`;
  line.children[1].style.left = at(share);
  return el("span", { class: "rate" }, el("span", {}, small(share), el("small", {}, ` ${small(bounds[0])} to ${small(bounds[1])}`)), line);
}

/** A name with a tag, and a line below it. */
const named = (name, tag, under) =>
  el("span", {}, name, ...tagged(tag), el("small", { class: "under" }, under));

const tagged = (tag, kind = "") => (tag ? [" ", el("small", { class: `tag ${kind}` }, tag)] : []);

function clicks(metrics, served) {
  const rows = rates(metrics).map((row) => ({ ...row, ctr: interval(row.clicks, row.shown), bought: interval(row.purchases, row.shown) }));
  const most = Math.max(...rows.map((row) => row.ctr?.[1] ?? 0), 1e-6);
  const mostBought = Math.max(...rows.map((row) => row.bought?.[1] ?? 0), 1e-6);
  const heads = [["Version, variant", false], ["CTR, 95%", true], ["Conversion, 95%", true], ["Shown", true], ["Clicked", true], ["Bought", true]];
  return block("Click-through by version and variant",
    "Items shown since this server started, clicked, put into the cart or bought; the whole record is the asset online_metrics.",
    rows.length ? table("Click-through by version and variant", heads, rows.map((row) => [
      named(short(row.version), row.version === served && "served", row.variant),
      rate(row.clicks / row.shown, row.ctr, most), rate(row.purchases / row.shown, row.bought, mostBought),
      count(row.shown), count(row.clicks), count(row.purchases),
    ])) : el("p", {}, "Nothing was shown yet."));
}

function experiments(answer) {
  if (!answer || answer.state === "none") {
    return block("Experiment", "Versions or settings side by side, users split by a sticky hash.", el("p", {}, "None is running."));
  }
  const rows = answer.variants ?? [];
  const most = Math.max(...rows.map((row) => row.ctr_high ?? 0), 1e-6);
  const mostBought = Math.max(...rows.map((row) => row.conversion_high ?? 0), 1e-6);
  const ends = (low, high) => (typeof low === "number" && typeof high === "number" ? [low, high] : null);
  const settings = (row) => Object.entries(row.settings ?? {}).map(([name, value]) =>
    `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ") || "as served";
  const heads = [["Variant, set", false], ["CTR, 95%", true], ["Conversion, 95%", true], ["Share", true], ["Users", true], ["Shown", true], ["Settings", false]];
  const shadow = answer.shadow;
  return block(`Experiment ${answer.name ?? ""}`.trim(),
    `Decided by ${answer.metric} at α = ${answer.alpha}, against ${answer.control}${answer.started_at ? `, since ${when(answer.started_at)}` : ""}.`,
    answer.verdict ? el("p", { class: "verdict" }, answer.verdict) : "",
    table("Variants", heads, rows.map((row) => [
      named(row.name, row.name === answer.better && "better", short(row.set)),
      rate(row.ctr, ends(row.ctr_low, row.ctr_high), most),
      rate(row.conversion, ends(row.conversion_low, row.conversion_high), mostBought),
      small(row.share), count(row.users), count(row.shown), settings(row),
    ])),
    shadow ? el("p", { class: "hint" }, `In its shadow ${shadow.name}: ${count(shadow.answered)} answered, `
      + `${count(shadow.dropped)} dropped, ${count(shadow.failed)} failed; ${small(shadow.overlap_at_10)} of the first ten are the same.`) : "");
}

const when = (text) => new Date(text).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });

function rulesTable(rules) {
  if (rules.file === null) return "";
  const heads = [["Rule", false], ["Does", false], ["Time", false]];
  const time = (rule) => [rule.since && `from ${when(rule.since)}`, rule.until && `until ${when(rule.until)}`].filter(Boolean).join(" ") || "always";
  return block("Rules of the shop", `From ${rules.file}, in their order; the answers name those that moved an item.`,
    rules.rules.length ? table("Rules of the shop", heads, rules.rules.map((rule) => [rule.name, rule.do,
      el("span", {}, time(rule), ...tagged(!rule.in_time && "not now", "off"))]))
      : el("p", {}, "The file has no rule."));
}

function sets(experiment, state) {
  const rows = experiment?.sets ?? [];
  if (!rows.length) return "";
  const heads = [["Set", false], ["Published", false], ["State", false]];
  const words = (row) => [row.is_served && "served", row.is_latest && "latest", row.is_loaded && "loaded"].filter(Boolean).join(", ");
  const why = experiment.served?.why ? `Served: ${short(state.set.version)}, ${experiment.served.why}${experiment.served.pinned ? ", pinned" : ""}.` : "";
  return block("Published sets", why, table("Published sets", heads,
    rows.map((row) => [short(row.set), row.published_at ? when(row.published_at) : "–", words(row) || "kept"])));
}

function parts(version) {
  const served = Object.entries(version.served).map(([kind, order]) => [kind, order, version.reasons[kind] ?? ""]);
  const made = Object.entries(version.parts).map(([name, hash]) => [name, hash]);
  return el("details", { class: "block", id: "parts" }, el("summary", {}, "What the served set is made of"),
    table("Which order answers", [["Kind of ask", false], ["Order", false], ["Why", false]], served),
    table("Parts", [["Part", false], ["Version", false]], made));
}
