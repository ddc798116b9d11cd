"""`python -m tests.ksqldb_server`: the stand-in as a process. It prints its address, then serves until SIGTERM."""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

from aiohttp import web

from tests.ksqldb_server.server import Server


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.ksqldb_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--state", type=Path, help="file for the state, which then survives a kill")
    given = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", given.port))
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    web.run_app(Server(given.state).application(), sock=listener, print=None, access_log=None, shutdown_timeout=0.1)


if __name__ == "__main__":
    main()
