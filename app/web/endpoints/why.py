"""`/api/v1/why`: collects what is known of one window, here and at the partition's owner, and explains its state."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from agents.task import PartitionTask
from app.kafka.clock import now_ms
from app.readmodel.progress import State
from app.readmodel.queries import Queries, StoredBar
from app.settings.types import IdleClose
from app.web import longer_windows, sampling
from app.web.context import WebContext
from app.web.endpoints.bars import known_of
from app.web.errors import InvalidParametersError, PeerUnavailableError
from app.web.explanation import Facts, Owner, explain, other_partitions
from app.web.folding import Wanted, folded_page
from app.web.frames import Chosen
from app.web.models.bars import FoldedBar, Holding, OpenWindow, Why, WhyStatus
from app.web.params import WhyParams
from app.web.revisions import Revisable
from app.web.segments import segment
from tables.views import stream_time_of

VERSIONS_SHOWN = 50  # of one bar


class _Stored(NamedTuple):
    """What the read model holds of a window: its bars and the symbol's partitions, of which there should be one.

    `oldest_kept`: the symbol's oldest bar, if older ones went. `none_kept`: it holds no bar of the symbol, but the topic has
    older bars than it holds. `versions`: of the first bar, the newest first. `inside`: a longer window has base bars inside.
    """

    bars: tuple[StoredBar, ...] = ()  # by partition
    partitions: tuple[int, ...] = ()
    oldest_kept: int | None = None
    late_ticks: int = 0
    none_kept: bool = False
    versions: tuple[StoredBar, ...] = ()
    inside: bool = False
    folded: FoldedBar | None = None


async def why(web: WebContext, params: WhyParams) -> Why:
    """Why a bar is final, or why it is not final yet."""
    chosen = web.frames.choose(params.frame)
    request = _request(web, params, chosen)
    # engines before bars: a window that closes in between is seen open or as a bar, never as missing
    local, open_in = _add_engine_state(web, request, params.partition, chosen)
    stored = await _stored(web, request, params.partition, chosen)
    if len(stored.partitions) > 1 and params.local == "false":
        open_in |= await _open_elsewhere(web, request, chosen)
    facts = replace(
        local,
        also_in=tuple(sorted(open_in | {bar.partition for bar in stored.bars})),
        late_ticks=stored.late_ticks,
        loaded=web.read_model.progress.state is State.live,
        read_model_error=web.read_model.progress.error if web.read_model.progress.state is State.failed else "",
        oldest_kept=stored.oldest_kept,
        none_kept=stored.none_kept,
        unpublished=local.unpublished or stored.inside,
    )
    if stored.folded is not None:
        return explain(_as_folded(web, facts, chosen, stored.folded))
    if stored.bars:
        facts = _as_final(web, facts, chosen, stored)
        return explain(replace(facts, revisable=await _revisable(web, params, facts, chosen)))
    if facts.window is not None or facts.owner is Owner.me:
        return explain(facts)
    number = params.partition
    if number is None and stored.partitions:
        number = stored.partitions[0]
    if number is None and params.local == "false":
        try:
            number = await _find_partition(web, facts, chosen.name if chosen.kept else chosen.source)
        except PeerUnavailableError as error:
            return explain(replace(facts, owner=Owner.away, owner_error=str(error)))
    if number is None:
        return explain(facts)
    if len(stored.partitions) > 1:
        params = params.model_copy(update={"partition": number})
    return await _ask_owner(web, params, replace(facts, partition=number), number)


def _request(web: WebContext, params: WhyParams, chosen: Chosen) -> Facts:
    """What the request and the settings say. Raises `InvalidParametersError`."""
    settings, start = web.settings, params.bucket_start
    before, end = web.frames.span(chosen, start)
    if start != before:
        raise InvalidParametersError(("bucket_start", str(start), f"no window starts then; one starts at {before}"))
    return Facts(
        broker=params.broker,
        symbol=params.symbol,
        bucket_start=start,
        bucket_end=end,
        grace=settings.grace,
        scope=settings.scope.value,
        idle_close=settings.idle_close is not IdleClose.off,
        now=now_ms(),
        size_text=settings.size_text,
        frame=chosen.text if chosen.frame is not None else None,
        holding=tuple(Holding(frame=one[0], bucket_start=one[1], bucket_end=one[2]) for one in web.frames.holding(start, end)),
    )


async def _stored(web: WebContext, facts: Facts, only: int | None, chosen: Chosen) -> _Stored:
    start, names = facts.bucket_start, (facts.broker, facts.symbol)
    opened, _ = ([], []) if chosen.kept else await web.open_windows(*names, frame=chosen.source)
    known = {} if chosen.kept else known_of(web, *names, chosen)

    def select(queries: Queries) -> _Stored:
        late = queries.late_count(*names, start, facts.bucket_end)
        name = chosen.name if chosen.kept else chosen.source
        places = [place for place in queries.symbol(*names, name) if only in (None, place.partition)]
        none_kept = queries.none_kept(places, name)
        oldest = [place.oldest_kept for place in places if place.oldest_kept is not None]
        shown = tuple(place.partition for place in places), min(oldest, default=None), late, none_kept
        if not chosen.kept:
            scale = web.settings.bar_scale
            wanted = Wanted(
                chosen.text, lambda time: web.frames.span(chosen, time), start, start + 1, 1, 0, opened, known, scale
            )
            page = folded_page(queries, places, names, wanted)
            return _Stored((), *shown, folded=next(iter([*page.bars, *page.open]), None))
        bars = tuple(queries.bars(places, start, start + 1, max(1, len(places)))[::-1])
        versions: list[StoredBar] = []
        if bars and bars[0].revision:
            place = next(place for place in places if place.partition == bars[0].partition)
            versions = queries.versions(place, start, VERSIONS_SHOWN)
        inside = bool(chosen.name and not bars and queries.bars(queries.symbol(*names), start, facts.bucket_end, 1))
        return _Stored(bars, *shown, tuple(versions), inside)

    return await web.read_model.query(select, _Stored())


def _as_final(web: WebContext, facts: Facts, chosen: Chosen, stored: _Stored) -> Facts:
    first = stored.bars[0]
    bar = sampling.final_bar(first.value, first.partition, chosen.name)
    versions = tuple(sampling.final_bar(one.value, one.partition, chosen.name) for one in stored.versions)
    worker = web.peers.owner_urls().get(first.partition)
    return replace(facts, bar=bar, partition=first.partition, worker=worker, window=None, versions=versions)


async def _open_elsewhere(web: WebContext, facts: Facts, chosen: Chosen) -> set[int]:
    """The partitions of any worker in which the window is open."""
    if not chosen.kept:
        return set()
    windows, _ = await web.open_windows(facts.broker, facts.symbol, frame=chosen.name)
    return {window.partition for window in windows if window.bucket_start == facts.bucket_start}


def _as_folded(web: WebContext, facts: Facts, chosen: Chosen, bar: FoldedBar) -> Facts:
    source = chosen.source or web.settings.size_text
    return replace(facts, folded=bar, source=source, partition=bar.partition, worker=web.peers.owner_urls().get(bar.partition))


async def _revisable(web: WebContext, params: WhyParams, facts: Facts, chosen: Chosen) -> Revisable | None:
    """What may still become of a final bar: what its engine says, here or on another worker."""
    settings, number = web.settings, facts.partition
    if not settings.corrects or number is None:
        return None
    expires = facts.bucket_end + settings.grace + settings.correction_horizon
    task = web.running_tasks.get(number)
    if task is not None:
        key = sampling.record_key(facts.broker, facts.symbol)
        frame = settings.frame_names.index(chosen.name) + 1 if chosen.name else 0
        due = longer_windows.revision_due(task.engine, key, frame, facts.bucket_start)
        time = stream_time_of(task.engine, facts.broker, facts.symbol)
        return Revisable(expires, time) if due is None else Revisable(expires, time, due.at, due.added)
    url = web.peers.owner_urls().get(number)
    if url is None or url == web.peers.own_url or params.local == "true":
        return Revisable(expires)
    path, query = _path(params), {"local": "true", **_frame_query(params)}
    try:
        answer = Why.model_validate(await web.peers.get_json(url, path, query))
    except PeerUnavailableError:
        return Revisable(expires)
    return Revisable(expires, answer.scope_time, answer.revision_due, answer.revision_added)


def _path(params: WhyParams) -> str:
    return f"/api/v1/why/{segment(params.broker)}/{segment(params.symbol)}/{params.bucket_start}"


def _frame_query(params: WhyParams) -> dict[str, str]:
    return {} if params.frame is None else {"frame": params.frame}


def _add_engine_state(web: WebContext, facts: Facts, only: int | None, chosen: Chosen) -> tuple[Facts, set[int]]:
    """Add what the engines of this worker know of the window; also the partitions in which it is open."""
    key = sampling.record_key(facts.broker, facts.symbol)
    open_in: set[int] = set()
    for number, task in sorted(web.running_tasks.items()):
        symbol = task.engine.symbols.get(key)
        if only not in (None, number) or (symbol is None and not longer_windows.has(task.engine, key)):
            continue
        if facts.window is None:
            facts = _add_partition(web, facts, number, task)
        for window in _open_windows(task, number, key, chosen):
            if window.bucket_start == facts.bucket_start:
                open_in.add(number)
                if facts.window is None:
                    facts = replace(facts, window=window)
    return facts, open_in


def _open_windows(task: PartitionTask, number: int, key: bytes, chosen: Chosen) -> list[OpenWindow]:
    if not chosen.kept:
        return []
    if chosen.name:
        return longer_windows.of_key(task.engine, number, key, chosen.name)
    return sampling.windows_by_key(task.engine, number, [key])


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


async def _find_partition(web: WebContext, facts: Facts, frame: str) -> int | None:
    """The partition in which another worker has open windows of the symbol, or None.

    Raises `PeerUnavailableError` if no window was found and some worker could not be asked.
    """
    windows, away = await web.open_windows(facts.broker, facts.symbol, frame=frame)
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
    try:
        answer = Why.model_validate(await web.peers.get_json(url, _path(params), query | _frame_query(params)))
    except PeerUnavailableError as error:
        return explain(replace(facts, owner=Owner.away, owner_error=str(error)))
    if answer.status is WhyStatus.unknown:
        return answer  # the owner's read model may hold less than ours: its late ticks belong to its sentence
    return answer.model_copy(update={"late_ticks": facts.late_ticks, "also_in": other_partitions(facts, number)})
