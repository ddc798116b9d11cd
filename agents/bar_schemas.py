"""The schemas of the bars: registered before the first bar, under `<topic>-value`; and what makes records of bars with them.

A schema keeps its id for ever. So the registry is needed at a start only: partitions wait for it, as they have no schema to
write bars with. A worker that runs does not notice that it is away.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import re
from collections.abc import Iterable
from importlib.resources import files

import msgspec

from agents.readiness import Readiness
from app.errors import RegistryError, StateError
from app.registry.client import (
    IncompatibleSchemaError,
    RegistryAwayError,
    RegistryClient,
    Schema,
    UnknownSchemaError,
)
from app.settings import Settings
from app.settings.types import BarsFormat
from tables.bar_formats.format import VERSION
from tables.bar_formats.numbers import BarNumbers
from tables.bar_formats.records import BarRecords, TakeRecords
from tables.emission import take_runs
from tables.further import Whose
from tables.scopes import Symbol
from tables.ticks import shown
from tables.window import Window

WAITS = (0.5, 5.0)  # seconds between two attempts, first and longest
KINDS = {BarsFormat.avro: ("AVRO", "avsc"), BarsFormat.protobuf: ("PROTOBUF", "proto")}  # for a registry, and as a file
_SCALES = {  # where a schema's text has the scale, which is 9 in the files
    BarsFormat.avro: (re.compile(r'"scale": 9'), '"scale": {}'),
    BarsFormat.protobuf: (re.compile(r'key: "scale", value: "9"'), 'key: "scale", value: "{}"'),
}
_ids: dict[tuple[str, str, str], int] = {}  # of registered schemas, by registry, subject and text; they never change
log = logging.getLogger(__name__)


def subject_of(topic: str) -> str:
    """The subject of a topic's values, by TopicNameStrategy, the default of all serializers."""
    return f"{topic}-value"


def bar_schema(settings: Settings) -> Schema | None:
    """The schema of the bars; None where they are JSON."""
    return None if settings.bars_format is BarsFormat.json else _schema(settings.bars_format, settings.bars_scale)


@functools.cache
def _schema(form: BarsFormat, scale: int) -> Schema:
    kind, suffix = KINDS[form]
    text = (files("tables.bar_formats") / "schemas" / f"bar-{VERSION}.{suffix}").read_text()
    pattern, with_scale = _SCALES[form]
    text = pattern.sub(with_scale.format(scale), text)
    return Schema(json.dumps(json.loads(text), separators=(",", ":")) if kind == "AVRO" else text, kind)


def bar_records(settings: Settings, topic: str) -> TakeRecords:
    """What makes the records of a topic's bars. Their schema has been registered, see `BarSchemas`."""
    schema = bar_schema(settings)
    if schema is None:
        return take_runs
    number = _ids[settings.schema_registry_url, subject_of(topic), schema.text]
    return BarRecords(settings.bars_format.value, number, settings.bars_scale).take


def check_windows(settings: Settings, windows: Iterable[tuple[Symbol | Whose, Window]]) -> None:
    """Check that windows which may have begun with another format fit the bars. Raises `StateError`."""
    scale = settings.bar_scale
    if scale is None:
        return
    numbers = BarNumbers(scale)
    for symbol, window in windows:
        unfit = numbers.unfit((window,))
        if unfit is not None:
            raise StateError(
                f"the window of {'|'.join(symbol.name)} up to {window.end} has {shown(unfit)}, which does not fit "
                f"bars_scale={scale}: raise it, or start with the former bars_format until the window has closed"
            )


class BarSchemas:
    """Registers the schemas, once in a process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = (settings.finals_topic, *settings.beyond_topics)

    async def check(self, *, patient: bool = True) -> None:
        """Register at a start what can be registered.

        Raises `RegistryError` where bars could not be written. `patient`: a registry that is away is waited for later.
        """
        try:
            await self._register()
        except RegistryAwayError as error:
            if not patient:
                raise
            log.warning("%s; partitions wait for it", error)

    async def registered(self, readiness: Readiness) -> None:
        """Wait until the schemas are registered; readiness says so. Raises `RegistryError` where waiting would not help."""
        wait = WAITS[0]
        try:
            while True:
                try:
                    await self._register()
                except RegistryAwayError as error:
                    text = str(error)
                    if text != readiness.registry:
                        log.warning("%s; partitions wait until it answers", text)
                    readiness.registry = text
                else:
                    return
                await asyncio.sleep(wait)
                wait = min(2 * wait, WAITS[1])
        finally:
            readiness.registry = ""

    async def look(self) -> None:
        """See whether bars could be written, and register nothing. Raises `RegistryError` where they could not."""
        settings, schema = self._settings, bar_schema(self._settings)
        if schema is None:
            return
        async with RegistryClient.of(settings, try_seconds=0) as client:
            for subject in map(subject_of, self._topics):
                if not settings.bars_register:
                    await self._number(client, subject, schema)
                    continue
                await self._check_scale(client, subject, schema)
                try:
                    problems = await client.incompatibilities(subject, schema)
                except UnknownSchemaError:  # there is no version yet
                    problems = None
                if problems is not None:
                    raise self._incompatible(f"Schema Registry at {client.url}: {'; '.join(problems)}", subject)

    async def _register(self) -> None:
        settings, schema = self._settings, bar_schema(self._settings)
        if schema is None:
            return
        places = {topic: (settings.schema_registry_url, subject_of(topic), schema.text) for topic in self._topics}
        missing = {topic: place for topic, place in places.items() if place not in _ids}
        if not missing:
            return
        async with RegistryClient.of(settings, try_seconds=0) as client:
            for place in missing.values():
                _ids[place] = await self._number(client, place[1], schema)
                log.info("the schema of %s is %d", place[1], _ids[place])

    async def _number(self, client: RegistryClient, subject: str, schema: Schema) -> int:
        settings = self._settings
        await self._check_scale(client, subject, schema)
        try:
            if settings.bars_register:
                return await client.register(subject, schema)
            return await client.lookup(subject, schema)
        except IncompatibleSchemaError as error:
            raise self._incompatible(str(error), subject) from None
        except UnknownSchemaError as error:
            if settings.bars_register:
                raise RegistryError(f"{error}; is schema_registry_url a Schema Registry?") from None
            raise RegistryError(
                f"{error}; bars_register=off, and subject {subject} lacks the schema: "
                "register what `app topics --schema` prints"
            ) from None

    def _incompatible(self, said: str, subject: str) -> RegistryError:
        return RegistryError(
            f"{said}; bars cannot be written beside those that subject {subject} describes: set the former bars_format and "
            "bars_scale, or another topics_prefix"
        )

    async def _check_scale(self, client: RegistryClient, subject: str, schema: Schema) -> None:
        """Refuse another scale than the subject's newest schema has.

        A registry may take it. A reader with one of the two schemas would move the point of the other's numbers without a word.
        """
        if schema.kind != "AVRO":
            return  # each number tells its scale
        try:
            newest = await client.version(subject)
        except UnknownSchemaError:
            return
        scales = set(_avro_scales(newest.text)) if newest.kind == "AVRO" else set()
        if scales - {self._settings.bars_scale}:
            raise RegistryError(
                f"bars_scale={self._settings.bars_scale}, and the newest schema of subject {subject} has scale "
                f"{', '.join(map(str, sorted(scales)))}: set that, or another topics_prefix"
            )


def _avro_scales(text: str) -> list[int]:
    """The scales of the decimals in an Avro schema."""
    found: list[int] = []

    def look(schema: object) -> None:
        if isinstance(schema, list):
            for branch in schema:
                look(branch)
        elif isinstance(schema, dict):
            if schema.get("logicalType") == "decimal":
                found.append(int(schema.get("scale", 0)))
            for inside in schema.values():
                look(inside)

    try:
        look(msgspec.json.decode(text))
    except (msgspec.DecodeError, TypeError, ValueError):
        return []  # the registry will say whether ours fits it
    return found
