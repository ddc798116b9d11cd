"""Gets the schemas that records name, before the records go to an engine: slices wait here while the registry is away.

A schema never changes under its id, so the decoders are kept as long as the process runs, and all its readers share them.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from app.errors import InputError, RegistryError, SettingsError
from app.kafka.records import Batch, LeaderEpoch, Record, Skipped
from app.kafka.slices import Slice
from app.registry.client import RegistryAwayError, RegistryClient, UnknownSchemaError
from app.registry.schemas import Schemas
from app.settings import Settings
from tables.layouts.config import LayoutConfig
from tables.layouts.decoded import UnfitSchemaError
from tables.layouts.framing import SchemaId
from tables.layouts.schema_book import KINDS, SchemaBook, shown_id

AT_ONCE = 8  # requests
WAITS = (0.5, 5.0)  # seconds between two attempts, first and longest
LOOK_SECONDS = 0.2  # so often a wait looks whether it is still wanted
ASK_AGAIN_SECONDS = 60.0  # what the registry did not know is asked for again after this time
UNKNOWN_SECONDS = 0.5  # a new schema may not have reached every node of the registry: it is asked for twice
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptBatch:
    """A batch whose records can be gone over more than once."""

    base_offset: int
    next_offset: int
    timestamp_type: int
    max_timestamp: int
    records: Sequence[Record]

    def __iter__(self) -> Any:
        return iter(self.records)


def schema_book(settings: Settings) -> SchemaBook | None:
    """The decoders of the input's schemas, shared within the process; None where its format has no schemas.

    Raises `InputError` where `ticks_schema` cannot be used, and `SettingsError` where `ticks_fields` names a field twice.
    """
    config = settings.layout
    if config.format not in KINDS:
        return None
    return _book(config, settings.schema_registry_url, settings.ticks_schema, settings.ticks_message)


@functools.cache
def _book(config: LayoutConfig, _registry: str, file: str, message: str) -> SchemaBook:
    try:
        book = SchemaBook(config.parsed())
    except ValueError as error:
        raise SettingsError(str(error)) from None
    if file:
        try:
            book.use_file(Path(file).read_bytes(), message)
        except OSError as error:
            raise InputError(f"ticks_schema={file}: it cannot be read ({error.strerror or error})") from None
        except UnfitSchemaError as error:
            raise InputError(f"ticks_schema={file}: {error}; ticks_fields says which field is which part of a tick") from None
    return book


class TickSchemas:
    """The schemas of the input, for one worker or one command. `waiting`: why slices wait now; empty: they do not."""

    def __init__(self, settings: Settings) -> None:
        self.waiting = ""
        self._settings = settings
        self._client: RegistryClient | None = None
        self._schemas: Schemas | None = None
        self._unknown_since: dict[SchemaId, float] = {}  # monotonic

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    @functools.cached_property
    def _book(self) -> SchemaBook | None:
        """See `schema_book`, which takes longer than a slice may."""
        return schema_book(self._settings)

    async def check(self, *, patient: bool = True) -> None:
        """Check at a start what can be checked: the file, the registry's credentials, and the topic's newest schema.

        Raises `InputError` or `RegistryError` where no tick could be read. `patient`: a registry that is away is waited for
        later.
        """
        for name in self._settings.sources.names:
            await self._check(name, patient=patient)

    async def _check(self, topic: str, *, patient: bool) -> None:
        book = self._book
        if book is None or book.unframed is not None:
            return
        subject = f"{topic}-value"  # TopicNameStrategy, the default of Confluent's serializers
        client = RegistryClient.of(self._settings, try_seconds=0)
        async with client:
            try:
                versions = await client.versions(subject)
                newest = await Schemas(client).newest(subject)
            except UnknownSchemaError:
                log.info("Schema Registry has no subject %s: each schema is checked when a record names it", subject)
                return
            except RegistryAwayError as error:
                if not patient:
                    raise
                log.warning("%s; slices wait for it", error)
                return
        why = book.add(PROBE, newest.kind, newest.text, newest.references)
        book.forget(PROBE)
        if why:
            raise InputError(f"schema {subject} version {versions[-1]}: {why}; name the fields in ticks_fields")

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.__aexit__()
            self._client = None

    async def keep(self, part: Slice, wanted: Callable[[], bool]) -> Slice | None:
        """The slice, once every schema that its records name is known. None: it is not wanted any more.

        `wanted` is asked while the registry is away. Raises `SettingsError` where the connection can never be made.
        """
        book = self._book
        if book is None or book.unframed is not None:
            return part
        batches = [_kept(batch) for batch in part.batches]
        records = [record for batch in batches for record in batch]
        return part._replace(batches=batches) if await self.ready(records, wanted) else None

    async def ready(self, records: Iterable[Record], wanted: Callable[[], bool] = lambda: True) -> bool:
        """Wait until every schema that these records name is known. Returns whether it is still wanted."""
        book = self._book
        if book is None:
            return True
        self._forget_unknown(book)
        missing = book.unknown(records)
        if not missing:
            return True
        began, wait = time.monotonic(), WAITS[0]
        try:
            while missing:
                error = await self._attempt(book, missing, wanted)
                missing = {number for number in missing if not book.has(number)}
                if not wanted():
                    return False
                if missing and error is not None:
                    self._say(error)
                    await _sleep(wait, wanted)
                    wait = min(2 * wait, WAITS[1])
        finally:
            if self.waiting:
                log.warning("slices have waited %.1f s for Schema Registry", time.monotonic() - began)
                self.waiting = ""
        return True

    async def _attempt(self, book: SchemaBook, missing: set[SchemaId], wanted: Callable[[], bool]) -> RegistryError | None:
        """Ask for schemas. Returns the error because of which some are still missing."""
        asking = asyncio.ensure_future(self._ask(book, missing))
        try:
            while not asking.done() and wanted():
                await asyncio.wait({asking}, timeout=LOOK_SECONDS)
            return asking.result() if asking.done() else None
        finally:
            asking.cancel()

    async def _ask(self, book: SchemaBook, missing: set[SchemaId]) -> RegistryError | None:
        if self._client is None:
            self._client = await RegistryClient.of(self._settings, try_seconds=0).__aenter__()
        schemas = self._schemas = self._schemas or Schemas(self._client)
        limit, failed, unknown = asyncio.Semaphore(AT_ONCE), list[RegistryError](), dict[SchemaId, UnknownSchemaError]()

        async def one(number: SchemaId) -> None:
            async with limit:
                try:
                    found = await schemas.get(number)
                except UnknownSchemaError as error:
                    unknown[number] = error
                except RegistryError as error:
                    failed.append(error)
                else:
                    why = book.add(number, found.kind, found.text, found.references)
                    if why:
                        self._say_unfit(number, why)

        await asyncio.gather(*map(one, missing))
        if unknown and not failed:
            again = list(unknown)
            unknown.clear()
            await asyncio.sleep(UNKNOWN_SECONDS)
            await asyncio.gather(*map(one, again))
        if not failed:
            for number, error in unknown.items():
                book.refuse(number, "Schema Registry does not know it")
                self._unknown_since[number] = time.monotonic()
                log.error("%s; the records that name it are rejected (reason schema)", error)
        return failed[0] if failed else None

    def _forget_unknown(self, book: SchemaBook) -> None:
        now = time.monotonic()
        for number in [number for number, since in self._unknown_since.items() if now - since > ASK_AGAIN_SECONDS]:
            del self._unknown_since[number]
            book.forget(number)

    @staticmethod
    def _say_unfit(number: SchemaId, why: str) -> None:
        log.error("schema %s: %s; the records that name it are rejected (reason schema)", shown_id(number), why)

    def _say(self, error: RegistryError) -> None:
        text = str(error)
        if text != self.waiting:
            log.warning("%s; slices wait until it answers", text)
        self.waiting = text


PROBE: SchemaId = b"newest of topic."  # stands for a schema whose id was not asked for; 16 bytes, as a GUID


def _kept(batch: Batch) -> Batch:
    if isinstance(batch, LeaderEpoch | Skipped):
        return batch
    return KeptBatch(batch.base_offset, batch.next_offset, batch.timestamp_type, batch.max_timestamp, list(batch))


async def _sleep(seconds: float, wanted: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while wanted() and (left := until - time.monotonic()) > 0:  # noqa: ASYNC110  # `wanted` is no event
        await asyncio.sleep(min(left, LOOK_SECONDS))
