"""The judge of a repartitioned input reports each way in which copies can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from aiokafka.partitioner import murmur2

from tests.chaos.copies import check_copies, of_copies
from tests.chaos.verdict import Verdict
from tests.support.ticks import Seen

SOURCE = [Seen(n % 2, n // 2, 50 + n, b"north|a%d" % n, b"{}", {"n": b"%d" % n}) for n in range(8)]


def copies() -> list[Seen]:
    made, ends = [], {0: 0, 1: 0, 2: 0, 3: 0}
    for seen in SOURCE:
        number = _partition(seen.key or b"")
        place = f"t|{seen.partition}|{seen.offset}|{seen.timestamp}".encode()
        made.append(Seen(number, ends[number], 900, seen.key, seen.value, {**seen.headers, "barwheel-source": place}))
        ends[number] += 1
    return sorted(made, key=lambda copy: (copy.partition, copy.offset))


def _partition(key: bytes) -> int:
    return int(murmur2(key) & 0x7FFFFFFF) % 4


def said(found: list[Seen]) -> list[str]:
    verdict = Verdict()
    check_copies("t", SOURCE, found, 4, verdict)
    return sorted({violation.partition(":")[0] for violation in verdict.violations})


def test_right_copies_have_no_violation() -> None:
    assert said(copies()) == []


WRONG: dict[str, Callable[[list[Seen]], list[Seen]]] = {
    "a record without a copy": lambda found: found[1:],
    "a copy of nothing": lambda found: [*found, replace(found[0], headers={"n": b"0"})],
    "a copy that was changed": lambda found: [replace(found[0], value=b"{ }"), *found[1:]],
    "a copy in another partition than its symbol's": lambda found: [replace(found[0], partition=9), *found[1:]],
}


@pytest.mark.parametrize("what", list(WRONG))
def test_a_wrong_copy_is_a_violation(what: str) -> None:
    assert said(WRONG[what](copies())) == [what]


def test_a_second_copy_is_a_violation_of_its_own_and_of_the_order() -> None:
    found = copies()
    twice = replace(found[-1], offset=found[-1].offset + 1)
    assert said([*found, twice]) == ["a record with several copies", "copies in another order"]


def test_copies_in_another_order_are_a_violation() -> None:
    seen = [replace(SOURCE[n], key=b"north|a0") for n in (0, 2)]
    made = [
        Seen(_partition(b"north|a0"), n, 9, b"north|a0", b"{}", {**one.headers, "barwheel-source": place})
        for n, (one, place) in enumerate(zip(seen[::-1], (b"t|0|1|52", b"t|0|0|50"), strict=True))
    ]
    verdict = Verdict()
    check_copies("t", seen, made, 4, verdict)
    assert [violation.partition(":")[0] for violation in verdict.violations] == ["copies in another order"]


@pytest.mark.parametrize("key", [b"t|0|0", b"t|1|5", b"x|0|0", b"x|9|9"])
def test_side_records_name_the_source_and_the_copy(key: bytes) -> None:
    verdict = Verdict()
    side = [Seen(2, 0, 9, key, b"{}", {"repartitioned": b"copies|2|7|900"})]
    found = of_copies("t", side, {(0, 0): (2, 7)}, verdict)
    assert (len(found), len(verdict.violations)) == ((1, 0) if key == b"t|0|0" else (0, 1))
