"""The steps of a schedule: each is the name of a method of `Simulation`, and its arguments."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.support.examples import examples

EXAMPLES = examples(check=25, full=75, thorough=5_000)
Step = tuple[Any, ...]
STEPS = st.one_of(
    st.tuples(
        st.just("tick"),
        st.sampled_from([0, 1, 300, 4_999, 5_000, 5_001, 30_000, 66_000]),
        st.integers(0, 5),
        st.sampled_from([0, 0, 800, 9_000, 61_000, -50_000]),
        st.sampled_from(["tick", "tick", "tick", "tick", "beat", "bad"]),
    ),
    st.tuples(st.just("clock"), st.sampled_from([0, 0, 70_000, 86_400_000, 2 * 86_400_000]), st.integers(0, 5)),
    st.tuples(st.just("worker_clock"), st.sampled_from([0, 70_000, 86_400_000, -86_400_000])),
    st.tuples(st.just("read"), st.integers(1, 6)),
    st.tuples(st.just("timer")),
    st.tuples(st.just("deliver"), st.integers(1, 3)),
    st.tuples(st.just("checkpoint"), st.one_of(st.none(), st.integers(0, 8)), st.integers(0, 4)),
    st.tuples(st.just("crash")),
    st.tuples(st.just("takeover")),
    st.tuples(st.just("wake_up"), st.integers(0, 6)),
)
TICK: Step = ("tick", 0, 0, 0, "tick")
NEXT_WINDOW: Step = ("tick", 66_000, 0, 0, "tick")
STATES_LOST: list[Step] = [TICK, ("read", 1), ("checkpoint", None), ("crash",), NEXT_WINDOW]
