// What every page needs: the API, times in a zone of choice, the states a page can be in, and rows without innerHTML.

const ZONES = ["UTC", Intl.DateTimeFormat().resolvedOptions().timeZone, "Europe/London", "America/New_York", "Asia/Tokyo"];
const listeners = new Set();
const chosen = localStorage.getItem("zone");
let zone = ZONES.includes(chosen) ? chosen : "UTC";

export const $ = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.map((child) => child ?? ""));
  return made;
}

export function cell(value, kind = "", state) {
  return element("td", { class: kind || undefined, "data-state": state }, value instanceof Node ? value : String(value ?? ""));
}

// a time that takes two short lines where there is little room
export function when(ms) {
  if (ms === null || ms === undefined) return "-";
  if (Math.abs(ms) > 8.64e15) return String(ms); // no calendar has it: a rejected tick may say anything
  const [date, time] = moment(ms).split(" ");
  return element("time", { datetime: new Date(ms).toISOString() }, element("span", { class: "day" }, date), " ", element("span", {}, time));
}

// the four prices of a bar with as many decimals each
export const PRICES = ["open", "high", "low", "close"];
export const decimalsOf = (bar) => Math.min(10, Math.max(...PRICES.map((name) => String(bar[name]).split(".")[1]?.length ?? 0)));
export const prices = (bar, decimals = decimalsOf(bar)) => PRICES.map((name) => bar[name].toFixed(decimals));

export const chartOf = (broker, symbol, at) =>
  `/chart/${encodeURIComponent(broker)}/${encodeURIComponent(symbol)}${at === undefined || at === null ? "" : `?at=${at}`}`;
export const counted = (count, what) => `${number(count)} ${what}${count === 1 ? "" : "s"}`;

export const number = (value) => (value === null || value === undefined ? "-" : value.toLocaleString("en"));

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// ---- the API

export class Trouble extends Error {}

export async function get(path, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined));
  const url = `/api/v1/${path}${query.size ? `?${query}` : ""}`;
  let answer;
  try {
    answer = await fetch(url, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(10_000) });
  } catch {
    throw new Trouble("the worker does not answer");
  }
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw new Trouble(body?.detail || `${answer.status} ${answer.statusText}`);
  return body;
}

// ---- the state of a page: loading, empty, error with a retry, or nothing to say

export function say(text = "", kind = "", retry = null) {
  const place = $("state");
  if (!place) return;
  place.replaceChildren(text);
  place.dataset.state = kind;
  if (retry) {
    const button = element("button", { type: "button" }, "Try again");
    button.addEventListener("click", retry);
    place.append(" ", button);
  }
}

export async function load(action) {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    say(`Cannot be shown: ${error.message}.`, "error", () => load(action));
  }
}

// again and again while the page is seen; what fails is said and tried again
export function every(ms, action) {
  let timer = 0;
  const turn = async () => {
    clearTimeout(timer);
    if (document.hidden) return;
    await load(action);
    timer = setTimeout(turn, ms);
  };
  document.addEventListener("visibilitychange", turn);
  turn();
}

// ---- times

const formats = new Map();
function format(options) {
  const key = JSON.stringify([zone, options]);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat("en-CA", { timeZone: zone, hourCycle: "h23", ...options }));
  return formats.get(key);
}
const FULL = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };

export const moment = (ms) => (ms === null || ms === undefined ? "-" : format(FULL).format(ms).replace(",", ""));
export const clock = (ms, seconds = true) =>
  format({ hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined }).format(ms);
export const day = (ms) => format({ month: "short", day: "numeric" }).format(ms);

export function span(ms) {
  if (ms === null || ms === undefined) return "-";
  const away = Math.abs(ms);
  if (away < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (away < 120_000) return `${Math.round(ms / 1000)} s`;
  return away < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}

export const onZone = (listener) => listeners.add(listener);

const select = $("zone");
for (const name of new Set(ZONES)) select.append(element("option", { value: name, selected: name === zone }, name));
select.addEventListener("change", () => {
  zone = select.value;
  localStorage.setItem("zone", zone);
  for (const listener of listeners) listener();
});
