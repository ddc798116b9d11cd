"""What a statement defines: the same for texts that a person, another tool and the server write of it, and no other."""

from __future__ import annotations

import pytest

from migrations.plan.definition import definition


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "CREATE OR REPLACE STREAM a (x INT) WITH (VALUE_FORMAT='json', KAFKA_TOPIC='t,)', PARTITIONS=6);",
            "create stream IF NOT EXISTS A (X INT) with (cleanup_policy='delete', `kafka_topic`='t,)', value_format='JSON')",
        ),
        ("INSERT INTO a WITH (QUERY_ID='q') SELECT * FROM b;", "INSERT INTO a -- by hand\n SELECT * FROM b;"),
        (
            "CREATE TABLE a WITH (KAFKA_TOPIC='a', RETENTION_MS=1, REPLICAS=3) AS SELECT b FROM c WITH_ EMIT CHANGES;",
            "CREATE TABLE a WITH (KAFKA_TOPIC='a') AS SELECT b FROM c WITH_ EMIT CHANGES;",
        ),
    ],
)
def test_texts_of_the_same_definition_are_equal(one: str, other: str) -> None:
    assert definition(one) == definition(other)


STREAM = "CREATE STREAM a (x INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', TIMESTAMP_FORMAT='yyyy-MM');"


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("'t'", "'T'"),
        ("x INT", "x BIGINT"),
        ("JSON", "AVRO"),
        ("yyyy-MM", "YYYY-mm"),
        (", VALUE_FORMAT='JSON'", ""),
        ("a (", "b ("),
    ],
)
def test_texts_of_other_definitions_differ(was: str, now: str) -> None:
    assert was in STREAM
    assert definition(STREAM) != definition(STREAM.replace(was, now))
