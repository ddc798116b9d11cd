"""The dashboard of a symbol's bars asks only for what a running worker answers, in the form in which it is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.integration.test_deploy import DEPLOY, metrics_of
from tests.support.ticks import Tick, heartbeat, produce
from tests.support.web import ask, exact
from tests.support.worker import ROOT, Worker

T0 = 1_399_248_000_000
NAMES = (("fx spot", "EUR/USD"), (".", ".."), ("..", "."))  # brokers and their symbols
INFINITY = "yesoreyeram-infinity-datasource"
SEEDS = {"bars_emitted_total", "late_ticks_dropped_total", "windows_open_count", "watermark_lag_ms"}
TYPES: dict[str, type | tuple[type, ...]] = {"string": str, "number": (int, float), "timestamp_epoch": int}

BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboards" / "bars.json").read_text())


@pytest.fixture(scope="module")
def worker(pocket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with two bars of each symbol."""
    made = Worker(pocket, tmp_path_factory.mktemp("grafana"), topic_partitions="1")
    try:
        made.start()
        for name in map("|".join, NAMES):
            ticks = [Tick(T0, name=name, more=', "qty": 2'), Tick(T0 + 60_000, name=name, more=', "qty": 1')]
            produce(made.bootstrap, made.ticks_topic, [*ticks, heartbeat(T0 + 300_000, name)])
        made.wait(lambda: exact(ask(made, "/api/v1/status"))["read_model"]["bars"] == 2 * len(NAMES), "bars can be asked for")
        yield made
    finally:
        made.end()


def queries() -> list[dict[str, Any]]:
    """All that is asked of the API."""
    variables = [variable["query"]["infinityQuery"] for variable in BOARD["templating"]["list"]]
    return variables + [target for panel in BOARD["panels"] for target in panel["targets"] if "url" in target]


@pytest.mark.parametrize("query", queries(), ids=lambda query: re.sub(r"\W+", "-", query["url"])[:60])
@pytest.mark.parametrize(("broker", "symbol"), NAMES)
def test_each_query_is_answered_with_the_columns_that_it_names(
    worker: Worker, query: dict[str, Any], broker: str, symbol: str
) -> None:
    values = {"broker:percentencode": broker, "symbol:percentencode": symbol, "__from": str(T0), "__to": str(T0 + 3_600_000)}
    url = re.sub(r"\$\{([^}]+)\}", lambda found: quote(values[found[1]], safe=""), query["url"])
    assert "$" not in url
    rows = ask(worker, url).json()[query["root_selector"]]
    assert rows
    for column in query["columns"]:
        assert all(isinstance(row[column["selector"]], TYPES[column["type"]]) for row in rows), column


def test_the_variables_name_the_brokers(worker: Worker) -> None:
    assert exact(ask(worker, "/api/v1/brokers")) == {
        "brokers": [{"broker": broker} for broker, _ in sorted(NAMES)],
        "complete": True,
    }


def test_the_metrics_beside_the_bars_are_those_whose_names_stay() -> None:
    expressions = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"] if "expr" in target]
    assert set().union(*map(metrics_of, expressions)) == SEEDS


def test_every_panel_says_what_it_shows_and_asks_a_data_source_that_is_provisioned() -> None:
    sources = [
        source
        for path in (DEPLOY / "grafana" / "provisioning" / "datasources").glob("*.yml")
        for source in yaml.safe_load(path.read_text())["datasources"]
    ]
    known = {(source["type"], source["uid"]) for source in sources}
    for one in [*BOARD["panels"], *BOARD["templating"]["list"]]:
        assert (one["datasource"]["type"], one["datasource"]["uid"]) in known
    assert all(panel["title"] and panel["description"] for panel in BOARD["panels"])
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert compose["grafana"]["environment"]["GF_INSTALL_PLUGINS"] == INFINITY
    (ours,) = [source for source in sources if source["type"] == INFINITY]
    assert compose["worker-1"]["environment"]["BARWHEEL_WEB_TOKEN_FILE"] == "/run/secrets/web_token"
    (token,) = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["secrets"].values()
    assert ours["secureJsonData"]["bearerToken"] == (ROOT / token["file"]).read_text().strip()
    assert ours["url"] in ours["jsonData"]["allowedHosts"]
