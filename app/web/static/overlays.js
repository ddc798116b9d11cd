// Lines over the candles: the average of the last closes, and the volume-weighted average price (VWAP) since midnight.

import { $, color, formatTime, zoneOffset } from "./base.js";

const DAY = 86_400_000;
const LENGTHS = [20, 50, 200];
const dayOf = (ms) => Math.floor((ms + zoneOffset(ms)) / DAY);
// how every line over the candles looks
export const LINE = { lineWidth: 2, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false, pointMarkersVisible: false };

// points {start, value} of the average of `length` closes; none before there are as many bars
export function averages(bars, length) {
  let sum = 0;
  return bars.flatMap((bar, at) => {
    sum += bar.close - (at >= length ? bars[at - length].close : 0);
    return at >= length - 1 ? [{ start: bar.start, value: sum / length }] : [];
  });
}

// points {start, value, since} of the VWAP since midnight of the chosen zone, or since the first bar that is here; none without volumes
export function vwaps(bars) {
  let [paid, volume, since] = [0, 0, null];
  return bars.flatMap((bar) => {
    if (since === null || dayOf(bar.start) !== dayOf(since)) [paid, volume, since] = [0, 0, bar.start];
    if (bar.vwap !== null && bar.vwap !== undefined && bar.volume) {
      paid += bar.vwap * bar.volume;
      volume += bar.volume;
    }
    return volume ? [{ start: bar.start, value: paid / volume, since }] : [];
  });
}

export class Overlays {
  // `add()` makes a line over the candles; `changed` is called when the choice changes
  constructor(chart, library, changed) {
    const query = new URLSearchParams(location.search);
    this.average = { line: chart.addSeries(library.LineSeries, LINE), points: new Map() };
    this.vwap = { line: chart.addSeries(library.LineSeries, LINE), points: new Map() };
    $("average").value = LENGTHS.includes(Number(query.get("average"))) ? query.get("average") : "";
    $("vwap").setAttribute("aria-pressed", String(query.has("vwap")));
    $("average").addEventListener("change", changed);
    $("vwap").addEventListener("click", () => {
      $("vwap").setAttribute("aria-pressed", String(!this.withVwap));
      changed();
    });
  }

  get length() {
    return Number($("average").value) || 0;
  }

  get withVwap() {
    return $("vwap").getAttribute("aria-pressed") === "true";
  }

  get shown() {
    return this.length > 0 || this.withVwap;
  }

  // what the address says of them
  get query() {
    return { average: this.length || null, vwap: this.withVwap ? 1 : null };
  }

  applyTheme() {
    this.average.line.applyOptions({ color: color("average") });
    this.vwap.line.applyOptions({ color: color("vwap") });
  }

  draw(bars) {
    for (const [one, points] of [[this.average, this.length ? averages(bars, this.length) : []], [this.vwap, this.withVwap ? vwaps(bars) : []]]) {
      one.line.setData(points.map(({ start, value }) => ({ time: start / 1000, value })));
      one.points = new Map(points.map((point) => [point.start, point]));
    }
  }

  // for the legend
  parts(start, decimals) {
    const [average, vwap] = [this.average.points.get(start), this.vwap.points.get(start)];
    const found = [];
    if (average) found.push([`average ${this.length}`, average.value.toFixed(decimals), "average"]);
    if (vwap) found.push([`VWAP since ${formatTime(vwap.since)}`, vwap.value.toFixed(decimals), "vwap"]);
    else if (this.withVwap) found.push(["VWAP", this.vwap.points.size ? "-" : "no volume", "vwap"]);
    return found;
  }
}
