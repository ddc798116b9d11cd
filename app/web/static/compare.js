// The closes of the same symbol at other brokers, as lines over the candles.

import { MOST_ROWS, barsPath, get } from "./api.js";
import { $, color, element, tell } from "./base.js";
import { frameName } from "./frames.js";
import { nameElement } from "./names.js";
import { LINE } from "./overlays.js";

const AGAIN_MS = 2_000;
const WIDE = 15; // each so many times, bars are asked for that may have been revised
const BACK = 20; // so many of them
const MOST = 3; // lines at a time: as many as there are colors
const MOST_KEPT = 20_000; // closes of one broker

export class Compare {
  // `changed`: the choice has changed. `came`: there are bars to draw
  constructor(chart, library, { broker, symbol, changed, came }) {
    Object.assign(this, { broker, symbol, came });
    this.lines = Array.from({ length: MOST }, () => chart.addSeries(library.LineSeries, LINE));
    const asked = new Set(new URLSearchParams(location.search).getAll("compare"));
    this.chosen = [...asked].filter((one) => one && one !== broker).slice(0, MOST);
    this.turn = 0;
    this.rounds = 0;
    this.clear();
    this.changed = changed;
    setInterval(() => !document.hidden && this.refresh(), AGAIN_MS);
  }

  // the row of the other brokers that have this symbol
  async offer() {
    const found = await get("symbols", { symbol: this.symbol, limit: 500 });
    const others = [...new Set([...this.chosen, ...found.symbols.map((one) => one.broker)])].filter((one) => one !== this.broker);
    $("compare").hidden = !others.length;
    const buttons = others.map((one) => element("button", { type: "button", "aria-pressed": String(this.chosen.includes(one)), "data-broker": one }, nameElement(one)));
    buttons.forEach((button) => button.addEventListener("click", () => this.toggle(button.dataset.broker)));
    $("brokers").replaceChildren(...buttons);
    this.mark();
  }

  toggle(broker) {
    const without = this.chosen.filter((one) => one !== broker);
    this.chosen = without.length < this.chosen.length ? without : [...this.chosen, broker].slice(-MOST);
    this.mark();
    this.clear();
    this.changed();
  }

  mark() {
    for (const button of $("brokers").children) {
      const at = this.chosen.indexOf(button.dataset.broker);
      button.setAttribute("aria-pressed", String(at >= 0));
      button.className = at >= 0 ? `other-${at + 1}` : "";
    }
  }

  applyTheme() {
    this.lines.forEach((line, at) => line.applyOptions({ color: color(`other-${at + 1}`) }));
  }

  // forget what was loaded: of another frame or other brokers
  clear() {
    this.turn += 1;
    this.closes = new Map(); // by broker: a map of closes by start
    this.unsettled = new Map(); // by broker: starts of the bars that were open when they came
    this.span = null; // first and last start of what has been loaded
    this.starts = []; // of the chart
    this.note("");
    [this.busy, this.again] = [false, false];
  }

  // load what the chart shows; `live`: its last bar is the newest
  async show(starts, live) {
    [this.starts, this.live] = [starts, live];
    if (!this.chosen.length || !starts.length) return;
    const [first, last] = [starts[0], starts.at(-1)];
    const [low, high] = this.span ?? [Infinity, -Infinity];
    const apart = first > high || last < low;
    // what is there already is not asked for again
    const ranges = apart ? [[first, last + 1]] : [[first, low], [high, last + 1]];
    await this.alone(async (turn) => {
      if (first < low || last > high) for (const [from, to] of ranges) if (from < to) for (const broker of this.chosen) await this.fetch(broker, from, to, turn);
      if (turn !== this.turn) return;
      this.span = [first, last];
      for (const unsettled of this.unsettled.values()) for (const start of unsettled) if (start < first) unsettled.delete(start);
      for (const closes of this.closes.values()) if (closes.size > MOST_KEPT) for (const start of closes.keys()) if (start < first || start > last) closes.delete(start);
    });
  }

  // The newest of them again; they have no stream of their own, as browsers allow six connections to a worker. Another broker's
  // bars may close later than ours.
  async refresh() {
    if (!this.span || !this.live || !this.chosen.length || !this.starts.length) return;
    this.rounds += 1;
    const { starts } = this;
    const last = starts.at(this.rounds % WIDE ? -1 : -BACK) ?? starts[0];
    const round = this.alone(async (turn) => {
      for (const broker of this.chosen) await this.fetch(broker, Math.min(last, this.settled(broker)), null, turn);
    });
    await round.then(
      () => this.note(""),
      (error) => this.note(`Not up to date: ${error.message}.`), // the next round may come
    );
  }

  // beside the brokers: what is wrong with their lines
  note(text) {
    tell($("compare-note"), text);
  }

  // start of the oldest bar that is not final here, or of the newest one
  settled(broker) {
    const unsettled = this.unsettled.get(broker);
    return unsettled?.size ? Math.min(...unsettled) : Math.max(this.starts[0], ...(this.closes.get(broker)?.keys() ?? []));
  }

  // one load at a time; what it brings is drawn, and then more may be asked for
  async alone(work) {
    if (this.busy) {
      this.again = true;
      return;
    }
    const turn = this.turn;
    this.busy = true;
    try {
      await work(turn);
    } finally {
      if (turn === this.turn) {
        const { again } = this;
        [this.busy, this.again] = [false, false];
        if (again) this.came();
      }
    }
  }

  async fetch(broker, from, to, turn) {
    let cursor = null;
    while (turn === this.turn) {
      const query = { from, to, cursor, limit: MOST_ROWS, frame: frameName(), format: "columns" };
      const page = await get(barsPath(broker, this.symbol), query);
      if (turn !== this.turn) return;
      if (!this.closes.has(broker)) {
        this.closes.set(broker, new Map());
        this.unsettled.set(broker, new Set());
      }
      const [closes, unsettled] = [this.closes.get(broker), this.unsettled.get(broker)];
      const at = page.bars.columns.indexOf("close");
      for (const row of page.bars.rows) {
        closes.set(row[0], row[at]);
        unsettled.delete(row[0]);
      }
      for (const bar of page.open) {
        closes.set(bar.bucket_start, bar.close);
        unsettled.add(bar.bucket_start);
      }
      cursor = page.next_cursor;
      if (!cursor) return this.came();
    }
  }

  // `starts`: the times that the chart has. A line at any other time would move its bars apart.
  draw(starts) {
    this.lines.forEach((line, index) => {
      const closes = this.closes.get(this.chosen[index]);
      line.setData(closes ? starts.filter((start) => closes.has(start)).map((start) => ({ time: start / 1000, value: closes.get(start) })) : []);
    });
  }

  // for the legend: each broker's close and how far it is from ours
  parts(bar, decimals) {
    return this.chosen.map((broker, at) => {
      const close = this.closes.get(broker)?.get(bar.start);
      const away = close - bar.close;
      return [nameElement(broker), close === undefined ? "-" : `${close.toFixed(decimals)} (${away < 0 ? "" : "+"}${away.toFixed(decimals)})`, `other-${at + 1}`];
    });
  }
}
