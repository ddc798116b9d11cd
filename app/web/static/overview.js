// The overview: the way of a tick with its rates, the accounting, the partitions, the clocks.

import { $, cell, counted, element, every, get, number, onZone, say, span, when } from "./base.js";
import { Events } from "./events.js";

const TILES = ["read", "binned", "late", "rejected", "heartbeats", "lost"];
let partitions = [];
let now = 0;

const rate = (value) => (value >= 100 ? number(Math.round(value)) : value.toFixed(1));

// of all workers: ticks from their accounting, bars from their topic; bars come at the ends of windows, so at least one of
// those must lie in the stretch of which a mean is taken
const TICKS_MS = 10_000;
const BARS_MS = Math.max(15_000, Number($("main").dataset.size));
const counts = []; // [when, ticks read until then, from how many partitions]
const bars = []; // [when, how many]
const began = performance.now();

function showTicks(total, away) {
  const at = performance.now();
  if (counts.length && (counts.at(-1)[2] !== away || counts.at(-1)[1] > total)) counts.length = 0; // another sum
  counts.push([at, total, away]);
  while (counts.length > 2 && counts[0][0] < at - TICKS_MS) counts.shift();
  if (counts.length > 1) $("rate-read").textContent = rate((total - counts[0][1]) / ((at - counts[0][0]) / 1_000));
}

function showBars() {
  const at = performance.now();
  while (bars.length && bars[0][0] < at - BARS_MS) bars.shift();
  const seconds = Math.min(BARS_MS, Math.max(1_000, at - began)) / 1_000;
  if (!bars.length && at - began < BARS_MS) return; // not known yet
  $("rate-bars").textContent = rate(bars.reduce((sum, [, count]) => sum + count, 0) / seconds);
}

function showAccounting({ total, balanced, away }) {
  $("tiles").replaceChildren(...TILES.map((name) => element("div", {}, element("dt", {}, name), element("dd", {}, number(total[name])))));
  const sum = `${number(total.read)} read = ${number(total.binned)} binned + ${number(total.late)} late + ${number(total.rejected)} rejected + ${number(total.heartbeats)} heartbeats`;
  $("balance").textContent = `${sum}: ${balanced ? "every record is accounted for." : "this does NOT add up."}`;
  return away;
}

function showPartitions() {
  $("partitions").replaceChildren(
    ...partitions.map((row) =>
      element(
        "tr",
        {},
        cell(row.partition, "number"),
        cell(row.owner ? (row.me ? "this worker" : element("a", { href: row.owner }, row.owner.replace(/^https?:\/\//, ""))) : "nobody"),
        cell(row.state.replace("_", " ") + (row.recovery ? ` ${row.recovery.done}/${row.recovery.partitions}` : ""), "", row.state),
        cell(number(row.position), "number"),
        cell(number(row.lag), "number"),
        cell(number(row.open_windows), "number"),
        cell(number(row.counts?.late), "number"),
        cell(number(row.counts?.rejected), "number"),
      ),
    ),
  );
  const clocks = partitions.flatMap((row) => Object.entries(row.stream_times).map(([scope, time]) => ({ scope, row, time })));
  $("clocks").replaceChildren(
    ...clocks.slice(0, 200).map(({ scope, row, time }) =>
      element(
        "tr",
        {},
        cell(scope === "*" ? "partition" : scope),
        cell(row.partition, "number"),
        cell(when(time.stream_time)),
        cell(when(time.watermark)),
        cell(`${span(Math.max(0, now - time.set_at))} ago`),
      ),
    ),
  );
}

function showAbout({ version, broker, uptime_ms: up, workers, read_model: kept }) {
  const copy = kept.bars === null ? kept.state.replace("_", " ") : `${kept.state.replace("_", " ")}, ${counted(kept.bars, "bar")} of ${counted(kept.symbols, "symbol")}${kept.error ? ` (${kept.error})` : ""}`;
  const behind = kept.behind ? `, ${counted(kept.behind, "record")} behind` : "";
  $("about").textContent = `barwheel ${version}, up ${span(up)}; ${counted(workers.length, "worker")}; ${broker.pocket ? "pocket broker" : "Kafka"} at ${broker.address}; local copy of the bars: ${copy}${behind}.`;
}

async function refresh() {
  const [found, accounting, wheel, migrations, status] = await Promise.all([
    get("partitions"),
    get("accounting", { workers: "all" }),
    get("wheel"),
    get("migrations"),
    get("status"),
  ]);
  partitions = found.partitions;
  now = found.now;
  showAbout(status);
  const away = [...showAccounting(accounting), ...found.away];
  showPartitions();
  $("open").textContent = number(partitions.reduce((sum, row) => sum + (row.open_windows ?? 0), 0));
  $("wheel-lag").textContent = wheel.timer.lag_ms.toFixed(0);
  $("ksqldb").textContent = migrations.state;
  const missing = [...new Set(away.flatMap((one) => one.partitions))].sort((a, b) => a - b);
  showTicks(accounting.total.read, missing.length);
  showBars();
  if (missing.length) say(`Partitions ${missing.join(", ")} are not in these numbers: ${away[0].reason}.`, "error");
  else if (!partitions.length) say("No partition yet: the worker is starting.");
  else if (!accounting.total.read) say(`No tick yet: they are awaited in the topic ${status.topics.ticks}.`);
  else say();
}

every(2_000, refresh);
new Events({}, { bars: ({ final, skipped }) => bars.push([performance.now(), final.length + skipped]) }, () => {});
onZone(showPartitions);
