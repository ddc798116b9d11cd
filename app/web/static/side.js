// Late and rejected records, newest first, with the reason and the value as it came.

import { $, cell, chartOf, element, get, load, number, onZone, say, when } from "./base.js";
import { Events } from "./events.js";

const kind = $("page").dataset.kind;
let records = [];
let cursor = null;

function show(reasons) {
  if (reasons) {
    const counted = Object.entries(reasons).sort((a, b) => b[1] - a[1]);
    $("reasons").replaceChildren(...counted.map(([reason, count]) => element("li", {}, `${reason}: ${number(count)}`)));
  }
  $("rows").replaceChildren(
    ...records.map((one) =>
      element(
        "tr",
        {},
        cell(when(one.arrival)),
        cell(when(one.ts)),
        cell(one.reason),
        cell(one.broker ?? "-"),
        cell(one.symbol && one.broker ? element("a", { href: chartOf(one.broker, one.symbol, kind === "late" ? one.bucket_start : null) }, one.symbol) : "-"),
        cell(element("span", { title: one.detail }, one.detail), "long"),
        cell(element("code", { title: one.value }, one.truncated ? `${one.value}…` : one.value), "long"),
        cell(one.partition, "number"),
        cell(one.offset, "number"),
      ),
    ),
  );
  $("more").hidden = !cursor;
  say(records.length ? "" : `No ${kind} record so far.`);
}

async function find(more = false) {
  const found = await get(kind, { limit: 100, cursor: more ? cursor : null });
  records = more ? [...records, ...found.records] : found.records;
  cursor = found.next_cursor;
  show(found.reasons);
}

$("more").addEventListener("click", () => load(() => find(true)));
load(() => find());
onZone(() => show());
new Events({}, {}, () => load(() => find()));
