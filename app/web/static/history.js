// The versions of a bar that was revised: what each revision changed.

import { $, PRICES, cell, element, formatNumber, prices, timeElement } from "./base.js";

const COLUMNS = [...PRICES, "volume", "ticks"];

// `versions`: of a bar, the newest first; a value that differs from the version before is marked
export function showHistory(versions, decimals) {
  $("history").hidden = !versions.length;
  $("versions").replaceChildren(
    ...versions.map((version, index) => {
      const before = versions[index + 1];
      const texts = [...prices(version, decimals), formatNumber(version.volume), formatNumber(version.ticks)];
      const values = COLUMNS.map((name, at) => (before && version[name] !== before[name] ? cell(element("strong", { class: "changed" }, texts[at]), "number") : cell(texts[at], "number")));
      const added = version.corrected ? `${formatNumber(version.corrected)} late` : "-";
      return element("tr", {}, cell(version.revision === 0 ? "final" : `revision ${version.revision}`, "", version.revision ? "revised" : undefined), cell(timeElement(version.closed_at)), ...values, cell(added));
    }),
  );
}
