// Symbols by the beginning of their name, a page at a time.

import { $, cell, chartOf, counted, element, get, load, onZone, say, when } from "./base.js";
import { Events } from "./events.js";

let rows = [];
let cursor = null;
let asked = 0;

let trouble = "";

function show() {
  $("rows").replaceChildren(
    ...rows.map((row) =>
      element(
        "tr",
        {},
        cell(element("a", { href: chartOf(row.broker, row.symbol) }, row.symbol)),
        cell(row.broker),
        cell(row.open === null ? "not known" : row.open ? "open" : "-", "", row.open ? "open" : undefined),
        cell(when(row.last_start)),
        cell(row.partition, "number"),
      ),
    ),
  );
  $("more").hidden = !cursor;
  say(rows.length ? `${cursor ? "More than " : ""}${counted(rows.length, "symbol")}.${trouble}` : $("q").value.trim() ? "No symbol begins like this." : "No symbol yet: each appears with its first tick.");
}

async function find(more = false) {
  const turn = ++asked;
  const found = await get("symbols", { prefix: $("q").value.trim(), limit: 50, cursor: more ? cursor : null });
  if (turn !== asked) return; // something else has been typed meanwhile
  rows = more ? [...rows, ...found.symbols] : found.symbols;
  cursor = found.next_cursor;
  trouble = found.away.length ? ` Open windows of some are not known: ${found.away[0].reason}.` : "";
  show();
}

$("q").addEventListener("input", () => load(() => find()));
$("more").addEventListener("click", () => load(() => find(true)));
load(() => find());
onZone(show);
new Events({}, {}, () => load(() => find()));
