"""The Faust transport: its consumer and producer are ours, and it knows the partition tasks they work for."""

from __future__ import annotations

from typing import Any

from faust.transport.drivers import aiokafka as driver

from app.driver.clients import Producer
from app.driver.consumer import Consumer
from app.driver.task_protocol import Tasks


class Transport(driver.Transport):
    """Faust's aiokafka transport with our consumer and producer."""

    Consumer = Consumer
    Producer = Producer

    def __init__(self, *args: Any, tasks: Tasks, **options: Any) -> None:
        """`tasks` gets the slices and makes the checkpoints; the other arguments are Faust's."""
        super().__init__(*args, **options)
        self.tasks = tasks
