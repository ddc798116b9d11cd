"""A server that shuts down answers while its queries disappear: that is not drift."""

from __future__ import annotations

import asyncio

import pytest

from migrations.errors import UnreachableError
from migrations.plan.compare import Action
from migrations.run import runner, settle
from tests.integration.migrations.plans import Where, five, query_ids
from tests.support.ksqldb import KsqlServer
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask often, and give up early."""
    for name, seconds in (("POLL_SECONDS", 0.05), ("STABLE_SECONDS", 1.0), ("EMPTY_SECONDS", 1.0)):
        monkeypatch.setattr(settle, name, seconds)


async def asked_again(server: KsqlServer, before: int) -> None:
    await until(lambda: len(server.requests()) > before + 2, what="the server is asked again")


async def test_a_server_that_shuts_down_while_it_is_asked_is_unreachable_and_not_drifted(
    where: Where, server: KsqlServer
) -> None:
    async with where() as target:
        await runner.apply(target, five())
        names = query_ids(server)
        server.hide(names[0])
        before = len(server.requests())
        asking = asyncio.create_task(runner.survey(target, five()))
        await asked_again(server, before)
        server.hide(*names)
        await asked_again(server, len(server.requests()))
        target.client._transport.try_seconds = 1.0  # a server that has ended is not worth more
        server.kill()
        with pytest.raises(UnreachableError):
            await asking


async def test_queries_that_are_there_again_are_no_drift(where: Where, server: KsqlServer) -> None:
    async with where() as target:
        await runner.apply(target, five())
        server.hide(*query_ids(server))
        before = len(server.requests())
        asking = asyncio.create_task(runner.survey(target, five()))
        await asked_again(server, before)
        server.hide()
        assert {step.action for step in await asking} == {Action.done}


async def test_a_query_that_stays_away_is_drift(where: Where, server: KsqlServer) -> None:
    async with where() as target:
        await runner.apply(target, five())
        server.hide("ALL_WRITER")
        steps = {step.name: step.action for step in await runner.survey(target, five())}
        assert steps.pop("ALL_WRITER") is Action.missing
        assert set(steps.values()) == {Action.done}
