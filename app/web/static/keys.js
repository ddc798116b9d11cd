// The keys of a chart.

import { frameOfKey } from "./frames.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
const WITH_SHIFT = 10; // bars
const ZOOM = 1.25;

// `actions`: step(count), why(), newest(), zoom(factor), frame(one)
export function onKeys(place, actions) {
  place.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's own
    const { key } = event;
    if (key in STEPS) actions.step(STEPS[key] * (event.shiftKey ? WITH_SHIFT : 1));
    else if (key === "Enter") actions.why();
    else if (key === "Escape") actions.newest();
    else if (key === "+" || key === "-") actions.zoom(key === "+" ? 1 / ZOOM : ZOOM);
    else if (frameOfKey(key)) actions.frame(frameOfKey(key));
    else return;
    event.preventDefault();
  });
}
