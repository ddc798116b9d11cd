"""`/api/v1/partitions` and `/api/v1/accounting`: owner, position and record counts of every partition."""

from __future__ import annotations

from agents.task import PartitionTask
from app.kafka.clock import now_ms
from app.web import sampling
from app.web.context import WebContext
from app.web.models.base import Away
from app.web.models.workers import (
    Accounting,
    Counts,
    PartitionCounts,
    PartitionRow,
    Partitions,
    PartitionState,
    Recovery,
)
from app.web.params import AccountingParams, PartitionsParams

OUTCOMES = tuple(Counts.model_fields)


async def partitions(web: WebContext, params: PartitionsParams) -> Partitions:
    """Every partition of the input: its owner, position, lag and open windows."""
    owners = web.peers.owner_urls()
    rows = {number: _running(web, number, task) for number, task in web.running_tasks.items()}
    elsewhere = web.partitions_elsewhere()
    away: list[Away] = []
    if params.local == "false":
        responses, away = await web.peers.get_from_owners(elsewhere, "/api/v1/partitions", {"local": "true"})
        for response in responses:
            for row in map(PartitionRow.model_validate, response["partitions"]):
                if row.partition in elsewhere and row.me:  # of the others, also of those held up here, it knows nothing
                    rows.setdefault(row.partition, row.model_copy(update={"me": False}))
    for number in elsewhere:
        rows.setdefault(number, _not_running(web, number, owners.get(number)))
    return Partitions(now=now_ms(), partitions=[rows[number] for number in sorted(rows)], away=away)


def _running(web: WebContext, number: int, task: PartitionTask) -> PartitionRow:
    engine = task.engine
    end = web.high_watermark(number, task.consumed_to)
    stream_times, more_scopes = sampling.scope_times(engine)
    state = web.tasks.readiness()["state"]
    return PartitionRow(
        partition=number,
        owner=web.peers.own_url,
        me=True,
        state=PartitionState.running if state == "running" else PartitionState.waiting,
        position=task.consumed_to,
        high_watermark=end,
        lag=None if end is None else end - task.consumed_to,
        checkpointed=task.checkpointed_to,
        open_windows=engine.open_windows,
        stream_times=stream_times,
        more_scopes=more_scopes,
        counts=Counts(**{name: getattr(engine.counters, name) for name in OUTCOMES}),
    )


def _not_running(web: WebContext, number: int, url: str | None) -> PartitionRow:
    """A partition that no worker runs, as far as this worker knows. `url` is the address of its owner."""
    me, recovery = url == web.peers.own_url, None
    state = PartitionState.no_owner if url is None else PartitionState.owner_away
    held_up = web.tasks.readiness().get("held_up", {}).get(str(number)) if me else None
    if me:
        waits = held_up is not None or web.tasks.state == "waiting"
        state = PartitionState.waiting if waits else PartitionState.recovering
        recovery = recovery_progress(web)
    return PartitionRow(partition=number, owner=url, me=me, state=state, recovery=recovery, held_up=held_up)


def recovery_progress(web: WebContext) -> Recovery | None:
    """The progress of this worker's recovery; None if none is running."""
    progress = web.tasks.readiness().get("recovery")
    return None if progress is None else Recovery(**progress)


async def accounting(web: WebContext, params: AccountingParams) -> Accounting:
    """Records by outcome: read = binned + corrected + late + rejected + heartbeats."""
    local = local_accounting(web)
    if params.workers == "me":
        return local
    responses, away = await web.peers.get_from_owners(web.partitions_elsewhere(), "/api/v1/accounting", {"workers": "me"})
    rows = dict(local.partitions)
    for response in responses:
        for number, row in response["partitions"].items():
            rows.setdefault(number, PartitionCounts.model_validate(row))
    return _total(local.state, rows).model_copy(update={"away": away})


def local_accounting(web: WebContext) -> Accounting:
    """The accounting of the partitions that run on this worker."""
    rows = {str(number): PartitionCounts(**task.accounting()) for number, task in sorted(web.running_tasks.items())}
    return _total(web.tasks.state, rows)


def _total(state: str, rows: dict[str, PartitionCounts]) -> Accounting:
    total = Counts(**{name: sum(getattr(row, name) for row in rows.values()) for name in OUTCOMES})
    balanced = all(
        row.read == sum(getattr(row, name) for name in OUTCOMES if name not in ("read", "lost")) for row in rows.values()
    )
    ordered = dict(sorted(rows.items(), key=lambda item: int(item[0])))
    return Accounting(state=state, total=total, partitions=ordered, balanced=balanced, away=[])
