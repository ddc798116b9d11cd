"""TradingView's UDF on a real worker, asked as their charting library asks, and what other clients of the protocol send."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.support.ticks import Tick, heartbeat, now_ms, produce
from tests.support.web import address, ask, exact
from tests.support.worker import Worker

START, MINUTE = 1_399_248_000, 60  # epoch s
GAP = 30  # minutes without a tick
TOKEN = "known-to-this-test-only-0123456789"


@pytest.fixture(scope="module")
def worker(pocket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with bars of some symbols: five in a row, then a gap, then one."""
    made = Worker(
        pocket,
        tmp_path_factory.mktemp("udf"),
        web_token=TOKEN,
        topic_partitions="1",
        frames="5m,1d",
        day_zone="America/New_York",
        day_start="17:00",
    )
    names = {"fx|EURUSD": "1.10500", "fx|USDJPY": "101.25", "cme|EURUSD": "1.2", "a:b|C": "7", "fx|A:B": "0.0000009"}
    minutes = [*range(5), 5 + GAP]
    try:
        made.start()
        ticks = [
            Tick((START + minute * MINUTE) * 1_000, bid=price, name=name, more=', "qty": 1.5' if name.startswith("fx") else "")
            for minute in minutes
            for name, price in names.items()
        ]
        produce(made.bootstrap, made.ticks_topic, ticks)
        ends = [heartbeat((START + 86_400) * 1_000, name) for name in names]
        produce(made.bootstrap, made.ticks_topic, ends)
        feeds = [name.replace("|", ":") for name in names if name != "a:b|C"] + ["a:b|C"]
        for feed in feeds:
            for resolution, bars in {"1": len(minutes), "5": 2, "1D": 1}.items():

                def shown(feed: str = feed, resolution: str = resolution, bars: int = bars) -> bool:
                    return len(history(made, feed, 0, resolution=resolution).get("t", ())) == bars

                made.wait(shown, f"{bars} bars of {feed} can be asked for")
        yield made
    finally:
        made.end()


def udf(worker: Worker, request: str, **params: object) -> Any:
    return exact(ask(worker, f"/udf/{request}?{urlencode(params)}"))


def history(worker: Worker, symbol: str = "fx:EURUSD", since: int = START, until: int = START + 3_600, **params: object) -> Any:
    return udf(worker, "history", **{"symbol": symbol, "resolution": "1", "from": since, "to": until} | params)


def test_the_feed_says_which_resolutions_and_brokers_it_has(worker: Worker) -> None:
    found = udf(worker, "config")
    assert found["supported_resolutions"] == ["1", "5", "1D"]
    assert [one["value"] for one in found["exchanges"]] == ["", "a:b", "cme", "fx"]
    assert (found["supports_search"], found["supports_group_request"], found["supports_time"]) == (True, False, True)


def test_the_time_is_whole_seconds_as_text(worker: Worker) -> None:
    answer = ask(worker, "/udf/time")
    assert abs(int(answer.text) - now_ms() // 1_000) < 60
    assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"query": "EUR"}, {"cme:EURUSD", "fx:EURUSD"}),
        ({"query": "FX:E"}, {"fx:EURUSD"}),
        ({"query": "eur", "exchange": "cme", "type": ""}, {"cme:EURUSD"}),
        ({"query": "", "exchange": "fx"}, {"fx:EURUSD", "fx:USDJPY", "fx:A:B"}),
        ({"query": "c"}, {"a:b|C"}),
        ({"query": "nothing"}, set()),
    ],
)
def test_symbols_are_found_by_the_beginning_of_their_name_or_of_their_brokers(
    worker: Worker, query: dict[str, str], found: set[str]
) -> None:
    assert {one["ticker"] for one in udf(worker, "search", limit=30, **query)} == found


@pytest.mark.parametrize(
    ("asked", "ticker"),
    [
        ("fx:EURUSD", "fx:EURUSD"),
        ("FX:eurusd", "fx:EURUSD"),  # the library can be told to write names in capitals
        ("fx|EURUSD", "fx:EURUSD"),
        ("USDJPY", "fx:USDJPY"),
        ("usdjpy", "fx:USDJPY"),
        ("a:b|C", "a:b|C"),
        ("fx:A:B", "fx:A:B"),
        ("A:B", "fx:A:B"),
    ],
)
def test_a_symbol_is_found_by_its_name(worker: Worker, asked: str, ticker: str) -> None:
    found = udf(worker, "symbols", symbol=asked)
    assert found["ticker"] == ticker
    assert udf(worker, "symbols", symbol=ticker) == found
    assert history(worker, asked) == history(worker, ticker)


@pytest.mark.parametrize(
    ("asked", "said"), [("nix", "unknown_symbol"), ("fx:nix", "unknown_symbol"), ("EURUSD", "cme:EURUSD, fx:EURUSD")]
)
def test_a_name_of_no_symbol_or_of_several_is_an_error_of_the_protocol(worker: Worker, asked: str, said: str) -> None:
    for found in (udf(worker, "symbols", symbol=asked), history(worker, asked)):
        assert found["s"] == "error"
        assert said in found["errmsg"]


@pytest.mark.parametrize(
    ("symbol", "scale"), [("fx:EURUSD", 100_000), ("fx:USDJPY", 100), ("a:b|C", 1), ("fx:A:B", 10_000_000)]
)
def test_the_scale_of_prices_is_that_of_the_symbols_decimals(worker: Worker, symbol: str, scale: int) -> None:
    found = udf(worker, "symbols", symbol=symbol)
    assert (found["pricescale"], found["minmov"]) == (scale, 1)


def test_a_symbol_says_which_bars_the_library_need_not_build(worker: Worker) -> None:
    found = udf(worker, "symbols", symbol="fx:EURUSD")
    assert (found["has_intraday"], found["intraday_multipliers"]) == (True, ["1", "5"])
    assert (found["has_seconds"], found["has_daily"], found["has_weekly_and_monthly"]) == (False, True, False)
    assert (found["session"], found["timezone"], found["visible_plots_set"]) == ("24x7", "Etc/UTC", "ohlcv")
    assert udf(worker, "symbols", symbol="cme:EURUSD")["visible_plots_set"] == "ohlc"


def test_history_has_the_bars_of_a_range_without_its_end_to_the_digit(worker: Worker) -> None:
    found = history(worker, until=START + 4 * MINUTE)
    assert found["s"] == "ok"
    assert found["t"] == [START + minute * MINUTE for minute in range(4)]
    assert [str(price) for price in found["c"]] == ["1.10500"] * 4
    assert found["v"] == [Decimal("1.5")] * 4
    assert "v" not in history(worker, "cme:EURUSD")


def test_with_countback_so_many_bars_before_the_end_come_whatever_from_is(worker: Worker) -> None:
    found = history(worker, since=START + 3_000, until=START + 5 * MINUTE, countback=3)
    assert found["t"] == [START + minute * MINUTE for minute in (2, 3, 4)]
    assert len(history(worker, countback=300)["t"]) == 6


def test_a_range_without_bars_says_where_the_next_older_one_is(worker: Worker) -> None:
    since, until = START + 10 * MINUTE, START + 20 * MINUTE
    assert history(worker, since=since, until=until) == {"s": "no_data", "nextTime": START + 4 * MINUTE}
    assert history(worker, since=since, until=until, countback=2)["t"] == [START + 3 * MINUTE, START + 4 * MINUTE]
    assert history(worker, since=-1_000, until=START) == {"s": "no_data"}
    assert history(worker, until=START, countback=5) == {"s": "no_data"}


def test_what_there_is_no_resolution_for_is_an_error_that_names_those_there_are(worker: Worker) -> None:
    found = history(worker, resolution="15")
    assert found == {"s": "error", "errmsg": "there are no bars of resolution 15; there are those of 1, 5, 1D"}


def test_parameters_that_clients_add_are_ignored_and_wrong_ones_are_named(worker: Worker) -> None:
    assert history(worker, firstDataRequest="true", currencyCode="USD")["s"] == "ok"
    answer = ask(worker, "/udf/history?symbol=fx:EURUSD&resolution=1&to=today")
    assert (answer.status_code, answer.json()["s"]) == (400, "error")
    assert answer.json()["errmsg"] == "to=today: must be a whole number"


def test_a_request_without_the_token_is_refused_in_the_form_of_the_protocol(worker: Worker) -> None:
    answer = httpx.get(f"{address(worker)}/udf/config")
    assert answer.status_code == 401
    assert (answer.json()["s"], answer.json()["errmsg"]) == ("error", answer.json()["detail"])


def test_longer_bars_are_resolutions_and_days_have_the_midnight_of_their_date(worker: Worker) -> None:
    five = history(worker, resolution="5")
    assert (five["t"], five["v"]) == ([START, START + (5 + GAP) * MINUTE], [Decimal("7.5"), Decimal("1.5")])
    midnight = START - START % 86_400  # the day began at 17:00 in New York, three hours before
    assert history(worker, resolution="1D", since=midnight, until=midnight + 1)["t"] == [midnight]
    assert history(worker, resolution="D", until=midnight + 1, countback=3)["t"] == [midnight]
    assert history(worker, resolution="1D", since=midnight + 1, until=midnight + 86_400) == {
        "s": "no_data",
        "nextTime": midnight,
    }
    assert history(worker, resolution="1D", since=midnight - 86_400, until=midnight) == {"s": "no_data"}
