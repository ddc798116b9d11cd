"""Errors of Kafka: those that another attempt mends are retried, the others end the worker with one line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors as kafka
from aiokafka.consumer.group_coordinator import GroupCoordinator

from agents import task_creator
from agents.metrics import Metrics
from agents.readiness import Readiness
from agents.task_creator import TaskCreator
from agents.tasks import TaskManager
from agents.topics import TopicsReport
from app import worker
from app.driver import clients
from app.errors import BrokerError, SettingsError
from app.kafka.cluster import Cluster
from app.kafka.failures import MENDED_BY_STARTING_AGAIN, refusal_of, refused
from app.kafka.fetcher import HeadFetcher, PatientCoordinator
from app.kafka.limits import LONGEST_SESSION, LONGEST_TRANSACTION, SHORTEST_SESSION, check
from app.settings import Settings


def subclasses(base: type[Any]) -> Iterator[type[Any]]:
    for each in base.__subclasses__():
        yield each
        yield from subclasses(each)


UNSPECIFIC = {kafka.KafkaError, kafka.BrokerResponseError}
# named here one by one, so that a new class of aiokafka's is looked at
FINAL_NAMES = """
    AuthenticationFailedError AuthenticationMethodNotSupported ClusterAuthorizationFailedError DelegationTokenAuthDisabled
    DelegationTokenAuthorizationFailed DelegationTokenExpired DelegationTokenNotFound DelegationTokenOwnerMismatch
    DelegationTokenRequestNotAllowed GroupAuthorizationFailedError GroupIdNotFound IllegalArgumentError IllegalSaslStateError
    InconsistentGroupProtocolError IncompatibleBrokerVersion InvalidCommitOffsetSizeError InvalidConfigurationError
    InvalidFetchRequestError InvalidGroupIdError InvalidPartitionsError InvalidPrincipalType InvalidReplicationAssignmentError
    InvalidReplicationFactorError InvalidRequestError InvalidRequiredAcksError InvalidSessionTimeoutError InvalidTimestampError
    InvalidTopicError InvalidTransactionTimeout KafkaConfigurationError MessageSizeTooLargeError NoError NonEmptyGroup
    OffsetMetadataTooLargeError PolicyViolationError RecordListTooLargeError RecordTooLargeError SaslAuthenticationFailed
    SecurityDisabled TopicAlreadyExistsError TopicAuthorizationFailedError TransactionalIdAuthorizationFailed
    UnrecognizedBrokerVersion UnsupportedCodecError UnsupportedForMessageFormatError UnsupportedSaslMechanismError
    UnsupportedVersionError
"""
FINAL = [getattr(kafka, name) for name in FINAL_NAMES.split()]
PASSING = sorted({*subclasses(kafka.KafkaError)} - UNSPECIFIC - {*FINAL}, key=lambda kind: kind.__name__)


def made(kind: Any) -> kafka.KafkaError:
    error: kafka.KafkaError = kind.__new__(kind)
    return error


def test_every_error_of_aiokafka_is_of_one_kind() -> None:
    for kind in PASSING:
        assert refused(made(kind)) is None, kind
        assert kind.retriable or issubclass(kind, MENDED_BY_STARTING_AGAIN), kind
    for kind in FINAL:
        error = refused(made(kind))
        assert error is not None, kind
        assert error.exit_code == 3
        assert kind.__name__ in str(error)
        assert "; " in str(error), "the remedy"
        assert "\n" not in str(error)


def test_the_error_behind_a_background_tasks_error_counts() -> None:
    inner = kafka.TopicAuthorizationFailedError("ticks")
    outer = kafka.KafkaError("Unexpected error during batch delivery")
    outer.__cause__ = inner
    assert refusal_of(outer) is inner
    outer.__cause__ = kafka.KafkaConnectionError("away")
    assert refusal_of(outer) is None
    assert refusal_of(kafka.KafkaError("something new")) is None
    assert refusal_of(OSError("no route")) is None


async def answers(_cluster: Cluster) -> None:
    """In the place of `unreachable`: the broker answers."""


@pytest.mark.parametrize("kind", [*FINAL, *PASSING], ids=lambda kind: kind.__name__)
async def test_a_recovery_is_tried_again_exactly_where_that_may_help(kind: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_creator, "BACKOFF_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(task_creator, "unreachable", answers)
    recovering, attempts = TaskCreator(Settings.load(), Metrics(5_000), Readiness()), []

    async def attempt(*_: Any) -> dict[int, Any]:
        attempts.append(1)
        if len(attempts) == 1:
            raise made(kind)
        return {}

    monkeypatch.setattr(recovering, "_try_recover", attempt)
    if kind in FINAL:
        with pytest.raises(BrokerError, match=kind.__name__):
            await recovering.recover(Cluster("a:1"), None, {0})
    else:
        assert await recovering.recover(Cluster("a:1"), None, {0}) == {}
        assert len(attempts) == 2


async def test_a_recovery_ends_where_the_broker_refuses_the_credentials_that_it_took_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuses(_cluster: Cluster) -> None:
        raise BrokerError("broker a:1 refused the credentials")

    monkeypatch.setattr(task_creator, "unreachable", refuses)
    recovering = TaskCreator(Settings.load(), Metrics(5_000), Readiness())

    async def attempt(*_: Any) -> Any:
        raise kafka.KafkaConnectionError("Unable to bootstrap")

    monkeypatch.setattr(recovering, "_try_recover", attempt)
    with pytest.raises(BrokerError, match="refused the credentials"):
        await recovering.recover(Cluster("a:1"), None, {0})


@pytest.mark.parametrize("kind", [*FINAL, *PASSING, TimeoutError, OSError, None], ids=lambda kind: kind and kind.__name__)
async def test_a_start_asks_for_the_topics_again_exactly_where_that_may_help(
    kind: type[Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, attempts = TopicsReport(1, log_append_time=True, max_message_bytes=1_000_000), list[int]()

    async def passes(*_: Any, **__: Any) -> None:
        """In the place of what asks a broker."""

    async def ensure(*_: Any) -> TopicsReport:
        attempts.append(1)
        if len(attempts) == 1:
            raise BrokerError("our own verdict" if kind is None else kind.__name__) from (kind and made(kind))
        return report

    for name, instead in {"ensure": ensure, "check_limits": passes, "wait_for_broker": passes, "unreachable": answers}.items():
        monkeypatch.setattr(worker, name, instead)
    monkeypatch.setattr(worker, "RETRY_SECONDS", 0.0)
    if kind is None or kind in FINAL:
        with pytest.raises(BrokerError, match="our own verdict" if kind is None else kind.__name__):
            await worker.ensured_topics(Settings.load(), Cluster("a:1"))
    else:
        assert await worker.ensured_topics(Settings.load(), Cluster("a:1")) is report
        assert len(attempts) == 2


class Restarting(TaskManager):
    """Notes what becomes of an error."""

    def __init__(self) -> None:
        self.crashed: list[BaseException] = []
        self.restarts = 0
        super().__init__(Settings.load(), self._note)
        self._taking = True

    async def _note(self, error: BaseException) -> None:
        self.crashed.append(error)

    async def _restart(self) -> None:
        self.restarts += 1


@pytest.mark.parametrize("kind", [*FINAL, *PASSING, TimeoutError, ConnectionResetError], ids=lambda kind: kind.__name__)
async def test_a_running_worker_recovers_exactly_where_that_may_help(kind: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_creator, "unreachable", answers)
    for report in ("handle_error", "client_failed"):
        manager = Restarting()
        await getattr(manager, report)(made(kind))
        await asyncio.sleep(0)
        assert [type(error) for error in manager.crashed] == [BrokerError] * (kind in FINAL)
        assert manager.restarts == (report == "handle_error" and kind not in FINAL)


async def test_a_restart_asks_the_group_and_seeks_until_both_succeed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_creator, "VERIFY_SECONDS", 0.0)
    monkeypatch.setattr(task_creator, "unreachable", answers)
    said: list[str] = []
    answers_of = {
        "verify": iter([kafka.KafkaConnectionError("away"), False, TimeoutError(), True]),
        "seek": iter([TimeoutError(), kafka.IllegalStateError("a rebalance"), None]),
    }

    async def answer(name: str) -> Any:
        said.append(name)
        result = next(answers_of[name])
        if isinstance(result, BaseException):
            raise result
        return result

    crashed: list[BaseException] = []

    async def crash(error: BaseException) -> None:
        crashed.append(error)

    manager = TaskManager(Settings.load(), crash)
    consumer: Any = SimpleNamespace(
        pause_partitions=lambda _: said.append("pause"),
        resume_partitions=lambda _: said.append("resume"),
        verify_membership=lambda _: answer("verify"),
        seek_to=lambda _: answer("seek"),
    )
    manager.consumer = consumer

    async def recover(*_: Any) -> dict[int, Any]:
        said.append("recover")
        return {}

    monkeypatch.setattr(manager._creator, "recover", recover)
    await manager._restart()
    assert said == ["pause", *["verify"] * 4, "recover", *["seek"] * 3, "resume"]
    assert crashed == []


@pytest.mark.parametrize("kind", [*FINAL, *PASSING], ids=lambda kind: kind.__name__)
async def test_a_client_that_does_not_start_reports_every_error_and_goes_on(
    kind: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "CONNECT_SECONDS", 0.0)
    reported: list[BaseException] = []
    error, attempts = made(kind), []

    async def start() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise error

    async def report(met: BaseException) -> None:
        reported.append(met)

    await clients.start_with_retry(start, report)
    assert reported == [error]
    assert len(attempts) == 2


class Member(PatientCoordinator):
    """A group member without a client."""

    def __init__(self) -> None:
        self._closing = asyncio.get_running_loop().create_future()
        self._heartbeat_task: Any = None
        self._commit_refresh_task: Any = None
        self._subscription = SimpleNamespace(abort_waiters=lambda _: None)
        self.rejoins = 0

    def request_rejoin(self) -> None:
        self.rejoins += 1


async def test_a_group_member_reports_an_error_and_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.kafka.fetcher.REJOIN_SECONDS", 0.0)
    member, reported = Member(), list[BaseException]()

    async def report(error: BaseException) -> None:
        reported.append(error)

    member.on_error = report
    error = kafka.InvalidSessionTimeoutError()
    await asyncio.wait_for(member._push_error_to_user(error), 10)  # aiokafka's waits for somebody to call `getmany`
    assert (reported, member.rejoins) == ([error], 0)
    member._heartbeat_task = asyncio.get_running_loop().create_future()
    member._heartbeat_task.set_result(None)  # the heartbeats have ended: the group must be joined again
    await asyncio.wait_for(member._push_error_to_user(error), 10)
    assert member.rejoins == 1


async def test_a_group_member_whose_routine_breaks_begins_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.kafka.fetcher.REJOIN_SECONDS", 0.0)
    runs: list[int] = []

    async def routine(_self: Any) -> None:
        runs.append(1)
        if len(runs) < 3:
            raise kafka.KafkaError("Unexpected error during coordination")

    async def report(_: BaseException) -> None:
        pass

    monkeypatch.setattr(GroupCoordinator, "_coordination_routine", routine)
    member = Member()
    member.on_error = report
    await member._coordination_routine()
    assert (len(runs), member.rejoins) == (3, 2)


async def test_a_fetch_routine_that_breaks_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.kafka.fetcher.FETCH_AGAIN_SECONDS", 0.0)
    runs: list[int] = []

    async def routine(_self: Any) -> None:
        runs.append(1)
        if len(runs) < 3:
            raise kafka.KafkaError("Unexpected error during data retrieval")

    monkeypatch.setattr(HeadFetcher.__mro__[1], "_fetch_requests_routine", routine)
    await HeadFetcher.__new__(HeadFetcher)._fetch_requests_routine()
    assert len(runs) == 3


@pytest.mark.parametrize(("session", "fits"), [("1ms", False), ("5999ms", False), ("6s", True), ("30s", True), ("61s", False)])
def test_a_session_timeout_must_lie_within_the_brokers_limits(session: str, *, fits: bool) -> None:
    limits = {SHORTEST_SESSION: "6000", LONGEST_SESSION: "60000"}
    settings = Settings.load(session_timeout=session)
    if fits:
        check(settings, "1", limits)
        check(settings, "1", {})
        return
    with pytest.raises(SettingsError) as raised:
        check(settings, "1", limits)
    assert str(raised.value).startswith("session_timeout=")
    assert "broker 1 takes 6s to 1m" in str(raised.value)


def test_a_broker_that_allows_no_transaction_of_a_checkpoints_length_is_named() -> None:
    check(Settings.load(), "1", {LONGEST_TRANSACTION: "60000"})
    with pytest.raises(BrokerError, match=r"broker 7: transaction\.max\.timeout\.ms=30000"):
        check(Settings.load(), "7", {LONGEST_TRANSACTION: "30000"})
