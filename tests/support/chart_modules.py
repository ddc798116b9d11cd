"""Modules of the chart, run in a page of a real browser with an API of made-up bars."""

from __future__ import annotations

from typing import Any

from tests.support.visits import Visit

# `api` answers as /api/v1/bars does, of bars of a minute from 0 to `world.newest`; `world.during` runs once, before the next
# answer arrives; with `world.fails` requests fail. `event(i)` is a bar as an event has it, `holes(section)` where bars are
# missing.
WORLD = """
const M = 60_000;
const COLUMNS = [
  ...["bucket_start", "open", "high", "low", "close", "volume", "ticks", "revision"],
  ...["bucket_end", "vwap", "partial", "partition"],
];
const world = { newest: 2_500, open: [], during: null, fails: () => false, asked: [] };
const api = async (query) => {
  world.asked.push(query);
  if (world.asked.length > 100) throw new Error("requests without end: " + JSON.stringify(query));
  const [from, to] = [query.from ?? 0, Math.min(query.to ?? Infinity, query.cursor ?? Infinity)];
  const all = [];
  for (let i = 0; i <= world.newest; i += 1) if (i * M >= from && i * M < to) all.push(i * M);
  const rows = all.slice(-query.limit).map((start) => [start, 1, 1, 1, 1, 1, 1, 0, start + M, 1, false, 0]);
  const open = world.open.filter((one) => one.bucket_start >= from && one.bucket_start < to);
  const [during, failing] = [world.during, world.fails(query)];
  world.during = null;
  await during?.(query);
  if (failing) throw new Error("no answer");
  return { bars: { columns: COLUMNS, rows }, open, next_cursor: all.length > query.limit ? rows[0][0] : null };
};
const event = (i, more = {}) => ({
  ...{ bucket_start: i * M, bucket_end: (i + 1) * M, open: 1, high: 1, low: 1, close: 1 },
  ...{ ticks: 1, volume: 1, vwap: 1, partition: 0, revision: 0, ...more },
});
const holes = ({ starts }) =>
  starts.flatMap((start, at) => (at && start - starts[at - 1] > M ? [[starts[at - 1] / M, start / M]] : []));
const { Section } = await import("/static/section.js");
const sectionOf = async (newest, around = null) => {
  world.newest = newest;
  const section = new Section(api);
  section.clear(M);
  await section.loadNewest();
  if (around !== null) await section.loadAround(around * M);
  world.asked = [];
  return section;
};
"""


def run(seen: Visit, script: str) -> Any:
    """What a script returns that runs within `WORLD`."""
    return seen.page.evaluate(f"async () => {{{WORLD}\n{script}\n}}")
