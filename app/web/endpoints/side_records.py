"""`/api/v1/late` and `/api/v1/rejected`: the records that went to the side outputs."""

from __future__ import annotations

from app.readmodel.queries import Queries, StoredSideRecord
from app.web.context import WebContext
from app.web.cursors import decode_cursor, encode_cursor
from app.web.models.side_records import SideRecord, SideRecords
from app.web.params import MAX_TIMESTAMP, LateParams, RejectedParams


async def late(web: WebContext, params: LateParams) -> SideRecords:
    """Late ticks, newest first."""
    return await _side_records(
        web, params, "late", params.since or None, None if params.until == MAX_TIMESTAMP else params.until
    )


async def rejected(web: WebContext, params: RejectedParams) -> SideRecords:
    """Rejected records, newest first."""
    return await _side_records(web, params, "rejected")


async def _side_records(
    web: WebContext, params: RejectedParams, kind: str, since: int | None = None, until: int | None = None
) -> SideRecords:
    before = decode_cursor(params.cursor, int)[0] if params.cursor else 1 << 62
    nothing: tuple[list[StoredSideRecord], dict[str, int]] = [], {}

    def select(queries: Queries) -> tuple[list[StoredSideRecord], dict[str, int]]:
        names = params.broker, params.symbol
        records = queries.side_records(kind, names, params.reason, before, params.limit + 1, (since, until))
        return records, queries.reasons(kind)

    records, reasons = await web.read_model.query(select, nothing)
    page = records[: params.limit]
    return SideRecords(
        records=[
            SideRecord(
                id=record.id,
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                arrival=record.arrival,
                broker=record.broker,
                symbol=record.symbol,
                ts=record.ts,
                bucket_start=record.start,
                reason=record.reason,
                detail=record.detail,
                value=record.value,
                truncated=bool(record.truncated),
            )
            for record in page
        ],
        next_cursor=encode_cursor(page[-1].id) if len(records) > params.limit else None,
        reasons=reasons,
    )
