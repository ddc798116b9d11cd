"""The schemas that records name, with everything they refer to: asked for once, and kept by id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import RegistryError
from app.registry.client import Reference, RegistryClient, Schema

MAX_REFERENCES = 1_000  # of one schema, all levels together
MAX_LEVELS = 50  # of references to references


@dataclass(frozen=True)
class WholeSchema:
    """A schema, and those that it refers to, under their names: what is used comes before what uses it."""

    text: str
    kind: str
    references: Sequence[tuple[str, str]] = ()


class Schemas:
    """Schemas by id. A schema never changes under its id, so what was found is never asked for again."""

    def __init__(self, client: RegistryClient) -> None:
        self._client = client
        self._found: dict[int | bytes, WholeSchema] = {}
        self._versions: dict[tuple[str, int], Schema] = {}

    async def get(self, number: int | bytes) -> WholeSchema:
        """The schema with this id or GUID. Raises `RegistryError`: `UnknownSchemaError` where there is none."""
        known = self._found.get(number)
        if known is None:
            known = self._found[number] = await self._whole(await self._client.schema(number))
        return known

    async def newest(self, subject: str) -> WholeSchema:
        """The latest version of a subject. Raises `RegistryError`: `UnknownSchemaError` where there is none."""
        return await self._whole(await self._client.version(subject))

    async def _whole(self, schema: Schema) -> WholeSchema:
        texts: dict[str, str] = {}
        await self._add_references(schema, texts, [])
        return WholeSchema(schema.text, schema.kind, tuple(texts.items()))

    async def _add_references(self, schema: Schema, texts: dict[str, str], way: list[Reference]) -> None:
        for reference in schema.references:
            if reference in way or len(way) >= MAX_LEVELS or len(texts) > MAX_REFERENCES:
                raise RegistryError(
                    f"Schema Registry at {self._client.url}: {reference.subject} refers to itself, or to too many"
                )
            if reference.name in texts:
                continue
            key = reference.subject, reference.version
            if key not in self._versions:
                self._versions[key] = await self._client.version(*key)
            await self._add_references(self._versions[key], texts, [*way, reference])
            texts[reference.name] = self._versions[key].text
