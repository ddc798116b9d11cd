"""What can be wrong with a server: faults that a test injects, and the conditions of the recorded server."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tests.ksqldb_server.refusal import Refusal

WRITTEN = {
    "CREATE",
    "DROP",
    "INSERT",
    "TERMINATE",
    "PAUSE",
    "RESUME",
}  # to the command topic, or for INSERT VALUES to the source's topic


@dataclass
class Fault:
    """A fault of the next `times` requests that contain `match`.

    `kind` is delay (by `seconds`), hold (until the test releases it), before or after (cut the connection before or after
    execution), 503, 429, 401, error (of the server), closed (an error of a server that stops), or refuse (the statements, if
    the server would execute or check any).
    """

    kind: str
    times: int = 1
    match: str = ""
    seconds: float = 0.0


class Condition(StrEnum):
    """The condition of the whole server."""

    well = "well"
    starting = "starting"  # it listens, but accepts no statement yet
    cold = "cold"  # it accepts statements, but has not located its tables yet
    slow = "slow"  # a statement takes longer than the response waits for it
    kafka_away = "kafka away"
    fenced = "fenced"  # several statements at once, or the first one after Kafka was away


def check_ready(condition: Condition) -> None:
    """Raises `Refusal` while the server reads its command topic."""
    if condition is Condition.starting:
        raise Refusal("KSQL is not yet ready to serve requests.", code=50302)


def check_writable(condition: Condition, statement: str) -> None:
    """Raises `Refusal` for a statement that must be written to Kafka, if that is impossible."""
    first = statement.split(maxsplit=1)[0].upper()
    if first not in WRITTEN:
        return
    if condition is Condition.kafka_away and first == "INSERT":
        raise Refusal("Failed to insert values.\nCaused by: Topic not present in metadata after 60000 ms.", code=40000)
    if condition is Condition.kafka_away:
        raise Refusal("Timeout while initializing transaction to the KSQL command topic.", statement, code=50000)
    if condition is Condition.fenced:
        raise Refusal("Producer has been fenced by another producer with the same transactionalId", statement, code=50000)
