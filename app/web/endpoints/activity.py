"""`/api/v1/activity`: what this worker, or all of them, did in the last hour."""

from __future__ import annotations

from collections.abc import Sequence

from app.kafka.clock import now_ms
from app.web.activity import EVERY_MS, Step, added, quantile
from app.web.context import WebContext
from app.web.models.activity import Activity, ActivityStep
from app.web.models.base import Away
from app.web.params import AccountingParams


async def activity(web: WebContext, params: AccountingParams) -> Activity:
    """Records read, bars published, lag, and how late bars were, in the last hour."""
    steps, away = list(web.activity.steps), list[Away]()
    if params.workers == "all":
        elsewhere = web.partitions_elsewhere()
        responses, away = await web.peers.get_from_owners(elsewhere, "/api/v1/activity", {"workers": "me"})
        for response in responses:
            rows = map(ActivityStep.model_validate, response["steps"])
            steps += [Step(row.start, row.read, row.bars, row.lag, tuple(row.late)) for row in rows]
    bounds = web.activity.bounds
    return Activity(now=now_ms(), every_ms=EVERY_MS, steps=[_shown(step, bounds) for step in added(steps)], away=away)


def _shown(step: Step, bounds: Sequence[float]) -> ActivityStep:
    median, most = (quantile(bounds, step.late, share) for share in (0.5, 0.99))
    return ActivityStep.model_construct(
        start=step.start,
        read=step.read,
        bars=step.bars,
        lag=step.lag,
        p50_ms=None if median is None else round(median * 1_000, 1),
        p99_ms=None if most is None else round(most * 1_000, 1),
        late=list(step.late),
    )
