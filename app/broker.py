"""Where the broker is, waiting until it answers, and short-lived admin connections to it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from app.errors import BrokerError
from app.settings import Settings

POCKET_HOST = "127.0.0.1"
POCKET_IDLE_EXIT = 60.0  # seconds after its last connection closed
REQUEST_TIMEOUT_MS = 20_000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0  # seconds


def bootstrap_for(settings: Settings) -> str:
    """`host:port[,host:port]` of the broker; starts the pocket broker, or finds the one that runs, where it is used.

    Blocks for up to a few seconds while the pocket broker starts. Raises `BrokerError` where it does not.
    """
    if not settings.pocket:
        return settings.bootstrap
    from app.pocket import process  # noqa: PLC0415 - a worker on Kafka never needs it

    found = process.ensure(settings.data_dir / "pocket", POCKET_HOST, settings.pocket_port, POCKET_IDLE_EXIT)
    return f"{found.host}:{found.port}"


async def wait_for_broker(bootstrap: str, *, say: Callable[[str], None], deadline: float | None = None) -> None:
    """Return once the broker answers; `say` gets one line per failed try.

    Waits between tries grow from 0.25 s to 15 s, with jitter so that many workers do not knock together. `deadline`
    is in seconds from now, None waits for ever; raises `BrokerError` when it has passed.
    """
    started, attempt = time.monotonic(), 0
    while True:
        problem = await unreachable(bootstrap)
        if problem is None:
            return
        attempt += 1
        # full jitter on the upper half: never a tight loop, never in step with another worker
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt - 1, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
        left = None if deadline is None else deadline - (time.monotonic() - started)
        if left is not None and left <= 0:
            raise BrokerError(
                f"broker {bootstrap} does not answer after {attempt} tries: {problem}; "
                "start it, or set BARWHEEL_BROKER to where it is"
            )
        pause = pause if left is None else min(pause, left)
        say(f"broker {bootstrap} does not answer ({problem}); try {attempt}, next in {pause:.1f} s")
        await asyncio.sleep(pause)


async def unreachable(bootstrap: str) -> str | None:
    """None when the broker answers a metadata request, otherwise why it does not."""
    refused = []
    for address in bootstrap.split(","):
        host, _, port = address.rpartition(":")
        try:  # a plain connection first: the client's own bootstrap logs each refusal as an error
            _, writer = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port)), 5)
        except (OSError, TimeoutError) as error:
            refused.append(_reason(error))
            continue
        writer.close()
        try:
            async with admin(bootstrap, request_timeout_ms=10_000):
                return None
        except BrokerError as error:
            return str(error)
    return refused[0] if refused else "no address"


@asynccontextmanager
async def admin(bootstrap: str, *, request_timeout_ms: int = REQUEST_TIMEOUT_MS) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give an admin client that is closed again; raises `BrokerError` where it cannot connect."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="barwheel-admin", request_timeout_ms=request_timeout_ms)
    try:
        with quiet_client():
            await client.start()
    except (KafkaError, OSError, TimeoutError) as error:
        await client.close()
        raise BrokerError(f"broker {bootstrap}: {_reason(error)}") from error
    try:
        yield client
    finally:
        await client.close()


@contextmanager
def quiet_client() -> Iterator[None]:
    """Keep aiokafka's own connection errors out of the log: ours name the address and say what happens next."""
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
    return str(error) or type(error).__name__
