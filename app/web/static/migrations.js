// KSQL migrations: each statement, what is to be done about it, and when it was applied.

import { $, cell, element, every, get, onZone, say, when } from "./base.js";
import { Events } from "./events.js";

let found = null;

function show() {
  if (!found) return;
  say(found.state === "off" ? "Off: this worker has no ksqldb_url." : `${found.state}${found.reason ? `: ${found.reason}` : ""}`);
  $("summary").textContent = found.summary ?? "";
  const steps = found.steps.length ? found.steps : found.history.map((entry) => ({ ...entry, id: entry.migration, state: entry.status }));
  $("rows").replaceChildren(
    ...steps.map((step) => element("tr", {}, cell(step.id), cell(step.name), cell(step.state, "", step.state), cell(step.why ?? "", "long"), cell(when(step.applied_at)))),
  );
}

every(5_000, async () => {
  found = await get("migrations");
  show();
});
onZone(show);
new Events({}, {}, () => {});
