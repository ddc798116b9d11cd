"""Endpoints about symbols: their open windows, their bars, late and rejected records."""

from __future__ import annotations

import asyncio
from heapq import nsmallest
from itertools import islice
from typing import Any

import msgspec

from app.readmodel.model import State
from app.readmodel.queries import Found, Side
from app.web import sampling
from app.web.context import WebContext
from app.web.cursors import from_cursor, to_cursor
from app.web.endpoint import Raw, encode
from app.web.errors import ParameterProblem
from app.web.models.bars import Away, OpenWindow, SideRecord, SideRecords, SymbolRow, Symbols, Windows
from app.web.params import LATEST, BarsAsked, NewestAsked, SideAsked, SymbolsAsked, WindowsAsked
from tables.bars import decode_bar

MANY = 5_000  # keys that are looked at without a look at the event loop, or sorted in it
LOOKED_AT = 5_000  # symbols of each partition that may be new
CHECKED = 1_000  # of them whether they have a bar
COLUMNS = ("bucket_start", "open", "high", "low", "close", "volume", "ticks", "revision")


async def symbols(web: WebContext, asked: SymbolsAsked) -> Symbols:
    """Symbols by the beginning of their name; last come those that have an open window and no bar yet."""
    others = [] if asked.local == "true" else web.others()
    if not others:
        return await _symbols_here(web, asked)
    params = {name: str(value) for name, value in asked.model_dump(exclude_none=True).items()} | {"local": "true"}
    mine, (answers, away) = await asyncio.gather(
        _symbols_here(web, asked), web.peers.ask_owners(others, "/api/v1/symbols", params)
    )
    theirs = {(row.broker, row.symbol): row for answer in answers for row in map(SymbolRow.model_validate, answer["symbols"])}
    unknown = {number for one in away for number in one.partitions}
    rows = []
    for row in mine.symbols:
        other = theirs.pop((row.broker, row.symbol), None)
        is_open = row.open or (other is not None and bool(other.open))
        rows.append(row.model_copy(update={"open": None if row.partition in unknown and not is_open else is_open}))
    if mine.next_cursor is None:
        rows += [row for row in theirs.values() if row.last_start is None]
    return Symbols(symbols=rows[: asked.limit], next_cursor=mine.next_cursor, away=away)


async def _symbols_here(web: WebContext, asked: SymbolsAsked) -> Symbols:
    after = from_cursor(asked.cursor, str)[0] if asked.cursor else ""
    limit = asked.limit
    nothing: list[Found] = []
    found = await web.model.ask(lambda queries: queries.symbols(asked.prefix, asked.broker, after, limit + 1), nothing)
    rows = [_symbol_row(web, one) for one in found[:limit]]
    if len(found) > limit:
        return Symbols(symbols=rows, next_cursor=to_cursor(found[limit - 1].key))
    names = _with_window(web, asked)
    nobody: list[tuple[str, str]] = []
    unheard = await web.model.ask(lambda queries: [name for name in names if queries.symbol(*name) is None], nobody)
    for broker, symbol in unheard[: limit - len(rows)]:
        rows.append(SymbolRow(broker=broker, symbol=symbol, partition=names[broker, symbol], last_start=None, open=True))
    return Symbols(symbols=rows, next_cursor=None)


def _symbol_row(web: WebContext, found: Found) -> SymbolRow:
    key = sampling.key_of(found.broker, found.symbol)
    entries = (partition.engine.symbols.get(key) for partition in web.owners.values())
    is_open = any(entry is not None and bool(entry.windows()) for entry in entries)
    return SymbolRow(broker=found.broker, symbol=found.symbol, partition=found.part, last_start=found.last_start, open=is_open)


def _with_window(web: WebContext, asked: SymbolsAsked) -> dict[tuple[str, str], int]:
    """Symbols that are asked for and have a window open here, with their partition; looked for among the newest."""
    text, found = asked.prefix.casefold(), dict[tuple[str, str], int]()
    for number, partition in web.owners.items():
        for entry in list(partition.engine.symbols.values())[-LOOKED_AT:]:
            broker, symbol = entry.name
            begins = f"{broker}|{symbol}".casefold() if "|" in text else symbol.casefold()
            if begins.startswith(text) and asked.broker in (None, broker) and entry.windows():
                found[entry.name] = number
    return dict(islice(found.items(), CHECKED))


async def windows(web: WebContext, asked: WindowsAsked) -> Windows:
    """Open windows, by partition and record key."""
    away: list[Away]
    if asked.broker is not None and asked.symbol is not None and asked.partition is None and asked.cursor is None:
        found, away = await web.windows(asked.broker, asked.symbol, local=asked.local == "true")
        return Windows(windows=found, next_cursor=None, away=away)
    number, key = from_cursor(asked.cursor, int, str) if asked.cursor else (0, "")
    if number < 0:
        raise ParameterProblem(("cursor", asked.cursor or "", "is of no partition"))
    last = web.count if asked.partition is None else min(web.count, asked.partition + 1)
    found, away = [], []
    number = max(number, asked.partition or 0)
    while number < last:
        wanted = asked.limit - len(found)
        if wanted <= 0:
            return Windows(windows=found, next_cursor=to_cursor(number, key), away=away)
        page, key = await _windows_in(web, asked, number, key, wanted, away)
        found += page
        if not key:
            number += 1
    return Windows(windows=found, next_cursor=None, away=away)


async def _windows_in(
    web: WebContext, asked: WindowsAsked, number: int, after: str, wanted: int, away: list[Away]
) -> tuple[list[OpenWindow], str]:
    """Windows of one partition and the key to go on after; no key: these were all."""
    partition = web.owners.get(number)
    if partition is None:
        if asked.local == "true":
            return [], ""
        given = {"broker": asked.broker, "symbol": asked.symbol, "cursor": to_cursor(number, after) if after else None}
        params = {name: value for name, value in given.items() if value is not None}
        params |= {"partition": str(number), "limit": str(wanted), "local": "true"}
        answers, missing = await web.peers.ask_owners([number], "/api/v1/windows", params)
        away += missing
        page = [OpenWindow.model_validate(window) for answer in answers for window in answer["windows"]]
        more = any(answer["next_cursor"] for answer in answers)
        return page, _key(page[-1]) if more and page else ""
    fits = sampling.fitting(asked.broker, asked.symbol, after.encode())
    keys: list[bytes] = []
    entries = list(partition.engine.symbols.items())
    for at in range(0, len(entries), MANY):
        keys += fits(entries[at : at + MANY])
        await asyncio.sleep(0)
    if len(keys) > MANY:
        first = await asyncio.to_thread(nsmallest, wanted + 1, keys)
    else:
        first = nsmallest(wanted + 1, keys)
    page = sampling.windows_at(partition.engine, number, first[:wanted])
    return page, first[wanted - 1].decode() if len(first) > wanted else ""


def _key(window: OpenWindow) -> str:
    return f"{window.broker}|{window.symbol}"


async def bars(web: WebContext, asked: BarsAsked) -> Raw:
    """The newest final bars in a stretch of time, and the windows of the symbol that are open."""
    until = min(asked.until, from_cursor(asked.cursor, int)[0]) if asked.cursor else asked.until
    nothing: tuple[list[bytes], int | None] = [], None

    def look(queries: Any) -> tuple[list[bytes], int | None]:
        symbol = queries.symbol(asked.broker, asked.symbol)
        return nothing if symbol is None else (queries.bars(symbol[0], asked.since, until, asked.limit + 1), symbol[2])

    # first the open windows: one that closes meanwhile is seen twice rather than never
    found, away = await web.windows(asked.broker, asked.symbol) if until == LATEST or asked.cursor is None else ([], [])
    values, oldest = await web.model.ask(look, nothing)
    more, values = len(values) > asked.limit, values[: asked.limit]
    cursor = to_cursor(decode_bar(values[-1]).bucket_start) if more else None
    values.reverse()
    about = {
        "broker": asked.broker,
        "symbol": asked.symbol,
        "open": [w.model_dump() for w in found if asked.since <= w.bucket_start < until],
        "next_cursor": cursor,
        "oldest_kept": oldest,
        "complete": web.model.state is State.live,
        "away": [one.model_dump() for one in away],
    }
    if asked.format == "columns":
        rows = [[getattr(bar, name) for name in COLUMNS] for bar in map(decode_bar, values)]
        return Raw(encode({**about, "bars": {"columns": COLUMNS, "rows": rows}}))
    return Raw(encode({**about, "bars": [msgspec.Raw(value) for value in values]}))


async def newest(web: WebContext, asked: NewestAsked) -> Raw:
    """The bars of all symbols that became final last, newest first: what a stream that begins now has missed."""
    nothing: list[bytes] = []
    values = await web.model.ask(lambda queries: queries.newest(asked.broker, asked.symbol, asked.limit), nothing)
    return Raw(encode({"bars": [msgspec.Raw(value) for value in values], "complete": web.model.state is State.live}))


async def late(web: WebContext, asked: SideAsked) -> SideRecords:
    """Late ticks."""
    return await _side(web, asked, "late")


async def rejected(web: WebContext, asked: SideAsked) -> SideRecords:
    """Records that are no ticks."""
    return await _side(web, asked, "rejected")


async def _side(web: WebContext, asked: SideAsked, kind: str) -> SideRecords:
    before = from_cursor(asked.cursor, int)[0] if asked.cursor else 1 << 62
    nothing: tuple[list[Side], dict[str, int]] = [], {}

    def look(queries: Any) -> tuple[list[Side], dict[str, int]]:
        found = queries.side(kind, (asked.broker, asked.symbol), asked.reason, before, asked.limit + 1)
        return found, queries.reasons(kind)

    found, reasons = await web.model.ask(look, nothing)
    rows = found[: asked.limit]
    return SideRecords(
        records=[
            SideRecord(
                id=row.id,
                partition=row.part,
                offset=row.offset,
                arrival=row.arrival,
                broker=row.broker,
                symbol=row.symbol,
                ts=row.ts,
                bucket_start=row.start,
                reason=row.reason,
                detail=row.detail,
                value=row.value,
                truncated=bool(row.truncated),
            )
            for row in rows
        ],
        next_cursor=to_cursor(rows[-1].id) if len(found) > asked.limit else None,
        reasons=reasons,
    )
