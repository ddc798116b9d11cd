"""What the keys of a topic say, and how they were placed into partitions. Pure."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from app.kafka.partitioner import partition_of

SEPARATORS = "|:./_-"
MOST = 0.99  # of the keys must agree
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")


class Named(NamedTuple):
    """A record's key, and broker and symbol where its value says them."""

    key: bytes | None
    broker: str | None
    symbol: str | None


class KeyForm(NamedTuple):
    """What keys look like. `pattern`: as in `ticks_key`; empty where the key says nothing of broker and symbol."""

    pattern: str
    text: str


def form_of(records: Iterable[Named]) -> KeyForm:
    """The form of the keys."""
    known = list(records)
    keyed = [record for record in known if record.key]
    if not known or len(keyed) < MOST * len(known):
        return KeyForm("", "none" if not keyed else f"none in {len(known) - len(keyed):,} of {len(known):,} records")
    texts = [(_text(record.key), record) for record in keyed]
    if any(text is None for text, _ in texts):
        return KeyForm("", "binary")
    words = [(text, record) for text, record in texts if text is not None]
    for separator in SEPARATORS:
        pattern = f"{{broker}}{separator}{{symbol}}"
        halves = [text.split(separator) for text, _ in words]
        if all(len(half) == 2 and all(half) for half in halves):  # noqa: PLR2004  # a pair
            agree = sum(_agrees(record, *half) for half, (_, record) in zip(halves, words, strict=True))
            if agree >= MOST * len(words):
                return KeyForm(pattern, pattern)
    symbols = sum(record.symbol is None or text == record.symbol for text, record in words)
    if symbols >= MOST * len(words):
        return KeyForm("{symbol}", "{symbol}")
    return KeyForm("", "text that is neither broker nor symbol of the value")


def _agrees(record: Named, broker: str, symbol: str) -> bool:
    return record.broker in {None, broker} and record.symbol in {None, symbol}


def _text(key: bytes | None) -> str | None:
    try:
        text = (key or b"").decode()
    except UnicodeDecodeError:
        return None
    return text if _NAME.fullmatch(text) else None


def _crc32(key: bytes, partitions: int) -> int:
    return zlib.crc32(key) % partitions


def _fnv1a(key: bytes, partitions: int) -> int:
    code = 0x811C9DC5
    for byte in key:
        code = (code ^ byte) * 0x01000193 & 0xFFFFFFFF
    signed = code - (1 << 32) if code >> 31 else code
    return abs(signed) % partitions


PARTITIONERS: Mapping[str, Callable[[bytes, int], int]] = {
    "murmur2, Kafka's default": partition_of,
    "CRC32, librdkafka's default": _crc32,
    "FNV-1a, Sarama's default": _fnv1a,
}


class Places(NamedTuple):
    """How keys lie in partitions. `in_two`: a name that lies in several, with them."""

    partitioner: str
    in_two: tuple[str, tuple[int, ...]] | None
    several: int  # names that lie in several partitions
    names: int


def places_of(keys: Iterable[tuple[bytes | None, int]], names: Iterable[tuple[str, int]], partitions: int) -> Places:
    """`keys` and `names` (broker and symbol, shown) with the partition of each record."""
    known = {(key, number) for key, number in keys if key}
    fits = {title: sum(choose(key, partitions) == number for key, number in known) for title, choose in PARTITIONERS.items()}
    best = max(fits, key=lambda title: fits[title]) if known else ""
    if partitions == 1:
        partitioner = "one partition"
    elif not known:
        partitioner = "no keys"
    else:
        partitioner = best if fits[best] >= MOST * len(known) else "none that is known: keys do not decide alone"
    found: dict[str, set[int]] = {}
    for name, number in names:
        found.setdefault(name, set()).add(number)
    several = {name: tuple(sorted(numbers)) for name, numbers in found.items() if len(numbers) > 1}
    return Places(partitioner, min(several.items(), default=None), len(several), len(found))
