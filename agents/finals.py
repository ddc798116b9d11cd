"""Publishes the bars of one partition: at once by an idempotent producer, or within the checkpoint's transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from agents.headers import APP_HEADER, EPOCH_HEADER
from agents.metrics import Metrics
from app.errors import StateError
from app.kafka.batches import Header, Outgoing, Run
from app.kafka.producers import BatchProducer, Sent
from app.kafka.records import NO_EPOCH
from tables.emission import Closed, take_runs


def finals_headers(app_id: str, leader_epoch: int) -> list[Header]:
    """The headers of a bar: who published it, and the leader epoch up to which the input had been read."""
    owner = (APP_HEADER, app_id.encode())
    return [owner] if leader_epoch == NO_EPOCH else [owner, (EPOCH_HEADER, b"%d" % leader_epoch)]


class FinalsPublisher:
    """The bars that have closed and are not known to be in the finals topic."""

    def __init__(
        self,
        topic: str,
        partition: int,
        producer: BatchProducer | None,
        *,
        end: int,
        headers: list[Header],
        metrics: Metrics,
        records: Callable[[Iterable[Closed], list[Header]], Iterable[Outgoing | Run]] = take_runs,
    ) -> None:
        """`producer` sends bars at once; None where they wait for the checkpoint. `end`: the topic's end offset so far.

        `records` makes the bars' records.
        """
        self.end = end
        self.unsent_bars = 0
        self.topic = topic
        self._partition = partition
        self._producer = producer
        self.headers = headers  # of the bars that are sent from now on
        self._metrics = metrics
        self._records = records
        self._unsent: list[Closed] = []
        self._in_flight: list[Sent] = []
        self._awaited: list[Sent] = []  # by the last checkpoint

    @property
    def pending(self) -> bool:
        """Whether bars wait to be sent or to be acknowledged."""
        return bool(self._unsent or self._in_flight)

    def has_bars_beyond(self, offset: int) -> bool:
        """Whether there are bars, also such as are being sent, that a reader of the finals at `offset` has not seen."""
        return bool(self._unsent) or self.end > offset or any(sent.end is None or sent.end > offset for sent in self._in_flight)

    async def publish(self, closed: list[Closed], bars: int) -> None:
        """Take over closed windows, and send them unless they wait for the checkpoint.

        Raises the error of an earlier batch that was refused: nothing may be sent behind it.
        """
        self._raise_if_refused()
        self._unsent += closed
        self.unsent_bars += bars
        if self._unsent and self._producer is not None:
            self._in_flight += await self.send(self._producer, self.take_unsent())
            self._forget_acknowledged()

    async def send(self, producer: BatchProducer, closed: list[Closed]) -> list[Sent]:
        """Send the bars of these windows, in order."""
        sent = await producer.send(self.topic, self._partition, self._records(closed, self.headers))
        self._metrics.sent(closed, sent[-1].acknowledged)
        return sent

    def take_unsent(self) -> list[Closed]:
        """The windows that have not been sent; the caller sends them."""
        unsent, self._unsent, self.unsent_bars = self._unsent, [], 0
        return unsent

    def take_in_flight(self) -> list[Sent]:
        """The batches that have been sent and not forgotten; the caller waits for them."""
        self._awaited, self._in_flight = self._in_flight, []
        return self._awaited

    def advance(self, known: int, sent: Sequence[Sent]) -> int:
        """The end offset after these batches were acknowledged; see `check_log_grew`."""
        return check_log_grew(self.topic, self._partition, known, sent)

    def _raise_if_refused(self) -> None:
        for sent in (*self._awaited, *self._in_flight):
            if sent.error is not None:
                raise sent.error

    def _forget_acknowledged(self) -> None:
        """Drop the batches at the front that were written. A failed one stays, so that the checkpoint raises its error."""
        while self._in_flight:
            if self._in_flight[0].end is None:
                return
            self.end = self.advance(self.end, self._in_flight[:1])
            del self._in_flight[0]


def check_log_grew(topic: str, partition: int, known: int, sent: Sequence[Sent]) -> int:
    """The new end offset of a log that only grows, after all these batches were acknowledged; `known` if there are none.

    Raises `StateError` where the first one was appended below the end that was known before.
    """
    first = sent[0].base if sent else None
    if first is not None and first < known:
        raise StateError(
            f"{topic}[{partition}] took a record before offset {known}, where it ended: it was truncated, or deleted and "
            "created again, while this worker ran; the next start says how to go on"
        )
    end = sent[-1].end if sent else None
    return known if end is None else end
