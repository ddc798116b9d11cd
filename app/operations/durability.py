"""What a topic's replicas, and the settings about them, risk: records that were acknowledged, or writing at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.kafka.limits import REPLICA_LAG
from app.kafka.topics import MIN_IN_SYNC, UNCLEAN, TopicState
from app.settings import PREFIX, Settings
from app.settings.types import IdleClose


@dataclass(frozen=True)
class Risk:
    """A risk of some topics, and the remedy. `serious`: records can be lost, or refused, although every replica is up."""

    text: str
    advice: str
    serious: bool = False


def risks(states: Mapping[str, TopicState], replicas: Mapping[str, int]) -> Iterator[Risk]:
    """The risks of these topics; topics with the same risk are named together. `replicas`: how many each topic has."""
    topics: defaultdict[Risk, list[str]] = defaultdict(list)
    for name, state in states.items():
        for risk in _risks_of(state, replicas.get(name, 0)):
            topics[risk].append(name)
    for risk, names in topics.items():
        yield Risk(f"topic {', '.join(names)}: {risk.text}", risk.advice, risk.serious)


def idle_risk(settings: Settings, replicas: int, lag_ms: int | None) -> Risk | None:
    """The risk of closing windows by empty fetches, if there is one.

    `replicas`: of the input. `lag_ms`: how long one of them may lag before the others go on without it. For so long the high
    watermark can stand still, and consumers see nothing of what arrives.
    """
    at_risk = settings.idle_close is IdleClose.on and replicas > 1 and lag_ms is not None and settings.idle_margin <= lag_ms
    if not at_risk or lag_ms is None:
        return None
    text = (
        f"idle_margin={settings.text_of('idle_margin')} is not above the brokers' {REPLICA_LAG}={lag_ms}: "
        "where a replica hangs, a silent window can close before ticks that have arrived can be read"
    )
    return Risk(
        text, f"set {PREFIX}IDLE_CLOSE=marker, or {PREFIX}IDLE_MARGIN above that time: bars of silence come that much later"
    )


def _risks_of(state: TopicState, replicas: int) -> Iterator[Risk]:
    in_sync = int(state.configs.get(MIN_IN_SYNC, 1))
    if replicas and in_sync > replicas:
        text = f"{MIN_IN_SYNC}={in_sync} and {replicas} replicas: a broker may refuse every record"
        yield Risk(text, f"set {MIN_IN_SYNC} to {max(1, replicas - 1)}", serious=True)
    elif replicas == 1:
        text = "has one replica: its records are lost with that broker's disk, and nothing is read or written while it is away"
        yield Risk(text, "reassign it to three brokers, and set replication_factor=3 for topics that are created")
    elif replicas > 1 and in_sync == 1:
        text = f"{MIN_IN_SYNC}=1: a record counts as written when one of {replicas} replicas has it, and is lost with that one"
        yield Risk(text, f"set {MIN_IN_SYNC}={replicas - 1 if replicas > 2 else 2}")  # noqa: PLR2004  # of two replicas both
    elif replicas > 1 and in_sync == replicas:
        text = f"{MIN_IN_SYNC}={in_sync} of {replicas} replicas: nothing can be written while one of them is away"
        yield Risk(text, "add a replica")
    if replicas > 1 and state.configs.get(UNCLEAN) == "true":
        text = f"{UNCLEAN}=true: a replica that lacks acknowledged records may become leader, and they are gone"
        yield Risk(text, f"set {UNCLEAN}=false", serious=True)
