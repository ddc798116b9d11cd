// The row of time frames above a chart. The template makes its buttons; the first one is the window size.

import { $ } from "./base.js";

const buttons = [...$("frames").querySelectorAll("button")];

// size: ms of each window; 0 where the calendar decides. kept: the worker publishes such bars, else they are folded on request
export const frames = buttons.map(({ dataset: { frame, size, kept } }, index) => ({ name: frame, size: Number(size), kept: kept === "true", base: index === 0 }));

const named = (name) => Math.max(0, frames.findIndex((one) => one.name === name));
let chosen = buttons.findIndex((one) => one.getAttribute("aria-pressed") === "true");

export const frame = () => frames[chosen];
export const frameName = () => (frame().base ? null : frame().name); // as the API wants it
export const frameInAddress = () => frames[named(new URLSearchParams(location.search).get("frame"))];

export function choose(one) {
  chosen = frames.indexOf(one);
  buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(index === chosen)));
  buttons[chosen].scrollIntoView?.({ block: "nearest", inline: "nearest" });
}

// a key: 1 to 9 for one of them, [ and ] for the next shorter and longer; undefined for any other key
export function frameOfKey(key) {
  if (/^[1-9]$/.test(key)) return frames[Number(key) - 1];
  const step = { "[": -1, "]": 1 }[key];
  return step ? frames[chosen + step] : undefined;
}

export const onFrame = (listener) => buttons.forEach((button, index) => button.addEventListener("click", () => listener(frames[index])));

// the address of a frame and of a bar; what else is in it stays, but for `more`: null or an empty list takes a name out
export function address(one, at, more = {}) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries({ frame: one.base ? null : one.name, at, ...more })) {
    query.delete(name);
    for (const text of [value ?? []].flat()) query.append(name, text);
  }
  return `${location.pathname}${query.size ? `?${query}` : ""}`;
}
