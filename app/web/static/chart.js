// The candles of one symbol: final, open, revised and missing bars told apart, the watermark, and why a bar is not final yet.

import { $, cell, clock, day, element, get, load, moment, onZone, say, span } from "./base.js";
import { Events } from "./events.js";

const { broker, symbol } = $("page").dataset;
const size = Number($("main").dataset.size);
const LIMIT = 2_000;
const MOST_EMPTY = 240; // minutes without ticks that are shown as such; longer gaps collapse
const STALE_WINDOWS = 3;

const bars = new Map(); // by start: {start, open, high, low, close, ticks, volume, revision, state}
let order = [];
let watermark = null;
let at = Number($("page").dataset.at) || null;
let dirty = false;
let decimals = 2;

// ---- drawing

const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const { createChart, CandlestickSeries, HistogramSeries, createSeriesMarkers } = window.LightweightCharts;
const chart = createChart($("chart"), { autoSize: true });
const candles = chart.addSeries(CandlestickSeries, { priceLineVisible: true });
const volume = chart.addSeries(HistogramSeries, { priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false }, 1);
const markers = createSeriesMarkers(candles, []);
chart.panes()[1].setStretchFactor(0.25);

const mark = {
  // a vertical line at the bar in which the watermark is
  updateAllViews() {},
  paneViews: () => [{ renderer: () => ({ draw: drawMark }) }],
};
function drawMark(target) {
  if (watermark === null) return;
  const start = Math.floor(watermark / size) * size;
  const known = bars.has(start) ? start : order.findLast((one) => one <= start);
  const x = known === undefined ? null : chart.timeScale().timeToCoordinate(known / 1000);
  if (x === null) return;
  target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio }) => {
    context.strokeStyle = colour("warn");
    context.setLineDash([4 * horizontalPixelRatio, 4 * horizontalPixelRatio]);
    context.lineWidth = horizontalPixelRatio;
    context.beginPath();
    context.moveTo(x * horizontalPixelRatio, 0);
    context.lineTo(x * horizontalPixelRatio, bitmapSize.height);
    context.stroke();
  });
}
candles.attachPrimitive(mark);
volume.attachPrimitive({ ...mark });

function theme() {
  const line = colour("line");
  chart.applyOptions({
    layout: { background: { color: colour("panel") }, textColor: colour("text"), panes: { separatorColor: line }, attributionLogo: true },
    grid: { vertLines: { color: line }, horzLines: { color: line } },
    timeScale: { timeVisible: true, borderColor: line, tickMarkFormatter: (time, kind) => (kind < 3 ? day(time * 1000) : clock(time * 1000, size < 60_000)) },
    rightPriceScale: { borderColor: line },
    localization: { timeFormatter: (time) => moment(time * 1000) },
    handleScroll: { mouseWheel: false },
    handleScale: { mouseWheel: false },
  });
  candles.applyOptions({ priceLineColor: colour("soft") });
}

function candle(bar) {
  const side = colour(bar.close >= bar.open ? "up" : "down");
  const edge = bar.revision ? colour("revised") : side;
  const { open, high, low, close } = bar;
  return { time: bar.start / 1000, open, high, low, close, color: bar.state === "open" ? "transparent" : side, borderColor: edge, wickColor: edge };
}

const amount = (bar) => ({ time: bar.start / 1000, value: bar.volume ?? bar.ticks, color: colour(bar.close >= bar.open ? "up" : "down") });

function draw() {
  dirty = false;
  order = [...bars.keys()].sort((a, b) => a - b).slice(-LIMIT);
  const data = [];
  let before = null;
  for (const start of order) {
    const missing = before === null ? 0 : (start - before) / size - 1;
    if (missing <= MOST_EMPTY) for (let gap = 1; gap <= missing; gap += 1) data.push({ time: (before + gap * size) / 1000 });
    data.push(candle(bars.get(start)));
    before = start;
  }
  candles.setData(data);
  volume.setData(order.map((start) => amount(bars.get(start))));
  const revised = order.filter((start) => bars.get(start).revision);
  markers.setMarkers(revised.map((start) => ({ time: start / 1000, position: "aboveBar", shape: "circle", color: colour("revised"), text: "revised" })));
  decimals = Math.min(8, Math.max(2, ...order.slice(-50).map((start) => String(bars.get(start).close).split(".")[1]?.length ?? 0)));
  candles.applyOptions({ priceFormat: { type: "price", precision: decimals, minMove: 10 ** -decimals } });
  table();
  legend(bars.get(chosen()) ?? null);
}

const newest = () => chart.timeScale().setVisibleLogicalRange({ from: Math.max(0, order.length - 120), to: order.length + 3 });

function soon() {
  if (dirty) return;
  dirty = true;
  requestAnimationFrame(draw);
}

// ---- words

const chosen = () => at ?? order.at(-1);
const price = (value) => value.toFixed(decimals);
const told = (bar) => `${moment(bar.start)}  O ${price(bar.open)}  H ${price(bar.high)}  L ${price(bar.low)}  C ${price(bar.close)}  ${bar.ticks} ticks, ${stateOf(bar)}`;
const stateOf = (bar) => (bar.state === "open" ? "open" : bar.revision ? `revision ${bar.revision}` : "final");

function legend(bar) {
  $("legend").textContent = bar ? told(bar) : " ";
}

function table() {
  const last = order.slice(-10).reverse().map((start) => bars.get(start));
  $("bars").replaceChildren(
    ...last.map((bar) => element("tr", {}, cell(moment(bar.start)), ...["open", "high", "low", "close"].map((name) => cell(price(bar[name]), "number")), cell(bar.ticks, "number"), cell(stateOf(bar)))),
  );
  if (!last.length) say("No bar yet: they appear with the first tick of this symbol.");
  else if (watermark !== null && last[0].start + STALE_WINDOWS * size < watermark) say(`No tick for ${span(watermark - last[0].start - size)} of stream time.`);
  else say();
}

async function why(start) {
  const found = await get(`why/${encodeURIComponent(broker)}/${encodeURIComponent(symbol)}/${start}`);
  if (start !== chosen()) return;
  $("why").textContent = found.sentence;
  const facts = {
    status: found.status.replace("_", " "),
    window: `${moment(found.bucket_start)} to ${clock(found.bucket_end)}`,
    "stream time": moment(found.stream_time),
    watermark: moment(found.watermark),
    "still missing": found.missing_ms === null ? "-" : span(found.missing_ms),
    "closed by": found.bar?.close_reason ?? found.closes_by ?? "-",
    "closes at the latest": moment(found.closes_at),
    offsets: found.bar ? `${found.bar.first_offset} to ${found.bar.last_offset}, closed at ${found.bar.closed_at_offset}` : found.window ? `${found.window.first_offset} to ${found.window.last_offset}` : "-",
    "late ticks": found.late_ticks,
    partition: found.partition ?? "-",
    worker: found.worker ?? "-",
  };
  $("why-facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, String(value))]));
}

function choose(start, { spoken = false } = {}) {
  at = start;
  const bar = bars.get(start);
  legend(bar ?? null);
  if (bar) chart.setCrosshairPosition(bar.close, start / 1000, candles);
  if (spoken && bar) $("spoken").textContent = told(bar);
  history.replaceState(null, "", `?at=${start}`);
}

// ---- data

function put(bar, state) {
  const start = bar.bucket_start;
  const known = bars.get(start);
  if (state === "open" && known?.state === "final") return; // it was overtaken
  bars.set(start, { start, open: bar.open, high: bar.high, low: bar.low, close: bar.close, ticks: bar.ticks, volume: bar.volume, revision: bar.revision ?? 0, state });
}

async function refill() {
  const found = await get(`bars/${encodeURIComponent(broker)}/${encodeURIComponent(symbol)}`, { limit: LIMIT, format: "columns" });
  const { columns, rows } = found.bars;
  for (const start of [...bars.keys()]) if (bars.get(start).state === "open") bars.delete(start);
  for (const row of rows) put(Object.fromEntries(columns.map((name, index) => [name, row[index]])), "final");
  for (const window of found.open) put(window, "open");
  watermark = Math.max(watermark ?? 0, ...found.open.map((window) => window.watermark ?? 0)) || null;
  const first = !order.length;
  draw();
  performance.mark("drawn"); // for whoever measures
  if (first) requestAnimationFrame(() => requestAnimationFrame(newest)); // it has its width then
  if (!found.complete) say("The final bars are still being read from their topic.");
  if (chosen() !== undefined) await why(chosen());
}

function take({ final, open }) {
  const last = order.at(-1) ?? 0;
  const inserted = [...final, ...open].some((bar) => bar.bucket_start < last && !bars.has(bar.bucket_start));
  for (const bar of final) put(bar, "final");
  for (const bar of open) put(bar, "open");
  watermark = Math.max(watermark ?? 0, ...open.map((bar) => bar.watermark ?? 0), ...final.map((bar) => bar.watermark)) || null;
  const newer = [...final, ...open].filter((bar) => bar.bucket_start >= last);
  if (inserted || newer.some((bar) => bar.bucket_start > last + size) || final.some((bar) => bar.revision)) return soon();
  for (const { bucket_start: start } of [...final, ...open]) {
    const bar = bars.get(start);
    candles.update(candle(bar), start < last);
    volume.update(amount(bar), start < last);
  }
  if (newer.length) order = [...bars.keys()].sort((a, b) => a - b).slice(-LIMIT);
  table();
  if (at === null || [...final, ...open].some((bar) => bar.bucket_start === at)) {
    legend(bars.get(chosen()) ?? null);
    if (final.length) load(() => why(chosen()));
  }
}

function clocks({ partitions }) {
  const times = partitions.flatMap((one) => Object.entries(one.stream_times));
  const mine = times.find(([scope]) => scope === `${broker}|${symbol}`) ?? times.find(([scope]) => scope === broker) ?? times.find(([scope]) => scope === "*");
  if (mine) watermark = mine[1].watermark;
  chart.timeScale().applyOptions({}); // draws the line again
}

// ---- people

chart.subscribeCrosshairMove(({ time }) => legend(bars.get(time === undefined ? chosen() : time * 1000) ?? null));
chart.subscribeClick(({ time }) => {
  if (time === undefined) return;
  choose(time * 1000);
  load(() => why(time * 1000));
});
$("chart").addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
  if (event.key === "Enter" && chosen() !== undefined) {
    load(() => why(chosen()));
  } else if (event.key in steps && order.length) {
    const place = order.indexOf(chosen());
    const step = steps[event.key] * (event.shiftKey ? 10 : 1);
    const start = order[Math.min(order.length - 1, Math.max(0, place + step))];
    choose(start, { spoken: true });
    load(() => why(start));
    const range = chart.timeScale().getVisibleRange();
    if (range && (start / 1000 < range.from || start / 1000 > range.to)) chart.timeScale().scrollToPosition(order.indexOf(start) - order.length + 20, false);
  } else return;
  event.preventDefault();
});
dark.addEventListener("change", () => {
  theme();
  soon();
});
onZone(() => {
  theme();
  soon();
});

// what an open window waits for changes with every tick
setInterval(() => {
  if (!document.hidden && bars.get(chosen())?.state === "open") load(() => why(chosen()));
}, 2_000);

theme();
load(async () => {
  await refill();
  if (at !== null) choose(at);
});
new Events({ broker, symbol }, { bars: take, watermarks: clocks }, () => load(refill));
