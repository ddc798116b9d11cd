"""Schema Registry, which some serialization formats need: whether it answers and its schemas can be read."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from migrations.errors import UnreachableError

SECONDS = 10.0  # time limit of one request


@dataclass(frozen=True)
class Registry:
    """The number of subjects, and whether schemas can be requested by id."""

    subjects: int
    by_id: bool


async def check_registry(url: str) -> Registry | None:
    """Request /subjects and a schema by id; None if `url` is empty. Raises `UnreachableError` if a request fails."""
    if not url:
        return None
    try:
        async with httpx.AsyncClient(base_url=url.rstrip("/"), timeout=SECONDS, trust_env=False) as http:
            subjects = (await http.get("/subjects")).raise_for_status().json()
            one = await http.get("/schemas/ids/1")
    except (httpx.HTTPError, ValueError) as error:
        remedy = "see that it runs, and that schema_registry_url is its address"
        raise UnreachableError(f"Schema Registry at {url}: {str(error) or type(error).__name__}; {remedy}") from error
    return Registry(len(subjects), one.status_code in (httpx.codes.OK, httpx.codes.NOT_FOUND))
