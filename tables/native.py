"""Chooses the core of an engine: the native one, compiled from `_native.pyx`, or the one in Python.

Both give the same bars, states, side records and counters, byte for byte; a tick costs several times less in the native one.
It knows the default layout with times in milliseconds. Every other engine has the core in Python.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from tables.config import EngineConfig
from tables.core import PYTHON, Core
from tables.records import RecordBatch

HERE = Path(__file__).parent


def _load() -> tuple[Any, str]:
    """The compiled module, or why there is none. One that was built from other sources than those beside it is not used."""
    try:
        module: Any = import_module("tables._native")
    except ImportError as error:
        return None, str(error)
    source = HERE / "_native.pyx"
    if source.exists():  # an installed package has none
        digest = sha256(b"".join(part.read_bytes() for part in [source, *sorted(HERE.glob("csrc/*"))])).hexdigest()
        if getattr(module, "sources", "") != digest:
            return None, "it was built from other sources: run `make native`"
    return module, ""


_native, MISSING = _load()  # MISSING: why there is no native core

MOST = 1 << 50  # ms: with larger durations the native core's numbers might overflow
AUTO, ON, OFF = "auto", "on", "off"


def _make() -> Core | None:
    if _native is None:
        return None
    return Core(
        *("native", _native.Symbols, _native.Symbol, _native.Scope, _native.new_bucket, _native.Longer),
        *(_native.first_window, _native.adopted),
        *(_native.plain, _native.Symbols.sort, _native.take_windows, _native.state_of),
        *(_native.packed, _native.merged, _native.pack_all, _native.merge_all, _native.take_states, _native.place_of),
        _native.keys_of,
        *(_native.states_of, _native.longer_records, _native.skip_written, _native.longers_of),
        _native.forget_longer,
    )


NATIVE = _make()
_default = [OFF]
NativeBars: Any = None if _native is None else _native.Bars  # see `_native.pyx`; None: it is not built
knows: Any = None if _native is None else _native.knows


def default_to(wanted: str) -> None:
    """Which core the engines have that are made without one: `auto`, `on` or `off`. For tests and benchmarks."""
    _default[0] = wanted


def core_for(config: EngineConfig, wanted: str | None, *, own_layout: bool) -> Core:
    """The core of an engine. `wanted`: `auto` and `on` take the native one where it knows the config, `off` never does.

    `own_layout`: whether the records are in the default layout.
    """
    return PYTHON if NATIVE is None or why_python(config, wanted, own_layout=own_layout) else NATIVE


def why_python(config: EngineConfig, wanted: str | None, *, own_layout: bool) -> str:
    """Why an engine has the core in Python; empty if it has the native one. The arguments are those of `core_for`."""
    if (wanted or _default[0]) == OFF:
        return "native=off"
    if NATIVE is None:
        return f"the native core is not built: {MISSING}"
    if not own_layout:
        return "the native core reads ticks in the default layout only"
    if config.time_unit != "ms":
        return f"the native core does not know time_unit={config.time_unit}"
    if config.price == "mid":
        return "the native core does not know price=mid"
    sizes = config.window_size, config.grace, config.max_future, abs(config.min_ts)
    return "" if max(sizes) < MOST else f"the native core knows durations below {MOST} ms"


def checksum(wanted: str) -> Callable[[bytes | memoryview], int] | None:
    """CRC-32C by the processor's instruction; None without the native core."""
    if _native is None or wanted == OFF:
        return None
    computed: Callable[[bytes | memoryview], int] = _native.crc32c
    return computed


def batch_builder(wanted: str) -> Any:
    """What makes record batches of the native core's bars, without an object for each; None without the native core."""
    return None if _native is None or wanted == OFF else _native.BatchBuilder


def use_large_pages() -> bool:
    """Have Python take its memory in large pages from now on. Returns whether it does: it needs the native core, and Linux.

    It is for a process that holds many symbols: walking through the page tables for each of them takes a sixth of a tick.
    """
    return _native is not None and bool(_native.large_pages())


def elsewhere(core: Core) -> Callable[[list[bytes], int, int], list[bytes]] | None:
    """Gives those of some keys that Kafka's default partitioner puts into another partition. None for the core in Python."""
    found: Callable[[list[bytes], int, int], list[bytes]] | None = None if core is PYTHON else _native.elsewhere
    return found


def fast_path(core: Core, *parts: Any) -> Any:
    """The native core's fast path; None for the one in Python. `parts`: as those of `tables.hot.FastPath`."""
    return None if core is PYTHON or _native is None else _native.FastPath(*parts)


def read_batch(path: Any, batch: RecordBatch, first_offset: int, process: Callable[..., None]) -> int | None:
    """Process the records of a batch from their bytes, from an offset on, if this is the native core's fast path.

    Returns after how many records it stopped, because what follows is not as it should be; None: at the end.
    """
    content = None if _native is None or not isinstance(path, _native.FastPath) else batch.content()
    if content is None:
        return 0
    data, count = content
    read, whole = _native.feed_batch(path, data, count, batch.base_offset, first_offset, batch.max_timestamp, process)
    return None if whole else int(read)
