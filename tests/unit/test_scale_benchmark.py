"""What `python -m benchmarks scale` computes from what it measured."""

from __future__ import annotations

from typing import Any

from benchmarks.scale import Large, needs


def row(workers: int, cpu_us: float, peak_mb: float) -> dict[str, Any]:
    return {"workers": workers, "cpu_us": cpu_us, "idle_mb": 100.0, "peak_mb": peak_mb}


def test_a_large_market_is_planned_with_the_dearest_tick_and_the_memory_of_one_worker() -> None:
    found = needs([row(1, 1.0, 200.0), row(2, 1.2, 150.0)], 102_400, 72.5, Large(1_000_000, 10_000_000))
    assert found["workers"] == 20, "12 cores of work at 60 in 100 each"
    assert found["kb_a_symbol"] == 1.0
    assert found["mb_a_worker"] == 149, "100 MB, and 1 KB for each of 50,000 symbols"
    assert found["partitions"] == 128, "at least four for each worker, as a power of two"
    assert found["input_mb_per_second"] == 725
    assert found["bars_per_second"] == 16_667


def test_the_symbols_are_shared_by_the_fewest_workers_that_were_measured() -> None:
    found = needs([row(2, 1.0, 200.0), row(4, 1.0, 150.0)], 102_400, 72.5, Large(1_000_000, 1_000_000))
    assert found["kb_a_symbol"] == 2.0, "each of two workers had half of the symbols in its 100 MB more"
