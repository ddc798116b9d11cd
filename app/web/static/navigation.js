// Where a chart goes: from bar to bar, to a time, to the newest bars, to another frame. Each of them selects, loads, and draws.

import { $, load, setStatus } from "./base.js";
import { choose, frame, frameInAddress } from "./frames.js";
import { startInAddress } from "./selection.js";

export class Navigation {
  // `switched()`: other bars are followed now
  constructor({ source, picture, view, lines, screen, selection, switched }) {
    Object.assign(this, { source, picture, view, lines, screen, selection, switched });
  }

  // ---- bars to show

  // fetch what is shown: at first, and after events may have been missed
  async refill() {
    const { source, picture, screen, selection } = this;
    if (source.loaded && !source.section.atEnd) {
      // older bars are on the screen: they may have been revised
      const middle = picture.starts[Math.floor(picture.starts.length / 2)];
      if (await source.loadAround(selection.start ?? middle)) screen.drawInPlace();
      return;
    }
    const first = !source.loaded;
    const page = await source.loadNewest(() => selection.start);
    if (!page) return;
    screen.draw();
    // a bar of another frame was selected
    if (!frame().base && selection.start !== null && picture.starts.length) {
      selection.put(this.holding(selection.start), "keep");
    }
    performance.mark("drawn"); // for measurements
    if (!page.complete) setStatus("The final bars are still being read from their topic.");
    if (first && selection.start !== null) this.select(selection.start, { entry: "replace" });
    else await screen.explain();
  }

  // show what is loaded from the newest bar on
  async restart() {
    this.source.clear();
    this.screen.expect();
    await this.refill();
  }

  // older or newer bars
  async grow(side) {
    if (this.source.section.busy) return;
    await load(async () => {
      if (!(await this.source.grow(side))) return;
      this.screen.drawInPlace();
      if (this.source.section.crowded && !this.view.pressed) this.trim(); // who scrolls on and on never stands still
    });
  }

  // an end of what is loaded may come into sight
  near(older, newer) {
    const { loaded, section } = this.source;
    if (!loaded) return;
    if (older && !section.atStart) this.grow("older");
    else if (newer && !section.atEnd) this.grow("newer");
  }

  // give back the bars that are far from those in sight
  trim() {
    const { seen } = this.view;
    if (seen.length && this.source.section.trim(seen[0], seen.at(-1))) this.screen.drawInPlace();
  }

  // ---- bars to select

  select(start, { spoken = false, entry = "push" } = {}) {
    this.selection.put(start, entry);
    this.screen.showSelected({ spoken });
  }

  selectNewest({ entry = "push" } = {}) {
    const { picture, screen, selection, source } = this;
    selection.put(null, entry);
    picture.unpoint();
    if (!source.section.atEnd) return load(() => this.restart());
    screen.scrollTo(null);
    screen.showSelected();
  }

  holding(time) {
    return this.picture.holding(time, this.source.section.bars);
  }

  // show another part of the history, and the bar that holds a time; whether there is one
  async goTo(time, { entry = "push" } = {}) {
    const { picture, screen, source } = this;
    const here = source.loaded && picture.starts.length && time >= picture.starts[0] && (source.section.atEnd || time <= picture.last);
    if (!here) {
      if (!(await source.loadAround(time))) return false;
      screen.draw();
    }
    if (!picture.starts.length) return false;
    const start = this.holding(time);
    screen.scrollTo(start);
    this.select(start, { spoken: true, entry });
    return true;
  }

  // select the bar that is so many bars away; infinitely many: the first or the last of all
  async step(count) {
    const { picture, selection, source } = this;
    if (!picture.starts.length) return;
    if (count === -Infinity && !source.section.atStart && source.oldest !== null) return this.goTo(source.oldest);
    if (count === Infinity && !source.section.atEnd) {
      selection.put(null, "keep");
      await this.restart();
    }
    const wanted = () => picture.starts.indexOf(selection.current) + count;
    if (wanted() < 0 && !source.section.atStart) await this.grow("older");
    else if (wanted() >= picture.starts.length && !source.section.atEnd) await this.grow("newer");
    if (!source.loaded || !picture.starts.length) return; // other bars have been asked for meanwhile
    const start = picture.starts[Math.min(picture.starts.length - 1, Math.max(0, wanted()))];
    this.select(start, { spoken: true, entry: "replace" });
    this.view.reveal(start);
  }

  zoom(factor) {
    this.view.zoom(factor, this.selection.current);
  }

  // ---- frames and addresses

  // show another frame; the bar that holds the selected one is selected then
  switchTo(one, { entry = "push", at = this.selection.start } = {}) {
    if (one === frame() && at === this.selection.start) return;
    choose(one);
    $("frame-name").textContent = one.name;
    this.selection.put(at, entry);
    this.source.switchTo(one.size);
    this.lines.clear();
    this.picture.forget();
    this.screen.expect();
    this.switched();
  }

  // show what the address says, as Back and Forward bring it; the lines stay
  followAddress() {
    const at = startInAddress();
    if (frameInAddress() !== frame()) this.switchTo(frameInAddress(), { entry: "keep", at });
    else if (at === null) this.selectNewest({ entry: "keep" });
    else if (this.source.section.holds(at)) this.select(at, { entry: "keep" });
    else return load(async () => (await this.goTo(at, { entry: "keep" })) && this.remember());
    this.remember();
  }

  remember() {
    this.selection.remember(this.lines.query);
  }
}
