// The timing wheels of this worker: how full their slots are, what is due next, how late the task is.

import { $, cell, element, every, get, number, onZone, say, when } from "./base.js";
import { Events } from "./events.js";

const CELLS = 128; // slots are many: some together make a cell
let found = null;

function drawing({ partition, entries, slots, arrival }, { slots: total, tick_ms: tick }) {
  const per = Math.max(1, Math.ceil(total / CELLS));
  const cells = new Array(Math.ceil(total / per)).fill(0);
  for (const [slot, count] of slots) cells[Math.floor(slot / per)] += count;
  const most = Math.max(1, ...cells);
  const drawn = cells.map((count) => element("span", { "data-fill": count ? Math.ceil((3 * count) / most) : undefined }));
  if (arrival !== null) drawn[Math.floor((Math.floor(arrival / tick) % total) / per)].dataset.now = "";
  const label = `Partition ${partition}: ${number(entries)} entries`;
  return [element("h2", {}, label), element("div", { class: "wheel", role: "img", "aria-label": `${label} in ${slots.length} of ${total} slots` }, ...drawn)];
}

function show() {
  if (!found) return;
  const entries = found.partitions.reduce((sum, one) => sum + one.entries, 0);
  const tiles = { entries: number(entries), "slots of each": number(found.slots), "one slot, ms": found.tick_ms, "task late, ms": found.timer.lag_ms.toFixed(1),
    "at worst, ms": found.timer.worst_lag_ms.toFixed(1) };
  $("tiles").replaceChildren(...Object.entries(tiles).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, String(value)))));
  $("wheels").replaceChildren(...found.partitions.flatMap((one) => drawing(one, found)));
  const per = Math.max(1, Math.ceil(found.slots / CELLS));
  $("cells").textContent = `A cell is ${per} slots, ${(per * found.tick_ms) / 1_000} s; blue holds entries, the fuller the bluer. The wheel has come to the outlined one.`;
  const due = found.partitions.flatMap((one) => one.due.map((entry) => ({ ...entry, partition: one.partition }))).sort((a, b) => a.due - b.due);
  $("due").replaceChildren(
    ...due.slice(0, 20).map((one) => element("tr", {}, cell(one.scope), cell(one.partition, "number"), cell(when(one.end)), cell(when(one.due)))),
  );
  say(entries ? "" : "Nothing waits: no window is open here.");
}

every(1_000, async () => {
  found = await get("wheel");
  show();
});
onZone(show);
new Events({}, {}, () => {});
