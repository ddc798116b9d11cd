// A small chart of the last hour. It is walked with the arrow keys or the mouse, and says the value at that time.

import { element, formatClock, formatDuration, onZoneChange } from "./base.js";

const STEPS = 360;
const FEWEST = 30; // steps that are shown of a worker that has just started
const HEIGHT = 100;
const svg = (name, attributes) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};

export class Sparkline {
  // `format` makes text of a value; `names` has one name, or two, of the lines; `logarithmic`: equal heights are equal ratios
  constructor(figure, label, names, format, logarithmic = false) {
    Object.assign(this, { names, format, at: null, width: STEPS, scale: logarithmic ? (value) => Math.log1p(value) : (value) => value });
    this.drawing = svg("svg", { preserveAspectRatio: "none", "aria-hidden": "true" });
    this.most = element("span", { class: "most" });
    this.picked = element("span", { class: "picked" });
    this.start = element("span", {});
    const keys = names.length > 1 ? names.map((name, at) => element("span", { class: `key-${at + 1}` }, name)) : [];
    this.plot = element("div", { class: "plot", tabindex: "0", role: "slider", "aria-label": `${label}, last hour`, "aria-valuemin": "0" }, this.drawing, this.most, this.picked);
    figure.append(this.plot, element("div", { class: "ends" }, this.start, ...keys, element("span", {}, "now")));
    this.plot.addEventListener("keydown", (event) => this.press(event));
    this.plot.addEventListener("pointermove", (event) => this.pick(Math.round(((event.clientX - this.plot.getBoundingClientRect().left) / this.plot.clientWidth) * (this.width - 1))));
    this.plot.addEventListener("pointerleave", () => this.pick(null));
    this.plot.addEventListener("blur", () => this.pick(null));
    onZoneChange(() => this.say());
  }

  // points: [start, first value, second value], null where there is none
  show(points, now, every) {
    const newest = Math.floor(now / every) * every - every;
    const known = points.length ? Math.round((newest - points[0][0]) / every) + 1 : 0;
    const width = Math.min(STEPS, Math.max(FEWEST, known));
    if (this.at !== null && this.slots) this.at = Math.max(0, this.at + width - this.width - Math.round((newest - this.newest) / every)); // the same time
    Object.assign(this, { newest, every, width, slots: new Array(width).fill(null) });
    for (const point of points) {
      const at = width - 1 - Math.round((newest - point[0]) / every);
      if (at >= 0 && at < width) this.slots[at] = point;
    }
    this.drawing.setAttribute("viewBox", `0 0 ${width - 1} ${HEIGHT}`);
    this.start.textContent = `${formatDuration(width * every)} ago`;
    this.draw();
    this.say();
  }

  draw() {
    const values = this.slots.flatMap((point) => (point ? point.slice(1) : [])).filter((value) => value !== null);
    const top = Math.max(...values, 0) || 1;
    this.most.textContent = values.length ? this.format(Math.max(...values)) : "";
    const y = (value) => HEIGHT - (this.scale(value) / this.scale(top)) * HEIGHT * 0.8;
    const lines = this.names.map((_, series) => this.line(series + 1, y));
    this.drawing.replaceChildren(
      ...(this.names.length === 1 ? [svg("path", { class: "area", d: this.area(lines[0]) })] : []),
      ...lines.map((runs, series) => svg("path", { class: series ? "second" : "first", d: runs.map((run) => `M${run.join("L")}`).join("") })),
    );
    if (this.at !== null) this.drawing.append(svg("line", { x1: this.at, x2: this.at, y1: 0, y2: HEIGHT }));
  }

  // the runs of neighbors that have a value; one alone is a short dash, within the chart
  line(series, y) {
    const runs = [];
    let run = null;
    this.slots.forEach((point, at) => {
      const value = point?.[series] ?? null;
      if (value === null) run = null;
      else if (run) run.push(`${at} ${y(value).toFixed(1)}`);
      else runs.push((run = [`${at} ${y(value).toFixed(1)}`]));
    });
    const beside = (at) => (at + 1 < this.width ? at + 1 : at - 1);
    return runs.map((points) => (points.length > 1 ? points : [points[0], points[0].replace(/^\d+/, (at) => String(beside(Number(at))))]));
  }

  area(runs) {
    return runs.map((run) => `M${run[0].split(" ")[0]} ${HEIGHT}L${run.join("L")}L${run.at(-1).split(" ")[0]} ${HEIGHT}Z`).join("");
  }

  press(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageDown: -30, PageUp: 30, Home: -STEPS, End: STEPS };
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.pick((this.at ?? this.width - 1) + steps[event.key]);
  }

  pick(at) {
    this.at = at === null ? null : Math.min(this.width - 1, Math.max(0, at));
    if (this.slots) this.draw();
    this.say();
  }

  // the value at the chosen time, or at the newest one
  say() {
    const at = this.at ?? this.width - 1;
    const point = this.slots?.[at];
    const values = this.names.map((name, series) => `${this.names.length > 1 ? `${name} ` : ""}${point && point[series + 1] !== null ? this.format(point[series + 1]) : "none"}`);
    const text = this.slots ? `${formatClock(this.newest - (this.width - 1 - at) * this.every)}: ${values.join(", ")}` : "no data yet";
    this.plot.setAttribute("aria-valuemax", String(this.width - 1));
    this.plot.setAttribute("aria-valuenow", String(at));
    this.plot.setAttribute("aria-valuetext", text);
    this.picked.textContent = this.at === null ? "" : text;
  }
}
