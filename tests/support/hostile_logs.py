"""Random logs for both cores, from a seed: ticks as they are sent, and everything that is not one, in batches."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from tables.config import EngineConfig
from tests.support.raw_batches import RECORDS_AT, Content, stored, with_crc

T0 = 1_700_000_040_000
MINUTE = 60_000
Log = list[tuple[bytes, int, int, int]]  # batch, base offset, arrived, first offset

NUMBERS = (
    *("1", "1.0", "1.00", "1.38691", "1.386910", "2.5", "0.00000001", "12345678.87654321", "1e-7", "1E3", "0.5e1", "1.50E+2"),
    *(
        "0",
        "0.0",
        "-1",
        "-0",
        "-0.00",
        "0.000000000000000001",
        "123456789012345678",
        "1234567890123456789",
        "0.1234567890123456789",
    ),
    *(
        "99999999999999999999999999999999.99",
        "1.00000000000000000000000000000000000000",
        "01",
        "1.",
        ".5",
        "+1",
        "NaN",
        "Infinity",
    ),
    *("1_0", "0x1", "1e999", "1e-40", "100000000000000000", "0.100000000000000000", "--1", "1.5.1", "9" * 40, "\u0661"),
)
QUANTITIES = ("0", "0.0", "1", "2.50", "3", "7", "0.00000003", "1234567890.12345678", "999999999999999999", "-1", "1e2", "-0")
KEYS = (b"A|x", b"A|y", b"AB|x", b"B|z-1", b'A|a"b', b"A|b\\c", "A|\u00e9".encode(), "\u00c4|x".encode(), b"AB|" + b"k" * 60)
BAD_KEYS = (b"", b"A", b"A|", b"|x", b"A|x|y", b"A|\x01", b"\xff|x", b"A|" + b"k" * 1_100, None)
OTHERS = (
    *('"ask":1.5', '"venue":"X"', '"flag":true', '"none":null', '"nested":{"a":[1,2]}', '"list":[]', '"text":"a\\u0041"'),
    *('"n":1e5', '"broker":"A"', '"symbol":"x"', '"broker":null', '"heartbeat":false', '"qty":null', '"text":"\u00e9"', '"":0'),
    *(
        '"ts2":12',
        '"x":-0.0',
        '"x":00',
        '"bidd":1',
        '"bi":1',
        '"heartbeat":null',
        '"seq":null',
        '"seq":1.5',
        '"seq":"1"',
        '"x":tru',
    ),
)
SPACES = ("", "", "", " ", "\n\t ", "\r\n")


class Source:
    """Makes one log."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = T0 + self.random.randrange(120_000)
        self.simple = self.random.random() < 0.5  # mostly ticks that take the fast path

    def config(self) -> EngineConfig:
        """The settings that change what a tick does."""
        pick = self.random.choice
        config = EngineConfig(
            window_size=pick((MINUTE, MINUTE, 10_000, 1_000)),
            grace=pick((5_000, 5_000, 0, 1, 17_000)),
            scope=pick(("broker", "broker", "symbol", "partition")),
            idle_close=pick((True, True, True, False)),
            max_future=pick((60_000, 60_000, 5_000, 10_000_000)),
            positive=pick((True, True, False)),
            price=pick(("bid", "bid", "last", "ask")),
            bar_scale=pick((None, None, None, 2, 9, 18)),
        )
        if self.random.random() < 0.3:
            config = replace(
                config, correct=True, correction_horizon=pick((0, 60_000, 600_000)), correction_delay=pick((0, 5_000))
            )
        if self.random.random() < 0.4:
            frames = pick((("2m",), ("5m", "15m", "1h"), ("2m", "3m", "6m", "1d")))
            config = replace(config, frames=frames, flat=pick(((), (), ("base",), frames[:1])))
        return config

    def number(self) -> str:
        """A price, as a rule a usual one."""
        pick = self.random
        if pick.random() < (0.97 if self.simple else 0.7):
            text = f"{pick.randrange(1, 5)}.{pick.randrange(10**5):05d}"
            return text if pick.random() < 0.8 else f'"{text}"'
        text = pick.choice(NUMBERS)
        return text if pick.random() < 0.5 else f'"{text}"'

    def value(self, price: str) -> bytes | None:
        """A record's value."""
        pick = self.random
        chance = pick.random()
        if chance < 0.005:
            return pick.choice((None, b"", b"{}", b"[]", b"null", b"\xff", b"{", b'{"ts":1', b"{" * 200))
        lag = pick.choice((0, 0, 0, 5, 800, 2_500, 4_000, 9_000, 90_000, -700, -59_000, -3_600_000))
        ts = self.now - (lag if pick.random() < 0.5 else 0)
        time = str(ts)
        if chance < 0.02:
            time = pick.choice(
                (f'"{ts}"', '"2023-11-14T22:14:05Z"', f"{ts}.0", f"{ts}e0", "-1", str(10**30), "null", str(ts // 1_000))
            )
        fields = [f'"ts":{pick.choice(SPACES)}{time}', f'"{price}":{pick.choice(SPACES)}{self.number()}']
        if pick.random() < 0.3:
            fields.append(f'"qty":{pick.choice(QUANTITIES if not self.simple else QUANTITIES[2:8])}')
        if pick.random() < 0.3:
            fields.append(f'"seq":{pick.choice((0, 1, 2, -1, 5, 10**17, 2**63 - 1))}')
        while pick.random() < (0.1 if self.simple else 0.4):
            fields.append(pick.choice(OTHERS))
        if pick.random() < 0.02:
            fields.append(pick.choice(('"heartbeat":true', f'"{price}":null', f'"{price}":2', '"ts":5')))
        if pick.random() < 0.3:
            pick.shuffle(fields)
        between = pick.choice(SPACES)
        return (
            pick.choice(SPACES) + "{" + between + f"{between},{between}".join(fields) + between + "}" + pick.choice(SPACES)
        ).encode()

    def content(self, price: str) -> Content:
        """A record."""
        pick = self.random
        chance = pick.random()
        headers: list[tuple[str, bytes | None]] = [("from", b"test"), ("none", None)] if pick.random() < 0.1 else []
        if chance < 0.01:
            return b"", b"", [("barwheel-marker", b"")]
        key = pick.choice(BAD_KEYS) if chance < 0.03 else pick.choice(KEYS[: pick.choice((1, 4, len(KEYS)))])
        return key, self.value(price), headers

    def log(self, config: EngineConfig, spoil: Callable[[random.Random, bytes], bytes] | None = None) -> Log:
        """Batches in the order of their offsets."""
        pick = self.random
        log: Log = []
        offset = pick.choice((0, 0, 1_000))
        for _ in range(pick.randrange(1, 12)):
            self.now += pick.choice((0, 0, 1, 40, 300, 700, 2_000, 4_500, 9_000, 70_000, 400_000))
            arrived = self.now - pick.choice((0, 0, 0, 0, 700, 20_000, 90_000, -86_400_000 if pick.random() < 0.05 else 0))
            contents = [self.content(config.price) for _ in range(pick.randrange(1, 25))]
            batch = stored(contents, offset, arrived, pick.choice((0, 0, 0, 1, 2, 3, 4)))
            if spoil is not None and pick.random() < 0.3:
                batch = spoil(pick, batch)
            log.append((batch, offset, arrived, offset + (pick.randrange(len(contents)) if pick.random() < 0.1 else 0)))
            offset += len(contents) + pick.choice((0, 0, 0, 3))
        return log


def spoilt(pick: random.Random, batch: bytes) -> bytes:
    """The batch with some bytes of its records changed, cut off or added; with the checksum that belongs to them."""
    made = bytearray(batch)
    for _ in range(pick.choice((1, 1, 2, 5))):
        at = pick.randrange(RECORDS_AT, len(made))
        chance = pick.random()
        if chance < 0.5:
            made[at] = pick.choice((0, 1, 2, 0x7F, 0x80, 0xFF, pick.randrange(256), made[at] ^ 1 << pick.randrange(8)))
        elif chance < 0.7:
            del made[at : at + pick.choice((1, 1, 3))]
        elif chance < 0.9:
            made[at:at] = bytes(pick.randrange(256) for _ in range(pick.choice((1, 1, 4))))
        else:  # the number of records
            made[57:61] = pick.choice((0, 1, 3, 200, 0x7FFFFFFF, 0xFFFFFFFF)).to_bytes(4)
    made[8:12] = (len(made) - 12).to_bytes(4)
    return with_crc(made)
