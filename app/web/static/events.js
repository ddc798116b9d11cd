// Server-sent events with the states people must see: connecting, live, stale, disconnected.
// A browser opens six connections to a host: a hidden page closes its own.

import { $, span } from "./base.js";

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
      if (this.seen && !JSON.parse(event.data).resumed) this.refill();
      this.seen = true;
    });
    source.addEventListener("reset", () => this.refill());
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

  alive() {
    this.last = Date.now();
    this.show("live", "live");
  }

  // the browser gives up where the connection is refused: open another one
  lost() {
    this.show("disconnected", "disconnected");
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
