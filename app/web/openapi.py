"""The OpenAPI 3.1 document, made from the endpoints: their paths, their parameters' and their answers' types."""

from __future__ import annotations

import re
from typing import Any

from openapi_pydantic import OpenAPI
from openapi_pydantic.util import PydanticSchema, construct_open_api_with_schema_class
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.version import __version__
from app.web.endpoint import Endpoint
from app.web.models.bars import Problem
from app.web.params import Asked, EventsAsked

PROBLEMS = {
    "400": "A parameter cannot be used.",
    "401": "The token is not shown.",
    "421": "The Host header names somebody else.",
    "503": "Too much at once, or no answer in time.",
}
_IN_PATH = re.compile(r"{(\w+)}")
DESCRIPTION = (
    "Read only. Times are epoch milliseconds in UTC, prices are exact JSON numbers. A list that is not whole has a "
    "`next_cursor`: give it back as `cursor`, with the other parameters as they were. Any worker answers for all partitions; "
    "whom it could not ask is under `away`."
)


def document(endpoints: list[Endpoint], *, secured: bool, window_size: int) -> dict[str, Any]:
    """The document; `secured`: whether a token must be shown; windows start at multiples of their size (ms)."""
    paths = {one.path: {"get": _operation(one.path, one.summary, one.tag, one.asked, _json(one.answer))} for one in endpoints}
    streamed = {"description": "Events for as long as the client stays.", "content": {"text/event-stream": {"schema": _TEXT}}}
    events = "/api/v1/events"
    paths[events] = {"get": _operation(events, "Bars, watermarks and accounting as they come.", "live", EventsAsked, streamed)}
    metrics = {"description": "Metrics in Prometheus form.", "content": {"text/plain": {"schema": _TEXT}}}
    paths["/metrics"] = {"get": _operation("/metrics", "Metrics for Prometheus.", "operation", Asked, metrics)}
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "barwheel", "version": __version__, "description": DESCRIPTION},
        "paths": paths,
    }
    if secured:
        whole["components"] = {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "password": {"type": "http", "scheme": "basic", "description": "Any user, the token as password."},
            }
        }
        whole["security"] = [{"bearer": []}, {"password": []}]
    made = construct_open_api_with_schema_class(OpenAPI.model_validate(whole), by_alias=True)
    found: dict[str, Any] = made.model_dump(by_alias=True, exclude_none=True, mode="json")
    for path in found["paths"].values():
        for parameter in path["get"]["parameters"]:
            parameter.pop("allowReserved", None)  # the library's defaults, of which the standard knows none in a path
            parameter.pop("allowEmptyValue", None)
            if parameter["name"] == "bucket_start":
                parameter["schema"]["multipleOf"] = window_size
    return found


_TEXT = {"type": "string"}


def _json(answer: type[BaseModel]) -> dict[str, Any]:
    return {
        "description": "The answer.",
        "content": {"application/json": {"schema": PydanticSchema(schema_class=answer, enum=None)}},
    }


def _operation(path: str, summary: str, tag: str, asked: type[Asked], answer: dict[str, Any]) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": PydanticSchema(schema_class=Problem, enum=None)}}
    responses = {"200": answer, **{code: {"description": text, "content": problem} for code, text in PROBLEMS.items()}}
    name = "_".join(re.findall(r"\w+", path.removeprefix("/api/v1")))
    return {
        "summary": summary,
        "operationId": f"get_{name}",
        "tags": [tag],
        "parameters": _parameters(path, asked),
        "responses": responses,
    }


def _parameters(path: str, asked: type[Asked]) -> list[dict[str, Any]]:
    in_path = set(_IN_PATH.findall(path))
    _, schemas = models_json_schema([(asked, "validation")])
    schema = schemas["$defs"][asked.__name__]
    required = set(schema.get("required", ()))
    found = []
    for name, described in schema.get("properties", {}).items():
        kind = _without_null(described)
        description = kind.pop("description", None)
        kind.pop("title", None)
        one = {"name": name, "in": "path" if name in in_path else "query", "required": name in required, "schema": kind}
        if description:
            one["description"] = description
        found.append(one)
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is not given is absent: null cannot be written in a URL."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    found = {name: value for name, value in schema.items() if name != "anyOf" and not (name == "default" and value is None)}
    return {**found, **kinds[0]} if kinds else found
