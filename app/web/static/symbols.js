// Symbols by the beginning of their name, a page at a time.

import { $, cell, element, get, load, moment, onZone, say } from "./base.js";
import { Events } from "./events.js";

let rows = [];
let cursor = null;
let asked = 0;

export const chartOf = (broker, symbol) => `/chart/${encodeURIComponent(broker)}/${encodeURIComponent(symbol)}`;

function show() {
  $("rows").replaceChildren(
    ...rows.map((row) =>
      element(
        "tr",
        {},
        cell(element("a", { href: chartOf(row.broker, row.symbol) }, row.symbol)),
        cell(row.broker),
        cell(row.partition, "number"),
        cell(moment(row.last_start)),
        cell(row.open ? "open" : ""),
      ),
    ),
  );
  $("more").hidden = !cursor;
  say(rows.length ? `${rows.length}${cursor ? " or more" : ""} symbols` : "No symbol begins like this. Symbols appear with their first tick.");
}

async function find(more = false) {
  const turn = ++asked;
  const found = await get("symbols", { prefix: $("q").value.trim(), limit: 50, cursor: more ? cursor : null });
  if (turn !== asked) return; // something else has been typed meanwhile
  rows = more ? [...rows, ...found.symbols] : found.symbols;
  cursor = found.next_cursor;
  show();
}

$("q").addEventListener("input", () => load(() => find()));
$("more").addEventListener("click", () => load(() => find(true)));
load(() => find());
onZone(show);
new Events({}, {}, () => load(() => find()));
