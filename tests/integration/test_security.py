"""TLS and SASL with Apache Kafka: every protocol works, and every failure is one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.kafka.bootstrap import cluster_for, unreachable
from app.settings import Settings
from tests.support.kafka import kafka_required, kafka_unavailable
from tests.support.oauth_server import oauth_server
from tests.support.secure_kafka import LIMITED, USER, SecureKafka, secure_kafka
from tests.support.worker import Worker

pytestmark = pytest.mark.kafka
BROKER, USAGE = 3, 2  # exit codes


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """One cluster for all tests, started from Kafka's jars, so that its listeners can be configured."""
    reason = kafka_unavailable(own=True)
    if reason is not None and kafka_required():
        pytest.fail(reason)
    if reason is not None:
        pytest.skip(reason)
    with secure_kafka(tmp_path_factory.mktemp("secure") / "made") as made:
        yield made


@pytest.fixture
def secured(cluster: SecureKafka, tmp_path: Path) -> Iterator[Worker]:
    """A worker; the test adds the settings of a listener."""
    worker = Worker(cluster.addresses["OPEN"], tmp_path, topic_partitions="1")
    yield worker
    worker.end()


@pytest.mark.parametrize("listener", ["TLS", "PLAIN", "SCRAM"])
def test_ticks_become_bars_over_a_secured_connection(cluster: SecureKafka, secured: Worker, listener: str) -> None:
    secured.settings |= cluster.settings(listener)
    (secured.directory / "ticks.csv").write_text("1399248000000,1.1\n1399248001000,1.2\n")
    names = ("--broker-name", "A", "--symbol", "x", "--columns", "ts,bid")
    sent = secured.run("replay", "ticks.csv", "--yes", *names)
    assert sent.returncode == 0, sent.stderr
    secured.start().wait_closed(3)  # the two, and the heartbeat that closes their window
    shown = secured.run("bars", "--json")
    (bar,) = [json.loads(line) for line in shown.stdout.splitlines()]
    assert (bar["open"], bar["close"], bar["ticks"]) == (1.1, 1.2, 2)
    assert secured.run("doctor").returncode == 0
    secured.stop()
    assert "correct horse" not in secured.log()


@pytest.mark.parametrize(
    ("listener", "wrong", "said"),
    [
        ("PLAIN", {"sasl_password": "battery staple"}, "refused the credentials"),
        ("SCRAM", {"sasl_password": "battery staple"}, "refused the credentials"),
        ("SCRAM", {"sasl_username": "nobody"}, "refused the credentials"),
        ("PLAIN", {"sasl_mechanism": "scram-sha-256"}, "check sasl_mechanism, sasl_username and sasl_password"),
        ("SCRAM", {"tls_ca_file": ""}, "set tls_ca_file to the CA that signed it"),
        ("TLS", {"tls_ca_file": "stranger"}, "set tls_ca_file to the CA that signed it"),
        ("SCRAM", {"broker": "localhost"}, "give its name as in the certificate"),
    ],
)
def test_a_refused_connection_is_one_line_and_ends_the_worker(
    cluster: SecureKafka, secured: Worker, listener: str, wrong: dict[str, str], said: str
) -> None:
    secured.settings |= cluster.settings(listener, **wrong)
    if wrong.get("broker"):
        secured.settings["broker"] = f"kafka://localhost:{cluster.addresses[listener].rpartition(':')[2]}"
    if wrong.get("tls_ca_file"):
        secured.settings["tls_ca_file"] = str(cluster.stranger)
    for command in (("topics", "--check"), ("worker",)):
        failed = secured.run(*command)
        assert failed.returncode == BROKER, failed.stderr
        assert said in failed.stderr.splitlines()[-1]
        assert "Traceback" not in failed.stderr
        assert "battery" not in failed.stderr


@pytest.mark.parametrize(
    ("listener", "wrong"),
    [("TLS", {"tls_cert_file": ""}), ("TLS", None), ("PLAIN", None), ("PLAIN", {"security_protocol": "sasl_ssl"})],
)
async def test_a_broker_that_closes_the_connection_hints_at_the_security_protocol(
    cluster: SecureKafka, monkeypatch: pytest.MonkeyPatch, listener: str, wrong: dict[str, str] | None
) -> None:
    given = cluster.settings(listener, **wrong) if wrong is not None else {"broker": f"kafka://{cluster.addresses[listener]}"}
    for name, value in given.items():
        monkeypatch.setenv(f"BARWHEEL_{name.upper()}", value)
    problem = await unreachable(cluster_for(Settings.load()))
    assert problem is not None
    assert "does it expect another security_protocol" in problem


def test_ticks_become_bars_with_tokens_of_an_oauth_server_whose_secret_is_in_a_file(
    cluster: SecureKafka, secured: Worker
) -> None:
    with oauth_server(USER) as url:
        secured.settings |= cluster.settings("OAUTH", oauth_token_url=url)
        (secured.directory / "secret").write_text(f"{secured.settings.pop('oauth_client_secret')}\n")
        secured.settings["oauth_client_secret_file"] = str(secured.directory / "secret")
        (secured.directory / "ticks.csv").write_text("1399248000000,1.1\n1399248001000,1.2\n")
        names = ("--broker-name", "A", "--symbol", "x", "--columns", "ts,bid")
        sent = secured.run("replay", "ticks.csv", "--yes", *names)
        assert sent.returncode == 0, sent.stderr
        secured.start().wait_closed(3)
        assert secured.run("doctor").returncode == 0
        secured.stop()
    away = secured.run("topics", "--check")
    assert (away.returncode, "does not answer" in away.stderr) == (BROKER, True), away.stderr


def test_a_token_that_the_broker_refuses_is_one_line(cluster: SecureKafka, secured: Worker) -> None:
    with oauth_server(USER, seconds=-600) as url:
        secured.settings |= cluster.settings("OAUTH", oauth_token_url=url)
        for command in (("topics", "--check"), ("worker",)):
            failed = secured.run(*command)
            assert failed.returncode == BROKER, failed.stderr
            assert (
                "refused the credentials (AuthenticationFailedError: the broker refused the token"
                in failed.stderr.splitlines()[-1]
            )
            assert "Traceback" not in failed.stderr


def test_a_worker_that_may_not_write_its_bars_stops_and_publishes_them_when_it_may(
    cluster: SecureKafka, secured: Worker
) -> None:
    secured.settings |= cluster.settings("PLAIN", sasl_username=LIMITED)
    assert secured.run("topics").returncode == 0
    (secured.directory / "ticks.csv").write_text("1399248000000,1.1\n1399248001000,1.2\n")
    names = ("--broker-name", "A", "--symbol", "x", "--columns", "ts,bid")
    assert secured.run("replay", "ticks.csv", "--yes", *names).returncode == 0
    with cluster.writing_denied(secured.finals_topic, LIMITED):
        failed = secured.run("worker")
    assert failed.returncode == BROKER, failed.stderr
    assert "the broker refused a request" in failed.stderr.splitlines()[-1]
    assert secured.finals_topic in failed.stderr.splitlines()[-1]
    secured.start().wait_closed(3)
    secured.stop()
    shown = secured.run("bars", "--json")
    (bar,) = [json.loads(line) for line in shown.stdout.splitlines()]
    assert bar["ticks"] == 2


def test_a_worker_that_may_not_use_its_transactional_id_stops_instead_of_waiting_for_the_broker(
    cluster: SecureKafka, secured: Worker
) -> None:
    secured.settings |= cluster.settings("PLAIN", sasl_username=LIMITED)
    assert secured.run("topics").returncode == 0
    mine = f"{secured.settings['app_id']}-{secured.ticks_topic}-0"
    with cluster.transactions_denied(mine, LIMITED):
        failed = secured.run("worker")
    assert failed.returncode == BROKER, failed.stderr
    assert "the broker refused a request" in failed.stderr.splitlines()[-1]
    assert mine in failed.stderr.splitlines()[-1]
