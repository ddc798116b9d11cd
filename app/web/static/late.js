// The late ticks of a bar: those that came after its window had closed.

import { get } from "./api.js";
import { $, cell, element, formatNumber, onZoneChange, timeElement } from "./base.js";

const LISTED = 50;
let listed = ""; // which bar and how many
onZoneChange(() => {
  listed = ""; // their times are to be shown anew
});

// `answer`: of /api/v1/why
export async function showLate(broker, symbol, { bucket_start: start, bucket_end: end, late_ticks: count }) {
  $("late").hidden = !count;
  const wanted = `${start} ${end} ${count}`;
  if (!count || listed === wanted) return;
  listed = wanted;
  $("late-note").textContent = "";
  $("late-rows").replaceChildren();
  const page = await get("late", { broker, symbol, from: start, to: end, limit: LISTED }).catch((error) => {
    if (listed === wanted) listed = "";
    throw error;
  });
  if (listed !== wanted) return; // another bar has been selected since
  $("late-note").textContent = count > page.records.length ? `The newest ${formatNumber(page.records.length)} of ${formatNumber(count)}.` : "";
  $("late-rows").replaceChildren(
    ...page.records.map((one) =>
      element("tr", {}, cell(timeElement(one.arrival)), cell(timeElement(one.ts)), cell(element("span", { title: one.detail }, one.detail), "long"), cell(element("code", { title: one.value }, one.truncated ? `${one.value}…` : one.value), "long"), cell(one.partition, "number"), cell(one.offset, "number")),
    ),
  );
}
