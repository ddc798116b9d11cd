// The dialog that opens another symbol's chart: `/` opens it on every page.

import { ApiError, get } from "./api.js";
import { $, chartUrl, element } from "./base.js";
import { shown } from "./names.js";

const LISTED = 12;
const KEPT = ["frame", "average", "vwap"]; // of a chart's address, for the next chart
const dialog = $("switcher");
const field = $("switcher-q");
let options = []; // links
let marked = 0;
let searches = 0;

function mark(index) {
  marked = Math.max(0, Math.min(options.length - 1, index));
  options.forEach((option, at) => option.setAttribute("aria-selected", String(at === marked)));
  field.setAttribute("aria-activedescendant", options[marked]?.id ?? "");
  options[marked]?.scrollIntoView({ block: "nearest" });
}

function href({ broker, symbol }) {
  const kept = location.pathname.startsWith("/chart/") ? [...new URLSearchParams(location.search)].filter(([name]) => KEPT.includes(name)) : [];
  return `${chartUrl(broker, symbol)}${kept.length ? `?${new URLSearchParams(kept)}` : ""}`;
}

async function find() {
  const search = ++searches;
  let found = [];
  let note = "";
  try {
    found = (await get("symbols", { prefix: field.value.trim(), limit: LISTED })).symbols;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    note = `Cannot be searched: ${error.message}.`;
  }
  if (search !== searches) return; // more has been typed since
  const names = new Map(found.map((one) => [JSON.stringify([one.broker, one.symbol]), one])); // one in two partitions is one chart
  options = [...names.values()].map((one, at) => element("a", { id: `switch-${at}`, role: "option", tabindex: "-1", href: href(one) }, shown(one.symbol), " ", element("small", {}, shown(one.broker))));
  $("switcher-list").replaceChildren(...options);
  field.setAttribute("aria-expanded", String(options.length > 0));
  $("switcher-note").textContent = note || (options.length ? "" : "No symbol has this prefix.");
  mark(0);
}

function open() {
  dialog.showModal();
  field.select();
  find();
}

$("switch").addEventListener("click", open);
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, select, textarea, [contenteditable]");
  if (event.key !== "/" || typing || dialog.open || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  open();
});
field.addEventListener("input", find);
field.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) mark(marked + step);
  else if (event.key === "Enter") options[marked]?.click();
  else return;
  event.preventDefault();
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // beside it
});
