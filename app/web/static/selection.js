// Which bar a chart shows in words: the selected one, or that under the pointer. The address says which one is selected.

import { address, frame, frameInAddress } from "./frames.js";

const LATEST = 253_402_300_799_999; // the last ms of the year 9999: the API takes no later time

// Null for the newest bar, and for what is no time. A time within a base window is that window; within a longer one, its bars tell.
export function startInAddress() {
  const text = new URLSearchParams(location.search).get("at") ?? "";
  const time = /^\d+$/.test(text) ? Number(text) : 0;
  if (time <= 0 || time > LATEST) return null;
  const { base, size } = frameInAddress();
  return base ? time - (time % size) : time;
}

export class Selection {
  constructor(picture, start) {
    this.picture = picture;
    this.start = start; // of the selected bar; null: the newest one, whichever it is
    this.hovered = null; // start of the bar under the pointer: the legend shows it while others change
    this.of = frame();
  }

  // start of the bar that is explained; undefined while there is none
  get current() {
    return this.start ?? this.picture.last;
  }

  // start of the bar in the legend
  get shown() {
    return this.hovered ?? this.current;
  }

  // Select a bar of the chosen frame. `entry`: what happens to the address; a step by keyboard replaces it, so that Back does
  // not walk through all of them.
  put(start, entry) {
    const other = start !== this.start || frame() !== this.of;
    if (entry === "push" && other) history.pushState(null, "", address(frame(), start));
    else if (entry === "replace") history.replaceState(null, "", address(frame(), start));
    [this.start, this.of, this.hovered] = [start, frame(), null];
  }

  // put the lines into the address
  remember(lines) {
    history.replaceState(null, "", address(frame(), this.start, lines));
  }
}
