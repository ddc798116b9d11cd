"""The broker: its connections, and the clock for groups, transactions, retention and compaction.

Each connection handles one request after another.
"""

from __future__ import annotations

import asyncio
import fcntl
import inspect
import logging
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from app.errors import BrokerError
from app.pocket.admin import Admin
from app.pocket.coordinator import Coordinator
from app.pocket.data import Data
from app.pocket.journal import Journal
from app.pocket.log import PartitionLog
from app.pocket.topics import Topics
from app.pocket.transactions import Transactions
from app.pocket.wire import API_VERSIONS, MAX_FRAME, Body, api_versions, read_header, read_request, versions, write_response

log = logging.getLogger("pocket")
LOCK_TRIES = 10
TICK = 0.05  # seconds between two checks of the timeouts of sessions and transactions
READ_LIMIT = 4 << 20  # bytes that are buffered for a connection


class Broker:
    """A single-node broker with a data directory."""

    def __init__(
        self,
        folder: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        partitions: int = 1,
        first_delay: float = 0.05,
        housekeeping: float = 30.0,
    ) -> None:
        """Open the data directory.

        `partitions`: of a topic that is created without a number. `first_delay`: seconds that a group's first rebalance waits
        for more members. `housekeeping`: seconds between two runs of retention and compaction.

        Raises `BrokerError` if another broker uses the directory.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        if not _lock_directory(self._lock):
            os.close(self._lock)
            raise BrokerError(f"{folder}: another pocket broker uses this directory")
        self.host, self.port = host, port
        self._housekeeping = housekeeping
        self._journal = Journal(folder / "journal.jsonl")
        self._topics = Topics(folder, self._journal, partitions)
        self._transactions = Transactions(self._journal, self._find, self._commit_pending)
        self._transactions.resume()
        self._admin = Admin(self._topics)
        self._coordinator = Coordinator(self._topics, self._transactions, first_delay)
        data = Data(self._topics, self._transactions)
        self._handlers: dict[int, Callable[[Body], Any]] = {
            0: data.produce,
            1: data.fetch,
            2: data.list_offsets,
            3: self._admin.metadata,
            8: self._coordinator.commit_offsets,
            9: self._coordinator.fetch_offsets,
            10: self._coordinator.find_coordinator,
            11: self._coordinator.join_group,
            12: self._coordinator.heartbeat,
            13: self._coordinator.leave_group,
            14: self._coordinator.sync_group,
            15: self._coordinator.describe_groups,
            16: self._coordinator.list_groups,
            19: self._admin.create_topics,
            20: self._admin.delete_topics,
            21: self._admin.delete_records,
            22: self._coordinator.init_producer,
            23: data.offset_for_leader_epoch,
            24: self._coordinator.add_partitions,
            25: self._coordinator.add_offsets,
            26: self._end_transaction,
            28: self._coordinator.commit_offsets_in_transaction,
            32: self._admin.describe_configs,
            33: self._admin.alter_configs,
            35: self._admin.describe_log_dirs,
            37: self._admin.create_partitions,
            42: self._coordinator.delete_groups,
            44: self._admin.alter_some_configs,
        }
        self._versions = {api: versions(api) for api in self._handlers}
        # Produce and Fetch: record batches only, no older message formats. ListOffsets and DescribeGroups: no later versions,
        # because aiokafka's schemas of those differ from Kafka's.
        self._versions |= {0: (3, self._versions[0][1]), 1: (4, self._versions[1][1]), 2: (1, 3), 15: (0, 2)}
        self._connections: set[asyncio.Task[None]] = set()
        self._idle_since = time.monotonic()
        self._server: asyncio.Server | None = None
        self._clock: asyncio.Task[None] | None = None

    async def start(self) -> Self:
        """Listen; raises `OSError` if the port is taken."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=READ_LIMIT)
        self.port = self._server.sockets[0].getsockname()[1]
        for part in (self._admin, self._coordinator):
            part.host, part.port = self.host, self.port
        self._clock = asyncio.create_task(self._run_clock())
        return self

    async def stop(self) -> None:
        """Close all connections and files."""
        if self._clock is not None:
            self._clock.cancel()
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._topics.close()
        self._journal.close()
        os.close(self._lock)

    @property
    def idle(self) -> float:
        """Seconds since the last connection closed; 0 while there is one."""
        return 0.0 if self._connections else time.monotonic() - self._idle_since

    def _find(self, topic: str, partition: int) -> PartitionLog | None:
        return self._topics.find(topic, partition)

    def _commit_pending(self, group: str, offsets: Body) -> None:
        for key, (offset, metadata) in offsets.items():
            topic, partition = key.split("\0")
            self._topics.commit(group, topic, int(partition), offset, metadata)

    def _end_transaction(self, request: Body) -> Body:
        answer = self._coordinator.end_transaction(request)
        for topic, partition in list(self._topics.waiting):  # the last stable offset has advanced
            self._topics.wake(topic, partition)
        return answer

    async def _run_clock(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(TICK)
            try:
                self._coordinator.tick()
                if time.monotonic() - last > self._housekeeping:
                    last = time.monotonic()
                    self._topics.expire()
                    self._topics.compact()
            except OSError as error:
                log.error("housekeeping put off: %s", error)  # noqa: TRY400  # a full disk needs no traceback
            except Exception:
                log.exception("housekeeping failed")

    # ---- connections

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._connections.add(task)
        host = (writer.get_extra_info("peername") or ("?",))[0]
        try:
            while await self._answer(reader, writer, host):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client has disconnected, or the broker stops
        except OSError as error:
            log.error("connection from %s closed, its request was not carried out: %s", host, error)  # noqa: TRY400  # a full disk needs no traceback
        except Exception:
            log.exception("connection from %s closed", host)
        finally:
            self._connections.discard(task)
            self._idle_since = time.monotonic()
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> bool:
        """Read one request and respond to it; False if the connection must be closed."""
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        if not 0 < size <= MAX_FRAME:
            log.error("connection from %s: a frame of %d bytes is not Kafka's protocol", host, size)
            return False
        frame = await reader.readexactly(size)
        api, version, correlation, client, start = read_header(frame)
        if api == API_VERSIONS:
            body: bytes | None = api_versions(version, self._versions)
        else:
            low, high = self._versions.get(api, (0, -1))
            if not low <= version <= high:
                log.error("connection from %s: api %d version %d is not supported", host, api, version)
                return False
            request = read_request(api, version, frame[start:]) | {"_version": version, "_client": client, "_host": host}
            answer = self._handlers[api](request)
            if inspect.isawaitable(answer):
                answer = await answer
            body = None if answer is None else write_response(api, version, answer)
        if body is not None:
            writer.write(struct.pack(">ii", len(body) + 4, correlation) + body)
            await writer.drain()
        return True


def _lock_directory(lock: int) -> bool:
    """Lock the directory. Tries several times: a process that checks for a running broker holds the lock for a moment."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(TICK)
        else:
            return True
    return False
