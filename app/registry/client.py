"""A client for the HTTP API of Schema Registry, as Confluent's and Karapace have it.

Every failure is one readable line that names the address and what was asked for. A failed request is repeated until a limit:
all of them can be, because registering a schema twice gives the same id.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from app import https
from app.errors import RegistryError
from app.settings import Settings

if TYPE_CHECKING:
    import httpx

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
SETTING = "schema_registry"
READ_SECONDS, TRY_SECONDS = 10.0, 20.0
WAITS = (0.2, 2.0)  # seconds, first and longest
OK, BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT = 200, 400, 401, 403, 404, 409
BUSY = {429, 500, 502, 503, 504}  # another attempt can help
log = logging.getLogger(__name__)


class RegistryAwayError(RegistryError):
    """It did not answer, or said that it cannot now: another attempt can help."""


class UnknownSchemaError(RegistryError):
    """It has no such schema, subject or version."""


class IncompatibleSchemaError(RegistryError):
    """The schema breaks the compatibility that the subject demands."""


@dataclass(frozen=True)
class Reference:
    """A schema uses a version of another subject under this name."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True)
class Schema:
    """A schema as it is registered. `kind`: AVRO, PROTOBUF or JSON."""

    text: str
    kind: str = "AVRO"
    references: Sequence[Reference] = ()

    def body(self) -> dict[str, Any]:
        """The schema as a request holds it."""
        body: dict[str, Any] = {"schema": self.text, "schemaType": self.kind}
        if self.references:
            body["references"] = [vars(reference) for reference in self.references]
        return body


class RegistryClient:
    """Use as `async with`. All methods raise `RegistryError`."""

    def __init__(
        self,
        url: str,
        *,
        user: str = "",
        password: str = "",
        ca_file: str = "",
        read_seconds: float = READ_SECONDS,
        try_seconds: float = TRY_SECONDS,
    ) -> None:
        """`read_seconds` limits one request; `try_seconds` limits the time of all its attempts.

        Raises `SettingsError` if `ca_file` cannot be used.
        """
        self.url = url.rstrip("/")
        self._read_seconds, self._try_seconds = read_seconds, try_seconds
        self._http = https.client(
            self.url, SETTING, user=user, password=password, ca_file=ca_file, media_type=MEDIA_TYPE, read_seconds=read_seconds
        )

    @classmethod
    def of(cls, settings: Settings, **limits: float) -> Self:
        """The client that the settings describe."""
        password = settings.schema_registry_password.get_secret_value()
        user, ca_file = settings.schema_registry_user, settings.schema_registry_ca_file
        return cls(settings.schema_registry_url, user=user, password=password, ca_file=ca_file, **limits)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.aclose()

    async def schema(self, number: int | bytes) -> Schema:
        """The schema with this id, or with a GUID's 16 bytes. One of Protobuf comes as a file descriptor in base64."""
        path = f"/schemas/ids/{number}" if isinstance(number, int) else f"/schemas/guids/{uuid.UUID(bytes=number)}"
        return self._schema(path, await self._ask("GET", path, query={"format": "serialized"}))

    async def version(self, subject: str, version: int | str = "latest") -> Schema:
        """A version of a subject, as `schema` gives it."""
        path = f"/subjects/{quote(subject, safe='')}/versions/{version}"
        return self._schema(path, await self._ask("GET", path, query={"format": "serialized"}))

    async def subjects(self) -> list[str]:
        """The names of all subjects."""
        return [str(name) for name in self._expect("/subjects", await self._ask("GET", "/subjects"), list)]

    async def versions(self, subject: str) -> list[int]:
        """The versions of a subject."""
        path = f"/subjects/{quote(subject, safe='')}/versions"
        return [int(number) for number in self._expect(path, await self._ask("GET", path), list)]

    async def register(self, subject: str, schema: Schema) -> int:
        """Register a schema as the newest version of a subject, if it is not there yet. Returns its id."""
        path = f"/subjects/{quote(subject, safe='')}/versions"
        return int(self._expect(path, await self._ask("POST", path, schema.body()), dict, "id")["id"])

    async def lookup(self, subject: str, schema: Schema) -> int:
        """The id of a schema that a subject has already. Raises `UnknownSchemaError` where it has not."""
        path = f"/subjects/{quote(subject, safe='')}"
        return int(self._expect(path, await self._ask("POST", path, schema.body()), dict, "id")["id"])

    async def compatibility(self, subject: str) -> str:
        """The compatibility that a subject demands: BACKWARD, FORWARD_TRANSITIVE, NONE, ..."""
        path = f"/config/{quote(subject, safe='')}"
        answer = await self._ask("GET", path, query={"defaultToGlobal": "true"})
        return str(self._expect(path, answer, dict, "compatibilityLevel")["compatibilityLevel"])

    async def incompatibilities(self, subject: str, schema: Schema, version: int | str = "latest") -> list[str] | None:
        """What makes a schema incompatible with a version of a subject; None where it is compatible."""
        path = f"/compatibility/subjects/{quote(subject, safe='')}/versions/{version}"
        answer = self._expect(path, await self._ask("POST", path, schema.body(), {"verbose": "true"}), dict, "is_compatible")
        return None if answer["is_compatible"] else [str(text) for text in answer.get("messages", [])]

    # ---- requests

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> Any:
        until, wait = time.monotonic() + self._try_seconds, WAITS[0]
        while True:
            try:
                return self._answer(path, await self._request(method, path, body, query))
            except RegistryAwayError as error:
                pause = wait * random.uniform(0.5, 1.5)  # noqa: S311  # not for security
                if time.monotonic() + pause > until:
                    raise
                log.info("%s; trying again in %.1f s", error, pause)
            await asyncio.sleep(pause)
            wait = min(2 * wait, WAITS[1])

    async def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None, query: Mapping[str, str] | None
    ) -> httpx.Response:
        from httpx import HTTPError  # noqa: PLC0415  # as in app.https

        headers = {} if body is None else {"Content-Type": MEDIA_TYPE}
        try:
            return await https.request(self._http, method, path, self._read_seconds, json=body, params=query, headers=headers)
        except (HTTPError, TimeoutError) as error:
            https.check_certificate(error, f"Schema Registry at {self.url}", SETTING)
            reason = str(error) or f"no complete response within {self._read_seconds:g} s"
            raise RegistryAwayError(f"Schema Registry at {self.url}: {path}: {reason}") from error

    def _answer(self, path: str, response: httpx.Response) -> Any:
        """The JSON of a response; raises the error that its status stands for."""
        status = response.status_code
        try:
            content = response.json()
        except ValueError:  # it is not JSON, or not text
            content = None
        if status < BAD_REQUEST:
            if status != OK or content is None:
                raise RegistryError(f"{self._said(path, response)}: is schema_registry_url a Schema Registry?")
            return content
        said = content.get("message") if isinstance(content, dict) else None
        text = f"{self._said(path, response)}: {said or response.reason_phrase or 'no reason given'}"
        if status in (UNAUTHORIZED, FORBIDDEN):
            raise RegistryError(f"{text}; check schema_registry_user and schema_registry_password")
        if status == NOT_FOUND and isinstance(content, dict) and "error_code" in content:
            raise UnknownSchemaError(text)
        if status == CONFLICT:
            raise IncompatibleSchemaError(text)
        raise RegistryAwayError(text) if status in BUSY else RegistryError(text)

    def _said(self, path: str, response: httpx.Response) -> str:
        return f"Schema Registry at {self.url} answers {response.status_code} to {path}"

    def _expect(self, path: str, content: Any, kind: type, *names: str) -> Any:
        """Content of this type with these names; raises `RegistryError` where a registry would not answer so."""
        known: Any = content
        if not isinstance(content, kind) or any(name not in known for name in names):
            raise RegistryError(f"{self.url}{path}: the answer has an unknown form: is it a Schema Registry?")
        return content

    def _schema(self, path: str, content: Any) -> Schema:
        found: dict[str, Any] = self._expect(path, content, dict, "schema")
        try:
            references = [
                Reference(str(r["name"]), str(r["subject"]), int(r["version"])) for r in found.get("references") or ()
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise RegistryError(f"{self.url}{path}: its references have an unknown form ({error!r})") from error
        return Schema(str(found["schema"]), str(found.get("schemaType") or "AVRO"), tuple(references))
