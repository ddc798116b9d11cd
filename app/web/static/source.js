// The bars of one symbol that a chart has loaded, and what the worker has said of the symbol.

import { barsPath, get, whyPath } from "./api.js";
import { Folded } from "./folded.js";
import { frame, frameName } from "./frames.js";
import { Section } from "./section.js";

export class Source {
  // `refolded(from)`: bars of a frame that is not kept, from this start on, are new
  constructor(name, refolded) {
    this.name = name; // broker and symbol
    const path = barsPath(name.broker, name.symbol);
    this.section = new Section((query) => get(path, { ...query, frame: frameName(), format: "columns" }));
    this.section.clear(frame().size);
    this.folded = new Folded(this.section, () => this.loaded && !frame().kept, refolded);
    this.loaded = false; // whether the bars of this frame have been fetched
    this.oldest = null; // start of the symbol's oldest bar here
    this.noneKept = false; // whether this worker may have deleted all bars of the symbol
    this.watermark = null;
    this.partition = null; // of the symbol: each partition has a watermark of its own
  }

  // what the event stream is asked for
  get followed() {
    return { ...this.name, frame: frame().kept ? frameName() : null };
  }

  // forget the bars: others are loaded next
  clear() {
    this.section.clear();
    this.loaded = false;
  }

  // load bars of another frame next
  switchTo(size) {
    this.section.clear(size);
    this.loaded = false;
    this.folded.clear();
  }

  advance(times) {
    this.watermark = Math.max(this.watermark ?? 0, ...times) || null;
  }

  // The newest bars, or those around the selected one, if it is older. `selected()`: its start, null for none; it is asked for when
  // the newest bars are there, as a bar may be selected meanwhile. What the worker says of them; null if other bars have been asked
  // for meanwhile.
  async loadNewest(selected) {
    const { section } = this;
    const page = await section.loadNewest();
    if (!page) return null;
    [this.noneKept, this.oldest] = [page.none_kept, page.oldest];
    this.partition = page.open[0]?.partition ?? this.partition;
    this.advance(page.open.map((window) => window.watermark ?? 0));
    const start = selected();
    const before = start !== null && !section.bars.has(start) && start < section.starts[0];
    if (before && !(await section.loadAround(this.within(start)))) return null;
    this.fetched();
    return page;
  }

  // a time before the oldest bar is that bar: what is empty need not be asked for
  within(time) {
    return Math.max(time, this.oldest ?? time);
  }

  // The bars around a time, in place of those that are loaded. Whether they are still wanted when they come.
  async loadAround(time) {
    if (!(await this.section.loadAround(this.within(time)))) return false;
    this.fetched();
    return true;
  }

  // older or newer bars; whether any came
  async grow(side) {
    const came = await this.section.grow(side);
    this.folded.schedule();
    return came;
  }

  fetched() {
    this.loaded = true;
    this.folded.schedule(); // events may have come meanwhile
  }

  // What an event brings. Starts of the loaded bars that it changes; null if they are folded, which takes another while.
  take({ final: first, revised, open }) {
    const final = [...first, ...revised];
    this.advance([...open.map((bar) => bar.watermark ?? 0), ...final.map((bar) => bar.watermark)]);
    if (!frame().kept) {
      this.folded.note([...final, ...open]);
      return null;
    }
    this.partition = open[0]?.partition ?? this.partition;
    for (const bar of final) this.section.take(bar, "final");
    for (const bar of open) this.section.take(bar, "open");
    return [...new Set([...final, ...open].map((bar) => bar.bucket_start))].filter((start) => this.section.bars.has(start));
  }

  takeWatermarks(partitions) {
    const times = partitions.find((one) => one.partition === this.partition)?.stream_times ?? {};
    this.watermark = (times[this.name.broker] ?? times["*"])?.watermark ?? this.watermark;
  }

  // why a bar is final, or is not
  async why(start) {
    const answer = await get(whyPath(this.name.broker, this.name.symbol, start), { frame: frameName() });
    this.partition = answer.partition ?? this.partition;
    this.advance([answer.watermark ?? 0]); // the stream tells it when it moves, and the partitions of this worker alone
    return answer;
  }
}
