"""Why a bar is final, or is not yet: one sentence for people, fields for programs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from app.web.models.bars import FinalBar, OpenWindow, Why, WhyStatus

_SECOND, _MINUTE = 1_000, 60_000


class Owner(StrEnum):
    """Who answers for the partition."""

    me = "me"
    recovering = "recovering"
    away = "away"
    nobody = "nobody"
    unknown = "unknown"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of one window. Times are epoch ms.

    `stream_time` is that of its scope; `lag` says how many records its worker has not read yet; `unpublished`: its partition
    has closed bars that nobody can read yet; `loaded`: all final bars that there are have been looked at; `silent`: for how
    many seconds the broker has not answered, where that is too long; `copy_trouble`: why the local copy of the bars
    cannot be kept.
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
    owner_trouble: str = ""
    partition: int | None = None
    worker: str | None = None
    stream_time: int | None = None
    lag: int | None = None
    unpublished: bool = False
    loaded: bool = True
    silent: float | None = None
    copy_trouble: str = ""
    oldest_kept: int | None = None


def explain(facts: Facts) -> Why:  # noqa: PLR0911  # one return a case
    """The answer."""
    if facts.bar is not None:
        return _final(facts, facts.bar)
    if facts.window is not None:
        return _open(facts, facts.window)
    if facts.owner is Owner.away:
        text = f"Not known: partition {facts.partition} is owned by {facts.worker or 'another worker'}, {facts.owner_trouble}."
        return _answer(facts, WhyStatus.owner_away, text)
    if facts.owner is Owner.recovering:
        text = f"Not known yet: partition {facts.partition} is being recovered; its open windows are read from the changelog."
        return _answer(facts, WhyStatus.recovering, text)
    if facts.owner is Owner.nobody:
        text = f"Waiting: no worker owns partition {facts.partition} at the moment, so nothing closes its windows."
        return _answer(facts, WhyStatus.no_owner, text)
    if facts.oldest_kept is not None and facts.bucket_start < facts.oldest_kept:
        text = (
            f"Not known here: bars before {moment(facts.oldest_kept)} are no longer kept for the web port; `app bars` reads "
            "them from their topic."
        )
        return _answer(facts, WhyStatus.unknown, text)
    if not facts.loaded:
        if facts.copy_trouble:
            text = (
                f"Not known here: this worker cannot keep its copy of the final bars ({facts.copy_trouble}). Bars are "
                "published all the same, and `app bars` reads them from their topic."
            )
            return _answer(facts, WhyStatus.unknown, text)
        if facts.silent is not None:
            text = f"Not known at the moment: {_silence(facts.silent)}."
            return _answer(facts, WhyStatus.unknown, text)
        text = "Not known yet: the final bars are still being read from their topic, and the window is not open."
        return _answer(facts, WhyStatus.unknown, text)
    return _not_there(facts)


def _final(facts: Facts, bar: FinalBar) -> Why:
    where = f"partition {facts.partition}, " if facts.partition is not None else ""
    if bar.close_reason == "idle":
        cause = f"nothing more came in time, and silence closed it (up to {where}offset {bar.closed_at_offset})"
    else:
        cause = f"the record at {where}offset {bar.closed_at_offset} moved the watermark past its end"
    text = (
        f"Final since {moment(bar.closed_at)}: {cause}. Watermark {moment(bar.watermark)}; {_count(bar.ticks, 'tick')} of "
        f"offsets {bar.first_offset} to {bar.last_offset}{_late(facts)}."
    )
    return _answer(facts, WhyStatus.final, text, stream_time=bar.watermark + facts.grace)


def _open(facts: Facts, window: OpenWindow) -> Why:
    stream_time = window.stream_time if window.stream_time is not None else facts.stream_time
    missing = None if stream_time is None else max(0, window.closes_at_stream_time - stream_time)
    whose = {"broker": facts.broker, "symbol": facts.symbol}.get(facts.scope, f"partition {window.partition}")
    parts = [f"Open, with {_count(window.ticks, 'tick')} so far"]
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
    if facts.silent is not None:
        parts.append(_silence(facts.silent))
    if facts.lag:
        parts.append(f"{_count(facts.lag, 'record')} of its partition have not been read yet")
    where = f"partition {window.partition}" + (f" of {facts.worker}" if facts.worker else "")
    text = "; ".join(parts) + f"{_late(facts)}. It is in {where}."
    return _answer(
        facts,
        WhyStatus.open,
        text,
        stream_time=stream_time,
        missing_ms=missing,
        closes_by=by,
        closes_at=window.idle_due if by == "idle" else None,
    )


def _not_there(facts: Facts) -> Why:
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
        text += f" {_count(facts.lag, 'record')} of partition {facts.partition} have not been read yet."
    if facts.silent is not None:
        text += f" At the moment {_silence(facts.silent)}."
    return _answer(facts, status, text)


def _answer(facts: Facts, status: WhyStatus, sentence: str, **more: object) -> Why:
    stream_time = more.pop("stream_time", facts.stream_time)
    found: dict[str, object] = {
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
        **more,
    }
    return Why.model_validate(found)


def _silence(seconds: float) -> str:
    return f"Kafka has not answered for {span(round(seconds * 1_000))}: nothing is read and nothing closes until it does"


def _late(facts: Facts) -> str:
    return f"; {_count(facts.late_ticks, 'tick')} of it came late" if facts.late_ticks else ""


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def moment(ms: int) -> str:
    """`2014-05-05 00:00:05.123 UTC`; a number where no calendar has it."""
    try:
        text = datetime.fromtimestamp(ms // 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
    return f"{text}.{ms % 1_000:03d} UTC" if ms % 1_000 else f"{text} UTC"


def span(ms: int) -> str:
    """`250 ms`, `5.2 s` or `3 min 20 s`."""
    if ms < _SECOND:
        return f"{ms} ms"
    if ms < _MINUTE:
        return f"{ms / 1_000:.1f} s"
    hours, rest = divmod(ms // 1_000, 3_600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"
