// Late and rejected records, newest first, with the reason and the value as received.

import { get } from "./api.js";
import { $, cell, chartUrl, element, formatNumber, load, onZoneChange, poll, setStatus, timeElement } from "./base.js";
import { Events } from "./events.js";
import { nameElement } from "./names.js";

const kind = $("page").dataset.kind;
const reason = new URLSearchParams(location.search).get("reason");
const PAGE = 100;
let records = [];
let cursor = null;

function reasonLink(name) {
  const href = name ? `?reason=${encodeURIComponent(name)}` : location.pathname;
  return element("a", { href, "aria-current": name === reason && "true" }, name ?? "all");
}

function show(reasons) {
  if (reasons) {
    const counts = Object.entries(reasons).sort((a, b) => b[1] - a[1]);
    const all = counts.reduce((sum, [, count]) => sum + count, 0);
    $("reasons").replaceChildren(...[[null, all], ...counts].map(([name, count]) => element("li", {}, reasonLink(name), `: ${formatNumber(count)}`)));
  }
  $("rows").replaceChildren(
    ...records.map((one) =>
      element(
        "tr",
        {},
        cell(timeElement(one.arrival)),
        cell(timeElement(one.ts)),
        cell(one.reason),
        cell(one.broker ? nameElement(one.broker) : "-"),
        cell(one.symbol && one.broker ? nameElement(one.symbol, chartUrl(one.broker, one.symbol, kind === "late" ? one.bucket_start : null)) : "-"),
        cell(element("span", { title: one.detail }, one.detail), "long"),
        cell(element("code", { title: one.value }, one.truncated ? `${one.value}…` : one.value), "long"),
        cell(one.partition, "number"),
        cell(one.offset, "number"),
      ),
    ),
  );
  $("more").hidden = !cursor;
  setStatus(records.length ? "" : `No ${kind} record${reason ? ` with this reason` : ""} so far.`);
}

async function find(more = false) {
  const newest = records[0]?.id;
  const page = await get(kind, { limit: PAGE, reason, cursor: more ? cursor : null });
  if (!more && newest !== undefined && page.records[0]?.id === newest) return setStatus();
  records = more ? [...records, ...page.records] : page.records;
  cursor = page.next_cursor;
  show(page.reasons);
}

$("more").addEventListener("click", () => load(() => find(true)));
// refresh, unless older pages have been opened
poll(5_000, async () => {
  if (records.length <= PAGE) await find();
});
onZoneChange(() => show());
new Events({}, {}, () => load(() => find()));
