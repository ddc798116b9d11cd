"""`python -m app.pocket`: the broker in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import resource
import signal
import sys
from pathlib import Path

from app.errors import BarwheelError, BrokerError
from app.pocket.process import write_state
from app.pocket.server import Broker


async def serve(data_dir: Path, host: str, port: int, idle_exit: float) -> None:
    """Run until SIGTERM or SIGINT, or until there was no connection for `idle_exit` seconds (0: no such limit)."""
    broker = Broker(data_dir, host, port)
    try:
        await broker.start()
    except OSError as error:
        await broker.stop()
        raise BarwheelError(f"port {port} on {host} cannot be used: {error.strerror or error}") from None
    write_state(data_dir, broker.host, broker.port)
    logging.getLogger("pocket").info("listening on %s:%d, data in %s", broker.host, broker.port, data_dir)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    while not stop.is_set() and not (idle_exit and broker.idle > idle_exit):
        try:
            await asyncio.wait_for(stop.wait(), 0.2)
        except TimeoutError:
            continue
    await broker.stop()


def main() -> None:
    """Parse the arguments and run the broker."""
    parser = argparse.ArgumentParser(prog="python -m app.pocket", description="The pocket broker alone.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=19092)
    parser.add_argument("--data-dir", type=Path, default=Path(".barwheel/pocket"))
    parser.add_argument("--idle-exit", type=float, default=60.0, help="seconds without a connection, 0: never")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    gc.freeze()
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # some kernels refuse their own hard limit: then the soft one stays
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))  # each partition has an open file
    try:
        asyncio.run(serve(args.data_dir, args.host, args.port, args.idle_exit))
    except BarwheelError as error:
        sys.stderr.write(f"pocket broker: {error}\n")
        raise SystemExit(error.exit_code) from None
    except OSError as error:
        sys.stderr.write(f"pocket broker: {args.data_dir}: {error}\n")
        raise SystemExit(BrokerError.exit_code) from None


if __name__ == "__main__":
    main()
