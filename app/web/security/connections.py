"""How many connections the web port takes. They share the process's file descriptors with the connections to Kafka."""

from __future__ import annotations

import resource
import socket
from asyncio import Transport

MAX_CONNECTIONS = 2_000
WANTED_FILES = 65_536
UNREAD_SECONDS = 30  # for which a client may read nothing of what was sent to it


def raise_file_limit() -> None:
    """Raise the process's own limit of open files as far as the system lets it: the usual 1,024 is for interactive programs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connection_limit() -> int:
    """How many connections the web port takes: half of the files that the process may open, so that Kafka's never lack one."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(MAX_CONNECTIONS, soft // 2))


def drop_unread(transport: Transport) -> None:
    """Have the system close this connection if its client reads nothing for a while, where the system can."""
    connection, option = transport.get_extra_info("socket"), getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None and connection is not None and connection.family in {socket.AF_INET, socket.AF_INET6}:
        connection.setsockopt(socket.IPPROTO_TCP, option, UNREAD_SECONDS * 1_000)
