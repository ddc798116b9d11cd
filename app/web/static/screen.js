// What a chart shows of its source and its selection: the picture, the lines over it, and the words around it.

import { $, formatTime, inZone, load } from "./base.js";
import { frame } from "./frames.js";
import { showLate } from "./late.js";
import { say, showLegend, showShared, showTable, spokenText } from "./readout.js";
import { showHistory } from "./history.js";
import { showWhy } from "./why.js";

export class Screen {
  constructor({ source, picture, view, lines, selection }) {
    Object.assign(this, { source, picture, view, lines, selection });
    this.placed = false; // whether the bars of this frame have been scrolled to
    this.due = 0; // a drawing that is scheduled
  }

  applyTheme() {
    this.picture.applyTheme();
    this.lines.applyTheme();
  }

  // other bars are loaded next: they are scrolled to when they come
  expect() {
    this.placed = false;
  }

  draw() {
    cancelAnimationFrame(this.due);
    this.due = 0;
    const { picture, selection, source } = this;
    if (!source.loaded) return; // bars are on their way, and are drawn when they come
    picture.draw(source.section);
    this.lines.draw();
    this.showTable();
    this.showFollow();
    const shared = picture.starts.map((start) => source.section.bars.get(start)).find((bar) => bar.also.length);
    if (shared) showShared(shared);
    if (this.placed || !picture.starts.length) return;
    this.placed = true;
    const place = () => {
      if (this.placed) this.scrollTo(picture.indexes.has(selection.start) ? selection.start : null); // else other bars are expected
    };
    requestAnimationFrame(() => requestAnimationFrame(place)); // the chart has its width then
  }

  schedule() {
    this.due ||= requestAnimationFrame(() => this.draw());
  }

  // draw after bars were loaded or given back
  drawInPlace() {
    this.view.keep((start) => this.source.section.bars.has(start), () => this.draw());
  }

  // draw what an event has changed. `changed`: starts; `revised`: bars of the event
  drawChanged(changed, { final, revised }) {
    const { picture, selection, source } = this;
    const { section } = source;
    const told = revised.find((bar) => bar.bucket_start === selection.current);
    if (told && changed.includes(told.bucket_start)) {
      say(`${formatTime(told.bucket_start)} was revised: ${spokenText(section.bars.get(told.bucket_start), picture.decimals)}`);
    }
    const closed = new Set([...final, ...revised].map((bar) => bar.bucket_start));
    const [before, last] = [selection.current, picture.last];
    if (picture.update(section, changed)) {
      if (picture.last === last) this.lines.follow();
      else this.lines.draw(); // a bar that has begun
      this.showTable();
      this.showLegend();
    } else {
      this.schedule();
    }
    if (closed.has(before) || (selection.start === null && closed.size)) load(() => this.explain());
  }

  showLegend() {
    const bar = this.source.section.bars.get(this.selection.shown) ?? null;
    showLegend(bar, this.picture.decimals, bar ? this.lines.parts(bar, this.picture.decimals) : []);
  }

  showTable() {
    showTable(this.picture, this.source, this.selection.start);
  }

  showFollow() {
    $("follow").hidden = this.selection.start === null && this.source.section.atEnd;
  }

  // scroll to a bar, or to the newest ones
  scrollTo(start) {
    this.view.scrollTo(start);
    requestAnimationFrame(() => {
      this.point(); // the range applies with this frame
      performance.clearMarks("scrolled"); // a page may stay open for weeks
      performance.mark("scrolled"); // for measurements
    });
  }

  // put the crosshair at the selected bar
  point() {
    const bar = this.source.section.bars.get(this.selection.start);
    if (bar) this.picture.point(bar);
  }

  // show a bar that has been selected
  showSelected({ spoken = false } = {}) {
    const { source, picture, selection } = this;
    this.showFollow();
    this.showLegend();
    this.point();
    if (!source.section.atEnd) this.showTable();
    const bar = source.section.bars.get(selection.start);
    if (spoken && bar) say(spokenText(bar, picture.decimals));
    load(() => this.explain());
  }

  // say why the current bar is or is not final; what the worker says, null without a bar
  async explain() {
    const { source, picture, selection } = this;
    const [start, of] = [selection.current, frame()];
    if (start === undefined) return null;
    const answer = await source.why(start);
    picture.redraw();
    if (start !== selection.current || of !== frame()) return answer; // another bar has been selected since
    showWhy(answer);
    showHistory(answer.versions, picture.decimals);
    await showLate(source.name.broker, source.name.symbol, answer);
    return answer;
  }

  async sayWhy() {
    const answer = await this.explain();
    if (answer) say(inZone(answer.sentence));
  }
}
