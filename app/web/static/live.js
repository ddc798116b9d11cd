// Final bars as they come, newest first, of everything or of one broker or symbol.

import { $, cell, chartOf, counted, element, get, load, onZone, prices, say, when } from "./base.js";
import { Events } from "./events.js";

const KEPT = 200;
const asked = new URLSearchParams(location.search);
const wanted = { broker: asked.get("broker"), symbol: asked.get("symbol") };
let bars = [];
let paused = false;
let held = 0; // that came while it was paused
let passed = 0;
let loaded = false;

function row(bar) {
  return element(
    "tr",
    {},
    cell(when(bar.bucket_start)),
    cell(element("a", { href: chartOf(bar.broker, bar.symbol, bar.bucket_start) }, bar.symbol)),
    cell(bar.broker),
    ...prices(bar).map((text) => cell(text, "number")),
    cell(bar.volume === null ? "-" : bar.volume.toLocaleString("en"), "number"),
    cell(bar.ticks, "number"),
    cell(bar.close_reason === "idle" ? "silence" : "watermark"),
  );
}

function tell() {
  const more = passed ? `; ${passed} more came faster than they can be shown` : "";
  const waiting = paused ? `Paused; ${counted(held, "bar")} came since. ` : "";
  say(bars.length ? `${waiting}The newest ${counted(bars.length, "bar")}${more}.` : "No bar yet: the first comes when the first window closes.");
}

function show() {
  $("rows").replaceChildren(...bars.map(row));
  tell();
}

let drawing = 0;
function soon() {
  if (drawing) return;
  drawing = requestAnimationFrame(() => {
    drawing = 0;
    if (paused) tell();
    else show();
  });
}

// a bar can come twice: by the stream, and with what is fetched
const name = (bar) => JSON.stringify([bar.broker, bar.symbol, bar.bucket_start]);
const once = (list) => [...new Map(list.map((bar) => [name(bar), bar])).values()];

function take({ final, skipped }) {
  passed += skipped;
  held += paused ? final.length + skipped : 0;
  bars = once([...final.reverse(), ...bars]).slice(0, KEPT);
  if (loaded) soon();
}

// what came before the stream began, or while it was away
async function refill() {
  const found = await get("bars", { ...wanted, limit: KEPT });
  bars = once([...bars, ...found.bars]).sort((a, b) => b.closed_at - a.closed_at).slice(0, KEPT);
  loaded = true;
  soon();
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  held = 0;
  $("pause").setAttribute("aria-pressed", String(paused));
  if (paused) tell();
  else show();
});
onZone(show);
load(refill);
new Events(wanted, { bars: take }, () => load(refill));
