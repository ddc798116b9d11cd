// What a chart says in words: the legend, the spoken text and the table of bars.

import { cell, element, formatNumber, formatTime, plural, prices, timeElement } from "./base.js";
import { together } from "./section.js";

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
export function legendParts(bar, decimals, more) {
  const numbers = (one) => [
    ...prices(one, decimals).flatMap((text, at) => [" ", part("OHLC"[at], text, one.close >= one.open ? "up" : "down")]),
    " ", part("V", one.volume === null ? "-" : formatNumber(one.volume)),
    " ", element("span", {}, plural(one.ticks, "tick")),
    " ", element("span", { class: "badge", "data-state": look(one) }, stateOf(one)),
  ];
  return [element("span", {}, formatTime(bar.start)), ...all(bar).flatMap(numbers), ...more.flatMap(([name, text, kind]) => [" ", part(name, text, kind)])];
}

// rows of a table, one for each bar
export const tableRows = (bars, decimals) =>
  bars.flatMap(all).map((bar) => element("tr", {}, cell(timeElement(bar.start)), ...prices(bar, decimals).map((text) => cell(text, "number")), cell(formatNumber(bar.volume), "number"), cell(formatNumber(bar.ticks), "number"), cell(stateOf(bar), "", look(bar))));
