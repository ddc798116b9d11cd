"""The read model on a real broker: it copies the bars of all partitions, and recovers from any damage to its file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from agents.topics import ensure
from app.doubled import Doubled
from app.kafka.cluster import Cluster
from app.readmodel.database_file import UnreadableError
from app.readmodel.model import ReadModel
from app.readmodel.progress import State
from app.readmodel.queries import Queries, StoredBar, StoredSymbol
from app.readmodel.rows import BarRow
from app.settings import Settings
from tables.bars import bar_key, decode_bar
from tests.conformance.pocket_process import PocketProcess
from tests.support.bars import bar_json
from tests.support.waiting import until

MINUTE = 60_000


class World:
    """Topics of one app, and the read models on them."""

    def __init__(self, bootstrap: str, directory: Path, **more: object) -> None:
        unique = uuid4().hex[:8]
        self.cluster = Cluster(bootstrap)
        self.settings = Settings.load(
            _env_file=None,
            broker=f"kafka://{bootstrap}",
            app_id=f"app-{unique}",
            ticks_topic=f"ticks-{unique}",
            topics_prefix=f"{unique}-",
            topic_partitions=2,
            data_dir=directory,
            read_model_bars=1_000,
            **more,
        )
        self.new_bars: list[BarRow] = []
        self.reloads = 0

    async def send(
        self,
        bars: Sequence[tuple[str, int, str]],
        partition: int = 0,
        app_id: str | None = None,
        topic: str = "",
        revision: int = 0,
    ) -> None:
        """Publish bars: symbol, start, close; into the finals, if no other topic is named."""
        producer = AIOKafkaProducer(bootstrap_servers=self.cluster.bootstrap, linger_ms=5)
        await producer.start()
        owner = (app_id or self.settings.app_id).encode()
        futures = [
            await producer.send(
                topic or self.settings.finals_topic,
                bar_json(symbol=symbol, start=start, close=close, revision=revision),
                bar_key("fx", symbol, start),
                partition=partition,
                headers=[("app_id", owner)],
            )
            for symbol, start, close in bars
        ]
        for future in futures:
            await future
        await producer.stop()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ReadModel]:
        """A read model that has caught up."""
        model = ReadModel(self.settings)
        model.start(self.cluster, 2, self.new_bars.extend, self._reloaded)
        try:
            await until(lambda: model.progress.state is State.live, what="it is live")
            yield model
        finally:
            await model.stop()

    def _reloaded(self) -> None:
        self.reloads += 1

    @property
    def file(self) -> Path:
        """The one database."""
        (found,) = (self.settings.data_dir / "read-model").glob("*.sqlite")
        return found


@pytest.fixture
async def world(pocket: str, tmp_path: Path) -> World:
    made = World(pocket, tmp_path)
    await ensure(made.settings, made.cluster)
    return made


async def starts(model: ReadModel, symbol: str) -> list[int]:
    """The starts of a symbol's bars, newest first."""

    def look(queries: Queries) -> list[int]:
        return [bar.start for bar in queries.bars(queries.symbol("fx", symbol), 0, 1 << 60, 10_000)]

    return await model.query(look, [])


def has(model: ReadModel, symbol: str, wanted: list[int]) -> Callable[[], object]:
    """A condition to wait for."""

    async def look() -> bool:
        return await starts(model, symbol) == wanted

    return look


async def test_the_bars_of_every_partition_are_there_and_only_new_ones_are_announced(world: World) -> None:
    await world.send([("A", 0, "1.5"), ("A", MINUTE, "1.6")])
    await world.send([("B", 0, "1.5")], partition=1)
    async with world.running() as model:
        assert (await starts(model, "A"), await starts(model, "B")) == ([MINUTE, 0], [0])
        assert world.new_bars == []
        await world.send([("C", 0, "1.7")], partition=1)
        await until(lambda: world.new_bars, what="the new bar is announced")
        (bar,) = world.new_bars
        assert (bar.symbol, bar.partition, bar.value) == ("C", 1, bar_json(symbol="C", close="1.7"))
        assert await starts(model, "C") == [0]


async def test_revisions_and_longer_bars_are_copied_from_their_topics_and_no_bar_goes_back(pocket: str, tmp_path: Path) -> None:
    world = World(pocket, tmp_path, late_policy="correct", frames="1h")
    await ensure(world.settings, world.cluster)

    def closes(frame: str = "") -> Callable[[Queries], list[str]]:
        return lambda queries: [
            str(decode_bar(bar.value).close) for bar in queries.bars(queries.symbol("fx", "A", frame), 0, 1 << 60, 9)
        ]

    nothing: list[str] = []
    revised, longer = world.settings.corrections_topic_of(""), world.settings.finals_topic_of("1h")
    await world.send([("A", 0, "1.5"), ("A", MINUTE, "1.6")])
    await world.send([("A", 0, "1.7")], topic=revised, revision=1)
    await world.send([("A", 0, "1.6")], topic=longer)
    async with world.running() as model:
        assert await model.query(closes(), nothing) == ["1.6", "1.7"]
        assert await model.query(closes("1h"), nothing) == ["1.6"]
        await world.send([("A", 0, "1.8")], topic=world.settings.corrections_topic_of("1h"), revision=1)
        await until(lambda: world.new_bars, what="the revision is announced")
        assert [(bar.frame, bar.revision) for bar in world.new_bars] == [("1h", 1)]
        assert await model.query(closes("1h"), nothing) == ["1.8"]
        await world.send([("A", 0, "1.5")])  # the final is read again after its revision
        await world.send([("B", 0, "1.5")])
        await until(lambda: world.new_bars[1:], what="the bar behind it is announced")
        assert [bar.symbol for bar in world.new_bars[1:]] == ["B"]
        assert await model.query(closes(), nothing) == ["1.6", "1.7"]
    async with world.running() as model:
        assert await model.query(closes("1h"), nothing) == ["1.8"]
        assert model.progress.rebuilt == 0


async def test_a_restart_continues_at_the_stored_position(world: World) -> None:
    await world.send([("A", 0, "1.5")])
    async with world.running() as model:
        reached = dict(model.progress.positions)
    await world.send([("A", MINUTE, "1.5")])
    async with world.running() as model:
        assert model.progress.rebuilt == 0
        assert await starts(model, "A") == [MINUTE, 0]
        place = (world.settings.finals_topic, 0)
        assert model.progress.positions[place] == reached[place] + 1


@pytest.mark.parametrize("harm", ["missing", "damaged"])
async def test_a_missing_or_damaged_file_is_rebuilt_from_the_topic(world: World, harm: str) -> None:
    await world.send([("A", 0, "1.5"), ("A", MINUTE, "1.5")])
    async with world.running():
        pass
    if harm == "missing":
        world.file.unlink()
    else:
        world.file.write_bytes(b"no database" * 2_000)
    async with world.running() as model:
        assert await starts(model, "A") == [MINUTE, 0]
        assert model.progress.rebuilt == (harm == "damaged")


async def test_a_file_that_is_damaged_while_in_use_is_rebuilt(world: World) -> None:
    await world.send([("A", start * MINUTE, "1.5") for start in range(500)])
    async with world.running() as model:
        known = world.file
    async with world.running() as model:
        with known.open("r+b") as file:
            file.seek(0)
            file.write(b"\xff" * known.stat().st_size)
        await until(has(model, "A", [start * MINUTE for start in reversed(range(500))]), what="it has all bars again")
        assert model.progress.rebuilt >= 1
        assert world.reloads >= 3


async def test_no_more_bars_are_kept_than_the_setting_allows(world: World) -> None:
    await world.send([("A", start * MINUTE, "1.5") for start in range(1_500)])
    async with world.running() as model:
        # the first read takes an equal share of the newest bars of each partition
        assert await starts(model, "A") == [start * MINUTE for start in reversed(range(1_000, 1_500))]
        await world.send([("B", start * MINUTE, "1.5") for start in range(700)], partition=1)
        await until(has(model, "A", [start * MINUTE for start in reversed(range(1_200, 1_500))]), what="the oldest went")
        assert len(await starts(model, "B")) == 700


async def test_other_apps_bars_and_invalid_ones_are_skipped_and_a_repeated_bar_replaces_the_first(world: World) -> None:
    await world.send([("A", 0, "1.5")], app_id="another")
    producer = AIOKafkaProducer(bootstrap_servers=world.cluster.bootstrap)
    await producer.start()
    headers = [("app_id", world.settings.app_id.encode())]
    for value in (b"{}", b"\xff", None):
        await producer.send_and_wait(world.settings.finals_topic, value, b"fx|A|0", partition=0, headers=headers)
    await producer.stop()
    await world.send([("B", 0, "1.5"), ("B", 0, "1.9")])
    async with world.running() as model:
        assert await starts(model, "A") == []
        nothing: list[StoredBar] = []
        found = await model.query(lambda queries: queries.bars(queries.symbol("fx", "B"), 0, 1, 9), nothing)
        assert found == [StoredBar(0, 0, bar_json(symbol="B", close="1.9"))]
        assert model.progress.doubled is None


async def test_a_window_of_which_two_partitions_have_a_bar_is_found(world: World) -> None:
    await world.send([("A", 0, "1.5"), ("A", MINUTE, "1.6")])
    await world.send([("A", MINUTE, "1.7"), ("A", 2 * MINUTE, "1.8")], partition=1)
    async with world.running() as model:
        assert model.progress.doubled == Doubled(1, "fx", "A", MINUTE, (0, 1))
        assert await starts(model, "A") == [2 * MINUTE, MINUTE, MINUTE, 0]
        await world.send([("A", 2 * MINUTE, "1.9")])
        await until(lambda: model.progress.doubled == Doubled(2, "fx", "A", 2 * MINUTE, (0, 1)), what="it is seen at once")
    async with world.running() as model:
        assert model.progress.doubled == Doubled(2, "fx", "A", 2 * MINUTE, (0, 1)), "as long as the bars are there"


async def test_a_topic_that_was_created_again_is_read_from_its_start(world: World) -> None:
    await world.send([("A", start * MINUTE, "1.5") for start in range(5)])
    async with world.running():
        pass
    client = AIOKafkaAdminClient(bootstrap_servers=world.cluster.bootstrap)
    await client.start()
    await client.delete_topics([world.settings.finals_topic])
    await client.close()
    await ensure(world.settings, world.cluster)
    await world.send([("B", 0, "1.5")])
    async with world.running() as model:
        assert (await starts(model, "A"), await starts(model, "B")) == ([], [0])
        assert model.progress.rebuilt == 1


async def test_a_topic_that_was_created_again_and_is_longer_is_not_mixed_with_the_first(world: World) -> None:
    await world.send([("A", 0, "1.5")])
    async with world.running():
        pass
    client = AIOKafkaAdminClient(bootstrap_servers=world.cluster.bootstrap)
    await client.start()
    await client.delete_topics([world.settings.finals_topic])
    await client.close()
    await ensure(world.settings, world.cluster)
    await world.send([("B", start * MINUTE, "1.5") for start in range(3)])
    async with world.running() as model:
        assert (await starts(model, "A"), len(await starts(model, "B"))) == ([], 3)


async def test_another_cluster_with_the_same_names_is_not_mixed_with_the_first(
    pocket: str, own_pocket: PocketProcess, tmp_path: Path
) -> None:
    first = World(pocket, tmp_path / "data")
    second = World(f"127.0.0.1:{own_pocket.port}", tmp_path / "data")
    second.settings = first.settings
    for one, symbol in ((first, "A"), (second, "B")):
        await ensure(one.settings, one.cluster)
        await one.send([(symbol, 0, "1.5")])
    async with first.running() as model:
        assert await starts(model, "A") == [0]
    async with second.running() as model:
        assert (await starts(model, "A"), await starts(model, "B")) == ([], [0])


async def test_an_error_that_is_no_damage_is_an_error_and_the_copy_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.send([("A", 0, "1.5")])

    class TooManyFiles(Queries):
        def __init__(self, path: Path) -> None:
            super().__init__(path / "no such folder" / "x")

        def symbol(self, broker: str, symbol: str, frame: str = "") -> list[StoredSymbol]:
            self._connection.execute("SELECT 1 FROM sqlite_schema")  # sqlite3.OperationalError: unable to open database file
            return super().symbol(broker, symbol, frame)

    async with world.running() as model:
        with monkeypatch.context() as patched:
            patched.setattr("app.readmodel.model.Queries", TooManyFiles)
            with pytest.raises(UnreadableError, match="unable to open"):
                await starts(model, "A")
            assert await model.extent() is None
        assert await starts(model, "A") == [0]
        assert model.progress.rebuilt == 0


async def test_two_read_models_in_one_directory_use_a_file_each(world: World) -> None:
    await world.send([("A", 0, "1.5")])
    async with world.running() as first, world.running() as second:
        assert await starts(first, "A") == await starts(second, "A") == [0]
        assert len(list((world.settings.data_dir / "read-model").glob("*.sqlite"))) == 2
