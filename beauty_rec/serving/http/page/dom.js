// Small things that every view needs. Texts of items only ever become text nodes.

export const $ = (id) => document.getElementById(id);

/** Make an element: properties by name, then children (strings become text). */
export function el(tag, properties = {}, ...children) {
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

/** A row of links of which one is chosen: [text, address, is it chosen]. */
export function tabs(label, links) {
  return el("nav", { class: "tabs", "aria-label": label },
    ...links.map(([text, href, chosen]) =>
      el("a", { href, "aria-current": chosen ? "true" : null }, text)));
}

export const percent = (share) =>
  (share >= 0.0995 ? `${Math.round(share * 100)}%` : `${(share * 100).toFixed(1)}%`);

export function say(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

/** Which variant of an experiment answered; nothing outside of one. */
const variant = ({ experiment, variant: name, version }) =>
  (experiment ? ` · variant ${name} of ${experiment}, set ${version.slice(0, 8)}` : "");

let asked = 0;

/**
 * Let what was asked before come to nothing: what is shown now asks nothing, or asks otherwise.
 * The function that it returns says whether nothing has overtaken it since.
 */
export function overtake() {
  const turn = ++asked;
  $("results").setAttribute("aria-busy", "false");
  return () => turn === asked;
}

/** Say what went wrong. */
export const fail = (error) => say(error.message || "The server cannot be reached.", true);

/** Show one thing at a time: a later question overtakes an earlier one. */
export async function show(what, question, draw) {
  const turn = ++asked;
  const results = $("results");
  results.setAttribute("aria-busy", "true");
  try {
    const started = performance.now();
    const answer = await question();
    if (turn !== asked) return;
    draw(answer);
    say(`${what(answer)} · ${Math.round(performance.now() - started)} ms${variant(answer)}`);
    $("notes").replaceChildren(...(answer.notes ?? []).map((note) => el("li", {}, note)));
  } catch (error) {
    if (turn !== asked) return;
    fail(error);
    $("notes").replaceChildren();
  } finally {
    if (turn === asked) results.setAttribute("aria-busy", "false");
  }
}
