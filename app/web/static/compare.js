// The closes of the same symbol at other brokers, as lines over the candles.

import { $, color, element, get } from "./base.js";

const AGAIN_MS = 2_000;
const MOST = 3; // lines at a time: as many as there are colors
const ROWS = 5_000; // in one answer
const MOST_KEPT = 20_000; // closes of one broker
const OPTIONS = { lineWidth: 2, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false, pointMarkersVisible: false };

export class Compare {
  // `frameName()`: as the API wants it. `changed`: the choice has changed. `came`: there are bars to draw
  constructor(chart, library, { broker, symbol, frameName, changed, came }) {
    Object.assign(this, { broker, symbol, frameName, came });
    this.lines = Array.from({ length: MOST }, () => chart.addSeries(library.LineSeries, OPTIONS));
    this.chosen = new URLSearchParams(location.search).getAll("compare").slice(0, MOST);
    this.closes = new Map(); // by broker: a map of closes by start
    this.span = null; // first and last start of the chart
    this.turn = 0;
    this.changed = changed;
    setInterval(() => !document.hidden && this.refresh(), AGAIN_MS);
  }

  // the row of the other brokers that have this symbol
  async offer() {
    const found = await get("symbols", { symbol: this.symbol, limit: 500 });
    const others = [...new Set([...this.chosen, ...found.symbols.map((one) => one.broker)])].filter((one) => one !== this.broker);
    $("compare").hidden = !others.length;
    const buttons = others.map((one) => element("button", { type: "button", "aria-pressed": String(this.chosen.includes(one)), "data-broker": one }, one));
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
    this.closes.clear();
    this.span = null;
  }

  // load what the chart shows from `first` to `last`; `live`: the last one is the newest
  async show(first, last, live) {
    const [low, high] = this.span ?? [Infinity, -Infinity];
    [this.span, this.live] = [[first, last], live];
    for (const closes of this.closes.values()) if (closes.size > MOST_KEPT) for (const start of closes.keys()) if (start < first || start > last) closes.delete(start);
    if (!this.chosen.length || first === undefined) return;
    if (this.closes.size && first >= low && last <= high) return;
    // what is there already is not asked for again
    const ranges = this.closes.size && first <= high && last >= low ? [[first, low], [high, last + 1]] : [[first, last + 1]];
    for (const [from, to] of ranges) if (from < to) await this.fetch(from, to);
  }

  // the newest of them again; they have no stream of their own, as browsers allow six connections to a worker
  async refresh() {
    if (this.span && this.live && this.chosen.length) await this.fetch(this.span[1], null).catch(() => {}); // the next one may come
  }

  async fetch(from, to) {
    const turn = this.turn;
    for (const broker of this.chosen) {
      let cursor = null;
      do {
        const path = `bars/${encodeURIComponent(broker)}/${encodeURIComponent(this.symbol)}`;
        const page = await get(path, { from, to, cursor, limit: ROWS, frame: this.frameName(), format: "columns" });
        if (turn !== this.turn) return;
        if (!this.closes.has(broker)) this.closes.set(broker, new Map());
        const at = page.bars.columns.indexOf("close");
        for (const row of page.bars.rows) this.closes.get(broker).set(row[0], row[at]);
        for (const bar of page.open) this.closes.get(broker).set(bar.bucket_start, bar.close);
        cursor = page.next_cursor;
      } while (cursor);
    }
    this.came();
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
      return [broker, close === undefined ? "-" : `${close.toFixed(decimals)} (${away < 0 ? "" : "+"}${away.toFixed(decimals)})`, `other-${at + 1}`];
    });
  }
}
