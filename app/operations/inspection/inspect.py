"""Puts together what a sample says, and the settings that fit it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.kafka.records import APPEND_TIME
from app.operations.inspection import guess, keys, times
from app.operations.inspection.sample import Sample, Seen
from app.operations.inspection.schemas import SeenSchemas
from app.operations.inspection.times import Disorder, Tick
from app.operations.inspection.values import WITH_SCHEMA, Format, Path, Row, Values, look
from app.operations.newest_ticks import Verdict, judge
from app.settings import Settings
from app.settings.durations import duration_text
from tables.ticks import shown

SCOPES = ("broker", "symbol", "partition")
NO_BROKER = "XXXX"  # a constant to be replaced, where nothing says the broker


@dataclass
class Inspection:
    """What was found. `settings`: those that fit, by name, with the values that a user would write."""

    topic: str
    partitions: int
    total: int
    looked_at: int
    append_times: set[bool]  # whether records have the broker's time: both, where the topic was altered
    values: Values
    key: keys.KeyForm
    fields: dict[str, Path]
    places: keys.Places
    unit: str | None = None  # of numbers; None where times are text
    zoned: bool = True  # whether times as text say their offset
    delay_ms: int | None = None  # the median from the event to the arrival
    disorder: dict[str, Disorder] = field(default_factory=dict)  # by scope
    example: Row = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    verdict: Verdict | None = None  # what a worker with these settings would do with the records
    schemas: Mapping[str, str] = field(default_factory=dict)  # what they are, by id or file

    @property
    def can_be_tried(self) -> bool:
        """Whether time and price are known."""
        return bool(self.values.rows) and {"ts", self.settings.get("price", "")} <= {*self.fields, "mid"}


def inspect_sample(sample: Sample, settings: Settings, schemas: SeenSchemas | None = None) -> Inspection:
    """Look at a sample. `settings`: the present ones, of which those that fit are kept."""
    schemas = schemas or SeenSchemas()
    values = look(sample.records, schemas.read, by_file=schemas.by_file)
    present = [record for record in sample.records if (record.partition, record.offset) in values.rows]
    rows = [values.rows[record.partition, record.offset] for record in present]
    fields = guess.guess(values.fields, [(row, record.timestamp) for row, record in zip(rows, present, strict=True)], len(rows))
    named = [
        keys.Named(record.key, _text(row, fields, "broker"), _text(row, fields, "symbol"))
        for row, record in zip(rows, present, strict=True)
    ] or [keys.Named(record.key, None, None) for record in sample.records]
    form = keys.form_of(named)
    identities = [_identity(one, form) for one in named]
    located = present or sample.records
    found = Inspection(
        sample.topic,
        sample.partitions,
        sample.total,
        len(sample.records),
        {record.timestamp_type == APPEND_TIME for record in sample.records},
        values,
        form,
        fields,
        keys.places_of(
            [(record.key, record.partition) for record in located],
            [(shown("|".join(pair)), record.partition) for pair, record in zip(identities, located, strict=True) if any(pair)],
            sample.partitions,
        ),
    )
    found.schemas = schemas.names
    if rows:
        found.example = rows[-1]
    if "ts" in fields:
        _look_at_times(found, rows, present, identities)
    _fit(found, settings, schemas)
    if found.values.format is Format.json and found.can_be_tried:
        found.verdict = judge(Settings.load(**found.settings), sample.records)
    return found


def _look_at_times(
    found: Inspection, rows: Sequence[Row], records: Sequence[Seen], identities: Sequence[tuple[str, str]]
) -> None:
    path = found.fields["ts"]
    values = [(row[path], record.timestamp) for row, record in zip(rows, records, strict=True) if row.get(path) is not None]
    texts = [value for value, _ in values if isinstance(times.number_in(value), str)]
    found.unit = times.unit_of(values) if len(texts) < len(values) else None
    found.zoned = all(times.has_zone(text) for text in texts)
    ticks = [
        Tick(record.partition, record.offset, record.timestamp, ms, *identity)
        for row, record, identity in zip(rows, records, identities, strict=True)
        if (ms := times.in_ms(row.get(path), found.unit or "ms")) is not None
    ]
    delays = sorted(tick.arrival - tick.ts for tick in ticks)
    found.delay_ms = delays[len(delays) // 2] if delays else None
    by_scope = {"broker": lambda t: t.broker, "symbol": lambda t: (t.broker, t.symbol), "partition": lambda _: ""}
    found.disorder = {scope: times.disorder(ticks, by_scope[scope]) for scope in SCOPES}


def _text(row: Row, fields: Mapping[str, Path], part: str) -> str | None:
    value = row.get(fields[part]) if part in fields else None
    return value if isinstance(value, str) else None


def _identity(one: keys.Named, form: keys.KeyForm) -> tuple[str, str]:
    """Broker and symbol, from the value or from the key."""
    broker, symbol = one.broker or "", one.symbol or ""
    if form.pattern and one.key:
        text = one.key.decode()
        if "{broker}" in form.pattern:
            broker, symbol = text.split(form.pattern.removeprefix("{broker}").removesuffix("{symbol}"))
        else:
            symbol = text
    return broker, symbol


def _fit(found: Inspection, settings: Settings, schemas: SeenSchemas) -> None:
    """The settings that fit, and what no setting can mend."""
    fit, problems = found.settings, found.problems
    fit["ticks_topic"] = found.topic
    kind = found.values.format
    problems += schemas.problems
    if kind in WITH_SCHEMA and found.values.rows:
        fit |= schemas.settings
    elif kind in WITH_SCHEMA:
        ids = ", ".join(number for number, _ in found.values.schema_ids.most_common(5))
        if not settings.schema_registry_url:
            problems.append(
                f"the values have a {kind} ({ids}): set schema_registry_url to the registry that knows them, and look again"
            )
        return
    elif kind is not Format.json:
        problems.append("the values are no JSON objects, and nothing says what they are" if kind else "there are no values")
        return
    _fit_price(found, settings)
    _fit_names(found)
    if "ts" in found.fields:
        kept = times.finest((row.get(found.fields["ts"]) for row in found.values.rows.values()), found.unit or "ms")
        fit["time_unit"] = kept
        if found.unit not in {None, kept}:
            fit["ticks_time_unit"] = str(found.unit)
    if not found.zoned:
        fit["ticks_zone"] = "UTC"
        problems.append("times are text without an offset: ticks_zone must name their zone, such as America/New_York")
    disorder = found.disorder.get(str(settings.scope))
    if disorder is not None:
        fit["grace"] = duration_text(disorder.grace)
        fit["idle_margin"] = duration_text(max(settings.idle_margin, times.usual(disorder.back)))
    if found.places.several:
        fit["repartition"] = "on"
        problems.append(
            f"{found.places.several:,} of {found.places.names:,} symbols lie in several partitions, each of which would make "
            "bars of its own: repartition=on copies them to one; see docs/topics.md for what that means for grace"
        )


def _fit_price(found: Inspection, settings: Settings) -> None:
    fields, wanted = found.fields, str(settings.price)
    has = {"bid": "bid" in fields, "ask": "ask" in fields, "last": "last" in fields, "mid": "bid" in fields and "ask" in fields}
    if not has[wanted]:
        wanted = next((name for name in ("bid", "last", "ask") if has[name]), "")
    if wanted:
        found.settings["price"] = wanted
    else:
        found.problems.append("no field looks like a price: name it in ticks_fields, as in last=trade.price")
    if "ts" not in fields:
        found.problems.append("no field looks like the event time: name it in ticks_fields, as in ts=time")
    if wanted and any(_not_positive(row.get(fields[part])) for row in found.values.rows.values() for part in _parts(wanted)):
        found.settings["prices"] = "any"


def _parts(price: str) -> tuple[str, ...]:
    return ("bid", "ask") if price == "mid" else (price,)


def _not_positive(value: Any) -> bool:
    try:
        return value is not None and float(value) <= 0
    except (TypeError, ValueError):
        return False


def _fit_names(found: Inspection) -> None:
    """`ticks_key` and `ticks_fields`, where the default layout does not fit."""
    fields, pattern = found.fields, found.key.pattern
    price = found.settings.get("price")
    needed = ["ts", *(_parts(price) if price else ()), *(part for part in ("qty", "seq") if part in fields)]
    named = {part: written(fields[part]) for part in needed if part in fields}
    for part in ("broker", "symbol"):
        if f"{{{part}}}" not in pattern:
            named[part] = written(fields[part]) if part in fields else f"'{NO_BROKER}'"
            if part not in fields:
                found.problems.append(f"nothing says the {part}: put its name in place of {NO_BROKER}")
    if pattern != "{broker}|{symbol}":
        found.settings["ticks_key"] = pattern
    if pattern != "{broker}|{symbol}" or any(text != part for part, text in named.items()):
        found.settings["ticks_fields"] = ",".join(f"{part}={text}" for part, text in named.items())


def written(path: Path) -> str:
    """A field as `ticks_fields` takes it: quoted where its name has a sign that means something there."""
    return ".".join('"' + name.replace('"', '""') + '"' if set(name) & set(",.=' \"") else name for name in path)
