// KSQL migrations: each statement, its state, and when it was applied.

import { get } from "./api.js";
import { $, cell, element, onZoneChange, poll, setStatus, timeElement } from "./base.js";
import { Events } from "./events.js";

let migrations = null;

const shortHash = (hash) => (hash ?? "").replace(":sha256:", ":").slice(0, 15);

function showKsqldb(found) {
  const away = found.up === false ? `ksqlDB cannot be asked: ${found.error ?? ""}` : "";
  $("away").textContent = away || (found.up ? "" : "Not looked at yet.");
  $("queries").replaceChildren(
    ...found.queries.map((query) =>
      element(
        "tr",
        {},
        cell(query.id),
        cell(query.writes),
        cell(query.put_aside ? `${query.state} (put aside)` : query.state, "", query.stopped ? "refused" : ""),
        cell(query.errors, "number"),
        cell(query.lag ?? "-", "number"),
      ),
    ),
  );
  $("sources").replaceChildren(
    ...found.sources.map((source) =>
      element(
        "tr",
        {},
        cell(source.name),
        cell(source.topic),
        cell(source.rate === null ? "-" : source.rate.toFixed(1), "number"),
        cell(source.lag ?? "-", "number"),
        cell(source.size ?? "-", "number"),
      ),
    ),
  );
  $("log").textContent = found.processing_log_records ? `${found.processing_log_records} entries, the newest:\n${found.processing_log.join("\n")}` : "";
}

function show() {
  if (!migrations) return;
  $("ksqldb").hidden = migrations.state === "off";
  setStatus(migrations.state === "off" ? "Off: this worker has no ksqldb_url." : `${migrations.state}${migrations.reason ? `: ${migrations.reason}` : ""}`);
  $("summary").textContent = migrations.summary ?? "";
  showKsqldb(migrations.ksqldb);
  const steps = migrations.steps.length ? migrations.steps : migrations.history.map((entry) => ({ ...entry, id: entry.migration, state: entry.status }));
  $("rows").replaceChildren(
    ...steps.map((step) =>
      element(
        "tr",
        {},
        cell(step.id),
        cell(step.name),
        cell(step.state, "", step.state),
        cell(step.why ?? "", "long"),
        cell(shortHash(step.applied_hash ?? step.hash)),
        cell(timeElement(step.applied_at)),
      ),
    ),
  );
}

poll(5_000, async () => {
  migrations = await get("migrations");
  show();
});
onZoneChange(show);
new Events({}, {}, () => {});
