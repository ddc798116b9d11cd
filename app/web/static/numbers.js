// The explanations of the numbers, each with its metric as this worker shows it.

import { ApiError } from "./api.js";
import { formatNumber, load, setStatus } from "./base.js";
import { Events } from "./events.js";

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})? (\S+)$/;

// the samples of a metric, whatever is put before its name; of a histogram its count
function samplesOf(lines, wanted) {
  const named = (name) => [wanted, `${wanted}_count`].some((end) => name === end || name.endsWith(`_${end}`));
  return lines.map((line) => SAMPLE.exec(line)).filter((found) => found && named(found[1]));
}

async function refresh() {
  const response = await fetch("/metrics").catch(() => null);
  if (!response?.ok) throw new ApiError("the worker does not show its metrics");
  const lines = (await response.text()).split("\n");
  for (const place of document.querySelectorAll("[data-metric]")) {
    const samples = samplesOf(lines, place.dataset.metric);
    if (!samples.length) continue;
    place.querySelector("code").textContent = samples[0][1].replace(/_count$/, place.dataset.metric.endsWith("_count") ? "_count" : "");
    const sum = samples.reduce((total, [, , , value]) => total + Number(value), 0);
    place.querySelector("span").textContent = `${formatNumber(Math.round(sum * 1_000) / 1_000)} in ${samples.length === 1 ? "one series" : `${samples.length} series`}`;
  }
  setStatus();
  document.getElementById(location.hash.slice(1))?.focus();
}

load(refresh);
new Events({}, {}, () => {});
