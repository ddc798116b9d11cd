"""The endpoint `why`: gathers what is known of one window, here and at the partition's owner."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from agents.task import PartitionTask, now_ms
from app.readmodel.model import State
from app.settings.types import Switch
from app.web import sampling
from app.web.context import WebContext
from app.web.errors import AwayError, ParameterProblem
from app.web.explanation import Facts, Owner, explain
from app.web.models.bars import OpenWindow, Why, WhyStatus
from app.web.params import WhyAsked

Kept = tuple[list[bytes], int | None, int | None, int]  # the bar, partition, oldest start, late ticks


async def why(web: WebContext, asked: WhyAsked) -> Why:
    """Why a bar is final, or what it still waits for."""
    settings, start = web.settings, asked.bucket_start
    if start % settings.window_size:
        before = start - start % settings.window_size
        raise ParameterProblem(("bucket_start", str(start), f"no window starts then; one starts at {before}"))
    facts = Facts(
        broker=asked.broker,
        symbol=asked.symbol,
        bucket_start=start,
        bucket_end=start + settings.window_size,
        grace=settings.grace,
        scope=settings.scope.value,
        idle_close=settings.idle_close is Switch.on,
        now=now_ms(),
    )
    # the engines first: a window that closes meanwhile is then known as open, or its bar is
    local = _here(web, facts)
    values, part, oldest, late = await _kept(web, facts)
    loaded = web.model.state is State.live
    trouble = web.model.error if web.model.state is State.failed else ""
    found = replace(local, late_ticks=late, loaded=loaded, copy_trouble=trouble, oldest_kept=oldest)
    if values:
        worker = web.peers.owners().get(part) if part is not None else None
        return explain(replace(found, bar=sampling.final_bar(values[0]), partition=part, worker=worker, window=None))
    if found.window is not None or found.owner is Owner.me:
        return explain(found)
    number = part if part is not None else await _partition_elsewhere(web, facts, local=asked.local == "true")
    if isinstance(number, AwayError):
        return explain(replace(found, owner=Owner.away, owner_trouble=str(number)))
    if number is None:
        return explain(found)
    return await _at_owner(web, asked, replace(found, partition=number))


async def _kept(web: WebContext, facts: Facts) -> Kept:
    nothing: Kept = [], None, None, 0

    def look(queries: Any) -> Kept:
        late = queries.late_of(facts.broker, facts.symbol, facts.bucket_start)
        symbol = queries.symbol(facts.broker, facts.symbol)
        if symbol is None:
            return [], None, None, late
        return queries.bars(symbol[0], facts.bucket_start, facts.bucket_start + 1, 1), symbol[1], symbol[2], late

    return await web.model.ask(look, nothing)


def _here(web: WebContext, facts: Facts) -> Facts:
    """With what the engines of this worker know."""
    key = sampling.key_of(facts.broker, facts.symbol)
    for number, partition in web.owners.items():
        entry = partition.engine.symbols.get(key)
        if entry is not None:
            known = _with_partition(web, facts, number, partition)
            for window in entry.windows():
                if window.end == facts.bucket_end:
                    return replace(known, window=sampling.open_window(partition.engine, number, entry, window))
            return known
    return facts


def _with_partition(web: WebContext, facts: Facts, number: int, partition: PartitionTask) -> Facts:
    end = web.high_watermark(number, partition.consumed_to)
    return replace(
        facts,
        owner=Owner.me,
        partition=number,
        worker=web.peers.me,
        stream_time=sampling.stream_time_for(partition.engine, facts.broker, facts.symbol),
        lag=None if end is None else end - partition.consumed_to,
        silent=web.tasks.readiness().get("broker_silent_for"),
        unpublished=partition.unseen(web.model.positions.get((web.settings.finals_topic, number), 0)),
    )


async def _partition_elsewhere(web: WebContext, facts: Facts, *, local: bool) -> int | AwayError | None:
    """Where others have windows of this symbol; an `AwayError` where some could not be asked, None: nowhere."""
    if local:
        return None
    windows, away = await web.windows(facts.broker, facts.symbol)
    if windows:
        fitting: list[OpenWindow] = [window for window in windows if window.bucket_start == facts.bucket_start]
        return (fitting or windows)[0].partition
    return AwayError("; ".join(one.reason for one in away)) if away else None


async def _at_owner(web: WebContext, asked: WhyAsked, facts: Facts) -> Why:
    """The owner's answer for its partition; it may be this worker, for a symbol without open windows."""
    number = facts.partition
    assert number is not None  # noqa: S101  # the caller has found it
    mine = web.owners.get(number)
    if mine is not None:
        return explain(_with_partition(web, facts, number, mine))
    url = web.peers.owners().get(number)
    facts = replace(facts, worker=url)
    if url is None:
        return explain(replace(facts, owner=Owner.nobody))
    if url == web.peers.me or asked.local == "true":
        return explain(replace(facts, owner=Owner.recovering))
    path = f"/api/v1/why/{quoted(asked.broker)}/{quoted(asked.symbol)}/{asked.bucket_start}"
    try:
        answer = Why.model_validate(await web.peers.ask(url, path, {"local": "true"}))
    except AwayError as error:
        return explain(replace(facts, owner=Owner.away, owner_trouble=str(error)))
    if answer.status is WhyStatus.unknown:  # it may keep less than this worker
        return answer
    return answer.model_copy(update={"late_ticks": facts.late_ticks})


def quoted(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")
