// The picture of a chart's bars: candles, volumes, marks and the watermark. It knows which bars are drawn, and where.

import { $, color, decimalsOf, formatClock, formatDay, formatTime } from "./base.js";
import { watermarkLine } from "./watermark.js";
import { zonedScale } from "./zones.js";

const MAX_GAP = 240; // windows without ticks that are shown as gaps; a longer gap is left out
const NAMED_MARKS = 10; // with more revised bars their marks have no text, which would overlap
const BY_PRECISION = 50; // newest bars that decide how many decimals prices have
const WITH_SECONDS = Number($("main").dataset.size) < 60_000; // windows begin within minutes

const mark = (bar, text, kind, position) => ({ time: bar.start / 1000, position, shape: "circle", color: color(kind), text });
const sideOf = (bar) => color(bar.close >= bar.open ? "up" : "down");
const isMarked = (bar) => bar.revision || bar.partial || bar.also.length;

function candle(bar) {
  const side = sideOf(bar);
  const edge = bar.revision ? color("revised") : side;
  const { open, high, low, close } = bar;
  const body = bar.state === "open" ? "transparent" : side;
  return { time: bar.start / 1000, open, high, low, close, color: body, borderColor: edge, wickColor: edge };
}

const volumeBar = (bar) => ({ time: bar.start / 1000, value: bar.volume ?? bar.ticks, color: sideOf(bar) });

function marks(bar, revisedName) {
  const found = [];
  if (bar.revision) found.push(mark(bar, revisedName, "revised", "aboveBar"));
  if (bar.partial) found.push(mark(bar, "partial", "warn", "belowBar"));
  if (bar.also.length) found.push(mark(bar, `${bar.also.length + 1} bars`, "bad", "aboveBar"));
  return found;
}

export class Picture {
  // `watermark()`: of the symbol (ms), null while it is unknown
  constructor(place, library, watermark) {
    this.place = place;
    this.starts = []; // of the bars that are drawn, ascending
    this.indexes = new Map(); // the chart's logical index of each start; gaps count too
    this.decimals = 2;
    this.chart = library.createChartEx(place, zonedScale(library), { autoSize: true });
    this.candles = this.chart.addSeries(library.CandlestickSeries, { priceLineVisible: true });
    const counted = { priceFormat: { type: "volume" }, priceLineVisible: false };
    this.volume = this.chart.addSeries(library.HistogramSeries, counted, 1);
    this.markers = library.createSeriesMarkers(this.candles, []);
    this.chart.panes()[1].setStretchFactor(0.25);
    const line = watermarkLine(this.chart, () => {
      const time = watermark();
      return time === null ? null : (this.starts.findLast((one) => one <= time) ?? null);
    });
    for (const series of [this.candles, this.volume]) series.attachPrimitive(line());
  }

  get last() {
    return this.starts.at(-1);
  }

  applyTheme() {
    const line = color("line");
    const text = (time, kind) => (kind < 3 ? formatDay(time * 1000) : formatClock(time * 1000, WITH_SECONDS));
    this.chart.applyOptions({
      layout: {
        background: { color: color("panel") },
        textColor: color("text"),
        panes: { separatorColor: line },
        attributionLogo: true,
      },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
      timeScale: { timeVisible: true, borderColor: line, tickMarkFormatter: text },
      rightPriceScale: { borderColor: line, entireTextOnly: true },
      localization: { timeFormatter: (time) => formatTime(time * 1000) },
      handleScroll: { vertTouchDrag: false }, // a finger scrolls the page
    });
    this.candles.applyOptions({ priceLineColor: color("soft") });
  }

  // draw all bars of a section
  draw({ bars, size, starts }) {
    this.starts = starts;
    const shown = starts.map((start) => bars.get(start));
    const data = [];
    let previous = null;
    for (const bar of shown) {
      const missing = previous === null || !size ? 0 : Math.round((bar.start - previous) / size) - 1;
      if (missing <= MAX_GAP) for (let gap = 1; gap <= missing; gap += 1) data.push({ time: (previous + gap * size) / 1000 });
      data.push(candle(bar));
      previous = bar.start;
    }
    this.indexes = new Map(data.map(({ time }, index) => [time * 1_000, index]));
    this.candles.setData(data);
    this.volume.setData(shown.map(volumeBar));
    const revisedName = shown.filter((bar) => bar.revision).length <= NAMED_MARKS ? "revised" : "";
    this.markers.setMarkers(shown.flatMap((bar) => marks(bar, revisedName)));
    this.decimals = Math.max(2, ...shown.slice(-BY_PRECISION).map(decimalsOf));
    this.candles.applyOptions({ priceFormat: { type: "price", precision: this.decimals, minMove: 10 ** -this.decimals } });
  }

  // draw the bars of a section that changed or are new; false if all must be drawn anew
  update({ bars, size, starts }, changed) {
    const last = this.last ?? 0;
    const shown = changed.map((start) => bars.get(start));
    const inserted = changed.some((start) => start < last && !this.starts.includes(start));
    if (inserted || shown.some(isMarked) || changed.some((start) => start > last + size)) return false;
    for (const bar of shown) {
      this.candles.update(candle(bar), bar.start < last);
      this.volume.update(volumeBar(bar), bar.start < last);
    }
    this.starts = starts;
    for (const start of starts.slice(-3)) if (!this.indexes.has(start)) this.indexes.set(start, this.indexes.size);
    return true;
  }

  // draw what is there once more: the watermark has moved
  redraw() {
    this.chart.timeScale().applyOptions({});
  }

  // the bars of another frame are on their way: none of those that are drawn counts
  forget() {
    this.starts = [];
    this.unpoint();
  }

  // the marks of days are made with the data, so they are made anew when the zone changes
  empty() {
    this.candles.setData([]);
    this.volume.setData([]);
  }

  // put the crosshair at a bar
  point(bar) {
    this.chart.setCrosshairPosition(bar.close, bar.start / 1000, this.candles);
  }

  unpoint() {
    this.chart.clearCrosshairPosition();
  }

  // start of the bar whose window holds a time, else of the next bar; the ends are those of `bars`
  holding(time, bars) {
    const start = this.starts.findLast((one) => one <= time);
    if (start !== undefined && time < bars.get(start).end) return start;
    return this.starts.find((one) => one > time) ?? this.last;
  }
}
