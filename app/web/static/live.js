// Final bars as they are published, newest first, of all symbols or of one broker or symbol.

import { get } from "./api.js";
import { $, cell, chartUrl, element, load, onZoneChange, plural, prices, setStatus, timeElement } from "./base.js";
import { Events } from "./events.js";
import { nameElement } from "./names.js";

const MAX_BARS = 200;
const query = new URLSearchParams(location.search);
const filter = { broker: query.get("broker"), symbol: query.get("symbol") };
let bars = [];
let paused = false;
let sincePaused = 0; // bars
let skipped = 0; // bars that the stream left out
let loaded = false;
let searching = false; // whether older bars are looked through
let turn = 0; // of fetching

const windowOf = (bar) => JSON.stringify([bar.broker, bar.symbol, bar.bucket_start]);

// `shared`: windows of which two partitions have a bar
function row(bar, shared) {
  const notes = [{ idle: "silence", correction: `revision ${bar.revision}` }[bar.close_reason] ?? "watermark", bar.partial && "partial", shared.has(windowOf(bar)) && `partition ${bar.partition}`].filter(Boolean);
  return element(
    "tr",
    {},
    cell(timeElement(bar.bucket_start)),
    cell(nameElement(bar.symbol, chartUrl(bar.broker, bar.symbol, bar.bucket_start))),
    cell(nameElement(bar.broker)),
    ...prices(bar).map((text) => cell(text, "number")),
    cell(bar.volume === null ? "-" : bar.volume.toLocaleString("en"), "number"),
    cell(bar.ticks, "number"),
    cell(notes.join(", "), "", shared.has(windowOf(bar)) ? "shared" : bar.partial ? "partial" : bar.revision ? "revised" : undefined),
  );
}

function showStatus() {
  const more = skipped ? `, ${skipped} more came too fast to be shown` : "";
  const since = paused ? `, ${plural(sincePaused, "bar")} came since` : "";
  const numbers = `: ${plural(bars.length, "bar")}${since}${more}.`;
  const none = searching
    ? "None among the newest bars of all symbols; searching among older ones."
    : filter.broker || filter.symbol
      ? "None among all bars that this worker keeps: the next one appears here."
      : "No bar yet: the first appears when the first window closes.";
  if (bars.length) setStatus(paused ? "Paused" : "The newest", "", null, numbers);
  else setStatus(none);
}

function show() {
  const seen = new Set();
  const shared = new Set();
  for (const name of bars.map(windowOf)) (seen.has(name) ? shared : seen).add(name);
  $("rows").replaceChildren(...bars.map((bar) => row(bar, shared)));
  showStatus();
}

let frame = 0;
function scheduleShow() {
  if (frame) return;
  frame = requestAnimationFrame(() => {
    frame = 0;
    if (paused) showStatus();
    else show();
  });
}

// a bar can arrive twice, through the stream and with a fetch, and its revisions after it: the newest one stays
const id = (bar) => JSON.stringify([bar.broker, bar.symbol, bar.bucket_start, bar.partition]);
function unique(list) {
  const newest = new Map();
  for (const bar of list) if (!((newest.get(id(bar))?.revision ?? -1) >= bar.revision)) newest.set(id(bar), bar);
  return list.filter((bar) => newest.get(id(bar)) === bar);
}

function onBars(event) {
  skipped += event.skipped;
  const came = [...event.final, ...event.revised];
  sincePaused += paused ? came.length + event.skipped : 0;
  bars = unique([...came.reverse(), ...bars]).slice(0, MAX_BARS);
  if (loaded) scheduleShow();
}

// Fetch the bars from before the stream, or from while it was interrupted. One answer searches a part of the bars; those of a filter may
// be far back.
async function refill() {
  turn += 1;
  const own = turn;
  let cursor = null;
  do {
    const page = await get("bars", { ...filter, limit: MAX_BARS, cursor });
    if (own !== turn) return;
    bars = unique([...bars, ...page.bars]).sort((a, b) => b.closed_at - a.closed_at).slice(0, MAX_BARS);
    cursor = page.next_cursor;
    [loaded, searching] = [true, cursor !== null && bars.length < MAX_BARS];
    scheduleShow();
  } while (searching);
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  sincePaused = 0;
  $("pause").setAttribute("aria-pressed", String(paused));
  if (paused) showStatus();
  else show();
});
onZoneChange(show);
new Events(filter, { bars: onBars }, () => load(refill));
