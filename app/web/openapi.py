"""The OpenAPI 3.1 document, made from the endpoints: their paths, parameter types and response types."""

from __future__ import annotations

import re
from typing import Any

from openapi_pydantic import OpenAPI
from openapi_pydantic.util import PydanticSchema, construct_open_api_with_schema_class
from pydantic.json_schema import models_json_schema

from app.version import __version__
from app.web.bar_page import ARROW, JSON
from app.web.endpoint import Endpoint
from app.web.models.base import Problem, UdfProblem
from app.web.params import EventsParams, Params

PROBLEMS = {
    "400": "A parameter cannot be used.",
    "401": "The token is missing or wrong.",
    "421": "The Host header is not a name of this worker.",
    "503": "Too many requests, or no answer in time.",
}
NOT_ACCEPTABLE = "An Arrow stream alone is accepted, and pyarrow is not installed."
DESCRIPTION = (
    "Read only. Times are epoch milliseconds (UTC), prices are exact JSON numbers. A list that has more pages comes with a "
    "`next_cursor`: send it as `cursor`, together with the same other parameters. Any worker answers for all partitions; "
    "partitions whose owner could not be asked are listed under `away`."
)
_PATH_PARAMETER = re.compile(r"{(\w+)}")
_TEXT = {"type": "string"}


def document(endpoints: list[Endpoint], *, secured: bool, window_size: int) -> dict[str, Any]:
    """The document. `secured`: whether requests need a token; `window_size` (ms): windows start at its multiples."""
    paths = {
        endpoint.path: {"get": _operation(endpoint.path, endpoint.summary, endpoint.tag, endpoint.params, _content(endpoint))}
        for endpoint in endpoints
    }
    stream = {"description": "Events until the client disconnects.", "content": {"text/event-stream": {"schema": _TEXT}}}
    path = "/api/v1/events"
    paths[path] = {"get": _operation(path, "Bars, watermarks and accounting as they change.", "live", EventsParams, stream)}
    metrics = {"description": "Metrics in Prometheus form.", "content": {"text/plain": {"schema": _TEXT}}}
    paths["/metrics"] = {"get": _operation("/metrics", "Metrics for Prometheus.", "operation", Params, metrics)}
    clock = {"description": "Epoch seconds.", "content": {"text/plain": {"schema": _TEXT}}}
    paths["/udf/time"] = {"get": _operation("/udf/time", "The time of this worker.", "udf", Params, clock)}
    source: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "barwheel", "version": __version__, "description": DESCRIPTION},
        "paths": paths,
    }
    if secured:
        source["components"] = {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "password": {"type": "http", "scheme": "basic", "description": "Any user, the token as password."},
            }
        }
        source["security"] = [{"bearer": []}, {"password": []}]
    model = construct_open_api_with_schema_class(OpenAPI.model_validate(source), by_alias=True)
    result: dict[str, Any] = model.model_dump(by_alias=True, exclude_none=True, mode="json")
    for item in result["paths"].values():
        for parameter in item["get"]["parameters"]:
            parameter.pop("allowReserved", None)  # defaults of the library that the standard forbids for path parameters
            parameter.pop("allowEmptyValue", None)
            if parameter["name"] == "bucket_start":
                parameter["schema"]["multipleOf"] = window_size
    return result


def _content(endpoint: Endpoint) -> dict[str, Any]:
    schemas: dict[str, Any] = dict.fromkeys(endpoint.media_types, _TEXT)
    schemas[JSON] = PydanticSchema(schema_class=endpoint.response, enum=None)
    return {"description": "Success.", "content": {name: {"schema": schema} for name, schema in schemas.items()}}


def _operation(path: str, summary: str, tag: str, params: type[Params], success: dict[str, Any]) -> dict[str, Any]:
    kind = UdfProblem if path.startswith("/udf/") else Problem
    problem = {"application/problem+json": {"schema": PydanticSchema(schema_class=kind, enum=None)}}
    problems = PROBLEMS | ({"406": NOT_ACCEPTABLE} if ARROW in success["content"] else {})
    responses = {"200": success, **{code: {"description": text, "content": problem} for code, text in problems.items()}}
    name = "_".join(re.findall(r"\w+", path.removeprefix("/api/v1")))
    return {
        "summary": summary,
        "operationId": f"get_{name}",
        "tags": [tag],
        "parameters": _parameters(path, params),
        "responses": responses,
    }


def _parameters(path: str, params: type[Params]) -> list[dict[str, Any]]:
    in_path = set(_PATH_PARAMETER.findall(path))
    _, schemas = models_json_schema([(params, "validation")])
    schema = schemas["$defs"][params.__name__]
    required = set(schema.get("required", ()))
    parameters = []
    for name, described in schema.get("properties", {}).items():
        value_schema = _without_null(described)
        description = value_schema.pop("description", None)
        value_schema.pop("title", None)
        parameter = {
            "name": name,
            "in": "path" if name in in_path else "query",
            "required": name in required,
            "schema": value_schema,
        }
        if description:
            parameter["description"] = description
        parameters.append(parameter)
    return parameters


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop null from the types: an omitted parameter is absent, and a URL cannot express null."""
    types = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    rest = {name: value for name, value in schema.items() if name != "anyOf" and not (name == "default" and value is None)}
    return {**rest, **types[0]} if types else rest
