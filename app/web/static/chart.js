// The chart of one symbol in any frame: final, open, revised and missing bars, the watermark, and why a bar is or is not final.

import { $, andList, cell, color, decimalsOf, element, formatClock, formatDay, formatDuration, formatNumber, formatTime, get, inZone, load, onZoneChange, plural, prices, setStatus, timeElement } from "./base.js";
import { Events } from "./events.js";
import { address, choose, frame, frameInAddress, frameOfKey, onFrame } from "./frames.js";
import { showHistory } from "./history.js";
import { watermarkLine } from "./watermark.js";
import { whyFacts } from "./why.js";
import { zonedScale } from "./zones.js";

const { broker, symbol } = $("page").dataset;
const windowSize = Number($("main").dataset.size);
const NEWEST_BARS = 2_000;
const MAX_GAP = 240; // windows without ticks that are shown as gaps; a longer gap is left out
const STALE_WINDOWS = 3;
const BAR_WIDTH = 9; // pixels, when the chart opens
const LINKED_BARS = 5_000; // if a link points to an older bar: as many as one request gives
const NEIGHBORS = 400; // bars around a linked bar that is older still
const DAY = 86_400_000; // about the length of a bar where the calendar decides
const NAMED_MARKS = 10; // with more revised bars their marks have no text, which would overlap
const FOLD_MS = 1_000; // between two looks at folded bars

// `also`: bars of the same window in other partitions, where a symbol lives in two; the one of the lowest partition is drawn
const bars = new Map(); // by start: {start, end, open, high, low, close, ticks, volume, revision, partial, partition, state, also}
let starts = []; // of the bars that are drawn, ascending
let indexes = new Map(); // the chart's logical index of each start; gaps count too
let maxBars = NEWEST_BARS;
let watermark = null;
let noneKept = false; // whether this worker may have deleted all bars of the symbol
let omitted = ""; // a note about bars that are not shown
let partition = null; // of the symbol: each partition has a watermark of its own
let selected = Number($("page").dataset.at) || null; // start of the selected bar; null: the newest
let hovered = null; // start of the bar under the crosshair: the legend shows it while others change
let pointing = false; // whether a mouse or a finger is over the chart
let drawScheduled = false;
let decimals = 2;
let size = frame().size; // of the windows; 0 where the calendar decides
let loads = 0; // of a frame: what another frame was asked for is of no use when it comes
let foldedFrom = null; // folded bars that start here or later are out of date
let foldTimer = 0;
let revisedShown = 0; // bars

// ---- drawing

const dark = matchMedia("(prefers-color-scheme: dark)");
const { createChartEx, CandlestickSeries, HistogramSeries, createSeriesMarkers } = window.LightweightCharts;
const chart = createChartEx($("chart"), zonedScale(window.LightweightCharts), { autoSize: true });
const candles = chart.addSeries(CandlestickSeries, { priceLineVisible: true });
const volume = chart.addSeries(HistogramSeries, { priceFormat: { type: "volume" }, priceLineVisible: false }, 1);
const markers = createSeriesMarkers(candles, []);
chart.panes()[1].setStretchFactor(0.25);

const line = watermarkLine(chart, () => {
  if (watermark === null) return null;
  return starts.findLast((one) => one <= watermark) ?? null;
});
candles.attachPrimitive(line());
volume.attachPrimitive(line());

function applyTheme() {
  const line = color("line");
  chart.applyOptions({
    layout: { background: { color: color("panel") }, textColor: color("text"), panes: { separatorColor: line }, attributionLogo: true },
    grid: { vertLines: { color: line }, horzLines: { color: line } },
    timeScale: { timeVisible: true, borderColor: line, tickMarkFormatter: (time, kind) => (kind < 3 ? formatDay(time * 1000) : formatClock(time * 1000, windowSize < 60_000)) },
    rightPriceScale: { borderColor: line },
    localization: { timeFormatter: (time) => formatTime(time * 1000) },
    handleScroll: { mouseWheel: false },
    handleScale: { mouseWheel: false },
  });
  candles.applyOptions({ priceLineColor: color("soft") });
}

function candle(bar) {
  const side = color(bar.close >= bar.open ? "up" : "down");
  const edge = bar.revision ? color("revised") : side;
  const { open, high, low, close } = bar;
  return { time: bar.start / 1000, open, high, low, close, color: bar.state === "open" ? "transparent" : side, borderColor: edge, wickColor: edge };
}

const mark = (bar, text, kind, position) => ({ time: bar.start / 1000, position, shape: "circle", color: color(kind), text });

function marks(bar) {
  const found = [];
  if (bar.revision) found.push(mark(bar, revisedShown <= NAMED_MARKS ? "revised" : "", "revised", "aboveBar"));
  if (bar.partial) found.push(mark(bar, "partial", "warn", "belowBar"));
  if (bar.also.length) found.push(mark(bar, `${bar.also.length + 1} bars`, "bad", "aboveBar"));
  return found;
}

const volumeBar = (bar) => ({ time: bar.start / 1000, value: bar.volume ?? bar.ticks, color: color(bar.close >= bar.open ? "up" : "down") });

const sortedStarts = () => [...bars.keys()].sort((a, b) => a - b).slice(-maxBars);

function draw() {
  drawScheduled = false;
  starts = sortedStarts();
  const data = [];
  let previous = null;
  for (const start of starts) {
    const missing = previous === null || !size ? 0 : Math.round((start - previous) / size) - 1;
    if (missing <= MAX_GAP) for (let gap = 1; gap <= missing; gap += 1) data.push({ time: (previous + gap * size) / 1000 });
    data.push(candle(bars.get(start)));
    previous = start;
  }
  indexes = new Map(data.map(({ time }, index) => [time * 1_000, index]));
  candles.setData(data);
  volume.setData(starts.map((start) => volumeBar(bars.get(start))));
  revisedShown = starts.filter((start) => bars.get(start).revision).length;
  markers.setMarkers(starts.flatMap((start) => marks(bars.get(start))));
  decimals = Math.max(2, ...starts.slice(-50).map((start) => decimalsOf(bars.get(start))));
  candles.applyOptions({ priceFormat: { type: "price", precision: decimals, minMove: 10 ** -decimals } });
  showTable();
  showLegend(legendBar());
}

// scroll to the newest bars, or to those around one; few bars are not stretched over the whole width
function scrollToBar(start = null) {
  const most = Math.max(30, Math.floor($("chart").clientWidth / BAR_WIDTH));
  const width = Math.max(most / 3, Math.min(most, indexes.size + 3));
  const last = start === null ? indexes.size + 3 : Math.min(indexes.size + 3, indexes.get(start) + width / 2);
  chart.timeScale().setVisibleLogicalRange({ from: last - width, to: last });
  requestAnimationFrame(() => pointAt(selected)); // the range applies with the next frame
}

function pointAt(start) {
  const bar = bars.get(start);
  if (bar) chart.setCrosshairPosition(bar.close, start / 1000, candles);
}

function scheduleDraw() {
  if (drawScheduled) return;
  drawScheduled = true;
  requestAnimationFrame(draw);
}

// start of the bar whose window holds a time, else of the next bar
function holding(time) {
  const start = starts.findLast((one) => one <= time);
  return start !== undefined && time < bars.get(start).end ? start : (starts.find((one) => one > time) ?? starts.at(-1));
}

// ---- legend, table and explanation

const current = () => selected ?? starts.at(-1);
const legendBar = () => bars.get(hovered ?? current()) ?? null;
const spokenText = (bar) => together(bar).map(spokenBar).join("; ");
const spokenBar = (bar) => `${formatTime(bar.start)}  ${prices(bar, decimals).map((text, at) => `${"OHLC"[at]} ${text}`).join("  ")}  volume ${formatNumber(bar.volume)}, ${plural(bar.ticks, "tick")}, ${stateOf(bar)}`;
const stateOf = (bar) => (bar.state === "open" ? "open" : bar.revision ? `revision ${bar.revision}` : "final") + (bar.partial ? ", partial" : "") + (isShared(bar) ? `, partition ${bar.partition}` : "");
const isShared = (bar) => Boolean(bars.get(bar.start)?.also.length);
const together = (bar) => [bar, ...bar.also];
const look = (bar) => (isShared(bar) ? "shared" : bar.partial ? "partial" : bar.revision ? "revised" : bar.state);

function showLegend(bar) {
  if (!bar) return $("legend").replaceChildren(" ");
  const part = (name, value, kind) => element("span", { class: kind }, element("span", { class: "letter" }, name), ` ${value}`);
  const numbers = (one) => [
    ...prices(one, decimals).flatMap((text, at) => [" ", part("OHLC"[at], text, one.close >= one.open ? "up" : "down")]),
    " ", part("V", one.volume === null ? "-" : formatNumber(one.volume)),
    " ", element("span", {}, plural(one.ticks, "tick")),
    " ", element("span", { class: "badge", "data-state": look(one) }, stateOf(one)),
  ];
  $("legend").replaceChildren(element("span", {}, formatTime(bar.start)), ...together(bar).flatMap(numbers));
}

function showTable() {
  const last = starts.slice(-10).reverse().flatMap((start) => together(bars.get(start)));
  $("bars").replaceChildren(
    ...last.map((bar) => element("tr", {}, cell(timeElement(bar.start)), ...prices(bar, decimals).map((text) => cell(text, "number")), cell(formatNumber(bar.volume), "number"), cell(formatNumber(bar.ticks), "number"), cell(stateOf(bar), "", look(bar)))),
  );
  if (!last.length && noneKept) setStatus("This worker keeps no bar of this symbol, and may have deleted some: `app bars` reads all from their topic.");
  else if (!last.length) setStatus("No bar yet: the first appears with the first tick of this symbol.");
  else if (watermark !== null && last[0].start + STALE_WINDOWS * size < watermark && size) setStatus("No tick for a while", "", null, `: ${formatDuration(watermark - last[0].start - size)} of stream time.`);
  else setStatus(omitted);
}

async function showWhy(start) {
  const of = frame();
  const answer = await get(`why/${encodeURIComponent(broker)}/${encodeURIComponent(symbol)}/${start}`, { frame: of.base ? null : of.name });
  if (start !== current() || of !== frame()) return answer; // another bar has been selected since
  partition = answer.partition ?? partition;
  $("why").textContent = inZone(answer.sentence);
  $("why-facts").replaceChildren(...whyFacts(answer).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, String(value))]));
  showHistory(answer.versions, decimals);
  return answer;
}

// `entry`: what happens to the address; a step by keyboard replaces it, so that Back does not walk through all of them
function select(start, { spoken = false, entry = "push" } = {}) {
  if (entry === "push" && selected !== start) history.pushState(null, "", address(frame(), start));
  else if (entry === "replace") history.replaceState(null, "", address(frame(), start));
  selected = start;
  $("follow").hidden = false;
  const bar = bars.get(start);
  showLegend(bar ?? null);
  pointAt(start);
  if (spoken && bar) $("spoken").textContent = spokenText(bar);
  load(() => showWhy(start));
}

function selectNewest({ entry = "push" } = {}) {
  if (entry === "push" && selected !== null) history.pushState(null, "", address(frame(), null));
  selected = null;
  $("follow").hidden = true;
  chart.clearCrosshairPosition();
  hovered = null;
  scrollToBar();
  showLegend(legendBar());
  if (current() !== undefined) load(() => showWhy(current()));
}

// ---- data

function put(bar, state) {
  const start = bar.bucket_start;
  const known = bars.has(start) ? together(bars.get(start)) : [];
  const same = known.find((one) => one.partition === bar.partition && one.state === "final");
  if (same && (state === "open" || same.revision > (bar.revision ?? 0))) return; // it arrived first
  const others = known.filter((one) => one.partition !== bar.partition);
  const { open, high, low, close, ticks, volume, partition: number, bucket_end: end } = bar;
  const added = { start, end, open, high, low, close, ticks, volume, revision: bar.revision ?? 0, partial: bar.partial ?? false, partition: number, state };
  const [drawn, ...also] = [...others, added].sort((a, b) => a.partition - b.partition);
  bars.set(start, { ...drawn, also });
  if (also.length) showShared(drawn, also);
}

function showShared(drawn, also) {
  $("shared").hidden = false;
  $("shared").textContent = `Partitions ${andList([drawn, ...also].map((one) => one.partition))} make bars of this symbol, each of its own ticks: producers place it differently. Of two bars of a window, the one of the lowest partition is drawn, and both are listed.`;
}

const fetchBars = (query) => get(`bars/${encodeURIComponent(broker)}/${encodeURIComponent(symbol)}`, { ...query, frame: frame().base ? null : frame().name, format: "columns" });

function addPage({ bars: { columns, rows }, open }) {
  for (const row of rows) put(Object.fromEntries(columns.map((name, index) => [name, row[index]])), "final");
  for (const window of open) put(window, "open");
  partition = open[0]?.partition ?? partition;
}

async function refill() {
  const mine = ++loads;
  const page = await fetchBars({ limit: NEWEST_BARS });
  if (mine !== loads) return;
  noneKept = page.none_kept;
  for (const [start, bar] of [...bars]) {
    const [drawn, ...also] = together(bar).filter((one) => one.state !== "open");
    if (drawn) bars.set(start, { ...drawn, also });
    else bars.delete(start);
  }
  addPage(page);
  watermark = Math.max(watermark ?? 0, ...page.open.map((window) => window.watermark ?? 0)) || null;
  const first = !starts.length;
  if (selected !== null && !bars.has(selected) && selected < Math.min(...bars.keys())) {
    const from = Math.max(0, selected - (NEIGHBORS / 2) * (size || DAY));
    const older = await fetchBars({ from, limit: LINKED_BARS });
    if (mine !== loads) return;
    addPage(older);
    maxBars = LINKED_BARS + NEIGHBORS;
    if (older.next_cursor) {
      const oldest = Math.min(...bars.keys());
      const to = from + NEIGHBORS * (size || DAY);
      const around = await fetchBars({ from, to: Math.min(oldest, to), limit: NEIGHBORS });
      if (mine !== loads) return;
      addPage(around);
      if (to < oldest) omitted = `Bars from ${formatTime(to)} to ${formatTime(oldest)} are not shown.`;
    }
  }
  draw();
  if (!frame().base && selected !== null && starts.length) selected = holding(selected);
  performance.mark("drawn"); // for measurements
  if (first) requestAnimationFrame(() => requestAnimationFrame(() => scrollToBar(indexes.has(selected) ? selected : null))); // the chart has its width then
  if (!page.complete) setStatus("The final bars are still being read from their topic.");
  if (current() !== undefined) await showWhy(current());
}

// the bars that an event is about are folded anew, all from the first one, once in a while
function onShorterBars(shorter) {
  const earliest = Math.min(...shorter.map((bar) => bar.bucket_start));
  foldedFrom = Math.min(foldedFrom ?? Infinity, starts.findLast((start) => start <= earliest) ?? earliest);
  foldTimer ||= setTimeout(() => load(foldAnew), FOLD_MS);
}

async function foldAnew() {
  const [of, from] = [loads, foldedFrom];
  [foldTimer, foldedFrom] = [0, null];
  const page = await fetchBars({ from, limit: NEWEST_BARS });
  if (of !== loads) return;
  for (const [start, bar] of bars) if (start >= from && bar.state === "open") bars.delete(start);
  addPage(page);
  draw();
  if (current() >= from) await showWhy(current());
}

function onBars({ final: first, revised, open }) {
  const final = [...first, ...revised];
  watermark = Math.max(watermark ?? 0, ...open.map((bar) => bar.watermark ?? 0), ...final.map((bar) => bar.watermark)) || null;
  if (!frame().kept) return onShorterBars([...final, ...open]);
  const last = starts.at(-1) ?? 0;
  const inserted = [...final, ...open].some((bar) => bar.bucket_start < last && !bars.has(bar.bucket_start));
  for (const bar of final) put(bar, "final");
  for (const bar of open) put(bar, "open");
  partition = open[0]?.partition ?? partition;
  const told = revised.find((bar) => bar.bucket_start === current());
  if (told) $("spoken").textContent = `${formatTime(told.bucket_start)} was revised: ${spokenText(bars.get(told.bucket_start))}`;
  const newer = [...final, ...open].filter((bar) => bar.bucket_start >= last);
  const marked = [...final, ...open].some((bar) => bar.revision || bar.partial || bars.get(bar.bucket_start).also.length);
  if (inserted || marked || newer.some((bar) => bar.bucket_start > last + size)) {
    if (final.some((bar) => bar.bucket_start === current())) load(() => showWhy(current()));
    return scheduleDraw();
  }
  for (const { bucket_start: start } of [...final, ...open]) {
    const bar = bars.get(start);
    candles.update(candle(bar), start < last);
    volume.update(volumeBar(bar), start < last);
  }
  if (newer.length) {
    starts = sortedStarts();
    for (const start of starts.slice(-3)) if (!indexes.has(start)) indexes.set(start, indexes.size);
  }
  showTable();
  showLegend(legendBar());
  if (final.length && (selected === null || final.some((bar) => bar.bucket_start === selected))) load(() => showWhy(current()));
}

function onWatermarks({ partitions }) {
  const times = partitions.find((one) => one.partition === partition)?.stream_times ?? {};
  watermark = (times[broker] ?? times["*"])?.watermark ?? watermark;
  chart.timeScale().applyOptions({}); // redraws the line
}

// ---- mouse and keyboard

// without a pointer the crosshair stands at the selected bar, and may be elsewhere while the chart scrolls
for (const [kind, within] of [["pointerenter", true], ["pointermove", true], ["pointerleave", false]]) {
  $("chart").addEventListener(kind, () => {
    pointing = within;
  });
}
chart.subscribeCrosshairMove(({ time }) => {
  hovered = time === undefined || !pointing ? null : time * 1000;
  showLegend(legendBar());
});
chart.subscribeClick(({ time }) => {
  if (time !== undefined && (frame().base || bars.has(time * 1000))) select(time * 1000);
});
$("follow").addEventListener("click", () => {
  selectNewest();
  $("chart").focus();
});
$("chart").addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
  if (event.key === "Enter" && current() !== undefined) {
    load(async () => {
      $("spoken").textContent = inZone((await showWhy(current())).sentence);
    });
  } else if (event.key === "Escape") {
    selectNewest();
  } else if (event.key in steps && starts.length) {
    const index = starts.indexOf(current());
    const step = steps[event.key] * (event.shiftKey ? 10 : 1);
    const start = starts[Math.min(starts.length - 1, Math.max(0, index + step))];
    select(start, { spoken: true, entry: "replace" });
    const range = chart.timeScale().getVisibleRange();
    if (range && (start / 1000 < range.from || start / 1000 > range.to)) chart.timeScale().scrollToPosition(indexes.get(start) - indexes.size + 20, false);
  } else if (frameOfKey(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey) {
    switchTo(frameOfKey(event.key));
    $("spoken").textContent = `${frame().name} bars`;
  } else return;
  event.preventDefault();
});

// ---- the frame

// show another frame; the bar that holds the selected one is selected then
function switchTo(one, { entry = "push", at = selected } = {}) {
  if (one === frame() && at === selected) return;
  choose(one);
  size = one.size;
  $("frame-name").textContent = one.name;
  if (entry === "push") history.pushState(null, "", address(one, at));
  bars.clear();
  [starts, selected, hovered, omitted, maxBars] = [[], at, null, "", NEWEST_BARS];
  chart.clearCrosshairPosition();
  clearTimeout(foldTimer);
  [foldTimer, foldedFrom] = [0, null];
  events.follow(followed());
  load(async () => {
    await refill();
    if (selected === null) $("follow").hidden = true;
    else select(selected, { entry: "replace" });
  });
}
onFrame((one) => switchTo(one));
const followed = () => ({ broker, symbol, frame: frame().base || !frame().kept ? null : frame().name });
window.addEventListener("popstate", () => {
  const at = Number(new URLSearchParams(location.search).get("at")) || null;
  if (frameInAddress() !== frame()) switchTo(frameInAddress(), { entry: "keep", at });
  else if (at === null) selectNewest({ entry: "keep" });
  else select(at, { entry: "keep" });
});
function redraw() {
  applyTheme();
  scheduleDraw();
}
dark.addEventListener("change", redraw);
onZoneChange(() => {
  candles.setData([]); // the marks of days are made with the data
  volume.setData([]);
  redraw();
  if (current() !== undefined) load(() => showWhy(current()));
});

// what an open window waits for changes with each tick
setInterval(() => {
  if (!document.hidden && bars.get(current())?.state === "open") load(() => showWhy(current()));
}, 2_000);

applyTheme();
load(async () => {
  await refill();
  if (selected !== null) select(selected, { entry: "keep" });
});
const events = new Events(followed(), { bars: onBars, watermarks: onWatermarks }, () => load(refill));
