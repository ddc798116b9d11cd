// The chart of one symbol in any frame: final, open, revised and missing bars, the watermark, and why a bar is or is not final.

import { $, andList, color, decimalsOf, element, formatClock, formatDay, formatDuration, formatTime, get, inZone, load, onZoneChange, setStatus } from "./base.js";
import { Compare } from "./compare.js";
import { Events } from "./events.js";
import { onExport } from "./export.js";
import { Folded } from "./folded.js";
import { address, choose, frame, frameInAddress, frameOfKey, onFrame } from "./frames.js";
import { onGoto } from "./goto.js";
import { showHistory } from "./history.js";
import { showLate } from "./late.js";
import { Overlays } from "./overlays.js";
import { legendParts, spokenText, tableRows } from "./readout.js";
import { Section, together } from "./section.js";
import { watermarkLine } from "./watermark.js";
import { whyFacts } from "./why.js";
import { zonedScale } from "./zones.js";

const { broker, symbol } = $("page").dataset;
const windowSize = Number($("main").dataset.size);
const MAX_GAP = 240; // windows without ticks that are shown as gaps; a longer gap is left out
const STALE_WINDOWS = 3;
const BAR_WIDTH = 9; // pixels, when the chart opens
const NAMED_MARKS = 10; // with more revised bars their marks have no text, which would overlap
const EDGE = 500; // bars from an end of what is loaded: more is loaded when they come into sight
const STILL_MS = 400; // without a move: then bars far away are given back
const LISTED = 10; // bars in the table
const OVERLAY_MS = 1_000; // between two drawings of the lines, while only the newest bar changes
const ZOOM = 1.25; // a key press

const fetchBars = (query) => get(`bars/${encodeURIComponent(broker)}/${encodeURIComponent(symbol)}`, { ...query, frame: frameName(), format: "columns" });
const frameName = () => (frame().base ? null : frame().name);
const section = new Section(fetchBars);
section.clear(frame().size);
const folded = new Folded(section, () => loaded && !frame().kept, async (from) => {
  draw();
  if (current() >= from) await showWhy(current());
});
let starts = []; // of the bars that are drawn, ascending
let indexes = new Map(); // the chart's logical index of each start; gaps count too
let loaded = false; // whether the bars of this frame have been fetched
let placed = false; // whether they have been scrolled to
let oldest = null; // start of the symbol's oldest bar here
let watermark = null;
let noneKept = false; // whether this worker may have deleted all bars of the symbol
let partition = null; // of the symbol: each partition has a watermark of its own
let selected = Number($("page").dataset.at) || null; // start of the selected bar; null: the newest
let hovered = null; // start of the bar under the crosshair: the legend shows it while others change
let pointing = false; // whether a mouse or a finger is over the chart
let pressed = false; // whether it drags the chart
let drawScheduled = false;
let decimals = 2;
let stillTimer = 0;
let overlayTimer = 0;
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

const overlays = new Overlays(chart, window.LightweightCharts, () => {
  remember();
  drawLines();
});
const compare = new Compare(chart, window.LightweightCharts, {
  broker,
  symbol,
  frameName,
  changed: () => {
    remember();
    drawLines();
  },
  came: scheduleLines,
});

function applyTheme() {
  const line = color("line");
  chart.applyOptions({
    layout: { background: { color: color("panel") }, textColor: color("text"), panes: { separatorColor: line }, attributionLogo: true },
    grid: { vertLines: { color: line }, horzLines: { color: line } },
    timeScale: { timeVisible: true, borderColor: line, tickMarkFormatter: (time, kind) => (kind < 3 ? formatDay(time * 1000) : formatClock(time * 1000, windowSize < 60_000)) },
    rightPriceScale: { borderColor: line },
    localization: { timeFormatter: (time) => formatTime(time * 1000) },
    handleScroll: { vertTouchDrag: false }, // a finger scrolls the page
  });
  candles.applyOptions({ priceLineColor: color("soft") });
  overlays.applyTheme();
  compare.applyTheme();
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

function draw() {
  drawScheduled = false;
  starts = section.starts;
  const { bars, size } = section;
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
  drawLines();
  showTable();
  folded.schedule(); // events may have come while bars were being loaded
  if (placed || !loaded || !starts.length) return;
  placed = true;
  requestAnimationFrame(() => requestAnimationFrame(() => scrollToBar(indexes.has(selected) ? selected : null))); // the chart has its width then
}

function drawLines() {
  clearTimeout(overlayTimer);
  overlayTimer = 0;
  if (!loaded) return; // others are on their way
  overlays.draw(starts.map((start) => section.bars.get(start)));
  compare.draw([...indexes.keys()]);
  load(() => compare.show(starts, section.atEnd));
  showLegend(legendBar());
}

function scheduleLines() {
  overlayTimer ||= setTimeout(drawLines, OVERLAY_MS);
}

// draw after bars were loaded or given back: what is on the screen stays where it is
function drawInPlace() {
  const scale = chart.timeScale();
  const range = scale.getVisibleLogicalRange();
  const before = indexes;
  const middle = range ? (range.from + range.to) / 2 : 0;
  const anchor = starts.filter((start) => section.bars.has(start)).sort((a, b) => Math.abs(before.get(a) - middle) - Math.abs(before.get(b) - middle))[0];
  draw();
  $("follow").hidden = selected === null && section.atEnd;
  if (!range || anchor === undefined) return;
  const shift = indexes.get(anchor) - before.get(anchor);
  const now = scale.getVisibleLogicalRange();
  if (!now || Math.abs(now.from - range.from - shift) > 0.01) scale.setVisibleLogicalRange({ from: range.from + shift, to: range.to + shift });
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
  const bar = section.bars.get(start);
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
  return start !== undefined && time < section.bars.get(start).end ? start : (starts.find((one) => one > time) ?? starts.at(-1));
}

// ---- legend, table and explanation

const current = () => selected ?? starts.at(-1);
const legendBar = () => section.bars.get(hovered ?? current()) ?? null;

function showLegend(bar) {
  $("legend").replaceChildren(...(bar ? legendParts(bar, decimals, [...overlays.parts(bar.start, decimals), ...compare.parts(bar, decimals)]) : [" "]));
}

function showTable() {
  // while older bars are looked at: those before and after the selected one, else those at the right
  const at = section.atEnd ? starts.length : selected !== null ? starts.findLastIndex((start) => start <= selected) + LISTED / 2 : starts.length;
  const last = starts.slice(0, Math.max(at, LISTED)).slice(-LISTED).reverse();
  $("h-bars").textContent = section.atEnd ? "Newest bars" : "Bars";
  $("bars").replaceChildren(...tableRows(last.map((start) => section.bars.get(start)), decimals));
  if (!last.length && noneKept) setStatus("This worker keeps no bar of this symbol, and may have deleted some: `app bars` reads all from their topic.");
  else if (!last.length) setStatus("No bar yet: the first appears with the first tick of this symbol.");
  else if (section.atEnd && watermark !== null && last[0] + STALE_WINDOWS * section.size < watermark && section.size) setStatus("No tick for a while", "", null, `: ${formatDuration(watermark - last[0] - section.size)} of stream time.`);
  else setStatus(section.atEnd ? "" : "Older bars: new ones are not shown until you go back to the newest.");
}

async function showWhy(start) {
  const of = frame();
  const answer = await get(`why/${encodeURIComponent(broker)}/${encodeURIComponent(symbol)}/${start}`, { frame: of.base ? null : of.name });
  if (start !== current() || of !== frame()) return answer; // another bar has been selected since
  partition = answer.partition ?? partition;
  $("why").textContent = inZone(answer.sentence);
  $("why-facts").replaceChildren(...whyFacts(answer).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, String(value))]));
  showHistory(answer.versions, decimals);
  await showLate(broker, symbol, answer);
  return answer;
}

// `entry`: what happens to the address; a step by keyboard replaces it, so that Back does not walk through all of them
function select(start, { spoken = false, entry = "push" } = {}) {
  if (entry === "push" && selected !== start) history.pushState(null, "", address(frame(), start));
  else if (entry === "replace") history.replaceState(null, "", address(frame(), start));
  selected = start;
  $("follow").hidden = false;
  const bar = section.bars.get(start);
  showLegend(bar ?? null);
  pointAt(start);
  if (!section.atEnd) showTable();
  if (spoken && bar) $("spoken").textContent = spokenText(bar, decimals);
  load(() => showWhy(start));
}

function selectNewest({ entry = "push" } = {}) {
  if (entry === "push" && selected !== null) history.pushState(null, "", address(frame(), null));
  selected = null;
  $("follow").hidden = true;
  chart.clearCrosshairPosition();
  hovered = null;
  if (!section.atEnd) return load(restart);
  scrollToBar();
  showLegend(legendBar());
  if (current() !== undefined) load(() => showWhy(current()));
}

// what the address says of the lines
function remember() {
  history.replaceState(null, "", address(frame(), selected, { ...overlays.query, compare: compare.chosen }));
}

// load another part of the history; until it is there, the chart stays as it is. Whether it is still wanted then.
async function moveTo(time) {
  if (!(await section.loadAround(time))) return false;
  loaded = true;
  return true;
}

// show another part of the history, and the bar that holds a time; whether there is one
async function goTo(time, { entry = "push" } = {}) {
  if (!(starts.length && time >= starts[0] && (section.atEnd || time <= starts.at(-1)))) {
    if (!(await moveTo(time))) return false;
    draw();
  }
  if (!starts.length) return false;
  const start = holding(time);
  scrollToBar(start);
  select(start, { spoken: true, entry });
  return true;
}

// ---- data

function showShared(bar) {
  $("shared").hidden = false;
  $("shared").textContent = `Partitions ${andList(together(bar).map((one) => one.partition))} make bars of this symbol, each of its own ticks: producers place it differently. Of two bars of a window, the one of the lowest partition is drawn, and both are listed.`;
}

// show what is loaded from the newest bar on
async function restart() {
  section.clear();
  [loaded, placed] = [false, false];
  await refill();
}

async function refill() {
  if (loaded && !section.atEnd) {
    // older bars are on the screen: they may have been revised
    if (await moveTo(selected ?? starts[Math.floor(starts.length / 2)])) drawInPlace();
    return;
  }
  const page = await section.loadNewest();
  if (!page) return;
  [noneKept, oldest] = [page.none_kept, page.oldest];
  partition = page.open[0]?.partition ?? partition;
  watermark = Math.max(watermark ?? 0, ...page.open.map((window) => window.watermark ?? 0)) || null;
  if (selected !== null && !section.bars.has(selected) && selected < section.starts[0] && !(await section.loadAround(selected))) return;
  const first = !loaded;
  loaded = true;
  draw();
  for (const bar of section.bars.values()) if (bar.also.length) showShared(bar);
  if (!frame().base && selected !== null && starts.length) selected = holding(selected);
  performance.mark("drawn"); // for measurements
  if (!page.complete) setStatus("The final bars are still being read from their topic.");
  $("follow").hidden = selected === null && section.atEnd;
  if (first && selected !== null) select(selected, { entry: "replace" });
  else if (current() !== undefined) await showWhy(current());
}

async function grow(side) {
  if (section.busy) return;
  await load(async () => {
    if (await section.grow(side)) drawInPlace();
  });
}

// load more where an end comes into sight; give back what is far away once the chart stands still
function look() {
  const range = chart.timeScale().getVisibleLogicalRange();
  clearTimeout(stillTimer);
  stillTimer = setTimeout(onStill, STILL_MS);
  if (!range || !loaded) return;
  if (range.from < EDGE && !section.atStart) grow("older");
  // bars that are added at the right would move the chart under the hand that drags it
  else if (!pressed && range.to > indexes.size - EDGE && !section.atEnd) grow("newer");
}

function onStill() {
  const range = chart.timeScale().getVisibleLogicalRange();
  if (pressed || !range || !starts.length) return;
  const seen = seenStarts(range);
  if (seen.length && section.trim(seen[0], seen.at(-1))) drawInPlace();
}
const seenStarts = (range) => starts.filter((start) => indexes.get(start) >= Math.floor(range.from) && indexes.get(start) <= Math.ceil(range.to));
chart.timeScale().subscribeVisibleLogicalRangeChange(look);

function onBars({ final: first, revised, open }) {
  const final = [...first, ...revised];
  watermark = Math.max(watermark ?? 0, ...open.map((bar) => bar.watermark ?? 0), ...final.map((bar) => bar.watermark)) || null;
  if (!frame().kept) return folded.note([...final, ...open]);
  partition = open[0]?.partition ?? partition;
  const before = new Set(starts);
  for (const bar of final) section.take(bar, "final");
  for (const bar of open) section.take(bar, "open");
  const came = [...final, ...open].filter((bar) => section.bars.has(bar.bucket_start));
  if (!loaded || !came.length) return; // the answer that is under way is drawn with them
  for (const bar of came) if (section.bars.get(bar.bucket_start).also.length) showShared(section.bars.get(bar.bucket_start));
  const last = starts.at(-1) ?? 0;
  const inserted = came.some((bar) => bar.bucket_start < last && !before.has(bar.bucket_start));
  const told = revised.find((bar) => bar.bucket_start === current());
  if (told && came.includes(told)) $("spoken").textContent = `${formatTime(told.bucket_start)} was revised: ${spokenText(section.bars.get(told.bucket_start), decimals)}`;
  const newer = came.filter((bar) => bar.bucket_start >= last);
  const marked = came.some((bar) => bar.revision || bar.partial || section.bars.get(bar.bucket_start).also.length);
  if (inserted || marked || newer.some((bar) => bar.bucket_start > last + section.size)) {
    if (final.some((bar) => bar.bucket_start === current())) load(() => showWhy(current()));
    return scheduleDraw();
  }
  for (const { bucket_start: start } of came) {
    const bar = section.bars.get(start);
    candles.update(candle(bar), start < last);
    volume.update(volumeBar(bar), start < last);
  }
  if (newer.length) {
    starts = section.starts;
    for (const start of starts.slice(-3)) if (!indexes.has(start)) indexes.set(start, indexes.size);
  }
  if (overlays.shown) scheduleLines();
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
$("chart").addEventListener("pointerdown", () => {
  pressed = true;
});
for (const kind of ["pointerup", "pointercancel"]) {
  window.addEventListener(kind, () => {
    pressed = false;
    look();
  });
}
chart.subscribeCrosshairMove(({ time }) => {
  hovered = time === undefined || !pointing ? null : time * 1000;
  showLegend(legendBar());
});
chart.subscribeClick(({ time }) => {
  if (time !== undefined && (frame().base || section.bars.has(time * 1000))) select(time * 1000);
});
$("follow").addEventListener("click", () => {
  selectNewest();
  $("chart").focus();
});
$("chart").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's own
  const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
  if (event.key === "Enter" && current() !== undefined) {
    load(async () => {
      $("spoken").textContent = inZone((await showWhy(current())).sentence);
    });
  } else if (event.key === "Escape") {
    selectNewest();
  } else if (event.key in steps && starts.length) {
    load(() => step(steps[event.key] * (event.shiftKey ? 10 : 1)));
  } else if ("+-".includes(event.key)) {
    zoom(event.key === "+" ? 1 / ZOOM : ZOOM);
  } else if (frameOfKey(event.key)) {
    switchTo(frameOfKey(event.key));
    $("spoken").textContent = `${frame().name} bars`;
  } else return;
  event.preventDefault();
});

// select the bar that is so many bars away; infinitely many: the first or the last of all
async function step(count) {
  if (count === -Infinity && !section.atStart && oldest !== null) return goTo(oldest);
  if (count === Infinity && !section.atEnd) {
    selected = null;
    await restart();
  }
  const wanted = starts.indexOf(current()) + count;
  if (wanted < 0 && !section.atStart) await grow("older");
  else if (wanted >= starts.length && !section.atEnd) await grow("newer");
  const start = starts[Math.min(starts.length - 1, Math.max(0, starts.indexOf(current()) + count))];
  select(start, { spoken: true, entry: "replace" });
  const range = chart.timeScale().getVisibleRange();
  if (range && (start / 1000 < range.from || start / 1000 > range.to)) chart.timeScale().scrollToPosition(indexes.get(start) - indexes.size + 20, false);
}

function zoom(factor) {
  const range = chart.timeScale().getVisibleLogicalRange();
  if (!range) return;
  const at = indexes.get(current()) ?? range.to;
  const fixed = at >= range.from && at <= range.to ? at : (range.from + range.to) / 2;
  chart.timeScale().setVisibleLogicalRange({ from: fixed - (fixed - range.from) * factor, to: fixed + (range.to - fixed) * factor });
}

// ---- the frame

// show another frame; the bar that holds the selected one is selected then
function switchTo(one, { entry = "push", at = selected } = {}) {
  if (one === frame() && at === selected) return;
  choose(one);
  $("frame-name").textContent = one.name;
  if (entry === "push") history.pushState(null, "", address(one, at));
  section.clear(one.size);
  compare.clear();
  [starts, selected, hovered, loaded, placed] = [[], at, null, false, false];
  chart.clearCrosshairPosition();
  folded.clear();
  events.follow(followed());
}
onFrame((one) => switchTo(one));
const followed = () => ({ broker, symbol, frame: frame().base || !frame().kept ? null : frame().name });
window.addEventListener("popstate", () => {
  const at = Number(new URLSearchParams(location.search).get("at")) || null;
  if (frameInAddress() !== frame()) switchTo(frameInAddress(), { entry: "keep", at });
  else if (at === null) selectNewest({ entry: "keep" });
  else if (section.holds(at)) select(at, { entry: "keep" });
  else return load(async () => (await goTo(at, { entry: "keep" })) && remember());
  remember();
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
  if (!document.hidden && section.bars.get(current())?.state === "open") load(() => showWhy(current()));
}, 2_000);

onGoto((time) => load(() => goTo(time)), () => current() ?? Date.now());
onExport(() => {
  const range = chart.timeScale().getVisibleLogicalRange() ?? { from: 0, to: 0 };
  return { broker, symbol, frame: frame(), bars: seenStarts(range).map((start) => section.bars.get(start)), chart };
});
applyTheme();
load(() => compare.offer());
const events = new Events(followed(), { bars: onBars, watermarks: onWatermarks }, () => load(refill));
