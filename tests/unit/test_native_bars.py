"""The run of bars that the native core writes into a batch: it goes on where it stopped, and reads no list beyond its end."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tables import native
from tables.packed import pack_all
from tables.window import Window, new_window

pytestmark = pytest.mark.skipif(native.NATIVE is None, reason=f"the native core is not built: {native.MISSING}")

COUNT, START = 12, 1_399_248_000_000
HEADERS = [("app", b"test")]
PIECES = b"|%d" % START, b'"bucket_start":0,"open":', b',"first_offset":', b',"revision":0}'
Record = tuple[bytes, bytes, int, list[tuple[str, bytes]]]


def window(number: int) -> Window:
    made = new_window(START + 60_000, START, Decimal("1.5") + number, START, 0, number)
    if number % 5 == 4:
        made.add_quantity(Decimal("1e-30"), Decimal(3))  # too many decimals for the native core
    return made


class Step:
    """The symbols and windows of a step, and a run of its bars."""

    def __init__(self, *, stored: bool, in_one_piece: bool = False) -> None:
        """`in_one_piece`: the states are as the native core makes them."""
        core = native.NATIVE
        assert core is not None
        scope: Any = core.scope("A")
        windows = [window(number) for number in range(COUNT)]
        names = [("A", f"S{number}") for number in range(COUNT)]
        self.symbols = [core.symbol("|".join(name).encode(), name, scope) for name in names]
        adopted = [core.adopted(one) for one in windows]
        self.states: Any = core.pack_all(adopted) if in_one_piece else list(pack_all(windows))
        self.windows = [] if stored else adopted
        self.refused = 0  # how often the value of an unusual bar is refused

    def bars(self, state_header: str | None = "state") -> Any:
        return native.NativeBars(self.symbols, self.windows, self.states, PIECES, START, HEADERS, state_header, self._value)

    def _value(self, _: Any, window: Window) -> bytes:
        if self.refused:
            self.refused -= 1
            raise OverflowError("refused")
        return b"unusual %d" % window.first_offset


def batch_of(records: list[Record]) -> bytes:
    builder = native.batch_builder("auto")(1 << 20, 0, None, False)
    for key, value, timestamp, headers in records:
        assert builder.append(timestamp, key, value, headers)
    return bytes(builder.build())


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("state_header", [None, "state"])
@pytest.mark.parametrize("in_one_piece", [False, True])
@pytest.mark.parametrize("limit", [1, 900, 2_000, 1 << 20])
def test_a_run_writes_the_records_that_it_gives_one_by_one_however_full_a_batch_is(
    limit: int, state_header: str | None, *, stored: bool, in_one_piece: bool
) -> None:
    records: list[Record] = list(Step(stored=stored).bars(state_header))
    assert [key for key, *_ in records] == [b"A|S%d|%d" % (number, START) for number in range(COUNT)]
    assert [number for number, (_, value, *_) in enumerate(records) if value.startswith(b"unusual")] == [4, 9]
    if state_header is not None:
        assert [headers for *_, headers in records] == [[*HEADERS, ("state", state)] for state in Step(stored=stored).states]
    run, done, at = Step(stored=stored, in_one_piece=in_one_piece).bars(state_header), False, 0
    while not done:
        builder = native.batch_builder("auto")(limit, 0, None, False)
        done = run.write_into(builder)
        assert bytes(builder.build()) == batch_of(records[at : at + builder.count])
        at += builder.count
    assert at == COUNT
    assert list(run) == []


def test_bars_that_do_not_fit_into_a_batch_can_be_taken_one_by_one() -> None:
    run, records = Step(stored=False).bars(), list(Step(stored=False).bars())
    builder = native.batch_builder("auto")(2_000, 0, None, False)
    assert not run.write_into(builder)
    assert 0 < builder.count < COUNT
    assert list(run) == records[builder.count :]


@pytest.mark.parametrize("stored", [False, True])
def test_a_run_whose_bar_raised_an_error_goes_on_with_that_bar(*, stored: bool) -> None:
    step, records = Step(stored=stored), list(Step(stored=stored).bars())
    step.refused = 2
    run, builder = step.bars(), native.batch_builder("auto")(1 << 20, 0, None, False)
    with pytest.raises(OverflowError):
        run.write_into(builder)
    assert builder.count == 4
    with pytest.raises(OverflowError):
        next(run)
    assert list(run) == records[4:]
    assert bytes(builder.build()) == batch_of(records[:4])


def test_windows_are_freed_as_their_bars_are_written() -> None:
    step = Step(stored=False)
    run, builder = step.bars(), native.batch_builder("auto")(2_000, 0, None, False)
    assert not run.write_into(builder)
    assert [one is None for one in step.windows] == [number < builder.count for number in range(COUNT)]
    assert run.write_into(native.batch_builder("auto")(1 << 20, 0, None, False))
    assert step.windows == []


@pytest.mark.parametrize("name", ["windows", "states"])
def test_a_step_with_fewer_windows_or_states_than_symbols_is_refused(name: str) -> None:
    step = Step(stored=False)
    del getattr(step, name)[-1]
    with pytest.raises(ValueError, match="fewer windows or states"):
        step.bars()


@pytest.mark.parametrize("name", ["symbols", "windows", "states"])
def test_a_list_that_somebody_shortens_between_two_batches_is_not_read_beyond_its_end(name: str) -> None:
    step = Step(stored=False)
    run = step.bars()
    assert not run.write_into(native.batch_builder("auto")(1, 0, None, False))
    del getattr(step, name)[1:]
    with pytest.raises(IndexError):
        run.write_into(native.batch_builder("auto")(1 << 20, 0, None, False))
