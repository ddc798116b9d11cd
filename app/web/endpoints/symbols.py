"""`/api/v1/symbols`: symbol search by prefix, across all workers."""

from __future__ import annotations

import asyncio

from app.readmodel.progress import State
from app.readmodel.queries import Queries, SymbolEntry
from app.web import sampling
from app.web.context import WebContext
from app.web.cursors import decode_cursor, encode_cursor
from app.web.models.symbols import BrokerName, Brokers, SymbolRow, Symbols
from app.web.params import BrokersParams, SymbolsParams

# bounds for the search of symbols that have no bar yet; it runs in the event loop
MAX_SCANNED = 5_000  # newest symbols of each partition
MAX_CHECKED = 1_000  # matches that are looked up in the read model

Place = tuple[str, str, int]  # broker, symbol, partition


async def symbols(web: WebContext, params: SymbolsParams) -> Symbols:
    """Symbols by prefix; symbols with an open window and no bar yet come last."""
    elsewhere = [] if params.local == "true" else web.partitions_elsewhere()
    if not elsewhere:
        return await _local_symbols(web, params)
    query = {name: str(value) for name, value in params.model_dump(exclude_none=True).items()} | {"local": "true"}
    local, (responses, away) = await asyncio.gather(
        _local_symbols(web, params), web.peers.get_from_owners(elsewhere, "/api/v1/symbols", query)
    )
    remote = {_place(row): row for response in responses for row in map(SymbolRow.model_validate, response["symbols"])}
    not_asked = {number for one in away for number in one.partitions}
    rows = []
    for row in local.symbols:
        other = remote.pop(_place(row), None)
        is_open = row.open or (other is not None and bool(other.open))
        rows.append(row.model_copy(update={"open": None if row.partition in not_asked and not is_open else is_open}))
    if local.next_cursor is None:
        rows += [row for row in remote.values() if row.last_start is None]
    return Symbols(symbols=rows[: params.limit], next_cursor=local.next_cursor, away=away)


async def brokers(web: WebContext, params: BrokersParams) -> Brokers:
    """The brokers that have final bars."""
    none: list[str] = []
    found = await web.read_model.query(lambda queries: queries.brokers(params.limit), none)
    complete = web.read_model.progress.state is State.live
    return Brokers(brokers=[BrokerName(broker=broker) for broker in found], complete=complete)


async def _local_symbols(web: WebContext, params: SymbolsParams) -> Symbols:
    """A page from the read model, which has the symbols of all partitions; open windows are those of this worker."""
    after = decode_cursor(params.cursor, str)[0] if params.cursor else ""
    limit = params.limit
    no_entries: list[SymbolEntry] = []
    entries = await web.read_model.query(
        lambda queries: queries.symbols(params.prefix, params.broker, after, limit + 1, params.symbol), no_entries
    )
    rows = [_symbol_row(web, entry) for entry in entries[:limit]]
    if len(entries) > limit:
        return Symbols(symbols=rows, next_cursor=encode_cursor(entries[limit - 1].key))
    open_symbols = await _open_symbols(web, params)
    no_places: list[Place] = []

    def without_bar(queries: Queries) -> list[Place]:
        return [place for place in open_symbols if place[2] not in {known.partition for known in queries.symbol(*place[:2])}]

    rows += [
        SymbolRow(broker=broker, symbol=symbol, partition=partition, last_start=None, open=True)
        for broker, symbol, partition in (await web.read_model.query(without_bar, no_places))[: limit - len(rows)]
    ]
    return Symbols(symbols=rows, next_cursor=None)


def _place(row: SymbolRow) -> Place:
    return row.broker, row.symbol, row.partition


def _symbol_row(web: WebContext, entry: SymbolEntry) -> SymbolRow:
    key = sampling.record_key(entry.broker, entry.symbol)
    task = web.running_tasks.get(entry.partition)
    state = None if task is None else task.engine.symbols.get(key)
    is_open = state is not None and bool(state.windows())
    return SymbolRow(
        broker=entry.broker, symbol=entry.symbol, partition=entry.partition, last_start=entry.last_start, open=is_open
    )


async def _open_symbols(web: WebContext, params: SymbolsParams) -> list[Place]:
    """Matching symbols with an open window on this worker. Only the newest symbols of each partition are searched.

    The worker's other tasks run between two partitions.
    """
    prefix = params.prefix.casefold()
    matches: list[Place] = []
    for number, task in list(web.running_tasks.items()):
        if len(matches) >= MAX_CHECKED:
            break
        await asyncio.sleep(0)
        for state in list(task.engine.symbols.values())[-MAX_SCANNED:]:
            broker, symbol = state.name
            searched = f"{broker}|{symbol}".casefold() if "|" in prefix else symbol.casefold()
            named = searched.startswith(prefix) if params.symbol is None else symbol == params.symbol
            if named and params.broker in (None, broker) and state.windows():
                matches.append((broker, symbol, number))
    return matches[:MAX_CHECKED]
