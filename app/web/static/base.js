// Shared by all pages: times in the chosen zone, the status line, and DOM elements without innerHTML.

import { ApiError, ofSymbol } from "./api.js";

const ZONES = ["UTC", Intl.DateTimeFormat().resolvedOptions().timeZone, "Europe/London", "America/New_York", "Asia/Tokyo"];
const zoneListeners = new Set();
const storedZone = stored("zone");
let zone = ZONES.includes(storedZone) ? storedZone : "UTC";

// a browser may block storage: then the choice lasts as long as the page
function stored(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}
function store(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // it is not kept
  }
}

export const $ = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  const created = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) created.setAttribute(key, value === true ? "" : value);
  }
  created.append(...children.map((child) => child ?? ""));
  return created;
}

export function cell(value, kind = "", state) {
  return element("td", { class: kind || undefined, "data-state": state }, value instanceof Node ? value : String(value ?? ""));
}

// a time as an element; narrow pages break it into two lines
export function timeElement(ms) {
  if (ms === null || ms === undefined) return "-";
  if (Math.abs(ms) > 8.64e15) return String(ms); // beyond the range of Date: a rejected tick may hold any number
  const [date, time] = formatTime(ms).split(" ");
  return element("time", { datetime: new Date(ms).toISOString() }, element("span", { class: "day" }, date), " ", element("span", {}, time));
}

// the four prices of a bar, with the same number of decimals
export const PRICES = ["open", "high", "low", "close"];
const MAX_DECIMALS = 16;
// of a number as JavaScript writes it: 0.25, 1e-7, 2.5e-9
function decimalsIn(number) {
  const [digits, exponent = "0"] = String(number).split("e");
  return Math.max(0, (digits.split(".")[1]?.length ?? 0) - Number(exponent));
}
export const decimalsOf = (bar) => Math.min(MAX_DECIMALS, Math.max(...PRICES.map((name) => decimalsIn(bar[name]))));
export const prices = (bar, decimals = decimalsOf(bar)) => PRICES.map((name) => bar[name].toFixed(decimals));

export const chartUrl = (broker, symbol, at) =>
  `/chart/${ofSymbol(broker, symbol)}${at === undefined || at === null ? "" : `?at=${at}`}`;
export const andList = (parts) => (parts.length > 1 ? `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}` : parts.join(""));
export const plural = (count, noun) => `${formatNumber(count)} ${noun}${count === 1 ? "" : "s"}`;

export const formatNumber = (value) => (value === null || value === undefined ? "-" : value.toLocaleString("en"));

// a color of the theme; a chart of many bars asks for it thousands of times
const colors = new Map();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => colors.clear());
export function color(name) {
  if (!colors.has(name)) colors.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return colors.get(name);
}

// ---- the status line: loading, empty, error with a retry, or nothing

// Put a text into an element whose changes are told to screen readers; whether it is another text than before. `quiet`: numbers
// behind it that change all the time, which are not told.
export function tell(place, text, quiet = "") {
  const [told, more] = place.children;
  if (told?.className === "told" && told.textContent === text) {
    more.textContent = quiet;
    return false;
  }
  place.replaceChildren(element("span", { class: "told" }, text), element("span", { "aria-hidden": "true" }, quiet));
  return true;
}

export function setStatus(text = "", kind = "", retry = null, quiet = "") {
  const line = $("state");
  if (!line) return;
  line.dataset.state = kind;
  tell(line, text, quiet);
  let button = line.querySelector("button"); // the one of the same text, which may have the focus
  if (!retry) return button?.remove();
  if (!button) line.append(" ", (button = element("button", { type: "button" }, "Try again")));
  button.onclick = retry;
}

// run an action; if the API fails, show why and offer a retry
export async function load(action) {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    setStatus(`Cannot be shown: ${error.message}.`, "error", () => load(action));
  }
}

// run an action again and again while the page is visible
export function poll(ms, action) {
  let timer = 0;
  const run = async () => {
    clearTimeout(timer);
    if (document.hidden) return;
    await load(action);
    timer = setTimeout(run, ms);
  };
  document.addEventListener("visibilitychange", run);
  run();
}

// ---- times

const formats = new Map();
function format(options) {
  const key = JSON.stringify([zone, options]);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat("en-CA", { timeZone: zone, hourCycle: "h23", ...options }));
  return formats.get(key);
}
const FULL = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };

export const formatTime = (ms) => (ms === null || ms === undefined ? "-" : format(FULL).format(ms).replace(",", ""));
export const formatClock = (ms, seconds = true) =>
  format({ hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined }).format(ms);
export const formatDay = (ms) => format({ month: "short", day: "numeric" }).format(ms);

// how far the chosen zone is ahead of UTC at a time (ms); zones change it at a quarter of an hour
const offsets = new Map();
const QUARTER = 900_000;
const MOST_OFFSETS = 20_000; // that are remembered
export function zoneOffset(ms) {
  if (zone === "UTC") return 0;
  const at = Math.floor(ms / QUARTER) * QUARTER;
  const key = `${zone} ${at}`;
  if (offsets.size > MOST_OFFSETS) offsets.clear();
  if (!offsets.has(key)) offsets.set(key, Date.parse(`${formatTime(at).replace(" ", "T")}Z`) - at);
  return offsets.get(key);
}

// a sentence of the API, whose times are UTC, with the times of the chosen zone
export const inZone = (sentence) =>
  zone === "UTC" ? sentence : sentence.replace(/(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d+)? UTC/g, (_, day, time, rest = "") => `${formatTime(Date.parse(`${day}T${time}Z`))}${rest} ${zone}`);

export function formatDuration(ms) {
  if (ms === null || ms === undefined) return "-";
  const size = Math.abs(ms);
  if (size < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (size < 120_000) return `${Math.round(ms / 1000)} s`;
  return size < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}

export const onZoneChange = (listener) => zoneListeners.add(listener);

const select = $("zone");
for (const name of new Set(ZONES)) select.append(element("option", { value: name, selected: name === zone }, name));
select.addEventListener("change", () => {
  zone = select.value;
  store("zone", zone);
  for (const listener of zoneListeners) listener();
});
