"""The rule by which the benchmark names the default codec: a byte less is worth some CPU, beside the next cheaper codec."""

from __future__ import annotations

from typing import Any

import pytest

from app.settings.clients import Compression
from benchmarks.compression import worth

Figures = dict[str, tuple[float, float]]  # us of CPU and bytes a tick, by codec


def rows(*markets: Figures) -> list[dict[str, Any]]:
    return [
        {"symbols": number, "compression": codec, "cpu_us": cpu, "bytes_a_tick": size}
        for number, market in enumerate(markets)
        for codec, (cpu, size) in market.items()
    ]


MANY: Figures = {"none": (2.0, 350), "snappy": (2.7, 110), "zstd": (2.9, 70), "lz4": (10, 90)}


@pytest.mark.parametrize(
    ("few", "codec"),
    [
        ({"none": (0.20, 13), "snappy": (0.24, 6), "zstd": (0.28, 4), "lz4": (0.5, 5)}, "snappy"),  # zstd: 20 ns a byte
        ({"none": (0.20, 13), "snappy": (0.24, 6), "zstd": (0.258, 4), "lz4": (0.5, 5)}, "zstd"),  # 9 ns
        ({"none": (0.20, 13), "snappy": (0.30, 6), "zstd": (0.31, 4), "lz4": (0.5, 5)}, "none"),  # more than 10 ns
        ({"none": (0.20, 13), "snappy": (0.30, 6), "zstd": (0.28, 4), "lz4": (0.5, 5)}, "zstd"),  # beside none: 9 ns
        ({"none": (0.20, 13), "snappy": (0.21, 14), "zstd": (0.40, 12), "lz4": (0.5, 13)}, "none"),  # nothing is saved
    ],
)
def test_a_codec_must_be_worth_its_cpu_on_every_market_and_beside_the_cheaper_one(few: Figures, codec: str) -> None:
    assert worth(rows(few, MANY)) is Compression(codec)
    assert worth(rows(MANY, few)) is Compression(codec)
