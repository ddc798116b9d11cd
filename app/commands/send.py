"""`app send`: Faust's command, with the port of the pocket broker, and an error instead of waiting for a missing topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError
from faust.cli.send import send as faust_send
from yarl import URL

from app.commands import base
from app.errors import BrokerError, InputError
from app.kafka.bootstrap import admin
from app.kafka.topics import partition_counts
from app.settings import Settings

if TYPE_CHECKING:
    import faust


def register(_: faust.App) -> None:
    """Replace Faust's command, which is the same for every app."""

    class send(base.BarwheelCommand, faust_send):  # noqa: N801 - the class's name is the command's
        """Send one record to a topic, or to an agent's topic (@NAME).

        Key and value are sent unchanged. The partition is that of Kafka's default partitioner unless --partition is
        given. Prints the record's position as JSON.

        \b
        Example:
          app send ticks '{"ts": 1399248000123, "bid": 1.38691}' --key 'fxcm|EURUSD'
          app send @ticks '{"ts": 1399248060000, "heartbeat": true}' --key 'fxcm|EURUSD'
        """  # noqa: D301 - click reads \b

        async def run(self, entity: str, value: str, **options: Any) -> None:  # type: ignore[override]  # Faust names each
            """Find the broker and the topic, then send."""
            cluster = await base.reach(Settings.load())
            name = self._topic_name(entity)
            async with admin(cluster) as client:
                count = (await partition_counts(client)).get(name)
            if count is None:
                raise InputError(f"send: topic {name} does not exist: `app topics` creates the topics of this app")
            partition = options["partition"]
            if partition is not None and not 0 <= partition < count:
                raise InputError(f"send --partition {partition}: topic {name} has partitions 0 to {count - 1}")
            self.app.transport.url = self.app.producer_transport.url = [
                URL(f"kafka://{host}:{port}") for host, port in cluster.addresses
            ]
            try:
                await super().run(name, value, **options)
            except KafkaError as error:
                raise BrokerError(f"sending to {name} failed: {str(error) or type(error).__name__}") from error

        def _topic_name(self, entity: str) -> str:
            if not entity.startswith("@"):
                return entity
            agent = self.app.agents.get(entity[1:])
            if agent is None:
                raise InputError(f"send {entity}: no such agent; `app agents` lists them")
            return str(agent.channel.get_topic_name())
