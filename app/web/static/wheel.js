// The timing wheels of this worker: how full their slots are, what is due next, and how late their task is.

import { get } from "./api.js";
import { $, cell, element, formatNumber, onZoneChange, poll, setStatus, timeElement } from "./base.js";
import { Events } from "./events.js";
import { nameElement } from "./names.js";

const CELLS = 128; // a cell stands for several slots
let wheels = null;

function wheelElements({ partition, entries, slots, arrival }, { slots: total, tick_ms: tick }) {
  const per = Math.max(1, Math.ceil(total / CELLS));
  const cells = new Array(Math.ceil(total / per)).fill(0);
  for (const [slot, count] of slots) cells[Math.floor(slot / per)] += count;
  const most = Math.max(1, ...cells);
  const drawn = cells.map((count) => element("span", { "data-fill": count ? Math.ceil((3 * count) / most) : undefined }));
  if (arrival !== null) drawn[Math.floor((Math.floor(arrival / tick) % total) / per)].dataset.now = "";
  const label = `Partition ${partition}: ${formatNumber(entries)} entries`;
  return [element("h2", {}, label), element("div", { class: "wheel", role: "img", "aria-label": `${label} in ${slots.length} of ${total} slots` }, ...drawn)];
}

function show() {
  if (!wheels) return;
  const entries = wheels.partitions.reduce((sum, one) => sum + one.entries, 0);
  const tiles = { entries: formatNumber(entries), "slots of each": formatNumber(wheels.slots), "one slot, ms": wheels.tick_ms, "task late, ms": wheels.timer.lag_ms.toFixed(1),
    "at worst, ms": wheels.timer.worst_lag_ms.toFixed(1) };
  $("tiles").replaceChildren(...Object.entries(tiles).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, String(value)))));
  $("wheels").replaceChildren(...wheels.partitions.flatMap((one) => wheelElements(one, wheels)));
  const per = Math.max(1, Math.ceil(wheels.slots / CELLS));
  $("cells").textContent = `A cell is ${per} slots, ${(per * wheels.tick_ms) / 1_000} s; the more entries, the bluer. The outline marks the wheel's position.`;
  const due = wheels.partitions.flatMap((one) => one.due.map((entry) => ({ ...entry, partition: one.partition }))).sort((a, b) => a.due - b.due);
  $("due").replaceChildren(
    ...due.slice(0, 20).map((one) => element("tr", {}, cell(nameElement(one.scope)), cell(one.partition, "number"), cell(timeElement(one.end)), cell(timeElement(one.due)))),
  );
  setStatus(entries ? "" : "No entries: no window is open on this worker.");
}

poll(1_000, async () => {
  wheels = await get("wheel");
  show();
});
onZoneChange(show);
new Events({}, {}, () => {});
