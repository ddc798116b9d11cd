// Which part of a picture is in sight: scrolling, zooming, and what the pointer does.

const BAR_WIDTH = 9; // pixels, when the chart opens
const LEAST = 30; // bars across
const EDGE = 500; // bars from an end of what is drawn: more is wanted when they come into sight
const STILL_MS = 400; // without a move: the chart stands still
const AHEAD = 3; // empty places at the right

export class View {
  // `near(older, newer)`: whether the bars before or after those that are drawn will be wanted soon; `still()`: nothing has
  // moved for a while; `hovered(start)`: of the bar under the pointer, null without one; `clicked(start)`
  constructor(picture, { near, still, hovered, clicked }) {
    this.picture = picture;
    this.near = near;
    this.still = still;
    this.scale = picture.chart.timeScale();
    this.pressed = false; // whether a mouse or a finger drags the chart
    this.pointing = false; // whether one is over it
    this.drawing = false; // what is in sight is about to be put back into its place
    this.timer = 0;
    this.target = null; // the range that applies with the next frame
    this.listen();
    this.scale.subscribeVisibleLogicalRangeChange(() => this.look());
    // without a pointer the crosshair stands at the selected bar, and may be elsewhere while the chart scrolls
    picture.chart.subscribeCrosshairMove(({ time }) => hovered(time === undefined || !this.pointing ? null : time * 1000));
    picture.chart.subscribeClick(({ time }) => time !== undefined && clicked(time * 1000));
  }

  listen() {
    const { place } = this.picture;
    for (const [kind, within] of [["pointerenter", true], ["pointermove", true], ["pointerleave", false]]) {
      place.addEventListener(kind, () => {
        this.pointing = within;
      });
    }
    place.addEventListener("pointerdown", () => {
      this.pressed = true;
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      window.addEventListener(kind, () => {
        this.pressed = false;
        this.look();
      });
    }
  }

  // of logical indexes; null before anything is drawn
  get range() {
    return this.target ?? this.scale.getVisibleLogicalRange();
  }

  show(range) {
    this.target = range;
    this.scale.setVisibleLogicalRange(range);
    requestAnimationFrame(() => {
      if (this.target === range) this.target = null;
    });
  }

  // starts of the bars in sight
  get seen() {
    const { range, picture } = this;
    if (!range) return [];
    const [from, to] = [Math.floor(range.from), Math.ceil(range.to)];
    return picture.starts.filter((start) => picture.indexes.get(start) >= from && picture.indexes.get(start) <= to);
  }

  look() {
    if (this.drawing) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.pressed || this.still(), STILL_MS);
    const { range } = this;
    // bars that are added at the right would move the chart under the hand that drags it
    if (range) this.near(range.from < EDGE, !this.pressed && range.to > this.picture.indexes.size - EDGE);
  }

  // scroll to the newest bars, or to those around one; few bars are not stretched over the whole width
  scrollTo(start = null) {
    const { indexes, place } = this.picture;
    const most = Math.max(LEAST, Math.floor(place.clientWidth / BAR_WIDTH));
    const end = indexes.size + AHEAD;
    const width = Math.max(most / 3, Math.min(most, end));
    const last = start === null ? end : Math.min(end, indexes.get(start) + width / 2);
    this.show({ from: last - width, to: last });
  }

  // bring a bar into sight, if it is not
  reveal(start) {
    const range = this.scale.getVisibleRange();
    if (!range || (start / 1000 >= range.from && start / 1000 <= range.to)) return;
    this.scale.scrollToPosition(this.picture.indexes.get(start) - this.picture.indexes.size + 20, false);
  }

  // `start`: of the bar that stays where it is, if it is in sight
  zoom(factor, start) {
    const { range } = this;
    if (!range) return;
    const at = this.picture.indexes.get(start) ?? range.to;
    const fixed = at >= range.from && at <= range.to ? at : (range.from + range.to) / 2;
    this.show({ from: fixed - (fixed - range.from) * factor, to: fixed + (range.to - fixed) * factor });
  }

  // draw anew after bars were loaded or given back: what is in sight stays where it is. `stays(start)`: a bar is still there
  keep(stays, draw) {
    const { range, picture, target } = this;
    const before = picture.indexes;
    const middle = range ? (range.from + range.to) / 2 : 0;
    const distance = (start) => Math.abs(before.get(start) - middle);
    const nearer = (best, one) => (best === undefined || distance(one) < distance(best) ? one : best);
    const anchor = picture.starts.filter(stays).reduce(nearer, undefined);
    this.drawing = true;
    draw();
    const now = this.scale.getVisibleLogicalRange();
    this.drawing = false;
    const shift = anchor === undefined ? 0 : picture.indexes.get(anchor) - before.get(anchor);
    const moved = range && now && anchor !== undefined && (target || Math.abs(now.from - range.from - shift) > 0.01);
    if (!moved) return this.look();
    this.show({ from: range.from + shift, to: range.to + shift });
  }
}
