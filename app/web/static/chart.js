// The candles of one symbol: final, open, revised and missing bars told apart, the watermark, and why a bar is not final yet.

import { $, cell, clock, colour, counted, day, decimalsOf, element, get, load, moment, number, onZone, prices, say, span, when } from "./base.js";
import { Events } from "./events.js";
import { watermarkLine } from "./watermark.js";

const { broker, symbol } = $("page").dataset;
const size = Number($("main").dataset.size);
const LIMIT = 2_000;
const MOST_EMPTY = 240; // minutes without ticks that are shown as such; longer gaps collapse
const STALE_WINDOWS = 3;
const BAR_WIDTH = 9; // pixels, as the chart opens
const MOST = 5_000; // where a link leads to an older bar
const ABOUT = 400; // bars about one that is older than even those

const bars = new Map(); // by start: {start, open, high, low, close, ticks, volume, revision, state}
let order = [];
let places = new Map(); // where each start is among all that is drawn, empty minutes too
let kept = LIMIT;
let watermark = null;
let leftOut = ""; // in words
let partition = null; // that the symbol is in: the watermark of its broker is another in each
let at = Number($("page").dataset.at) || null;
let hovered = null; // the bar under the crosshair: the legend stays with it while others change
let dirty = false;
let decimals = 2;

// ---- drawing

const dark = matchMedia("(prefers-color-scheme: dark)");
const { createChart, CandlestickSeries, HistogramSeries, createSeriesMarkers } = window.LightweightCharts;
const chart = createChart($("chart"), { autoSize: true });
const candles = chart.addSeries(CandlestickSeries, { priceLineVisible: true });
const volume = chart.addSeries(HistogramSeries, { priceFormat: { type: "volume" }, priceLineVisible: false }, 1);
const markers = createSeriesMarkers(candles, []);
chart.panes()[1].setStretchFactor(0.25);

const line = watermarkLine(chart, () => {
  if (watermark === null) return null;
  const start = Math.floor(watermark / size) * size;
  return (bars.has(start) ? start : order.findLast((one) => one <= start)) ?? null;
});
candles.attachPrimitive(line());
volume.attachPrimitive(line());

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
  order = [...bars.keys()].sort((a, b) => a - b).slice(-kept);
  const data = [];
  let before = null;
  for (const start of order) {
    const missing = before === null ? 0 : (start - before) / size - 1;
    if (missing <= MOST_EMPTY) for (let gap = 1; gap <= missing; gap += 1) data.push({ time: (before + gap * size) / 1000 });
    data.push(candle(bars.get(start)));
    before = start;
  }
  places = new Map(data.map(({ time }, place) => [time * 1_000, place]));
  candles.setData(data);
  volume.setData(order.map((start) => amount(bars.get(start))));
  const revised = order.filter((start) => bars.get(start).revision);
  markers.setMarkers(revised.map((start) => ({ time: start / 1000, position: "aboveBar", shape: "circle", color: colour("revised"), text: "revised" })));
  decimals = Math.max(2, ...order.slice(-50).map((start) => decimalsOf(bars.get(start))));
  candles.applyOptions({ priceFormat: { type: "price", precision: decimals, minMove: 10 ** -decimals } });
  table();
  legend(shown());
}

// the newest bars, or those about one; as many as have room, and not wider where they are few
function look(start = null) {
  const most = Math.max(30, Math.floor($("chart").clientWidth / BAR_WIDTH));
  const room = Math.max(most / 3, Math.min(most, places.size + 3));
  const last = start === null ? places.size + 3 : Math.min(places.size + 3, places.get(start) + room / 2);
  chart.timeScale().setVisibleLogicalRange({ from: last - room, to: last });
}

function soon() {
  if (dirty) return;
  dirty = true;
  requestAnimationFrame(draw);
}

// ---- words

const chosen = () => at ?? order.at(-1);
const shown = () => bars.get(hovered ?? chosen()) ?? null;
const told = (bar) => `${moment(bar.start)}  ${prices(bar, decimals).map((text, at) => `${"OHLC"[at]} ${text}`).join("  ")}  volume ${number(bar.volume)}, ${counted(bar.ticks, "tick")}, ${stateOf(bar)}`;
const stateOf = (bar) => (bar.state === "open" ? "open" : bar.revision ? `revision ${bar.revision}` : "final");

function legend(bar) {
  if (!bar) return $("legend").replaceChildren(" ");
  const part = (name, value, kind) => element("span", { class: kind }, element("span", { class: "letter" }, name), ` ${value}`);
  const side = bar.close >= bar.open ? "up" : "down";
  $("legend").replaceChildren(
    element("span", {}, moment(bar.start)),
    ...prices(bar, decimals).flatMap((text, at) => [" ", part("OHLC"[at], text, side)]),
    " ", part("V", bar.volume === null ? "-" : number(bar.volume)),
    " ", element("span", {}, counted(bar.ticks, "tick")),
    " ", element("span", { class: "badge", "data-state": bar.revision ? "revised" : bar.state }, stateOf(bar)),
  );
}

function table() {
  const last = order.slice(-10).reverse().map((start) => bars.get(start));
  $("bars").replaceChildren(
    ...last.map((bar) => element("tr", {}, cell(when(bar.start)), ...prices(bar, decimals).map((text) => cell(text, "number")), cell(number(bar.volume), "number"), cell(number(bar.ticks), "number"), cell(stateOf(bar), "", bar.state))),
  );
  if (!last.length) say("No bar yet: they appear with the first tick of this symbol.");
  else if (watermark !== null && last[0].start + STALE_WINDOWS * size < watermark) say(`No tick for ${span(watermark - last[0].start - size)} of stream time.`);
  else say(leftOut);
}

async function why(start) {
  const found = await get(`why/${encodeURIComponent(broker)}/${encodeURIComponent(symbol)}/${start}`);
  if (start !== chosen()) return found;
  partition = found.partition ?? partition;
  $("why").textContent = found.sentence;
  const facts = {
    status: found.status.replace("_", " "),
    window: `${moment(found.bucket_start)} to ${clock(found.bucket_end)}`,
    "stream time": moment(found.stream_time),
    watermark: moment(found.watermark),
    "still missing": found.missing_ms === null ? "-" : span(found.missing_ms),
    "closed by": found.bar ? (found.bar.close_reason === "idle" ? "silence" : "a record that moved the watermark") : "-",
    "closed at": moment(found.bar?.closed_at),
    "closes by": { idle: "a tick of a later time, else by silence", data: "a tick of a later time" }[found.closes_by] ?? "-",
    "at the latest": moment(found.closes_at),
    offsets: found.bar ? `${found.bar.first_offset} to ${found.bar.last_offset}, closed at ${found.bar.closed_at_offset}` : found.window ? `${found.window.first_offset} to ${found.window.last_offset}` : "-",
    "late ticks": found.late_ticks,
    partition: found.partition ?? "-",
    worker: found.worker ?? "-",
  };
  const known = Object.entries(facts).filter(([, value]) => value !== "-");
  $("why-facts").replaceChildren(...known.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, String(value))]));
  return found;
}

function choose(start, { spoken = false } = {}) {
  at = start;
  $("follow").hidden = false;
  const bar = bars.get(start);
  legend(bar ?? null);
  if (bar) chart.setCrosshairPosition(bar.close, start / 1000, candles);
  if (spoken && bar) $("spoken").textContent = told(bar);
  history.replaceState(null, "", `?at=${start}`);
  load(() => why(start));
}

function follow() {
  at = null;
  $("follow").hidden = true;
  chart.clearCrosshairPosition();
  hovered = null;
  history.replaceState(null, "", location.pathname);
  look();
  legend(shown());
  if (chosen() !== undefined) load(() => why(chosen()));
}

// ---- data

function put(bar, state) {
  const start = bar.bucket_start;
  const known = bars.get(start);
  if (state === "open" && known?.state === "final") return; // it was overtaken
  bars.set(start, { start, open: bar.open, high: bar.high, low: bar.low, close: bar.close, ticks: bar.ticks, volume: bar.volume, revision: bar.revision ?? 0, state });
}

const bars_of = (asked) => get(`bars/${encodeURIComponent(broker)}/${encodeURIComponent(symbol)}`, { ...asked, format: "columns" });

function take_in({ bars: { columns, rows }, open }) {
  for (const row of rows) put(Object.fromEntries(columns.map((name, index) => [name, row[index]])), "final");
  for (const window of open) put(window, "open");
  partition = open[0]?.partition ?? partition;
}

async function refill() {
  const found = await bars_of({ limit: LIMIT });
  for (const start of [...bars.keys()]) if (bars.get(start).state === "open") bars.delete(start);
  take_in(found);
  watermark = Math.max(watermark ?? 0, ...found.open.map((window) => window.watermark ?? 0)) || null;
  const first = !order.length;
  if (at !== null && !bars.has(at) && at < Math.min(...bars.keys())) {
    const from = at - (ABOUT / 2) * size;
    const older = await bars_of({ from, limit: MOST });
    take_in(older);
    kept = MOST + ABOUT;
    if (older.next_cursor) {
      const there = Math.min(...bars.keys());
      take_in(await bars_of({ from, to: Math.min(there, from + ABOUT * size), limit: ABOUT }));
      if (from + ABOUT * size < there) leftOut = `Bars from ${moment(from + ABOUT * size)} to ${moment(there)} are left out here.`;
    }
  }
  draw();
  performance.mark("drawn"); // for whoever measures
  if (first) requestAnimationFrame(() => requestAnimationFrame(() => look(places.has(at) ? at : null))); // it has its width then
  if (!found.complete) say("The final bars are still being read from their topic.");
  if (chosen() !== undefined) await why(chosen());
}

function take({ final, open }) {
  const last = order.at(-1) ?? 0;
  const inserted = [...final, ...open].some((bar) => bar.bucket_start < last && !bars.has(bar.bucket_start));
  for (const bar of final) put(bar, "final");
  for (const bar of open) put(bar, "open");
  partition = open[0]?.partition ?? partition;
  watermark = Math.max(watermark ?? 0, ...open.map((bar) => bar.watermark ?? 0), ...final.map((bar) => bar.watermark)) || null;
  const newer = [...final, ...open].filter((bar) => bar.bucket_start >= last);
  if (inserted || newer.some((bar) => bar.bucket_start > last + size) || final.some((bar) => bar.revision)) return soon();
  for (const { bucket_start: start } of [...final, ...open]) {
    const bar = bars.get(start);
    candles.update(candle(bar), start < last);
    volume.update(amount(bar), start < last);
  }
  if (newer.length) {
    order = [...bars.keys()].sort((a, b) => a - b).slice(-kept);
    for (const start of order.slice(-3)) if (!places.has(start)) places.set(start, places.size);
  }
  table();
  legend(shown());
  if (final.length && (at === null || final.some((bar) => bar.bucket_start === at))) load(() => why(chosen()));
}

function clocks({ partitions }) {
  const times = partitions.find((one) => one.partition === partition)?.stream_times ?? {};
  watermark = (times[broker] ?? times["*"])?.watermark ?? watermark;
  chart.timeScale().applyOptions({}); // draws the line again
}

// ---- people

chart.subscribeCrosshairMove(({ time }) => {
  hovered = time === undefined ? null : time * 1000;
  legend(shown());
});
chart.subscribeClick(({ time }) => {
  if (time !== undefined) choose(time * 1000);
});
$("follow").addEventListener("click", () => {
  follow();
  $("chart").focus();
});
$("chart").addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
  if (event.key === "Enter" && chosen() !== undefined) {
    load(async () => {
      $("spoken").textContent = (await why(chosen())).sentence;
    });
  } else if (event.key === "Escape") {
    follow();
  } else if (event.key in steps && order.length) {
    const place = order.indexOf(chosen());
    const step = steps[event.key] * (event.shiftKey ? 10 : 1);
    const start = order[Math.min(order.length - 1, Math.max(0, place + step))];
    choose(start, { spoken: true });
    const range = chart.timeScale().getVisibleRange();
    if (range && (start / 1000 < range.from || start / 1000 > range.to)) chart.timeScale().scrollToPosition(places.get(start) - places.size + 20, false);
  } else return;
  event.preventDefault();
});
function again() {
  theme();
  soon();
}
dark.addEventListener("change", again);
onZone(again);

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
