"""`app inspect`: looks at a sample with the schemas that its values name, and tries the settings that fit on its records."""

from __future__ import annotations

import time
from collections.abc import Sequence

from agents.schemas import TickSchemas
from app.errors import BarwheelError
from app.operations.inspection.inspect import Inspection, inspect_sample
from app.operations.inspection.sample import Sample, Seen
from app.operations.inspection.schemas import schemas_of
from app.operations.newest_ticks import judge
from app.settings import Settings

SCHEMA_SECONDS = 10.0  # to get the schemas again for the try


async def look_at(sample: Sample, settings: Settings) -> Inspection:
    """Look at a sample. Raises `InputError` where `ticks_schema` cannot be used."""
    found = inspect_sample(sample, settings, await schemas_of(sample.records, settings))
    if found.verdict is None and found.can_be_tried:
        await _try(found, sample.records)
    return found


async def _try(found: Inspection, records: Sequence[Seen]) -> None:
    until = time.monotonic() + SCHEMA_SECONDS
    try:
        settings = Settings.load(**found.settings)
        async with TickSchemas(settings) as schemas:
            if await schemas.ready(records, lambda: time.monotonic() < until):
                found.verdict = judge(settings, records)
    except BarwheelError as error:
        found.problems.append(str(error))
