"""Schema Registry: whether it is there and can be read, for plans whose formats need it."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from migrations.errors import UnreachableError

SECONDS = 10.0


@dataclass(frozen=True)
class Registry:
    """What a registry holds: its subjects, and whether schemas can be asked for by id."""

    subjects: int
    by_id: bool


async def check(url: str) -> Registry | None:
    """Ask for /subjects and /schemas/ids; None without an address. Raises `UnreachableError` where it does not answer well."""
    if not url:
        return None
    try:
        async with httpx.AsyncClient(base_url=url.rstrip("/"), timeout=SECONDS, trust_env=False) as http:
            subjects = (await http.get("/subjects")).raise_for_status().json()
            one = await http.get("/schemas/ids/1")
    except (httpx.HTTPError, ValueError) as error:
        raise UnreachableError(f"Schema Registry at {url}: {str(error) or type(error).__name__}") from error
    return Registry(len(subjects), one.status_code in (httpx.codes.OK, httpx.codes.NOT_FOUND))
