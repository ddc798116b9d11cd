"""Packs records into the batches that aiokafka's producer sends.

Written for aiokafka 0.14.0. Its `BatchBuilder.append` calls serializers for every record. Here there are none, and the calls
take longer than the Cython builder below, so that one is used directly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Header = tuple[str, bytes]
# A record to send: key, value, timestamp (epoch ms, None for the present time) and headers. The headers are a list because
# aiokafka's builder takes nothing else; the record is a plain tuple because creating a named one doubles the cost of sending.
Outgoing = tuple[bytes, bytes | None, int | None, list[Header]]


def pack(new_batch: Callable[[], Any], records: Iterable[Outgoing]) -> Iterator[Any]:
    """Pack records into batches, in order. `new_batch` makes an empty one, as `AIOKafkaProducer.create_batch` does.

    A record that is larger than a batch gets one of its own. Without records there is no batch.
    """
    batch, count = new_batch(), 0
    append = batch._builder.append  # noqa: SLF001  # see the module's docstring
    for key, value, timestamp, headers in records:
        if append(count, timestamp, key, value, headers) is None:  # the batch is full
            yield _closed(batch, count)
            batch, count = new_batch(), 0
            append = batch._builder.append  # noqa: SLF001  # see the module's docstring
            append(count, timestamp, key, value, headers)
        count += 1
    if count:
        yield _closed(batch, count)


def _closed(batch: Any, count: int) -> Any:
    batch._relative_offset = count  # noqa: SLF001  # the sender takes record count and sequence numbers from it
    batch.close()
    return batch
