"""A page of bars in the form that the client accepts: JSON, CSV or an Arrow stream."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from app.bar_columns import DEFAULT_SCALE, MisfitError, arrow_columns, csv_cell
from app.readmodel.queries import StoredBar
from app.web.errors import IncompleteError, InvalidParametersError, NotAcceptableError
from app.web.models.bars import FoldedBar, placed
from app.web.models.base import encode
from tables.bars import Bar, decode_bar

JSON, CSV, ARROW = "application/json", "text/csv", "application/vnd.apache.arrow.stream"
MEDIA_TYPES = (JSON, CSV, ARROW)  # in the order in which we choose, if the client has no preference
CSV_COLUMNS = tuple(name for name in Bar.__struct_fields__ if name != "corrected")
OLDEST_KEPT = "Barwheel-Oldest-Kept"  # header: `oldest_kept` of the JSON
FOLDED_COLUMNS = tuple(name for name in FoldedBar.model_fields if name not in ("final", "watermark"))
NONE_KEPT = "Barwheel-None-Kept"  # header: "true" as `none_kept` of the JSON


@dataclass(frozen=True)
class BarPage:
    """Bars in the order in which they are sent. `answer`: the other fields of the JSON; `scale`: decimals of Arrow's prices.

    `frame`: of longer bars.
    """

    bars: Sequence[StoredBar]
    answer: Mapping[str, Any]
    scale: int = DEFAULT_SCALE
    frame: str = ""
    folded: Sequence[FoldedBar] | None = None  # in place of `bars`

    def encode(self, media_type: str) -> bytes:
        """The body. It may take some ms: CSV and Arrow are made in a thread.

        Raises `InvalidParametersError` if a price does not fit `scale`.
        """
        if media_type == JSON and self.folded is not None:
            return encode({**self.answer, "bars": [bar.model_dump() for bar in self.folded]})
        if media_type == JSON:
            return encode({**self.answer, "bars": [placed(bar.value, bar.partition, self.frame) for bar in self.bars]})
        if not self.answer["complete"]:
            raise IncompleteError("the local copy of the bars is not complete, which this form cannot say: try again")
        if self.folded is not None:
            if media_type == ARROW:
                raise NotAcceptableError(f"bars of a frame that is not kept do not come as {ARROW}: take {CSV}")
            return _csv(FOLDED_COLUMNS, ([csv_cell(getattr(bar, name)) for name in FOLDED_COLUMNS] for bar in self.folded))
        bars = [decode_bar(bar.value) for bar in self.bars]
        return self._csv(bars) if media_type == CSV else self._arrow(bars)

    def headers(self, media_type: str) -> dict[str, str]:
        """What the JSON says beside the bars, for the other forms; the address of the next page is not among it."""
        found = {}
        if media_type != JSON and self.answer.get("oldest_kept") is not None:
            found[OLDEST_KEPT] = str(self.answer["oldest_kept"])
        if media_type != JSON and self.answer.get("none_kept"):
            found[NONE_KEPT] = "true"
        return found

    def _csv(self, bars: Sequence[Bar]) -> bytes:
        placed_bars = zip(bars, self.bars, strict=True)
        rows = ([*(csv_cell(getattr(bar, name)) for name in CSV_COLUMNS), stored.partition] for bar, stored in placed_bars)
        return _csv((*CSV_COLUMNS, "partition"), rows)

    def _arrow(self, bars: Sequence[Bar]) -> bytes:
        import pyarrow as pa  # noqa: PLC0415 - an extra

        try:
            columns = {"broker": pa.array([bar.broker for bar in bars], pa.string()), **arrow_columns(bars, self.scale)}
        except MisfitError as error:
            raise InvalidParametersError(("scale", str(self.scale), f"{error}: choose another")) from None
        columns["partition"] = pa.array([bar.partition for bar in self.bars], pa.int32())
        table = pa.table(columns)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)  # lines end as RFC 4180 says
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def negotiate(accept: str) -> str:
    """The media type to send for an `Accept` header: JSON if it names none of ours, as browsers do.

    Raises `NotAcceptableError` if it takes an Arrow stream alone, and pyarrow is not installed.
    """
    wanted = _acceptable(accept) or [JSON]
    for media_type in wanted:
        if media_type != ARROW or find_spec("pyarrow") is not None:
            return media_type
    raise NotAcceptableError(f"{ARROW} needs pyarrow at this worker: pip install 'barwheel[parquet]'; there is {CSV} too")


def _acceptable(accept: str) -> list[str]:
    """Those of our media types that the header takes, the preferred one first. One that is named goes before a wildcard."""
    ranges: dict[str, float] = {}
    for part in accept.split(","):
        name, *parameters = (text.strip().lower() for text in part.split(";"))
        quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        ranges[name] = float(quality) if quality.replace(".", "", 1).isdecimal() else 0.0
    found = []
    for order, media_type in enumerate(MEDIA_TYPES):
        for specificity, name in enumerate((media_type, f"{media_type.partition('/')[0]}/*", "*/*")):
            if name in ranges:
                found.append((-ranges[name], specificity, order, media_type))
                break
    return [media_type for quality, _, _, media_type in sorted(found) if quality < 0]
