"""A Schema Registry over HTTP that answers as Confluent's does: subjects, ids, references, compatibility, and its error codes.

`RegistryServer` runs it on a port of 127.0.0.1 that it keeps while it is away, with faults. As a program it runs in the
foreground and prints its address: `python -m tests.support.schema_registry`. With SCHEMA_REGISTRY_URL or KARAPACE_URL in the
environment, `registry_url` gives that one, and the tests that inject no faults run on it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.avro_compatibility import Resolution, names
from tests.support.protobuf_text import changed, file_of

LEVELS = {"NONE"} | {way + much for way in ("BACKWARD", "FORWARD", "FULL") for much in ("", "_TRANSITIVE")}
MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
REAL = ("SCHEMA_REGISTRY_URL", "KARAPACE_URL")


class RefusalError(Exception):
    """An error response: HTTP status, error_code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.status = code, code if code < 1_000 else code // 100


@dataclass
class Registry:
    """What is registered."""

    schemas: list[dict[str, Any]] = field(default_factory=list)  # the id is the index + 1
    subjects: dict[str, list[int]] = field(default_factory=dict)  # ids by version
    levels: dict[str, str] = field(default_factory=lambda: {"": "BACKWARD"})

    def register(self, subject: str, body: dict[str, Any]) -> int:
        schema = self.checked(body)
        ids = self.subjects.setdefault(subject, [])
        number = self.schemas.index(schema) + 1 if schema in self.schemas else None
        if number is not None and number in ids:
            return number
        problems = self.problems(subject, schema, ids)
        if problems:
            raise RefusalError(409, f"Schema being registered is incompatible with an earlier schema: {problems}")
        if number is None:
            self.schemas.append(schema)
            number = len(self.schemas)
        ids.append(number)
        return number

    def checked(self, body: dict[str, Any]) -> dict[str, Any]:
        """The schema of a request, in its normal form."""
        kind, text = body.get("schemaType", "AVRO"), body.get("schema")
        references = body.get("references") or []
        if set(body) - {"schema", "schemaType", "references"}:
            raise RefusalError(422, f"Unrecognized field: {sorted(body)}")
        for reference in references:
            self.id_of(reference["subject"], reference["version"])
        try:
            if kind == "AVRO":
                parsed = json.loads(text or "")
                known: dict[str, Any] = {}
                self.add_referenced(references, known)
                names(parsed, "", known)
                text = json.dumps(parsed, separators=(",", ":"))
            elif kind == "PROTOBUF":
                file_of(text or "")
            else:
                raise RefusalError(42201, f"Invalid schema type {kind}")
        except (ValueError, KeyError, TypeError) as error:
            raise RefusalError(42201, f"Invalid schema {text}: {error}") from None
        return {"schema": text, "schemaType": kind, "references": references}

    def add_referenced(self, references: list[dict[str, Any]], known: dict[str, Any]) -> None:
        """Add the named types that references bring, all levels of them."""
        for reference in references:
            schema = self.schemas[self.id_of(reference["subject"], reference["version"]) - 1]
            self.add_referenced(schema["references"], known)
            names(json.loads(schema["schema"]), "", known)

    def id_of(self, subject: str, version: str | int) -> int:
        ids = self.subjects.get(subject)
        if not ids:
            raise RefusalError(40401, f"Subject '{subject}' not found.")
        if version in ("latest", -1):
            return ids[-1]
        if not str(version).isdecimal() or not 0 < int(version) <= len(ids):
            raise RefusalError(40402, f"Version {version} not found.")
        return ids[int(version) - 1]

    def problems(self, subject: str, schema: dict[str, Any], ids: list[int]) -> list[str]:
        """What breaks the compatibility that the subject demands with these versions."""
        level = self.levels.get(subject, self.levels[""])
        if level == "NONE" or schema["references"]:
            return []
        found = []
        for number in ids if level.endswith("_TRANSITIVE") else ids[-1:]:
            old = self.schemas[number - 1]
            if level.startswith(("BACKWARD", "FULL")):
                found += unreadable(schema, old)
            if level.startswith(("FORWARD", "FULL")):
                found += unreadable(old, schema)
        return found

    def find(self, subject: str, body: dict[str, Any]) -> dict[str, Any]:
        """A schema of a subject with its id and version."""
        self.id_of(subject, "latest")
        schema, ids = self.checked(body), self.subjects[subject]
        number = self.schemas.index(schema) + 1 if schema in self.schemas else 0
        if number not in ids:
            raise RefusalError(40403, "Schema not found")
        return {"subject": subject, "id": number, "version": ids.index(number) + 1, "schema": schema["schema"]}

    def guid(self, number: int) -> str:
        return str(uuid.UUID(bytes=hashlib.md5(json.dumps(self.schemas[number - 1]).encode(), usedforsecurity=False).digest()))

    def shown(self, number: int, query: dict[str, str]) -> dict[str, Any]:
        schema = self.schemas[number - 1]
        text = schema["schema"]
        if schema["schemaType"] == "PROTOBUF" and query.get("format") == "serialized":
            text = base64.b64encode(file_of(text).SerializeToString()).decode()
        elif schema["schemaType"] == "PROTOBUF" and not text.startswith("syntax"):
            raise RefusalError(501, "this stand-in makes no text of a serialized Protobuf schema: ask with format=serialized")
        shown = {"schema": text, "guid": self.guid(number)}
        if schema["schemaType"] != "AVRO":
            shown["schemaType"] = schema["schemaType"]
        return shown | ({"references": schema["references"]} if schema["references"] else {})


def unreadable(reader: dict[str, Any], writer: dict[str, Any]) -> list[str]:
    """Why a reader with one schema cannot read what was written with another."""
    if reader["schemaType"] != writer["schemaType"]:
        return [f"the schemas are {reader['schemaType']} and {writer['schemaType']}"]
    if reader["schemaType"] == "AVRO":
        return Resolution(json.loads(reader["schema"]), json.loads(writer["schema"])).problems
    return changed(file_of(reader["schema"]), file_of(writer["schema"]))


Route = Callable[[Registry, tuple[str, ...], dict[str, str], dict[str, Any]], Any]


def _by_id(registry: Registry, path: tuple[str, ...], query: dict[str, str], _: dict[str, Any]) -> Any:
    if not 0 < int(path[0]) <= len(registry.schemas):
        raise RefusalError(40403, f"Schema {path[0]} not found")
    return registry.shown(int(path[0]), query)


def _by_guid(registry: Registry, path: tuple[str, ...], query: dict[str, str], _: dict[str, Any]) -> Any:
    for number in range(1, len(registry.schemas) + 1):
        if registry.guid(number) == path[0]:
            return registry.shown(number, query)
    raise RefusalError(40403, f"Schema {path[0]} not found")


def _version(registry: Registry, path: tuple[str, ...], query: dict[str, str], _: dict[str, Any]) -> Any:
    number = registry.id_of(*path)
    version = registry.subjects[path[0]].index(number) + 1
    return registry.shown(number, query) | {"subject": path[0], "version": version, "id": number}


def _versions(registry: Registry, path: tuple[str, ...], _: dict[str, str], __: dict[str, Any]) -> Any:
    registry.id_of(path[0], "latest")
    return list(range(1, len(registry.subjects[path[0]]) + 1))


def _compatible(registry: Registry, path: tuple[str, ...], query: dict[str, str], body: dict[str, Any]) -> Any:
    number = registry.id_of(*path)
    problems = registry.problems(path[0], registry.checked(body), [number])
    return {"is_compatible": not problems} | ({"messages": problems} if query.get("verbose") == "true" else {})


def _level(registry: Registry, path: tuple[str, ...], query: dict[str, str], _: dict[str, Any]) -> Any:
    subject = path[0] if path else ""
    if subject not in registry.levels and query.get("defaultToGlobal") != "true":
        raise RefusalError(40408, f"Subject '{subject}' does not have subject-level compatibility configured")
    return {"compatibilityLevel": registry.levels.get(subject, registry.levels[""])}


def _set_level(registry: Registry, path: tuple[str, ...], _: dict[str, str], body: dict[str, Any]) -> Any:
    if body.get("compatibility") not in LEVELS:
        raise RefusalError(42203, "Invalid compatibility level")
    registry.levels[path[0] if path else ""] = body["compatibility"]
    return {"compatibility": body["compatibility"]}


ROUTES: list[tuple[str, str, Route]] = [
    ("GET", r"/subjects", lambda registry, *_: list(registry.subjects)),
    ("GET", r"/schemas/types", lambda *_: ["AVRO", "PROTOBUF"]),
    ("GET", r"/schemas/ids/(\d+)", _by_id),
    ("GET", r"/schemas/guids/([0-9a-f-]+)", _by_guid),
    ("GET", r"/subjects/([^/]+)/versions", _versions),
    ("GET", r"/subjects/([^/]+)/versions/([^/]+)", _version),
    ("POST", r"/subjects/([^/]+)", lambda registry, path, _, body: registry.find(path[0], body)),
    ("POST", r"/subjects/([^/]+)/versions", lambda registry, path, _, body: {"id": registry.register(path[0], body)}),
    ("POST", r"/compatibility/subjects/([^/]+)/versions/([^/]+)", _compatible),
    ("GET", r"/config", _level),
    ("GET", r"/config/([^/]+)", _level),
    ("PUT", r"/config", _set_level),
    ("PUT", r"/config/([^/]+)", _set_level),
]


class RegistryServer:
    """The registry on a port that it keeps. `refuse` answers all with a status; `held` holds answers back until it is set."""

    def __init__(self, *, user: str = "", password: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.registry = Registry()
        self.refuse: int | None = None
        self.refuse_method = ""  # only requests of this method; empty: all
        self.held = threading.Event()
        self.held.set()
        self.asked: list[str] = []  # method and path of each request
        self._credentials = base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
        self._lock = threading.Lock()
        self._tls = tls
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen; returns when connections are taken."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, answer = outer.answer(self.command, self.path, content, self.headers.get("Authorization") or "")
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", MEDIA_TYPE)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Connection", "close")  # so that `stop` leaves no connection behind
                self.end_headers()
                self.wfile.write(data)
                self.close_connection = True

            do_GET = do_POST = do_PUT = _handle  # noqa: N815  # names of http.server

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        if self._tls:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Go away; what is registered stays."""
        self.held.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, method: str, target: str, content: bytes, authorization: str) -> tuple[int, Any]:
        parts = urlsplit(target)
        self.asked.append(f"{method} {parts.path}")
        self.held.wait()
        if self.refuse is not None and self.refuse_method in ("", method):
            return self.refuse, {"error_code": self.refuse, "message": f"refused with {self.refuse}"}
        if self._credentials and authorization != f"Basic {self._credentials}":
            return 401, {"error_code": 401, "message": "Unauthorized"}
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        for wanted, pattern, route in ROUTES:
            found = re.fullmatch(pattern, parts.path)
            if found and wanted == method:
                try:
                    body = json.loads(content) if content else {}
                    with self._lock:
                        return 200, route(self.registry, tuple(map(unquote, found.groups())), query, body)
                except RefusalError as error:
                    return error.status, {"error_code": error.code, "message": str(error)}
                except ValueError as error:
                    return 400, {"error_code": 400, "message": str(error)}
        return 404, {"error_code": 404, "message": f"HTTP 404 Not Found: {method} {parts.path}"}


@contextmanager
def running(**options: Any) -> Iterator[RegistryServer]:
    """A registry that stops at the end."""
    server = RegistryServer(**options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def registry_url() -> Iterator[str]:
    """The address of the real registry that the environment names, else of a new stand-in."""
    real = next((os.environ[name] for name in REAL if os.environ.get(name)), None)
    if real:
        yield real
        return
    with running() as server:
        yield server.url


if __name__ == "__main__":
    program = RegistryServer()
    program.start()
    print(program.url, flush=True)  # noqa: T201  # the address, for who started it
    threading.Event().wait()
