"""The transactional producer of a source's partition. Starting one fences that of the partition's former owner."""

from __future__ import annotations

from collections.abc import Mapping

from app.kafka.cluster import Cluster
from app.kafka.leaders import Place
from app.kafka.producers import TRANSACTION_SECONDS, TransactionalProducer
from app.settings import Settings


def source_producer(
    settings: Settings, cluster: Cluster, place: Place, *, max_request: int, batch_limits: Mapping[str, int]
) -> TransactionalProducer:
    """The one of a partition; sizes as for `BatchProducer`.

    A transactional id for each partition, as aiokafka 0.14 sends no group metadata with the offsets of a transaction (KIP-447):
    the coordinator of the group could not tell a former owner from the present one.
    """
    topic, number = place
    return TransactionalProducer(
        cluster,
        max_request=max_request,
        batch_limits=batch_limits,
        transactional_id=f"{settings.app_id}-repartition-{topic}-{number}",
        group=settings.repartition_group,
        # Engines see nothing behind an open transaction. One of a worker that died ends when its session has.
        transaction_seconds=min(TRANSACTION_SECONDS, settings.session_timeout / 1_000),
    )
