// The overview: rates along the way of a tick, the accounting, the partitions, and stream time by scope.

import { $, andList, cell, chartUrl, element, formatDuration, formatNumber, formatTime, get, onZoneChange, plural, poll, setStatus, timeElement } from "./base.js";
import { Events } from "./events.js";

const TILES = ["read", "binned", "late", "rejected", "heartbeats", "lost"];
const MAX_SCOPES = 200; // rows
let partitions = [];
let now = 0;

const rate = (value) => (value >= 100 ? formatNumber(Math.round(value)) : value.toFixed(1));

// Rates are means over these times, of all workers: ticks from the accounting, bars from the finals topic. Bars come at the
// ends of windows, so their time is at least one window.
const TICKS_MS = 10_000;
const BARS_MS = Math.max(15_000, Number($("main").dataset.size));
const samples = []; // [time, ticks read until then, partitions that could not be asked]
const bars = []; // [time, number of bars]
const startedAt = performance.now();

function showTickRate(total, away) {
  const at = performance.now();
  if (samples.length && (samples.at(-1)[2] !== away || samples.at(-1)[1] > total)) samples.length = 0; // totals of other partitions
  samples.push([at, total, away]);
  while (samples.length > 2 && samples[0][0] < at - TICKS_MS) samples.shift();
  if (samples.length > 1) $("rate-read").textContent = rate((total - samples[0][1]) / ((at - samples[0][0]) / 1_000));
}

function showBarRate() {
  const at = performance.now();
  while (bars.length && bars[0][0] < at - BARS_MS) bars.shift();
  const seconds = Math.min(BARS_MS, Math.max(1_000, at - startedAt)) / 1_000;
  if (!bars.length && at - startedAt < BARS_MS) return; // too early to tell
  $("rate-bars").textContent = rate(bars.reduce((sum, [, count]) => sum + count, 0) / seconds);
}

function showAccounting({ total, balanced, away }) {
  $("tiles").replaceChildren(...TILES.map((name) => element("div", {}, element("dt", {}, name), element("dd", {}, formatNumber(total[name])))));
  const sum = `${formatNumber(total.read)} read = ${formatNumber(total.binned)} binned + ${total.corrected ? `${formatNumber(total.corrected)} corrected + ` : ""}${formatNumber(total.late)} late + ${formatNumber(total.rejected)} rejected + ${formatNumber(total.heartbeats)} heartbeats`;
  $("balance").textContent = `${sum}: ${balanced ? "every record is accounted for." : "this does NOT add up."}`;
  return away;
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

function showPartitions() {
  $("partitions").replaceChildren(
    ...partitions.map((row) =>
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
    ),
  );
  const scopes = partitions.flatMap((row) => Object.entries(row.stream_times).map(([scope, time]) => ({ scope, row, time })));
  const shown = scopes.slice(0, MAX_SCOPES);
  const more = scopes.length - shown.length + partitions.reduce((sum, row) => sum + row.more_scopes, 0);
  $("more-scopes").textContent = more ? `And ${formatNumber(more)} more.` : "";
  $("scopes").replaceChildren(
    ...shown.map(({ scope, row, time }) =>
      element(
        "tr",
        {},
        cell(scope === "*" ? "partition" : scope),
        cell(row.partition, "number"),
        cell(timeElement(time.stream_time)),
        cell(timeElement(time.watermark)),
        cell(`${formatDuration(Math.max(0, now - time.set_at))} ago`),
      ),
    ),
  );
}

// bars with one key of two partitions are a fault; symbols that are placed by another partitioner may be on purpose
function showPlacement({ read_model: { doubled } }, { partitions: counted }) {
  const line = $("doubled");
  line.hidden = !doubled;
  if (doubled) {
    const where = `partitions ${andList(doubled.partitions)}`;
    line.replaceChildren(
      `Two partitions published bars of the same windows, ${formatNumber(doubled.bars)} so far, and each lacks the ticks of the other. The newest: `,
      element("a", { href: chartUrl(doubled.broker, doubled.symbol, doubled.bucket_start) }, `${doubled.symbol} of ${doubled.broker}`),
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
  $("open").textContent = formatNumber(partitions.reduce((sum, row) => sum + (row.open_windows ?? 0), 0));
  $("wheel-lag").textContent = wheel.timer.lag_ms.toFixed(0);
  $("ksqldb").textContent = migrations.state;
  const missing = [...new Set(away.flatMap((one) => one.partitions))].sort((a, b) => a - b);
  showTickRate(accounting.total.read, missing.length);
  showBarRate();
  if (missing.length) setStatus(`Partitions ${missing.join(", ")} are missing from these numbers: ${away[0].reason}.`, "error");
  else if (!partitions.length) setStatus("No partition yet: the worker is starting.");
  else if (!accounting.total.read) setStatus(`No tick yet: the worker reads the topic ${status.topics.ticks}.`);
  else setStatus();
}

poll(2_000, refresh);
new Events({}, { bars: ({ final, skipped }) => bars.push([performance.now(), final.length + skipped]) }, () => {});
onZoneChange(showPartitions);
