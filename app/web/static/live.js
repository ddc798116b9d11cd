// Final bars as they come, newest first, of everything or of one broker or symbol.

import { $, cell, element, moment, onZone, say } from "./base.js";
import { Events } from "./events.js";

const KEPT = 200;
const asked = new URLSearchParams(location.search);
let bars = [];
let paused = false;
let passed = 0;

function row(bar) {
  const href = `/chart/${encodeURIComponent(bar.broker)}/${encodeURIComponent(bar.symbol)}?at=${bar.bucket_start}`;
  return element(
    "tr",
    {},
    cell(moment(bar.bucket_start)),
    cell(bar.broker),
    cell(element("a", { href }, bar.symbol)),
    ...["open", "high", "low", "close", "ticks"].map((name) => cell(bar[name], "number")),
    cell(bar.close_reason),
  );
}

function show() {
  $("rows").replaceChildren(...bars.map(row));
  const more = passed ? `; ${passed} more came faster than they can be shown` : "";
  say(bars.length ? `the newest ${bars.length} bars${more}` : "waiting for the first bar");
}

let drawing = 0;
function take({ final, skipped }) {
  passed += skipped;
  bars = [...final.reverse(), ...bars].slice(0, KEPT);
  if (!paused && !drawing) {
    drawing = requestAnimationFrame(() => {
      drawing = 0;
      show();
    });
  }
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  if (!paused) show();
});
onZone(show);
new Events({ broker: asked.get("broker"), symbol: asked.get("symbol") }, { bars: take }, () => {});
