// The overview: charts of the last hour, the accounting, the partitions, and stream time by scope.

import { get } from "./api.js";
import { $, andList, cell, chartUrl, element, formatDuration, formatNumber, formatTime, onZoneChange, plural, poll, setStatus, timeElement } from "./base.js";
import { Events } from "./events.js";
import { FilteredTable } from "./filtered.js";
import { nameElement } from "./names.js";
import { Sparkline } from "./sparkline.js";

const TILES = ["read", "binned", "late", "rejected", "heartbeats", "lost"];
const FACTS = { ...Object.fromEntries(TILES.map((name) => [name, name])), open: "open", wheel: "timer", migrations: "migrations" };
const MAX_SCOPES = 200; // rows
const SILENT_MS = 60_000;
let counted = {};
let partitions = [];
let now = 0;

const rate = (value) => (value >= 100 ? formatNumber(Math.round(value)) : value.toFixed(1));

// Rates are means over these times, of all workers. Bars come at the ends of windows, so their time is at least one window.
const TICKS_MS = 10_000;
const BARS_MS = Math.max(15_000, Number($("main").dataset.size));
const samples = []; // [time, ticks read until then, partitions that could not be asked]

function showTickRate(total, away) {
  const at = performance.now();
  if (samples.length && (samples.at(-1)[2] !== away || samples.at(-1)[1] > total)) samples.length = 0; // totals of other partitions
  samples.push([at, total, away]);
  while (samples.length > 2 && samples[0][0] < at - TICKS_MS) samples.shift();
  if (samples.length > 1) $("rate-read").textContent = rate((total - samples[0][1]) / ((at - samples[0][0]) / 1_000));
}

function showAccounting({ total, balanced, away }) {
  counted = total;
  const sum = `${formatNumber(total.read)} read = ${formatNumber(total.binned)} binned + ${total.corrected ? `${formatNumber(total.corrected)} corrected + ` : ""}${formatNumber(total.late)} late + ${formatNumber(total.rejected)} rejected + ${formatNumber(total.heartbeats)} heartbeats`;
  $("balance").textContent = `${sum}: ${balanced ? "every record is accounted for." : "this does NOT add up."}`;
  return away;
}

// numbers, each with a link to its explanation; the elements stay, so that the focus does
function showFacts(values) {
  const list = $("tiles");
  if (!list.children.length) {
    for (const [name, label] of Object.entries(FACTS)) list.append(element("div", {}, element("dt", {}, element("a", { href: `/numbers#${name}` }, label)), element("dd", {})));
  }
  Object.keys(FACTS).forEach((name, at) => {
    list.children[at].lastChild.textContent = values[name];
  });
}

// What the partitions noticed of clocks that were wrong.
function showClocks(rows) {
  const named = (name) => Object.keys(rows).filter((number) => rows[number][name]);
  const count = (name) => Object.values(rows).reduce((sum, row) => sum + row[name], 0);
  const where = (numbers) => `${numbers.length === 1 ? "partition" : "partitions"} ${numbers.join(", ")}`;
  const [ahead, passed] = [named("arrival_clock_steps"), named("arrival_clock_violations")];
  const said = [];
  if (ahead.length)
    said.push(`A clock was more than a minute ahead, a broker's or a worker's, and was left behind (${plural(count("arrival_clock_steps"), "time")}, ${where(ahead)}).`);
  if (passed.length)
    said.push(`${plural(count("arrival_clock_violations"), "record")} arrived at a time that the idle timer had passed (${where(passed)}): raise idle_margin.`);
  $("clocks").textContent = said.join(" ");
  $("clocks").hidden = !said.length;
}

const partitionTable = new FilteredTable("partitions", {
  most: 1_000,
  columns: {
    partition: (row) => row.partition,
    owner: (row) => row.owner,
    state: (row) => row.state,
    position: (row) => row.position,
    lag: (row) => row.lag,
    open: (row) => row.open_windows,
    late: (row) => row.counts?.late,
    rejected: (row) => row.counts?.rejected,
  },
  choices: { lag: (row) => row.lag > 0, other: (row) => row.state !== "running" },
  text: (row) => `${row.partition} ${row.me ? "this worker" : ""} ${row.owner ?? "none"} ${row.state.replace("_", " ")} ${row.held_up ?? ""}`,
  row: (row) =>
    element(
      "tr",
      {},
      cell(row.partition, "number"),
      cell(row.owner ? (row.me ? "this worker" : element("a", { href: row.owner }, row.owner.replace(/^https?:\/\//, ""))) : "none"),
      cell(row.state.replace("_", " ") + (row.held_up ? `: ${row.held_up}` : "") + (row.recovery ? ` ${row.recovery.done}/${row.recovery.partitions}` : ""), "", row.state),
      cell(formatNumber(row.position), "number"),
      cell(formatNumber(row.lag), "number"),
      cell(formatNumber(row.open_windows), "number"),
      cell(formatNumber(row.counts?.late), "number"),
      cell(formatNumber(row.counts?.rejected), "number"),
    ),
});

const scopeTable = new FilteredTable("scopes", {
  most: MAX_SCOPES,
  columns: {
    scope: (one) => one.scope,
    partition: (one) => one.row.partition,
    stream: (one) => one.time.stream_time,
    watermark: (one) => one.time.watermark,
    advanced: (one) => now - one.time.set_at,
  },
  choices: { silent: (one) => now - one.time.set_at >= SILENT_MS },
  text: (one) => `${one.scope} ${one.row.partition}`,
  row: ({ scope, row, time }) =>
    element(
      "tr",
      { "data-quiet": now - time.set_at >= SILENT_MS },
      cell(scope === "*" ? "partition" : nameElement(scope)),
      cell(row.partition, "number"),
      cell(timeElement(time.stream_time)),
      cell(timeElement(time.watermark)),
      cell(`${formatDuration(Math.max(0, now - time.set_at))} ago`),
    ),
});

function showPartitions() {
  partitionTable.show(partitions);
  const scopes = partitions.flatMap((row) => Object.entries(row.stream_times).map(([scope, time]) => ({ scope, row, time })));
  scopeTable.show(scopes);
  const more = Math.max(0, scopes.length - MAX_SCOPES) + partitions.reduce((sum, row) => sum + row.more_scopes, 0);
  $("more-scopes").textContent = more ? `And ${formatNumber(more)} more.` : "";
}

// ---- the last hour

const perSecond = (count, every) => (count * 1_000) / every;
const charts = {
  read: new Sparkline($("card-read"), "ticks read per second", ["ticks/s"], rate),
  bars: new Sparkline($("card-bars"), "bars published per second", ["bars/s"], rate),
  lag: new Sparkline($("card-lag"), "lag in records", ["lag"], formatNumber),
  latency: new Sparkline($("card-latency"), "latency", ["p50", "p99"], formatLatency, true),
};

// `size` and `from`: in ms
const UNITS = [
  { unit: "min", size: 60_000, from: 120_000, decimals: 1 },
  { unit: "s", size: 1_000, from: 1_000, decimals: 2 },
  { unit: "ms", size: 1, from: 0, decimals: 1 },
];

function formatLatency(ms) {
  return ms < 1_000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : formatDuration(ms);
}

async function showActivity() {
  const { now: at, every_ms: every, steps } = await get("activity", { workers: "all" });
  const draw = (chart, values) => chart.show(steps.map((step) => [step.start, ...values(step)]), at, every);
  draw(charts.read, (step) => [perSecond(step.read, every)]);
  draw(charts.bars, (step) => [perSecond(step.bars, every)]);
  draw(charts.lag, (step) => [step.lag]);
  const newest = steps.slice(-Math.ceil(BARS_MS / every));
  $("rate-bars").textContent = newest.length ? rate(perSecond(newest.reduce((sum, step) => sum + step.bars, 0), newest.length * every)) : "-";
  draw(charts.latency, (step) => [step.p50_ms, step.p99_ms]);
  const timed = steps.findLast((step) => step.p50_ms !== null);
  const { unit, size, decimals } = UNITS.find(({ from }) => timed?.p99_ms >= from) ?? UNITS.at(-1);
  const short = (ms) => (ms && ms < size / 10 ? (ms / size).toPrecision(1) : (ms / size).toFixed(ms < 10 * size ? decimals : 0));
  $("latency").textContent = timed ? `${short(timed.p50_ms)} / ${short(timed.p99_ms)}` : "-";
  $("latency-unit").textContent = timed ? `${unit}, p50 / p99` : "";
}

// bars with one key of two partitions are a fault; symbols that are placed by another partitioner may be on purpose
function showPlacement({ read_model: { doubled } }, { partitions: counted }) {
  const line = $("doubled");
  line.hidden = !doubled;
  if (doubled) {
    const where = `partitions ${andList(doubled.partitions)}`;
    line.replaceChildren(
      `Two partitions published bars of the same windows, ${formatNumber(doubled.bars)} so far, and each lacks the ticks of the other. The newest: `,
      nameElement(`${doubled.symbol} of ${doubled.broker}`, chartUrl(doubled.broker, doubled.symbol, doubled.bucket_start)),
      `, ${formatTime(doubled.bucket_start)}, ${where}. What to do: ${doubled.remedy}.`,
    );
  }
  const misplaced = Object.values(counted).reduce((sum, one) => sum + one.misplaced_symbols, 0);
  $("misplaced").hidden = !misplaced;
  $("misplaced").textContent = `${plural(misplaced, "symbol")} not where Kafka's default partitioner puts them: no fault, as long as all producers place a symbol alike.`;
}

function showAbout({ version, broker, uptime_ms: up, workers, read_model: copy }) {
  const extent = copy.bars === null ? copy.state.replace("_", " ") : `${copy.state.replace("_", " ")}, ${plural(copy.bars, "bar")} of ${plural(copy.symbols, "symbol")}${copy.error ? ` (${copy.error})` : ""}`;
  const behind = copy.behind ? `, ${plural(copy.behind, "record")} behind` : "";
  $("about").textContent = `barwheel ${version}, up ${formatDuration(up)}; ${plural(workers.length, "worker")}; ${broker.pocket ? "pocket broker" : "Kafka"} at ${broker.address}; local copy of the bars: ${extent}${behind}.`;
}

async function refresh() {
  const [listed, accounting, wheel, migrations, status] = await Promise.all([
    get("partitions"),
    get("accounting", { workers: "all" }),
    get("wheel"),
    get("migrations"),
    get("status"),
  ]);
  partitions = listed.partitions;
  now = listed.now;
  showAbout(status);
  showPlacement(status, accounting);
  const away = [...showAccounting(accounting), ...listed.away];
  showClocks(accounting.partitions);
  showPartitions();
  $("lag").textContent = formatNumber(partitions.reduce((sum, row) => sum + (row.lag ?? 0), 0));
  showFacts({
    ...Object.fromEntries(TILES.map((name) => [name, formatNumber(counted[name])])),
    open: formatNumber(partitions.reduce((sum, row) => sum + (row.open_windows ?? 0), 0)),
    wheel: `${wheel.timer.lag_ms.toFixed(0)} ms late`,
    migrations: migrations.state.replace("_", " "),
  });
  const missing = [...new Set(away.flatMap((one) => one.partitions))].sort((a, b) => a - b);
  showTickRate(accounting.total.read, missing.length);
  if (missing.length) setStatus(`Partitions ${missing.join(", ")} are missing from these numbers: ${away[0].reason}.`, "error");
  else if (!partitions.length) setStatus("No partition yet: the worker is starting.");
  else if (!accounting.total.read) setStatus(`No tick yet: the worker reads the topic ${status.topics.ticks}.`);
  else setStatus();
}

poll(2_000, refresh);
poll(10_000, showActivity);
new Events({}, {}, () => {}); // for the pill
onZoneChange(showPartitions);
