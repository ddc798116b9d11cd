"""`/api/v1/windows`: the open windows of all partitions, in pages, and closed windows that can still be revised."""

from __future__ import annotations

import asyncio
from heapq import nsmallest

from app.web import longer_windows, sampling
from app.web.context import WebContext
from app.web.cursors import decode_cursor, encode_cursor
from app.web.errors import InvalidParametersError
from app.web.models.bars import CorrectableWindow, OpenWindow, Windows
from app.web.models.base import Away
from app.web.params import WindowsParams

CHUNK_KEYS = 5_000  # keys filtered without yielding to the event loop, and the most that are sorted in it


async def windows(web: WebContext, params: WindowsParams) -> Windows:
    """Open windows, ordered by partition and record key; or closed windows of a symbol that can still be revised."""
    away: list[Away]
    chosen = web.frames.choose(params.frame)
    if not chosen.kept:
        raise InvalidParametersError(
            ("frame", params.frame or "", "is not kept, so it has no windows of its own: bars of any frame are at /api/v1/bars")
        )
    frame = chosen.name
    if params.state == "correctable":
        return await _correctable(web, params)
    if params.broker is not None and params.symbol is not None and params.partition is None and params.cursor is None:
        found, away = await web.open_windows(params.broker, params.symbol, local=params.local == "true", frame=frame)
        return Windows(windows=found, next_cursor=None, away=away)
    number, key = decode_cursor(params.cursor, int, str) if params.cursor else (0, "")
    if number < 0:
        raise InvalidParametersError(("cursor", params.cursor or "", "names no partition"))
    end = web.partition_count if params.partition is None else min(web.partition_count, params.partition + 1)
    found, away = [], []
    number = max(number, params.partition or 0)
    if params.local == "false":
        await web.peers.look(other for other in web.partitions_elsewhere() if number <= other < end)
    while number < end:
        remaining = params.limit - len(found)
        if remaining <= 0:
            return Windows(windows=found, next_cursor=encode_cursor(number, key), away=away)
        page, key = await _partition_page(web, params, (number, key), remaining, away, frame)
        found += page
        if not key:
            number += 1
    return Windows(windows=found, next_cursor=None, away=away)


async def _correctable(web: WebContext, params: WindowsParams) -> Windows:
    """The closed windows of one symbol that can still be revised, on any worker."""
    if params.broker is None or params.symbol is None:
        raise InvalidParametersError(("state", "correctable", "needs a broker and a symbol"))
    key = sampling.record_key(params.broker, params.symbol)
    found = [
        window
        for number, task in sorted(web.running_tasks.items())
        for window in longer_windows.correctable(task.engine, number, key)
    ]
    away: list[Away] = []
    if params.local == "false" and (elsewhere := web.partitions_elsewhere()):
        query = {"broker": params.broker, "symbol": params.symbol, "state": "correctable", "local": "true"}
        responses, away = await web.peers.get_from_owners(elsewhere, "/api/v1/windows", query)
        found += [CorrectableWindow.model_validate(one) for response in responses for one in response["correctable"]]
    if params.partition is not None:
        found = [window for window in found if window.partition == params.partition]
    if params.frame is not None:
        wanted = web.frames.choose(params.frame).name or None
        found = [window for window in found if window.frame == wanted]
    return Windows(windows=[], correctable=found, next_cursor=None, away=away)


async def _partition_page(
    web: WebContext, params: WindowsParams, place: tuple[int, str], limit: int, away: list[Away], frame: str
) -> tuple[list[OpenWindow], str]:
    """Windows of at most `limit` symbols of one partition, and the record key of the last one if more follow, else ""."""
    number, after = place
    task = web.running_tasks.get(number)
    if task is None:
        if params.local == "true":
            return [], ""
        return await _remote_page(web, params, place, limit, away, frame)
    matching = sampling.key_filter(params.broker, params.symbol, after.encode())
    keys: list[bytes] = []
    if frame:
        keys = await longer_windows.keys(task.engine, frame, sampling.key_matcher(params.broker, params.symbol, after.encode()))
    entries = [] if frame else list(task.engine.symbols.items())
    for at in range(0, len(entries), CHUNK_KEYS):
        keys += matching(entries[at : at + CHUNK_KEYS])
        await asyncio.sleep(0)
    if len(keys) > CHUNK_KEYS:
        first = await asyncio.to_thread(nsmallest, limit + 1, keys)
    else:
        first = nsmallest(limit + 1, keys)
    if frame:
        page = [window for key in first[:limit] for window in longer_windows.of_key(task.engine, number, key, frame)]
    else:
        page = sampling.windows_by_key(task.engine, number, first[:limit])
    return page, first[limit - 1].decode() if len(first) > limit else ""


async def _remote_page(
    web: WebContext, params: WindowsParams, place: tuple[int, str], limit: int, away: list[Away], frame: str
) -> tuple[list[OpenWindow], str]:
    """A page from the partition's owner. If the owner cannot be asked, the partition is added to `away`."""
    number, after = place
    optional = {"broker": params.broker, "symbol": params.symbol, "cursor": encode_cursor(number, after) if after else None}
    query = {name: value for name, value in optional.items() if value is not None}
    query |= {"partition": str(number), "limit": str(limit), "local": "true"} | ({"frame": frame} if frame else {})
    responses, missing = await web.peers.get_from_owners([number], "/api/v1/windows", query)
    away += missing
    page = [OpenWindow.model_validate(window) for response in responses for window in response["windows"]]
    more = any(response["next_cursor"] for response in responses)
    return page, f"{page[-1].broker}|{page[-1].symbol}" if more and page else ""
