"""What a swap builds anew: what changed and all that reads from it, each after what it reads."""

from __future__ import annotations

import pytest

from migrations.plan.model import KsqlText, Plan, build_plan
from migrations.plan.rename import affected

DECLARED = "CREATE STREAM {} (x STRING KEY, y INT) WITH (KAFKA_TOPIC='{}', PARTITIONS=1, VALUE_FORMAT='JSON');"
SELECTED = "CREATE STREAM {} WITH (KAFKA_TOPIC='t_{}') AS SELECT * FROM {} EMIT CHANGES;"
REPLACED = SELECTED.replace("CREATE", "CREATE OR REPLACE")


def plan_of(*texts: str) -> Plan:
    return build_plan(
        "p", [KsqlText(text, str(number), str(number), destructive=True) for number, text in enumerate(texts, 1)], {}, {}
    )


A, B, C = DECLARED.format("a", "a"), SELECTED.format("b", "b", "a"), SELECTED.format("c", "c", "b")
B_AGAIN, OVER_B = REPLACED.format("b", "b", "a"), DECLARED.format("raw_b", "t_b")
INSERT = "INSERT INTO c WITH (QUERY_ID='Q') SELECT * FROM b EMIT CHANGES;"
D, OVER_RAW = SELECTED.format("d", "d", "c"), SELECTED.format("e", "e", "raw_b")
ELSEWHERE = REPLACED.format("b", "b", "other")


@pytest.mark.parametrize(
    ("texts", "changed", "wanted"),
    [
        ([A, B, C], "2/B", ["2/B", "3/C"]),
        ([A, B, C, D], "1/A", ["1/A", "2/B", "3/C", "4/D"]),
        ([A, B, C, B_AGAIN], "4/B", ["4/B", "3/C"]),
        ([A, B, C, D, B_AGAIN], "5/B", ["5/B", "3/C", "4/D"]),
        ([A, B, C, D, B_AGAIN, B_AGAIN], "6/B", ["6/B", "3/C", "4/D"]),
        ([A, B, C, B_AGAIN], "1/A", ["1/A", "4/B", "3/C"]),  # the last one of `b` counts
        ([A, DECLARED.format("other", "o"), B, C, ELSEWHERE], "1/A", ["1/A"]),  # it does not read `a` any more
        ([A, OVER_B, OVER_RAW, B], "4/B", ["4/B", "2/RAW_B", "3/E"]),  # declared before the query that writes the topic
        ([A, B, DECLARED.format("c", "c"), INSERT, D, B_AGAIN], "6/B", ["6/B", "4/Q"]),  # readers of an INSERT's target stay
    ],
)
def test_all_that_reads_from_what_changed_is_built_anew_after_it(texts: list[str], changed: str, wanted: list[str]) -> None:
    plan = plan_of(*texts)
    assert [one.id for one in affected(plan, [changed], {one.id for one in plan.statements})] == wanted


def test_a_replacement_that_is_not_executed_yet_does_not_count() -> None:
    plan = plan_of(A, DECLARED.format("other", "o"), B, C, ELSEWHERE)
    assert [one.id for one in affected(plan, ["1/A"], {"1/A", "2/OTHER", "3/B", "4/C"})] == ["1/A", "3/B", "4/C"]


def test_what_was_dropped_since_is_not_built_again() -> None:
    plan = plan_of(A, B, C, "DROP STREAM c;", D.replace("FROM c", "FROM b"), "DROP STREAM d;", C)
    assert [one.id for one in affected(plan, ["2/B"], {one.id for one in plan.statements})] == ["2/B", "7/C"]
    assert [one.id for one in affected(plan, ["2/B"], {"1/A", "2/B", "3/C"})] == ["2/B", "3/C", "5/D", "7/C"]
