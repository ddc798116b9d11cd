// Bars of a frame that is not kept, while shorter ones come: they are folded anew, all from the first one that changed, once in a while.

import { load } from "./base.js";

const FOLDED = 2_000; // bars at a time
const AGAIN_MS = 1_000;

export class Folded {
  // `drawn()`: whether the bars of the section are on the screen. `came(from)`: those that start then or later are new.
  constructor(section, drawn, came) {
    Object.assign(this, { section, drawn, came });
    this.clear();
  }

  // forget what is out of date: another frame is shown
  clear() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.since = null; // bars that hold this time or a later one are out of date
  }

  // shorter bars of an event; they count even while bars are being loaded, as the answer may be older
  note(shorter) {
    this.since = Math.min(this.since ?? Infinity, ...shorter.map((bar) => bar.bucket_start));
    this.schedule();
  }

  schedule() {
    if (this.due) this.timer ||= setTimeout(() => load(() => this.fold()), AGAIN_MS);
  }

  get due() {
    return this.since !== null && this.section.atEnd && this.drawn();
  }

  async fold() {
    this.timer = 0;
    if (!this.due) return;
    const { section, since } = this;
    // the API leaves out a bar that starts before `from`: without an earlier bar all are asked for
    const from = section.starts.findLast((start) => start <= since) ?? (section.atStart ? 0 : (section.starts[0] ?? 0));
    this.since = null;
    let page = null;
    try {
      page = await section.ask({ from, limit: FOLDED });
    } finally {
      if (!page || !section.atEnd) this.since = Math.min(since, this.since ?? since);
    }
    if (!page || !section.atEnd) return;
    section.dropOpen(from);
    section.addPage(page);
    await this.came(from);
  }
}
