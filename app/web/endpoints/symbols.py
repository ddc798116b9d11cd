"""`/api/v1/symbols`: symbol search by prefix, across all workers."""

from __future__ import annotations

import asyncio
from itertools import islice

from app.readmodel.queries import SymbolEntry
from app.web import sampling
from app.web.context import WebContext
from app.web.cursors import decode_cursor, encode_cursor
from app.web.models.symbols import SymbolRow, Symbols
from app.web.params import SymbolsParams

# bounds for the search of symbols that have no bar yet; it runs in the event loop
MAX_SCANNED = 5_000  # newest symbols of each partition
MAX_CHECKED = 1_000  # matches that are looked up in the read model


async def symbols(web: WebContext, params: SymbolsParams) -> Symbols:
    """Symbols by prefix; symbols with an open window and no bar yet come last."""
    elsewhere = [] if params.local == "true" else web.partitions_elsewhere()
    if not elsewhere:
        return await _local_symbols(web, params)
    query = {name: str(value) for name, value in params.model_dump(exclude_none=True).items()} | {"local": "true"}
    local, (responses, away) = await asyncio.gather(
        _local_symbols(web, params), web.peers.get_from_owners(elsewhere, "/api/v1/symbols", query)
    )
    remote = {
        (row.broker, row.symbol): row for response in responses for row in map(SymbolRow.model_validate, response["symbols"])
    }
    not_asked = {number for one in away for number in one.partitions}
    rows = []
    for row in local.symbols:
        other = remote.pop((row.broker, row.symbol), None)
        is_open = row.open or (other is not None and bool(other.open))
        rows.append(row.model_copy(update={"open": None if row.partition in not_asked and not is_open else is_open}))
    if local.next_cursor is None:
        rows += [row for row in remote.values() if row.last_start is None]
    return Symbols(symbols=rows[: params.limit], next_cursor=local.next_cursor, away=away)


async def _local_symbols(web: WebContext, params: SymbolsParams) -> Symbols:
    """A page from the read model, which has the symbols of all partitions; open windows are those of this worker."""
    after = decode_cursor(params.cursor, str)[0] if params.cursor else ""
    limit = params.limit
    no_entries: list[SymbolEntry] = []
    entries = await web.read_model.query(
        lambda queries: queries.symbols(params.prefix, params.broker, after, limit + 1), no_entries
    )
    rows = [_symbol_row(web, entry) for entry in entries[:limit]]
    if len(entries) > limit:
        return Symbols(symbols=rows, next_cursor=encode_cursor(entries[limit - 1].key))
    open_symbols = _open_symbols(web, params)
    no_names: list[tuple[str, str]] = []
    without_bar = await web.read_model.query(
        lambda queries: [name for name in open_symbols if queries.symbol(*name) is None], no_names
    )
    rows += [
        SymbolRow(broker=broker, symbol=symbol, partition=open_symbols[broker, symbol], last_start=None, open=True)
        for broker, symbol in without_bar[: limit - len(rows)]
    ]
    return Symbols(symbols=rows, next_cursor=None)


def _symbol_row(web: WebContext, entry: SymbolEntry) -> SymbolRow:
    key = sampling.record_key(entry.broker, entry.symbol)
    states = (task.engine.symbols.get(key) for task in web.running_tasks.values())
    is_open = any(state is not None and bool(state.windows()) for state in states)
    return SymbolRow(
        broker=entry.broker, symbol=entry.symbol, partition=entry.partition, last_start=entry.last_start, open=is_open
    )


def _open_symbols(web: WebContext, params: SymbolsParams) -> dict[tuple[str, str], int]:
    """Matching symbols with an open window on this worker, and their partition. Only the newest symbols are searched."""
    prefix = params.prefix.casefold()
    matches: dict[tuple[str, str], int] = {}
    for number, task in web.running_tasks.items():
        for state in list(task.engine.symbols.values())[-MAX_SCANNED:]:
            broker, symbol = state.name
            searched = f"{broker}|{symbol}".casefold() if "|" in prefix else symbol.casefold()
            if searched.startswith(prefix) and params.broker in (None, broker) and state.windows():
                matches[state.name] = number
    return dict(islice(matches.items(), MAX_CHECKED))
