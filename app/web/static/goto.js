// The field above a chart that goes to a time, which is one of the chosen zone.

import { $, formatTime, zoneOffset } from "./base.js";

const PATTERN = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/;

// the time of a wall clock in the chosen zone; null if it is none
export function timeInZone(text) {
  const local = PATTERN.test(text) ? Date.parse(`${text}Z`) : NaN;
  if (!Number.isFinite(local)) return null;
  const guess = local - zoneOffset(local);
  return Math.max(0, local - zoneOffset(guess)); // near a change of the zone's offset the first guess may be off
}

// `shown()`: the time that the field begins with
export function onGoto(go, shown) {
  $("goto-time").addEventListener("focus", () => {
    if (!$("goto-time").value) $("goto-time").value = formatTime(shown()).replace(" ", "T");
  });
  $("goto").addEventListener("submit", (event) => {
    event.preventDefault();
    const time = timeInZone($("goto-time").value);
    if (time !== null) go(time);
    $("chart").focus();
  });
}
