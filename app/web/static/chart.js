// The chart of one symbol in any frame: final, open, revised and missing bars, the watermark, and why a bar is or is not final.
//
// Here its parts are made and joined. The source has the bars that are loaded, the selection says which of them is looked at,
// and the screen shows both: as a picture, of which the view shows a part, as lines over it, and in words. What a person does
// goes to the navigation, and what the worker sends goes to the source; then the screen is drawn.

import { $, load, onZoneChange } from "./base.js";
import { Events } from "./events.js";
import { onExport } from "./export.js";
import { frame, onFrame } from "./frames.js";
import { onGoto } from "./goto.js";
import { onKeys } from "./keys.js";
import { Lines } from "./lines.js";
import { Navigation } from "./navigation.js";
import { Picture } from "./picture.js";
import { say } from "./readout.js";
import { Screen } from "./screen.js";
import { Selection, startInAddress } from "./selection.js";
import { Source } from "./source.js";
import { View } from "./view.js";

const library = window.LightweightCharts;
const place = $("chart");
const { broker, symbol } = $("page").dataset;
const EXPLAIN_MS = 2_000; // what an open window waits for changes with each tick

// ---- the parts

const source = new Source({ broker, symbol }, async (from) => {
  screen.draw();
  if (selection.current >= from) await screen.explain();
});
const picture = new Picture(place, library, () => source.watermark);
const selection = new Selection(picture, startInAddress());
const view = new View(picture, {
  near: (older, newer) => navigation.near(older, newer),
  still: () => navigation.trim(),
  hovered: (start) => {
    selection.hovered = start;
    screen.showLegend();
  },
  clicked: (start) => {
    if (frame().base || source.section.bars.has(start)) navigation.select(start);
  },
});
const lines = new Lines(picture, source, library, { chosen: () => navigation.remember(), drawn: () => screen.showLegend() });
const screen = new Screen({ source, picture, view, lines, selection });
const switched = () => events.follow(source.followed);
const navigation = new Navigation({ source, picture, view, lines, screen, selection, switched });

// ---- what a person does

onKeys(place, {
  step: (count) => load(() => navigation.step(count)),
  why: () => load(() => screen.sayWhy()),
  newest: () => navigation.selectNewest(),
  zoom: (factor) => navigation.zoom(factor),
  frame: (one) => {
    navigation.switchTo(one);
    say(`${one.name} bars`);
  },
});
onFrame((one) => navigation.switchTo(one));
onGoto((time) => load(() => navigation.goTo(time)), () => selection.current ?? Date.now());
onExport(() => ({ broker, symbol, frame: frame(), starts: view.seen, chart: picture.chart }));
$("follow").addEventListener("click", () => {
  navigation.selectNewest();
  place.focus();
});
window.addEventListener("popstate", () => navigation.followAddress());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  screen.applyTheme();
  screen.schedule();
});
onZoneChange(() => {
  picture.empty();
  screen.applyTheme();
  screen.schedule();
  load(() => screen.explain());
});

// ---- what the worker sends

function onBars(event) {
  const changed = source.take(event);
  // bars that are being loaded are drawn with their answer
  if (changed?.length && source.loaded) screen.drawChanged(changed, event);
}

function onWatermarks({ partitions }) {
  source.takeWatermarks(partitions);
  picture.redraw();
}

screen.applyTheme();
load(() => lines.compare.offer());
setInterval(() => {
  if (!document.hidden && source.section.bars.get(selection.current)?.state === "open") load(() => screen.explain());
}, EXPLAIN_MS);
const events = new Events(source.followed, { bars: onBars, watermarks: onWatermarks }, () => load(() => navigation.refill()));
