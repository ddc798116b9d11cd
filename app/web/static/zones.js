// The chart's marks of days and hours in the chosen zone. The library takes all times for UTC.

import { zoneOffset } from "./base.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
// how much a mark weighs (the library's own numbers) if a bar is the first in a span of this length
const WEIGHTS = [[12 * HOUR, 33], [6 * HOUR, 32], [3 * HOUR, 31], [HOUR, 30], [30 * MINUTE, 22], [5 * MINUTE, 21], [MINUTE, 20], [1_000, 10]];
const DAY = 50;
const MONTH = 60;
const YEAR = 70;

const local = (ms) => ms + zoneOffset(ms);

// of the bar at `now` behind the one at `old`, both in the zone's own time
function weight(old, now) {
  if (Math.floor(old / (24 * HOUR)) !== Math.floor(now / (24 * HOUR))) {
    const [before, after] = [new Date(old), new Date(now)];
    if (before.getUTCFullYear() !== after.getUTCFullYear()) return YEAR;
    return before.getUTCMonth() === after.getUTCMonth() ? DAY : MONTH;
  }
  return WEIGHTS.find(([span]) => Math.floor(old / span) !== Math.floor(now / span))?.[1] ?? 0;
}

// the library's scale of times, with the days of the chosen zone
export function zonedScale(library) {
  const Scale = library.defaultHorzScaleBehavior();
  return new (class extends Scale {
    fillWeightsForPoints(points, first) {
      super.fillWeightsForPoints(points, first);
      if (first === 0 && points.length > 1) {
        const [start, next] = points.map((point) => point.originalTime * 1_000);
        points[0].timeWeight = weight(local(2 * start - next), local(start)); // as if one bar had come before
      }
      let old = points.length ? local(points[Math.max(0, first - 1)].originalTime * 1_000) : 0;
      for (let at = Math.max(1, first); at < points.length; at += 1) {
        const now = local(points[at].originalTime * 1_000);
        points[at].timeWeight = weight(old, now);
        old = now;
      }
    }
  })();
}
