// Server-sent events with the states people must see: connecting, live, stale, disconnected.
// A browser opens six connections to a host: a hidden page closes its own.

import { $, clock, span } from "./base.js";

const STALE_WINDOWS = 3; // so long without an event, and people are told how long
const STALE_MS = Math.max(60_000, STALE_WINDOWS * Number($("main").dataset.size));

export class Events {
  // handlers by event name; `refill` is called when something may have been missed
  constructor(parameters, handlers, refill) {
    this.query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value));
    this.handlers = handlers;
    this.refill = refill;
    this.last = 0;
    this.seen = false;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open()));
    window.addEventListener("pagehide", () => this.close());
    setInterval(() => this.watch(), 1_000);
    this.open();
  }

  open() {
    if (this.source || document.hidden) return;
    this.show("connecting", "connecting");
    const source = (this.source = new EventSource(`/api/v1/events${this.query.size ? `?${this.query}` : ""}`));
    source.addEventListener("hello", (event) => {
      this.alive();
      this.say("");
      if (this.seen && !JSON.parse(event.data).resumed) this.refill();
      this.seen = true;
    });
    source.addEventListener("reset", () => this.refill());
    source.addEventListener("worker", (event) => this.tell(JSON.parse(event.data)));
    source.addEventListener("bye", () => this.lost());
    source.addEventListener("error", () => this.lost());
    for (const [name, handler] of Object.entries(this.handlers)) {
      source.addEventListener(name, (event) => {
        this.alive();
        handler(JSON.parse(event.data));
      });
    }
  }

  close() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.again);
  }

  // how the worker is, on every page: nothing is said while it does its work
  tell({ state, broker, broker_silent_for: silent, recovery }) {
    this.alive();
    const done = recovery ? ` ${recovery.done} of ${recovery.partitions} are done; ${recovery.reading} is read at ${recovery.offset} of ${recovery.end}.` : "";
    const texts = {
      starting: "The worker is starting.",
      recovering: `The worker recovers its partitions; their bars wait until then.${done}`,
      waiting: `Kafka at ${broker} has not answered${silent ? ` for ${span(silent * 1_000)}` : ""}: nothing is read and nothing closes until it does.${done}`,
      stopped: "The worker is ending.",
    };
    this.say(texts[state] ?? "");
  }

  say(text) {
    $("worker").textContent = text;
    $("worker").hidden = !text;
  }

  alive() {
    this.last = Date.now();
    this.show("live", "live");
  }

  // the browser gives up where the connection is refused: open another one
  lost() {
    this.show("disconnected", "disconnected");
    this.say(`No connection to the worker${this.last ? ` since ${clock(this.last)}: what is shown is of then` : ""}. It is tried again every second.`);
    if (this.source?.readyState === EventSource.OPEN) return;
    this.close();
    this.seen = true;
    this.again = setTimeout(() => this.open(), 1_000);
  }

  watch() {
    const silent = Date.now() - this.last;
    if (this.source?.readyState === EventSource.OPEN && this.last && silent > STALE_MS) this.show("stale", `no event for ${span(silent)}`);
  }

  show(state, text) {
    const pill = $("pill");
    if (pill.dataset.state === state && state !== "stale") return;
    pill.dataset.state = state;
    pill.textContent = text;
  }
}
