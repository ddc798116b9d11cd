"""Finding the broker, waiting until it answers, and short-lived admin connections to it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError

from app.errors import BrokerError
from app.kafka.cluster import Cluster, client_options, refusal
from app.kafka.failures import refused
from app.settings import Settings

POCKET_HOST = "127.0.0.1"
POCKET_IDLE_EXIT = 60.0  # seconds after its last connection closed, the pocket broker ends
REQUEST_TIMEOUT_MS = 20_000
TRY_TIMEOUT_MS = 5_000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0  # seconds between two attempts


def cluster_for(settings: Settings) -> Cluster:
    """How to reach the broker of these settings. Starts the pocket broker if it is used and does not run yet.

    Blocks for up to a few seconds while the pocket broker starts. Raises `BrokerError` if it does not start, and
    `SettingsError` if a certificate cannot be used.
    """
    if not settings.pocket:
        return Cluster(settings.bootstrap, client_options(settings), settings.compression)
    from app.pocket import process  # noqa: PLC0415  # a worker on Kafka does not need it

    running = process.ensure(settings.data_dir / "pocket", POCKET_HOST, settings.pocket_port, POCKET_IDLE_EXIT)
    return Cluster(f"{running.host}:{running.port}", compression=settings.compression)


async def wait_for_broker(cluster: Cluster, *, say: Callable[[str], None], deadline: float | None = None) -> None:
    """Return once the broker answers; `say` gets one line for each failed attempt.

    The pauses between attempts grow from 0.25 s to 15 s, with jitter, so that many workers do not connect at the same time.
    `deadline` is in seconds from now; None waits for ever. Raises `BrokerError` when it has passed, or if the broker refuses
    the connection.
    """
    started, attempt = time.monotonic(), 0
    while True:
        problem = await unreachable(cluster)
        if problem is None:
            return
        attempt += 1
        # jitter between half of the pause and all of it
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt - 1, 10)) * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
        left = None if deadline is None else deadline - (time.monotonic() - started)
        if left is not None and left <= 0:
            raise BrokerError(
                f"broker {cluster} does not answer after {attempt} tries: {problem}; "
                "start it, or set BARWHEEL_BROKER to where it is"
            )
        pause = pause if left is None else min(pause, left)
        say(f"broker {cluster} does not answer ({problem}); try {attempt}, next in {pause:.1f} s")
        await asyncio.sleep(pause)


async def unreachable(cluster: Cluster) -> str | None:
    """None if the broker answers a metadata request, else the reason why it does not.

    Raises `BrokerError` if the broker refuses the connection, so that another attempt cannot help.
    """
    problems = []
    for host, port in cluster.addresses:
        address = f"{host}:{port}"
        try:  # a plain connection first, because the client's own bootstrap hides the reason of a failure
            connection = await create_conn(
                host, port, client_id="barwheel", request_timeout_ms=TRY_TIMEOUT_MS, **cluster.options
            )
        except (KafkaError, OSError, TimeoutError) as error:
            text = refusal(error, address)
            if text is not None:
                raise BrokerError(text) from error
            _raise_if_refused(error, address)
            problems.append(_reason(error))
            continue
        connection.close()
        try:
            async with admin(cluster, request_timeout_ms=2 * TRY_TIMEOUT_MS):
                return None
        except BrokerError as error:
            _raise_if_refused(error, address)
            return str(error)
    return problems[0] if problems else "no address"


def _raise_if_refused(error: BaseException, address: str) -> None:
    why = refused(error)
    if why is not None:
        raise BrokerError(f"broker {address}: {why}") from error


class AnyNodeAdmin(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka has no types
    """An admin client for which one broker that is away does not matter, where any broker can answer.

    Written for aiokafka 0.14.0. Its own client chooses one broker by chance, and fails if it cannot connect to it.
    """

    async def _send_request(self, request: Any, node_id: int | None = None) -> Any:
        if node_id is not None:
            return await super()._send_request(request, node_id)
        nodes = [one.nodeId for one in self._client.cluster.brokers()]
        problem = NodeNotReadyError("no broker is known")
        for node in random.sample(nodes, len(nodes)):
            try:
                return await self._client.send(node, request)
            except NodeNotReadyError as error:  # it cannot be connected to, and nothing was sent
                problem = error
        raise problem


@asynccontextmanager
async def admin(cluster: Cluster, *, request_timeout_ms: int = REQUEST_TIMEOUT_MS) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect an admin client, and close it after the block. Raises `BrokerError` if it cannot connect."""
    client = AnyNodeAdmin(client_id="barwheel-admin", request_timeout_ms=request_timeout_ms, **cluster.client)
    try:
        with quiet_client():
            await client.start()
    except (KafkaError, OSError, TimeoutError) as error:
        await client.close()
        raise BrokerError(f"broker {cluster}: {_reason(error)}") from error
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def patient_admin(cluster: Cluster) -> AsyncIterator[AIOKafkaAdminClient]:
    """The same for a worker: that the broker is away is aiokafka's error, which it waits out. `BrokerError` would end it."""
    try:
        async with admin(cluster) as client:
            yield client
    except BrokerError as error:
        if refused(error) is not None:
            raise
        raise KafkaConnectionError(str(error)) from error


@contextmanager
def quiet_client() -> Iterator[None]:
    """Keep aiokafka's connection errors out of the log; our own messages name the address and what happens next."""
    logger = logging.getLogger("aiokafka")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _reason(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, (KafkaConnectionError, ConnectionResetError)):
        return "it hangs up; does it expect another security_protocol, or a certificate of ours?"
    return str(error) or type(error).__name__
