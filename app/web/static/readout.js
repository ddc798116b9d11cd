// What a chart says in words: the legend, the table of bars, its state, and what is spoken.

import { $, andList, cell, element, formatDuration, formatNumber, formatTime, plural, prices, setStatus, timeElement } from "./base.js";
import { together } from "./section.js";

const LISTED = 10; // bars in the table
const STALE_WINDOWS = 3; // without a tick: the state says so

const isShared = (bar) => Boolean(bar.also?.length) || bar.shared;
const look = (bar) => (isShared(bar) ? "shared" : bar.partial ? "partial" : bar.revision ? "revised" : bar.state);
const stateOf = (bar) => (bar.state === "open" ? "open" : bar.revision ? `revision ${bar.revision}` : "final") + (bar.partial ? ", partial" : "") + (isShared(bar) ? `, partition ${bar.partition}` : "");
// the bar and those of the same window in other partitions
const all = (bar) => together(bar).map((one) => (bar.also.length ? { ...one, shared: true } : one));

export const spokenText = (bar, decimals) =>
  all(bar)
    .map((one) => `${formatTime(one.start)}  ${prices(one, decimals).map((text, at) => `${"OHLC"[at]} ${text}`).join("  ")}  volume ${formatNumber(one.volume)}, ${plural(one.ticks, "tick")}, ${stateOf(one)}`)
    .join("; ");

const part = (name, value, kind) => element("span", { class: kind }, element("span", { class: "letter" }, name), ` ${value}`);

// `more`: name, text and class of what else is drawn at this bar
function legendParts(bar, decimals, more) {
  const numbers = (one) => [
    ...prices(one, decimals).flatMap((text, at) => [" ", part("OHLC"[at], text, one.close >= one.open ? "up" : "down")]),
    " ", part("V", one.volume === null ? "-" : formatNumber(one.volume)),
    " ", element("span", {}, plural(one.ticks, "tick")),
    " ", element("span", { class: "badge", "data-state": look(one) }, stateOf(one)),
  ];
  return [element("span", {}, formatTime(bar.start)), ...all(bar).flatMap(numbers), ...more.flatMap(([name, text, kind]) => [" ", part(name, text, kind)])];
}

// rows of a table, one for each bar
const tableRows = (bars, decimals) =>
  bars.flatMap(all).map((bar) => element("tr", {}, cell(timeElement(bar.start)), ...prices(bar, decimals).map((text) => cell(text, "number")), cell(formatNumber(bar.volume), "number"), cell(formatNumber(bar.ticks), "number"), cell(stateOf(bar), "", look(bar))));

// for screen readers
export function say(text) {
  $("spoken").textContent = text;
}

// `bar`: null for none
export function showLegend(bar, decimals, more) {
  $("legend").replaceChildren(...(bar ? legendParts(bar, decimals, more) : [" "]));
}

// the newest bars; while older ones are looked at, those before and after the selected one, else those at the right
export function showTable({ starts, decimals }, source, selected) {
  const { atEnd, bars } = source.section;
  const after = starts.findLastIndex((start) => start <= selected) + LISTED / 2;
  const end = atEnd || selected === null ? starts.length : after;
  const listed = starts.slice(0, Math.max(end, LISTED)).slice(-LISTED).reverse();
  $("h-bars").textContent = atEnd ? "Newest bars" : "Bars";
  $("bars").replaceChildren(...tableRows(listed.map((start) => bars.get(start)), decimals));
  showState(source, listed[0]);
}

// `newest`: start of the newest bar in the table; undefined without one
function showState({ noneKept, section, watermark }, newest) {
  const since = watermark === null ? 0 : watermark - newest;
  if (newest === undefined && noneKept) {
    setStatus("This worker keeps no bar of this symbol, and may have deleted some: `app bars` reads all from their topic.");
  } else if (newest === undefined) {
    setStatus("No bar yet: the first appears with the first tick of this symbol.");
  } else if (!section.atEnd) {
    setStatus("Older bars: new ones are not shown until you go back to the newest.");
  } else if (section.size && since > STALE_WINDOWS * section.size) {
    setStatus("No tick for a while", "", null, `: ${formatDuration(since - section.size)} of stream time.`);
  } else {
    setStatus();
  }
}

// two partitions have bars of one window
export function showShared(bar) {
  $("shared").hidden = false;
  $("shared").textContent = `Partitions ${andList(together(bar).map((one) => one.partition))} make bars of this symbol, each of its own ticks: producers place it differently. Of two bars of a window, the one of the lowest partition is drawn, and both are listed.`;
}
