// A dense table with a filter, a choice and sortable columns. What is chosen is in the address.

import { $, element, formatNumber } from "./base.js";

export class FilteredTable {
  // `name`: of the table's elements; `columns`: functions that give the value to sort by; `row`: makes a table row;
  // `text`: what the filter searches; `choices`: tests by the value of the select; `most`: rows that are drawn
  constructor(name, { columns, row, text, choices, most }) {
    Object.assign(this, { name, columns, row, text, choices, most, rows: [] });
    this.body = $(name);
    this.filter = $(`filter-${name}`);
    this.only = $(`only-${name}`);
    const asked = new URLSearchParams(location.search);
    this.filter.value = asked.get(name) ?? "";
    if (asked.get(`${name}-only`) in choices) this.only.value = asked.get(`${name}-only`);
    const [column, falling] = (asked.get(`${name}-sort`) ?? "").split("-");
    this.sort = column in columns ? { column, falling: falling === "down" } : null;
    for (const place of [this.filter, this.only]) place.addEventListener("input", () => this.changed());
    this.heads = [...this.body.closest("table").querySelectorAll("th[data-sort]")];
    for (const head of this.heads) this.prepare(head);
    this.mark();
  }

  // a head sorts; the mark beside it explains its number
  prepare(head) {
    const button = element("button", { type: "button" }, head.textContent);
    button.addEventListener("click", () => {
      const column = head.dataset.sort;
      if (this.sort?.column !== column) this.sort = { column, falling: head.classList.contains("number") && column !== "partition" };
      else this.sort = { column, falling: !this.sort.falling };
      this.changed();
    });
    const explained = head.dataset.number;
    head.replaceChildren(button, ...(explained ? [" ", element("a", { href: `/numbers#${explained}`, "aria-label": `what ${head.textContent} means` }, "?")] : []));
  }

  changed() {
    const query = new URLSearchParams(location.search);
    const put = (key, value) => (value ? query.set(key, value) : query.delete(key));
    put(this.name, this.filter.value);
    put(`${this.name}-only`, this.only.value);
    put(`${this.name}-sort`, this.sort && `${this.sort.column}-${this.sort.falling ? "down" : "up"}`);
    history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
    this.mark();
    this.show(this.rows);
  }

  mark() {
    for (const head of this.heads) {
      if (head.dataset.sort !== this.sort?.column) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", this.sort.falling ? "descending" : "ascending");
    }
  }

  show(rows) {
    this.rows = rows;
    const wanted = this.filter.value.trim().toLowerCase();
    const chosen = this.choices[this.only.value];
    const found = rows.filter((row) => (!chosen || chosen(row)) && (!wanted || this.text(row).toLowerCase().includes(wanted)));
    if (this.sort) {
      const value = this.columns[this.sort.column];
      const order = (one, other) => (one < other ? -1 : one > other ? 1 : 0);
      found.sort((one, other) => (this.sort.falling ? -1 : 1) * order(value(one) ?? -1, value(other) ?? -1));
    }
    this.body.replaceChildren(...found.slice(0, this.most).map(this.row));
    const shown = Math.min(found.length, this.most);
    $(`count-${this.name}`).textContent = shown === rows.length ? formatNumber(shown) : `${formatNumber(shown)} of ${formatNumber(rows.length)}`;
  }
}
