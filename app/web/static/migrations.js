// KSQL migrations: each statement, its state, and when it was applied.

import { $, cell, element, get, onZoneChange, poll, setStatus, timeElement } from "./base.js";
import { Events } from "./events.js";

let migrations = null;

function show() {
  if (!migrations) return;
  setStatus(migrations.state === "off" ? "Off: this worker has no ksqldb_url." : `${migrations.state}${migrations.reason ? `: ${migrations.reason}` : ""}`);
  $("summary").textContent = migrations.summary ?? "";
  const steps = migrations.steps.length ? migrations.steps : migrations.history.map((entry) => ({ ...entry, id: entry.migration, state: entry.status }));
  $("rows").replaceChildren(
    ...steps.map((step) => element("tr", {}, cell(step.id), cell(step.name), cell(step.state, "", step.state), cell(step.why ?? "", "long"), cell(timeElement(step.applied_at)))),
  );
}

poll(5_000, async () => {
  migrations = await get("migrations");
  show();
});
onZoneChange(show);
new Events({}, {}, () => {});
