"""Records into the batches that aiokafka's producer sends.

Written for aiokafka 0.14.0. Its `BatchBuilder.append` asks for serializers, which there are none of here, and that takes longer
than the builder under it, which is used directly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Header = tuple[str, bytes]
# a record to be sent: key, value, timestamp (epoch ms, None for now), headers (aiokafka's builder takes nothing but a list);
# a plain tuple, as a named one costs as much as the rest of sending it
Outgoing = tuple[bytes, bytes | None, int | None, list[Header]]


def pack(new_batch: Callable[[], Any], records: Iterable[Outgoing]) -> Iterator[Any]:
    """Batches of these records, in order, as `AIOKafkaProducer.create_batch` makes them; none without records.

    A record that is larger than a batch has one to itself.
    """
    batch, count = new_batch(), 0
    append = batch._builder.append  # noqa: SLF001  # see above
    for key, value, timestamp, headers in records:
        if append(count, timestamp, key, value, headers) is None:
            yield _closed(batch, count)
            batch, count = new_batch(), 0
            append = batch._builder.append  # noqa: SLF001
            append(count, timestamp, key, value, headers)
        count += 1
    if count:
        yield _closed(batch, count)


def _closed(batch: Any, count: int) -> Any:
    batch._relative_offset = count  # noqa: SLF001  # what record_count() tells, and the sender's sequence numbers
    batch.close()
    return batch
