"""What can be wrong with a server: faults that a test orders, and the conditions in which the real one was recorded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tests.ksqldb_server.refusal import Refusal

WRITTEN = {"CREATE", "DROP", "INSERT", "TERMINATE", "PAUSE", "RESUME"}  # to the command topic, but for INSERT VALUES


@dataclass
class Fault:
    """What goes wrong with the next requests that hold `match`: `kind` delay, before, after, 503, 429 or error."""

    kind: str
    times: int = 1
    match: str = ""
    seconds: float = 0.0


class Condition(StrEnum):
    """What the server is in the middle of, or suffers from."""

    well = "well"
    starting = "starting"  # it listens, and takes nothing yet
    cold = "cold"  # it takes statements, and does not know yet where its tables are
    slow = "slow"  # it takes longer over a statement than it lets a client wait
    kafka_away = "kafka away"
    fenced = "fenced"  # of several statements at once, or the first after Kafka was away


def ready(condition: Condition) -> None:
    """Raise what a server says until it has read its command topic."""
    if condition is Condition.starting:
        raise Refusal("KSQL is not yet ready to serve requests.", code=50302)


def suffer(condition: Condition, statement: str) -> None:
    """Refuse what has to be written to Kafka, where that is away or another was faster."""
    first = statement.split(maxsplit=1)[0].upper()
    if first not in WRITTEN:
        return
    if condition is Condition.kafka_away and first == "INSERT":
        raise Refusal("Failed to insert values.\nCaused by: Topic not present in metadata after 60000 ms.", code=40000)
    if condition is Condition.kafka_away:
        raise Refusal("Timeout while initializing transaction to the KSQL command topic.", statement, code=50000)
    if condition is Condition.fenced:
        raise Refusal("Producer has been fenced by another producer with the same transactionalId", statement, code=50000)
