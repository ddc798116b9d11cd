"""Side outputs: late and rejected records, unchanged, with the reason and where they came from."""

from __future__ import annotations

from app.kafka.batches import Header, Outgoing
from app.kafka.producers import BatchProducer, acknowledged
from app.settings import Settings
from tables.record_size import CUT_TO, OVERHEAD, headers_size
from tables.records import SideRecord
from tables.repartitioned import SourceRecord, restored


class SideOutputs:
    """The late and rejected records of one partition since its last checkpoint."""

    def __init__(self, topics: dict[str, str], encoder: SideRecordEncoder, partition: int) -> None:
        """`topics`: where each kind goes: "late" and "rejected"."""
        self._topics = topics
        self._encoder = encoder
        self._partition = partition
        self._pending: list[SideRecord] = []

    def __len__(self) -> int:
        """How many wait for the next checkpoint."""
        return len(self._pending)

    def add(self, records: list[SideRecord]) -> None:
        """Keep records for the next checkpoint."""
        self._pending += records

    def take(self) -> list[SideRecord]:
        """The records since the last call; the caller sends them."""
        pending, self._pending = self._pending, []
        return pending

    async def send(self, producer: BatchProducer, side: list[SideRecord]) -> None:
        """Send records to their topics and wait for the acknowledgements."""
        for kind, topic in self._topics.items():
            records = (self._encoder.encode(record) for record in side if record.kind == kind)
            await acknowledged(await producer.send(topic, self._partition, records))


class SideRecordEncoder:
    """Encodes the side records of one source partition."""

    def __init__(
        self, topic: str, partition: int, *, max_size: int, headers: list[Header], repartitioned: bool = False
    ) -> None:
        """`max_size`: the largest record in bytes that may be sent; `headers`: appended to those of each record.

        `repartitioned`: the records are copies of others, which are what is kept.
        """
        self._source = f"{topic}|{partition}|"
        self._repartitioned = repartitioned
        self._max_size = max_size - OVERHEAD
        self._headers = headers

    def encode(self, side: SideRecord) -> Outgoing:
        """The record to send, with the key `topic|partition|offset` of the source.

        Where the source was repartitioned, the header `repartitioned` names the copy and its arrival.

        A value that is too large for the topic is cut, and headers say so. The source's headers are left out if they alone are
        too large, which is possible for records of a compressed batch.
        """
        record = side.record
        name, arrival, copied = f"{self._source}{side.offset}", record.timestamp, list[Header]()
        if self._repartitioned:
            record = record if isinstance(record, SourceRecord) else restored(record)
            if record.source is not None:
                topic, number, offset, arrival = record.source
                copied = [("repartitioned", f"{name}|{record.copied_at}".encode())]
                name = f"{topic}|{number}|{offset}"
        key, value = record.key, record.value
        headers = [
            ("reason", side.reason.encode()),
            ("detail", side.detail.encode(errors="backslashreplace")),
            ("source_arrival", str(arrival).encode()),
            *copied,
            *self._headers,
        ]
        if key is not None:
            headers.append(("source_key", key[:CUT_TO]))
        own = [(name, text or b"") for name, text in record.headers]
        room = self._max_size - headers_size(headers)
        if headers_size(own) + len(value or b"") > room:
            if value is not None:
                headers += [("truncated", b"true"), ("original_size", str(len(value)).encode())]
                value = value[: min(CUT_TO, max(0, room))]
            if headers_size(own) + len(value or b"") > room:
                headers.append(("headers_left_out", str(len(own)).encode()))
                own = []
        headers = own + headers
        return name.encode(), value, None, headers


def side_outputs(settings: Settings, partition: int, max_size: int, headers: list[Header]) -> SideOutputs:
    """Those of one partition of the input. `max_size`: the largest record in bytes that their topics take."""
    topics = {"late": settings.late_topic, "rejected": settings.rejected_topic}
    encoder = SideRecordEncoder(
        settings.input_topic, partition, max_size=max_size, headers=headers, repartitioned=settings.repartition
    )
    return SideOutputs(topics, encoder, partition)
