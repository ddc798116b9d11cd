"""Explains the state of one window: a sentence for people and fields for programs. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.doubled import and_list
from app.web.models.bars import FinalBar, FoldedBar, Holding, OpenWindow, Why, WhyStatus
from app.web.revisions import Revisable, first_of, history, outlook
from app.web.wording import counted, moment, span

PARTIAL = " It is partial: reading began inside its window, or records were lost, so ticks may be missing from it."


class Owner(StrEnum):
    """Who owns the partition of the window, as far as is known."""

    me = "me"  # it runs on this worker
    recovering = "recovering"  # it is assigned to this worker, which recovers it
    away = "away"  # another worker, which could not be asked
    nobody = "nobody"
    unknown = "unknown"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of one window. Times are epoch ms (UTC).

    - `stream_time`: of the window's scope.
    - `lag`: records of the partition that its worker has not read yet.
    - `unpublished`: the partition has closed bars that this worker's read model does not have yet.
    - `loaded`: the read model has caught up with the finals topic.
    - `broker_silent_for`: seconds since the broker answered, if that is unusually long.
    - `read_model_error`: why the read model cannot be kept; empty if it can.
    - `oldest_kept`: start of the oldest bar of the symbol in the read model, if older ones were deleted.
    - `none_kept`: all of them may have been deleted.
    - `also_in`: the partitions that have a bar or an open window of it. There should be one at most.
    - `size_text`: the window size. `frame`: of a longer window, for people.
    - `versions`: of the bar, as far as they are known, the newest first.
    - `folded`: the bar, if its frame is not kept; `source`: the frame that it is folded from, for people.
    - `holding`: the longer windows that hold it.
    """

    broker: str
    symbol: str
    bucket_start: int
    bucket_end: int
    grace: int
    scope: str
    idle_close: bool
    now: int
    bar: FinalBar | None = None
    window: OpenWindow | None = None
    late_ticks: int = 0
    owner: Owner = Owner.unknown
    owner_error: str = ""
    partition: int | None = None
    worker: str | None = None
    stream_time: int | None = None
    lag: int | None = None
    unpublished: bool = False
    loaded: bool = True
    broker_silent_for: float | None = None
    read_model_error: str = ""
    oldest_kept: int | None = None
    none_kept: bool = False
    also_in: tuple[int, ...] = ()
    size_text: str = "1m"
    frame: str | None = None
    versions: tuple[FinalBar, ...] = ()
    revisable: Revisable | None = None
    folded: FoldedBar | None = None
    source: str | None = None
    holding: tuple[Holding, ...] = ()


def explain(facts: Facts) -> Why:
    """The response of `/api/v1/why`. What the bar or the window itself says comes first."""
    if facts.bar is not None:
        return _final(facts, facts.bar)
    if facts.folded is not None:
        return _folded(facts, facts.folded)
    if facts.window is not None:
        return _open(facts, facts.window)
    unknown = _not_known(facts)
    if unknown is not None:
        return _answer(facts, *unknown)
    return _no_window(facts)


def _not_known(facts: Facts) -> tuple[WhyStatus, str] | None:
    """Status and sentence if this worker cannot know whether there is a bar or a window; None if it can."""
    if facts.owner is Owner.away:
        if facts.partition is None:
            text = f"Not known: the window may be on a worker that could not be asked ({facts.owner_error})."
        else:
            text = (
                f"Not known: partition {facts.partition} is owned by {facts.worker or 'another worker'}: {facts.owner_error}."
            )
        return WhyStatus.owner_away, text
    if facts.owner is Owner.recovering:
        text = f"Not known yet: partition {facts.partition} is being recovered; its open windows are read from the changelog."
        return WhyStatus.recovering, text
    if facts.owner is Owner.nobody:
        text = f"Waiting: no worker owns partition {facts.partition} at the moment, so nothing closes its windows."
        return WhyStatus.no_owner, text
    reason = _why_not_kept(facts)
    if reason is None and not facts.loaded:
        reason = _why_not_loaded(facts)
    return None if reason is None else (WhyStatus.unknown, reason)


def _why_not_kept(facts: Facts) -> str | None:
    """What the read model no longer holds, if that may be the bar of this window."""
    if facts.oldest_kept is not None and facts.bucket_start < facts.oldest_kept:
        return (
            f"Not known here: bars before {moment(facts.oldest_kept)} are no longer kept for the web port; `app bars` reads "
            "them from their topic."
        )
    past = facts.stream_time is None or facts.bucket_end + facts.grace <= facts.stream_time
    if facts.none_kept and facts.loaded and past and not facts.unpublished:
        return (
            "Not known here: the oldest bars are no longer kept for the web port, and there is none of this symbol among the "
            "others; `app bars` reads all of them from their topic."
        )
    return None


def _why_not_loaded(facts: Facts) -> str:
    if facts.read_model_error:
        return (
            f"Not known here: this worker cannot keep its copy of the final bars ({facts.read_model_error}). Bars are "
            "published all the same, and `app bars` reads them from their topic."
        )
    if facts.broker_silent_for is not None:
        return f"Not known at the moment: {_silence(facts.broker_silent_for)}."
    return "Not known yet: the final bars are still being read from their topic, and the window is not open."


def _final(facts: Facts, bar: FinalBar) -> Why:
    where = f"partition {facts.partition}, " if facts.partition is not None else ""
    first = first_of(bar, facts.versions)
    if first is None:
        since = f"Published in revision {bar.revision}; a bar before that is not known here"
    elif first.close_reason == "idle":
        cause = f"no later record came in time, and silence closed it (up to {where}offset {first.closed_at_offset})"
        since = f"Final since {moment(first.closed_at)}: {cause}"
    else:
        cause = f"the record at {where}offset {first.closed_at_offset} moved the watermark past its end"
        since = f"Final since {moment(first.closed_at)}: {cause}"
    holds = f"{counted(bar.ticks, 'tick')} of offsets {bar.first_offset} to {bar.last_offset}"
    if not bar.ticks:
        holds = f"no tick came (empty=flat), so it repeats the price of the tick at offset {bar.last_offset}"
    text = (
        f"{since}{history(bar, facts.versions)}. Watermark {moment(bar.watermark)}; {holds}{_late(facts)}."
        f"{PARTIAL if bar.partial else ''}{outlook(facts.revisable)}"
    )
    return _answer(facts, WhyStatus.final, text, stream_time=bar.watermark + facts.grace)


def _folded(facts: Facts, bar: FoldedBar) -> Why:
    """Of a bar whose frame is not kept."""
    revised = f", with {counted(bar.revision, 'revision')}" if bar.revision else ""
    made = f"{counted(bar.folded, 'bar')} of {facts.source}{revised}, {counted(bar.ticks, 'tick')}"
    kept = f"Bars of {facts.frame} are not published: this one is folded from the newest versions of shorter ones"
    if bar.final:
        text = f"Final: its window has closed. {kept}: {made}{_late(facts)}."
    else:
        text = (
            f"Open, folded from {made} so far: its last windows have not closed, as far as this worker knows. It closes "
            f"when stream time reaches {moment(bar.bucket_end + facts.grace)} (end plus grace). {kept}."
        )
    status = WhyStatus.final if bar.final else WhyStatus.open
    stream_time = None if bar.watermark is None else bar.watermark + facts.grace
    return _answer(facts, status, text + (PARTIAL if bar.partial else ""), stream_time=stream_time)


def _open(facts: Facts, window: OpenWindow) -> Why:
    stream_time = window.stream_time if window.stream_time is not None else facts.stream_time
    missing = None if stream_time is None else max(0, window.closes_at_stream_time - stream_time)
    whose = {"broker": facts.broker, "symbol": facts.symbol}.get(facts.scope, f"partition {window.partition}")
    parts = [f"Open, with {counted(window.ticks, 'tick')} so far"]
    if window.ticks_in_open is not None:
        inside = "none" if not window.ticks_in_open else f"{window.ticks_in_open:,}"
        parts[0] += f", {inside} of them in windows of {facts.size_text} that are still open: it closes after these"
    if stream_time is not None and missing is not None:
        parts.append(
            f"stream time of {whose} is {moment(stream_time)} and must reach {moment(window.closes_at_stream_time)} "
            f"(end plus grace), {span(missing)} more: a tick of {whose} from then closes it at once"
        )
    by = None
    if facts.idle_close and window.idle_due is not None:
        by = "idle"
        left = window.idle_due - facts.now
        when = f"in {span(left)}" if left > 0 else "as soon as the log has been read to its end"
        parts.append(f"if none comes, silence closes it at {moment(window.idle_due)}, {when}")
    else:
        by = "data"
        parts.append("silence does not close it (idle_close=off)")
    if facts.broker_silent_for is not None:
        parts.append(_silence(facts.broker_silent_for))
    if facts.lag:
        parts.append(f"{counted(facts.lag, 'record')} of its partition have not been read yet")
    where = f"partition {window.partition}" + (f" of {facts.worker}" if facts.worker else "")
    text = "; ".join(parts) + f"{_late(facts)}. It is in {where}.{PARTIAL if window.partial else ''}"
    return _answer(
        facts,
        WhyStatus.open,
        text,
        stream_time=stream_time,
        missing_ms=missing,
        closes_by=by,
        closes_at=window.idle_due if by == "idle" else None,
    )


def _no_window(facts: Facts) -> Why:
    due = facts.bucket_end + facts.grace
    stream_time, status = facts.stream_time, WhyStatus.not_opened
    if facts.partition is None:
        text = f"Not opened: {facts.broker} {facts.symbol} has no bar and no open window; no tick of it has been read."
    elif stream_time is None:
        text = f"Not opened: no tick of its scope has been read in partition {facts.partition}."
    elif due <= stream_time:
        if facts.unpublished:
            text = (
                f"Closed or empty: partition {facts.partition} has closed bars that are on their way to the topic; ask again."
            )
            return _answer(facts, WhyStatus.closing, text)
        status = WhyStatus.never_opened
        text = (
            f"Never opened: no tick fell into it, and none can any more, as stream time is {moment(stream_time)}, past "
            f"{moment(due)} (end plus grace){_late(facts)}."
        )
    else:
        text = (
            f"Not opened: no tick has fallen into it so far. Stream time is {moment(stream_time)}; it can still open until "
            f"that reaches {moment(due)} (end plus grace), {span(due - stream_time)} more."
        )
    if facts.lag:
        text += f" {counted(facts.lag, 'record')} of partition {facts.partition} have not been read yet."
    if facts.broker_silent_for is not None:
        text += f" At the moment {_silence(facts.broker_silent_for)}."
    return _answer(facts, status, text)


def _answer(facts: Facts, status: WhyStatus, sentence: str, **values: object) -> Why:
    stream_time = values.pop("stream_time", facts.stream_time)
    fields: dict[str, object] = {
        "broker": facts.broker,
        "symbol": facts.symbol,
        "bucket_start": facts.bucket_start,
        "bucket_end": facts.bucket_end,
        "status": status,
        "sentence": sentence,
        "bar": facts.bar,
        "window": facts.window,
        "partition": facts.partition if facts.window is None else facts.window.partition,
        "worker": facts.worker,
        "stream_time": stream_time,
        "watermark": stream_time - facts.grace if isinstance(stream_time, int) else None,
        "late_ticks": facts.late_ticks,
        "now": facts.now,
        "frame": facts.frame,
        "versions": list(facts.versions),
        "folded": facts.folded,
        "part_of": list(facts.holding),
        "correctable": None if facts.revisable is None else facts.revisable.open,
        "expires_at_stream_time": None if facts.revisable is None else facts.revisable.expires_at,
        "scope_time": None if facts.revisable is None else facts.revisable.stream_time,
        "revision_due": None if facts.revisable is None else facts.revisable.due,
        "revision_added": 0 if facts.revisable is None else facts.revisable.added,
        **values,
    }
    fields["also_in"] = others = other_partitions(facts, fields["partition"])
    if others:
        where = f"Partition {others[0]} has" if len(others) == 1 else f"Partitions {and_list(tuple(others))} have"
        fields["sentence"] = (
            f"{sentence} {where} the same window, too: producers place this symbol differently, so its ticks lie in "
            f"{len(others) + 1} partitions, and each has a bar of its own."
        )
    return Why.model_validate(fields)


def other_partitions(facts: Facts, partition: object) -> list[int]:
    """The partitions besides this one that have a bar or an open window of it."""
    return [other for other in facts.also_in if other != partition]


def _silence(seconds: float) -> str:
    return f"Kafka has not answered for {span(round(seconds * 1_000))}: nothing is read and nothing closes until it does"


def _late(facts: Facts) -> str:
    return f"; {counted(facts.late_ticks, 'tick')} of it came late" if facts.late_ticks else ""
