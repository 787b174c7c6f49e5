// What an item has to be: a few choices, and the same filter as JSON. Either changes the other.

import { ask } from "./api.js";
import { $, el } from "./dom.js";

const LABELS = ["category", "brand"];
const BOUNDS = { "price-min": "min", "price-max": "max" };
const known = {}; // field -> values that items have
let chosen = {}; // the filter, in the API's language

/** The filter as it stands; what is not chosen is not in it. */
export const filters = () => chosen;

export function clearFilters() {
  chosen = {};
  draw();
}

/** Make the fields work; `changed` is called after each change. */
export function startFilters(changed) {
  for (const field of LABELS) {
    $(field).addEventListener("change", () => { set(field, listed(field)); changed(); });
  }
  for (const id of Object.keys(BOUNDS)) {
    $(id).addEventListener("change", () => { set("price", bounds()); changed(); });
  }
  $("in-stock").addEventListener("change", () => {
    set("in_stock", $("in-stock").checked ? true : undefined);
    changed();
  });
  $("raw").addEventListener("change", () => { if (read()) changed(); });
  $("filters").addEventListener("toggle", offer, { once: true });
}

function set(name, value) {
  chosen = { ...chosen, [name]: value };
  if (value === undefined) delete chosen[name];
  draw();
}

/** A field's values, by commas unless the whole is one that is known: a text, a list, or nothing. */
function listed(field) {
  const text = $(field).value.trim();
  if (!text) return undefined;
  if (known[field]?.has(text.toLowerCase())) return text;
  const values = text.split(",").map((value) => value.trim()).filter(Boolean);
  return values.length > 1 ? values : values[0];
}

function bounds() {
  const range = {};
  for (const [id, end] of Object.entries(BOUNDS)) {
    if ($(id).value !== "") range[end] = Number($(id).value);
  }
  return Object.keys(range).length ? range : undefined;
}

/** Take the filter from its JSON; false where it is none. */
function read() {
  let value = null;
  try {
    value = JSON.parse($("raw").value.trim() || "{}");
  } catch { /* said below */ }
  const isFilter = value !== null && typeof value === "object" && !Array.isArray(value);
  $("raw").setAttribute("aria-invalid", String(!isFilter));
  $("raw-fault").hidden = isFilter;
  if (!isFilter) return false;
  chosen = value;
  draw();
  return true;
}

/** Show the filter in the fields, as far as they can, and as JSON. */
function draw() {
  for (const field of LABELS) {
    const value = chosen[field];
    $(field).value = Array.isArray(value) ? value.join(", ") : value ?? "";
  }
  for (const [id, end] of Object.entries(BOUNDS)) $(id).value = chosen.price?.[end] ?? "";
  $("in-stock").checked = chosen.in_stock === true;
  const count = Object.keys(chosen).length;
  $("raw").value = count ? JSON.stringify(chosen, null, 1).replace(/\n\s*/g, " ") : "";
  $("raw").setAttribute("aria-invalid", "false");
  $("raw-fault").hidden = true;
  $("filter-count").textContent = count ? `${count} at work` : "";
}

/** Offer the values that most items have, once the fields are looked at. */
async function offer() {
  const answer = await ask(`/v1/facets?k=200&${LABELS.map((field) => `field=${field}`).join("&")}`);
  for (const field of LABELS) {
    const values = answer.facets[field] ?? [];
    known[field] = new Set(values.map((one) => one.value));
    $(`${field}-values`).replaceChildren(...values.map((one) =>
      el("option", { value: one.value, label: `${one.value} · ${one.items}` })));
  }
  $("raw-hint").textContent = `May also name ${answer.fields.filter((name) => !LABELS.includes(name)).join(", ")}; not, any_of, all_of.`;
}
