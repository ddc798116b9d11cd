// Symbol search by prefix, a page at a time.

import { get } from "./api.js";
import { $, cell, chartUrl, element, load, onZoneChange, plural, setStatus, timeElement } from "./base.js";
import { Events } from "./events.js";
import { nameElement } from "./names.js";

let rows = [];
let cursor = null;
let searches = 0;
let awayNote = "";

function show() {
  const names = rows.map((row) => JSON.stringify([row.broker, row.symbol]));
  const shared = new Set(names.filter((name, at) => names.indexOf(name) !== at)); // symbols in two partitions
  $("rows").replaceChildren(
    ...rows.map((row) =>
      element(
        "tr",
        {},
        cell(nameElement(row.symbol, chartUrl(row.broker, row.symbol))),
        cell(nameElement(row.broker)),
        cell(row.open === null ? "unknown" : row.open ? "open" : "-", "", row.open ? "open" : undefined),
        cell(timeElement(row.last_start)),
        cell(row.partition, "number", shared.has(JSON.stringify([row.broker, row.symbol])) ? "shared" : undefined),
      ),
    ),
  );
  $("more").hidden = !cursor;
  setStatus(rows.length ? `${cursor ? "More than " : ""}${plural(new Set(names).size, "symbol")}.${shared.size ? ` ${plural(shared.size, "symbol")} in two partitions: producers place them differently.` : ""}${awayNote}` : $("q").value.trim() ? "No symbol has this prefix." : "No symbol yet: each appears with its first tick.");
}

async function find(more = false) {
  const search = ++searches;
  const page = await get("symbols", { prefix: $("q").value.trim(), limit: 50, cursor: more ? cursor : null });
  if (search !== searches) return; // the input has changed since
  rows = more ? [...rows, ...page.symbols] : page.symbols;
  cursor = page.next_cursor;
  awayNote = page.away.length ? ` Some open windows are unknown: ${page.away[0].reason}.` : "";
  show();
}

// the search is in the address, so that Back brings it again
const inAddress = () => new URLSearchParams(location.search).get("q") ?? "";
$("q").value = inAddress();
$("q").addEventListener("input", () => {
  const q = $("q").value.trim();
  history.replaceState(null, "", q ? `?q=${encodeURIComponent(q)}` : location.pathname);
  load(() => find());
});
$("more").addEventListener("click", () => load(() => find(true)));
onZoneChange(show);
new Events({}, {}, () => load(() => find()));
