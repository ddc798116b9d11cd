// The event stream of a page, and its state in the pill: connecting, live, stale or disconnected.
// Browsers allow six HTTP/1.1 connections to a host, so a hidden page closes its stream.

import { apiUrl } from "./api.js";
import { $, formatClock, formatDuration, tell } from "./base.js";

const RECONNECT_MS = 1_000; // as the server tells browsers in its first event
const STALE_WINDOWS = 3; // without an event for this many windows, the pill says for how long
const STALE_MS = Math.max(60_000, STALE_WINDOWS * Number($("main").dataset.size));

export class Events {
  // `handlers` by event name. `refill` fetches what the page shows: once events follow, so that nothing comes in between, or have
  // failed, and again when some may have been missed.
  constructor(parameters, handlers, refill) {
    this.parameters = parameters;
    this.handlers = handlers;
    this.refill = refill;
    this.lastEventAt = 0;
    this.interrupted = true; // what came before the stream, or while there was none, may be missing
    this.filled = false; // whether `refill` has been called
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open()));
    window.addEventListener("pagehide", () => this.close());
    setInterval(() => this.checkStale(), 1_000);
    this.open();
  }

  // follow something else
  follow(parameters) {
    this.close();
    this.parameters = parameters;
    this.filled = false;
    this.open();
  }

  open() {
    if (this.source || document.hidden) return;
    this.showState("connecting", "connecting");
    const source = (this.source = new EventSource(apiUrl("events", this.parameters)));
    source.addEventListener("hello", (event) => {
      this.showLive();
      this.showWorker("");
      if (this.interrupted && !JSON.parse(event.data).resumed) this.fill();
      this.interrupted = false;
    });
    source.addEventListener("reset", () => this.fill());
    source.addEventListener("worker", (event) => this.updateWorker(JSON.parse(event.data)));
    source.addEventListener("bye", () => this.showLost());
    source.addEventListener("error", () => this.reconnect());
    for (const [name, handler] of Object.entries(this.handlers)) {
      source.addEventListener(name, (event) => {
        this.showLive();
        handler(JSON.parse(event.data));
      });
    }
  }

  fill() {
    this.filled = true;
    this.refill();
  }

  close() {
    this.source?.close();
    this.source = null;
    this.interrupted = true;
    clearTimeout(this.timer);
  }

  // A browser reconnects by itself and sends the id of the last event; then the server sends what was missed. A browser
  // that gives up, for example because the connection was refused, is given a new stream, which starts from nothing.
  reconnect() {
    this.showLost();
    this.interrupted = true;
    if (!this.filled) this.fill();
    if (this.source?.readyState !== EventSource.CLOSED) return;
    this.close();
    this.timer = setTimeout(() => this.open(), RECONNECT_MS);
  }

  showLost() {
    this.showState("disconnected", "disconnected");
    const since = this.lastEventAt ? ` since ${formatClock(this.lastEventAt)}; the page shows the state of then` : "";
    this.showWorker(`No connection to the worker${since}. The page tries again every second.`);
  }

  // the worker's state, at the top of every page; empty while it runs
  updateWorker({ state, broker, broker_silent_for: silent, recovery, schema_registry: registry, repartition }) {
    this.showLive();
    const copying = silent || (repartition?.state ?? "running") === "running" ? "" : repartition.waiting || `it is ${repartition.state}`;
    const mute = `Kafka at ${broker} does not answer: nothing is read and nothing closes until it does.`;
    const texts = {
      starting: "The worker is starting.",
      recovering: "The worker recovers its partitions; their bars wait until then.",
      waiting: registry ? `Ticks wait for Schema Registry, and are read once it answers: ${registry}` : copying ? `The topics of the ticks are not being copied (repartition=on): ${copying}` : mute,
      stopped: "The worker is stopping.",
    };
    const since = texts[state] === mute && silent ? ` It has been silent for ${formatDuration(silent * 1_000)}.` : "";
    const progress = recovery ? ` ${recovery.done} of ${recovery.partitions} are done; ${recovery.reading} is read at ${recovery.offset} of ${recovery.end}.` : "";
    this.showWorker(texts[state] ?? "", since + progress);
  }

  showWorker(text, quiet = "") {
    tell($("worker"), text, text && quiet);
    $("worker").hidden = !text;
  }

  showLive() {
    this.lastEventAt = Date.now();
    this.showState("live", "live");
  }

  checkStale() {
    const silence = Date.now() - this.lastEventAt;
    if (this.source?.readyState === EventSource.OPEN && this.lastEventAt && silence > STALE_MS) {
      this.showState("stale", "no event", ` for ${formatDuration(silence)}`);
    }
  }

  showState(state, text, quiet = "") {
    $("pill").dataset.state = state;
    tell($("pill"), text, quiet);
  }
}
