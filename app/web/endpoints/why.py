"""`/api/v1/why`: collects what is known of one window, here and at the partition's owner, and explains its state."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote

from agents.task import PartitionTask
from app.kafka.clock import now_ms
from app.readmodel.progress import State
from app.readmodel.queries import Queries, StoredBar
from app.settings.types import IdleClose
from app.web import sampling
from app.web.context import WebContext
from app.web.errors import InvalidParametersError, PeerUnavailableError
from app.web.explanation import Facts, Owner, explain, other_partitions
from app.web.models.bars import Why, WhyStatus
from app.web.params import WhyParams
from tables.views import stream_time_of


class _Stored(NamedTuple):
    """What the read model holds of a window: its bars and the symbol's partitions, of which there should be one.

    `oldest_kept`: the symbol's oldest bar, if older ones went. `none_kept`: it holds no bar of the symbol, but the topic has
    older bars than it holds.
    """

    bars: tuple[StoredBar, ...] = ()  # by partition
    partitions: tuple[int, ...] = ()
    oldest_kept: int | None = None
    late_ticks: int = 0
    none_kept: bool = False


async def why(web: WebContext, params: WhyParams) -> Why:
    """Why a bar is final, or why it is not final yet."""
    settings, start = web.settings, params.bucket_start
    if start % settings.window_size:
        before = start - start % settings.window_size
        raise InvalidParametersError(("bucket_start", str(start), f"no window starts then; one starts at {before}"))
    request = Facts(
        broker=params.broker,
        symbol=params.symbol,
        bucket_start=start,
        bucket_end=start + settings.window_size,
        grace=settings.grace,
        scope=settings.scope.value,
        idle_close=settings.idle_close is not IdleClose.off,
        now=now_ms(),
    )
    # engines before bars: a window that closes in between is seen open or as a bar, never as missing
    local, open_in = _add_engine_state(web, request, params.partition)
    stored = await _stored(web, request, params.partition)
    if len(stored.partitions) > 1 and params.local == "false":
        windows, _ = await web.open_windows(params.broker, params.symbol)
        open_in |= {window.partition for window in windows if window.bucket_start == start}
    facts = replace(
        local,
        also_in=tuple(sorted(open_in | {bar.partition for bar in stored.bars})),
        late_ticks=stored.late_ticks,
        loaded=web.read_model.progress.state is State.live,
        read_model_error=web.read_model.progress.error if web.read_model.progress.state is State.failed else "",
        oldest_kept=stored.oldest_kept,
        none_kept=stored.none_kept,
    )
    if stored.bars:
        _, partition, value = stored.bars[0]
        worker = web.peers.owner_urls().get(partition)
        bar = sampling.final_bar(value, partition)
        return explain(replace(facts, bar=bar, partition=partition, worker=worker, window=None))
    if facts.window is not None or facts.owner is Owner.me:
        return explain(facts)
    number = params.partition
    if number is None and stored.partitions:
        number = stored.partitions[0]
    if number is None and params.local == "false":
        try:
            number = await _find_partition(web, facts)
        except PeerUnavailableError as error:
            return explain(replace(facts, owner=Owner.away, owner_error=str(error)))
    if number is None:
        return explain(facts)
    if len(stored.partitions) > 1:
        params = params.model_copy(update={"partition": number})
    return await _ask_owner(web, params, replace(facts, partition=number), number)


async def _stored(web: WebContext, facts: Facts, only: int | None) -> _Stored:
    def select(queries: Queries) -> _Stored:
        late = queries.late_count(facts.broker, facts.symbol, facts.bucket_start)
        places = [place for place in queries.symbol(facts.broker, facts.symbol) if only in (None, place.partition)]
        if not places:
            return _Stored(late_ticks=late, none_kept=queries.incomplete())
        bars = queries.bars(places, facts.bucket_start, facts.bucket_start + 1, len(places))[::-1]
        oldest = [place.oldest_kept for place in places if place.oldest_kept is not None]
        return _Stored(tuple(bars), tuple(place.partition for place in places), min(oldest, default=None), late)

    return await web.read_model.query(select, _Stored())


def _add_engine_state(web: WebContext, facts: Facts, only: int | None) -> tuple[Facts, set[int]]:
    """Add what the engines of this worker know of the window; also the partitions in which it is open."""
    key = sampling.record_key(facts.broker, facts.symbol)
    open_in: set[int] = set()
    for number, task in sorted(web.running_tasks.items()):
        symbol = task.engine.symbols.get(key)
        if symbol is None or only not in (None, number):
            continue
        if facts.window is None:
            facts = _add_partition(web, facts, number, task)
        for window in symbol.windows():
            if window.end == facts.bucket_end:
                open_in.add(number)
                if facts.window is None:
                    facts = replace(facts, window=sampling.open_window(task.engine, number, symbol, window))
    return facts, open_in


def _add_partition(web: WebContext, facts: Facts, number: int, task: PartitionTask) -> Facts:
    """Add the state of a partition that runs on this worker."""
    end = web.high_watermark(number, task.consumed_to)
    return replace(
        facts,
        owner=Owner.me,
        partition=number,
        worker=web.peers.own_url,
        stream_time=stream_time_of(task.engine, facts.broker, facts.symbol),
        lag=None if end is None else end - task.consumed_to,
        broker_silent_for=web.tasks.readiness().get("broker_silent_for"),
        unpublished=task.has_bars_beyond(web.read_model.progress.positions.get((web.settings.finals_topic, number), 0)),
    )


async def _find_partition(web: WebContext, facts: Facts) -> int | None:
    """The partition in which another worker has open windows of the symbol, or None.

    Raises `PeerUnavailableError` if no window was found and some worker could not be asked.
    """
    windows, away = await web.open_windows(facts.broker, facts.symbol)
    if windows:
        same = [window for window in windows if window.bucket_start == facts.bucket_start]
        return (same or windows)[0].partition
    if away:
        raise PeerUnavailableError("; ".join(one.reason for one in away))
    return None


async def _ask_owner(web: WebContext, params: WhyParams, facts: Facts, number: int) -> Why:
    """The answer of the partition's owner, which is this worker if the symbol has no open window."""
    task = web.running_tasks.get(number)
    if task is not None:
        return explain(_add_partition(web, facts, number, task))
    url = web.peers.owner_urls().get(number)
    facts = replace(facts, worker=url)
    if url is None:
        return explain(replace(facts, owner=Owner.nobody))
    if url == web.peers.own_url or params.local == "true":
        return explain(replace(facts, owner=Owner.recovering))
    query = {"local": "true"} if params.partition is None else {"local": "true", "partition": str(params.partition)}
    path = f"/api/v1/why/{quote(params.broker, safe='')}/{quote(params.symbol, safe='')}/{params.bucket_start}"
    try:
        answer = Why.model_validate(await web.peers.get_json(url, path, query))
    except PeerUnavailableError as error:
        return explain(replace(facts, owner=Owner.away, owner_error=str(error)))
    if answer.status is WhyStatus.unknown:
        return answer  # the owner's read model may hold less than ours: its late ticks belong to its sentence
    return answer.model_copy(update={"late_ticks": facts.late_ticks, "also_in": other_partitions(facts, number)})
