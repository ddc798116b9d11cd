// The lines over the candles: averages of this symbol, closes of other brokers.

import { load } from "./base.js";
import { Compare } from "./compare.js";
import { Overlays } from "./overlays.js";

const AGAIN_MS = 1_000; // between two drawings, while only the newest bar changes

export class Lines {
  // `chosen()`: other lines have been chosen; `drawn()`: the values at the bars have changed
  constructor(picture, source, library, { chosen, drawn }) {
    Object.assign(this, { picture, source, drawn });
    this.timer = 0;
    const changed = () => {
      chosen();
      this.draw();
    };
    this.overlays = new Overlays(picture.chart, library, changed);
    this.compare = new Compare(picture.chart, library, { ...source.name, changed, came: () => this.schedule() });
  }

  applyTheme() {
    this.overlays.applyTheme();
    this.compare.applyTheme();
  }

  // forget what was loaded for another frame
  clear() {
    this.compare.clear();
  }

  draw() {
    clearTimeout(this.timer);
    this.timer = 0;
    const { loaded, section } = this.source;
    if (!loaded) return; // other bars are on their way
    const { starts, indexes } = this.picture;
    this.overlays.draw(starts.flatMap((start) => section.bars.get(start) ?? [])); // some may just have been given back
    this.compare.draw([...indexes.keys()]);
    load(() => this.compare.show(starts, section.atEnd));
    this.drawn();
  }

  schedule() {
    this.timer ||= setTimeout(() => this.draw(), AGAIN_MS);
  }

  // the newest bar has changed
  follow() {
    if (this.overlays.shown) this.schedule();
  }

  // for the legend
  parts(bar, decimals) {
    return [...this.overlays.parts(bar.start, decimals), ...this.compare.parts(bar, decimals)];
  }

  // what the address says of them
  get query() {
    return { ...this.overlays.query, compare: this.compare.chosen };
  }
}
