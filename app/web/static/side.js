// Late and rejected records, newest first, with the reason and the value as it came.

import { $, cell, chartOf, element, every, get, load, number, onZone, say, when } from "./base.js";
import { Events } from "./events.js";

const kind = $("page").dataset.kind;
const reason = new URLSearchParams(location.search).get("reason");
const PAGE = 100;
let records = [];
let cursor = null;

function choice(name) {
  const href = name ? `?reason=${encodeURIComponent(name)}` : location.pathname;
  return element("a", { href, "aria-current": name === reason && "true" }, name ?? "all");
}

function show(reasons) {
  if (reasons) {
    const counted = Object.entries(reasons).sort((a, b) => b[1] - a[1]);
    const all = counted.reduce((sum, [, count]) => sum + count, 0);
    $("reasons").replaceChildren(...[[null, all], ...counted].map(([name, count]) => element("li", {}, choice(name), `: ${number(count)}`)));
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
  say(records.length ? "" : `No ${kind} record${reason ? ` of this reason` : ""} so far.`);
}

async function find(more = false) {
  const newest = records[0]?.id;
  const found = await get(kind, { limit: PAGE, reason, cursor: more ? cursor : null });
  if (!more && newest !== undefined && found.records[0]?.id === newest) return say();
  records = more ? [...records, ...found.records] : found.records;
  cursor = found.next_cursor;
  show(found.reasons);
}

$("more").addEventListener("click", () => load(() => find(true)));
// what is new comes by itself, as long as nobody has gone back to older ones
every(5_000, async () => {
  if (records.length <= PAGE) await find();
});
onZone(() => show());
new Events({}, {}, () => load(() => find()));
