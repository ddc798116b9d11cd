// The overview: the way of a tick with its rates, the accounting, the partitions, the clocks.

import { $, cell, element, every, get, moment, number, onZone, say, span } from "./base.js";
import { Events } from "./events.js";

const TILES = ["read", "binned", "late", "rejected", "heartbeats", "lost"];
let partitions = [];
let now = 0;

const rate = (value) => (value >= 100 ? number(Math.round(value)) : value.toFixed(1));

// bars come at the ends of windows: a mean over some seconds says more than one of them
const SAMPLES = 15;
const samples = [];
function showRates({ rates }) {
  samples.push(rates);
  if (samples.length > SAMPLES) samples.shift();
  for (const name of ["read", "bars"]) $(`rate-${name}`).textContent = rate(samples.reduce((sum, one) => sum + one[name], 0) / samples.length);
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
        cell(row.owner ? (row.me ? "this worker" : element("a", { href: row.owner }, row.owner)) : "nobody"),
        cell(row.state.replace("_", " "), "", row.state),
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
        cell(moment(time.stream_time)),
        cell(moment(time.watermark)),
        cell(`${span(now - time.set_at)} ago`),
      ),
    ),
  );
}

async function refresh() {
  const [found, accounting, wheel, migrations] = await Promise.all([
    get("partitions"),
    get("accounting", { workers: "all" }),
    get("wheel"),
    get("migrations"),
  ]);
  partitions = found.partitions;
  now = Date.now();
  const away = [...showAccounting(accounting), ...found.away];
  showPartitions();
  $("open").textContent = number(partitions.reduce((sum, row) => sum + (row.open_windows ?? 0), 0));
  $("wheel-lag").textContent = wheel.timer.lag_ms.toFixed(0);
  $("ksqldb").textContent = migrations.state;
  const missing = [...new Set(away.flatMap((one) => one.partitions))].sort((a, b) => a - b);
  if (missing.length) say(`Partitions ${missing.join(", ")} are not in these numbers: ${away[0].reason}.`, "error");
  else if (!partitions.length) say("No partition yet: the worker is starting.");
  else say();
}

every(2_000, refresh);
new Events({}, { accounting: showRates }, () => {});
onZone(showPartitions);
