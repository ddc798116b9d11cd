// The bars that a chart has loaded: one stretch of a symbol's history without a hole. It grows at both ends, a page at a
// time, and gives back what is far away. Bars that events bring count only while the stretch reaches the newest bar.

import { MOST_ROWS } from "./api.js";

const PAGE = 2_000;
const FAR = 4_000; // bars at a side of those that are seen: with more, some are given back when the chart stands still
const SPARE = 2_500; // so many stay there: more than a page, which would be loaded again
const MANY = 16_000; // bars; with more, some are given back while the chart still moves
const DAY = 86_400_000;
const MONTH = 31 * DAY;

export class Section {
  // `fetchBars(query)` asks the API for bars as columns
  constructor(fetchBars) {
    this.fetchBars = fetchBars;
    this.clear();
  }

  // `size`: of the windows (ms), 0 where the calendar decides
  clear(size = this.size) {
    this.size = size;
    this.bars = new Map(); // by start; `also`: bars of the same window in other partitions, the lowest one is drawn
    this.sorted = null;
    this.atStart = false; // whether there are no older bars
    this.atEnd = true; // whether it reaches the newest bar
    this.newest = null; // start of the newest bar that is known, here or not
    this.cursor = null; // of the next older page
    this.reach = PAGE * (size || MONTH); // how much time a page of newer bars asks for
    this.turn = (this.turn ?? 0) + 1; // an answer to what was asked before belongs to another section
    this.busy = null;
    this.asked = new Set(); // a list for each question under way: what events bring until it is answered
    this.unbroken = undefined; // start of the last bar before events may have been missed; null if there was no bar
  }

  get starts() {
    this.sorted ??= [...this.bars.keys()].sort((a, b) => a - b);
    return this.sorted;
  }

  drop(starts) {
    for (const start of starts) this.bars.delete(start);
    this.sorted = null;
  }

  // whether a start lies in the stretch, or beyond its end if that is the newest bar
  holds(start) {
    const [first, last] = [this.starts[0], this.starts.at(-1)];
    return first === undefined ? this.atEnd : (start >= first || this.atStart) && (this.atEnd || start <= last);
  }

  // add a bar, or another version of one; returns it if it changed anything
  put(bar, state) {
    const start = bar.bucket_start;
    this.newest = Math.max(this.newest ?? start, start);
    if (!this.bars.has(start)) this.sorted = null;
    const known = this.bars.has(start) ? together(this.bars.get(start)) : [];
    const same = known.find((one) => one.partition === bar.partition && one.state === "final");
    if (same && (state === "open" || same.revision > (bar.revision ?? 0))) return null; // it arrived first
    if (state === "open" && known.some((one) => one.partition === bar.partition && one.ticks > bar.ticks)) return null;
    const others = known.filter((one) => one.partition !== bar.partition);
    const { open, high, low, close, ticks, volume, vwap, partition, bucket_end: end } = bar;
    const added = { start, end, open, high, low, close, ticks, volume, vwap, revision: bar.revision ?? 0, partial: bar.partial ?? false, partition, state };
    const [drawn, ...also] = [...others, added].sort((a, b) => a.partition - b.partition);
    this.bars.set(start, { ...drawn, also });
    return this.bars.get(start);
  }

  // a bar that an event brings; returns it if it is among those that are shown
  take(bar, state) {
    this.newest = Math.max(this.newest ?? 0, bar.bucket_start);
    for (const came of this.asked) came.push([bar, state]);
    return this.holds(bar.bucket_start) ? this.put(bar, state) : null;
  }

  addPage({ bars: { columns, rows }, open, came = [] }) {
    for (const row of rows) this.put(Object.fromEntries(columns.map((name, index) => [name, row[index]])), "final");
    for (const window of open) this.put(window, "open");
    for (const [bar, state] of came) if (this.holds(bar.bucket_start)) this.put(bar, state);
  }

  // Ask for bars; null if the section has become another one before they came. `came`: what events brought in between, which
  // may be newer than the answer.
  async ask(query) {
    const turn = this.turn;
    const came = [];
    this.asked.add(came);
    try {
      const page = await this.fetchBars(query);
      return turn === this.turn ? { ...page, came } : null;
    } catch (error) {
      if (turn === this.turn) throw error;
      return null;
    } finally {
      this.asked.delete(came);
    }
  }

  // The newest bars, after events may have been missed; what is loaded stays if they follow it without a hole. A bar that an
  // event brings before the answer may lie beyond the hole.
  async loadNewest() {
    if (this.unbroken === undefined) this.unbroken = this.starts.at(-1) ?? null; // else an earlier attempt has failed
    const page = await this.ask({ limit: PAGE });
    if (!page) return null;
    const first = page.bars.rows[0]?.[0] ?? page.open[0]?.bucket_start ?? 0;
    if (this.unbroken === null || !this.atEnd || (page.next_cursor && first > this.unbroken)) {
      this.drop(this.starts);
      [this.cursor, this.atStart, this.atEnd] = [page.next_cursor, !page.next_cursor, true];
    }
    this.unbroken = undefined;
    this.dropOpen();
    this.addPage(page);
    return page;
  }

  // forget the open windows, as an answer with those that still are is there
  dropOpen(from = 0) {
    for (const [start, bar] of [...this.bars]) {
      if (start < from) continue;
      const [drawn, ...also] = together(bar).filter((one) => one.state !== "open");
      if (drawn) this.bars.set(start, { ...drawn, also });
      else this.drop([start]);
    }
  }

  // the bars around a time, in place of what is loaded, which stays until all of them are there
  async loadAround(time) {
    this.turn += 1;
    this.busy = null;
    const page = await this.ask({ to: time + 1, limit: PAGE / 2 });
    const newer = page && (await this.askNewer(time));
    if (!newer) return null;
    this.drop(this.starts);
    [this.cursor, this.atStart, this.atEnd] = [page.next_cursor, !page.next_cursor, newer.last];
    this.addPage(page);
    this.addPage({ ...newer, came: [...page.came, ...newer.came] });
    return page;
  }

  // one page of older bars; whether any came
  async loadOlder() {
    const first = this.starts[0];
    if (this.atStart || first === undefined) return false;
    const page = await this.ask(this.cursor ? { cursor: this.cursor, limit: PAGE } : { to: first, limit: PAGE });
    if (!page || this.starts[0] !== first) return false;
    [this.cursor, this.atStart] = [page.next_cursor, !page.next_cursor];
    this.addPage(page);
    return page.bars.rows.length > 0;
  }

  // one page of newer bars; whether any came
  async loadNewer() {
    const end = this.starts.at(-1) ?? 0;
    if (this.atEnd) return false;
    const page = await this.askNewer(end);
    if (!page || this.atEnd || (this.starts.at(-1) ?? 0) !== end) return false;
    this.atEnd = page.last;
    this.addPage(page);
    return page.bars.rows.length > 0;
  }

  // Ask for a page of the bars that follow a time. `last`: whether it reaches the newest. The API gives the newest bars of a range,
  // so the range is made longer or shorter until they are a page.
  async askNewer(after) {
    for (let from = after + 1; ; ) {
      const to = from + this.reach;
      const last = this.newest === null || to > this.newest;
      const page = await this.ask({ from, to: last ? null : to, limit: MOST_ROWS });
      if (!page) return null;
      const { rows } = page.bars;
      if (page.next_cursor) {
        this.newest = Math.max(this.newest ?? 0, rows.at(-1)?.[0] ?? 0); // events may have been missed
        this.reach = Math.max(this.size || DAY, Math.ceil(this.reach / 4));
      } else if (last || rows.length) {
        if (!last && rows.length < PAGE / 4) this.reach *= 2;
        return { ...page, last };
      } else {
        this.reach *= 2;
        from = to;
      }
    }
  }

  // one load at a time; returns whether bars came
  async grow(side) {
    if (this.busy) return false;
    const turn = this.turn;
    this.busy = side === "older" ? this.loadOlder() : this.loadNewer();
    try {
      return await this.busy;
    } finally {
      if (turn === this.turn) this.busy = null;
    }
  }

  get crowded() {
    return this.starts.length > MANY;
  }

  // give back the bars that are far from those that are seen; whether there were any
  trim(first, last) {
    const starts = this.starts;
    const [from, to] = [starts.indexOf(first), starts.indexOf(last) + 1];
    const low = from > FAR ? from - SPARE : 0;
    const high = starts.length - to > FAR ? to + SPARE : starts.length;
    if (this.busy || (low === 0 && high === starts.length)) return false;
    this.drop([...starts.slice(0, low), ...starts.slice(high)]);
    if (low > 0) [this.cursor, this.atStart] = [null, false];
    if (high < starts.length) this.atEnd = false;
    return true;
  }
}

export const together = (bar) => [bar, ...bar.also];
