"""The files of vendors and exchanges: rows as theirs, made up, in each layout and in each of its variants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.errors import InputError
from app.settings import Settings
from app.tickfiles.layouts import LAYOUTS
from app.tickfiles.options import reading_of
from app.tickfiles.reading import Row
from app.tickfiles.rows import rows

OPTIONS = "broker_name symbol columns unit time_format zone delimiter decimal scale origin layout symbol_from_name"
NONE = {**dict.fromkeys(OPTIONS.split()), "header": False}
Told = tuple[str, int, dict[str, Any]]  # key, epoch ms, and the rest of the tick


def read(path: Path, layout: str, name: str, text: str, time_unit: str = "ms", **options: Any) -> list[Told]:
    (path / name).write_text(text, encoding="utf-8")
    settings = Settings.load(broker="", price=LAYOUTS[layout].prices[0], time_unit=time_unit)
    found: list[Told] = []
    for row in rows(path / name, reading_of(settings, NONE | {"layout": layout} | options, 0)):
        assert isinstance(row, Row), row
        value = json.loads(row.value, parse_float=str)
        assert value.pop("ts") == row.ts_ms * {"ms": 1, "us": 1_000}[time_unit] or time_unit == "us"
        found.append((row.key.decode(), row.ts_ms, value))
    return found


@pytest.mark.parametrize(
    ("layout", "name", "text", "expected"),
    [
        (
            "binance-aggtrades",
            "BTCUSDT-aggTrades-2025-01-02.csv",  # spot since 2025: microseconds, no header
            "900100,94012.10000000,0.00150000,7001,7001,1735801200000123,True,True\n",
            ("binance|BTCUSDT", 1735801200000, {"last": "94012.10000000", "qty": "0.00150000", "seq": 900100}),
        ),
        (
            "binance-aggtrades",
            "BTCUSDT-aggTrades-2023-05.csv",  # futures: milliseconds, a header, no best match
            (
                "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
                "1000,29223.5,0.01,1,1,1682899200101,false\n"
            ),
            ("binance|BTCUSDT", 1682899200101, {"last": "29223.5", "qty": "0.01", "seq": 1000}),
        ),
        (
            "binance-trades",
            "ETHUSDT-trades-2024-01-02.csv",
            "5,2352.05,0.0100,23.5205,1704153600011,True,True\n",
            ("binance|ETHUSDT", 1704153600011, {"last": "2352.05", "qty": "0.0100", "seq": 5}),
        ),
        (
            "binance-trades",
            "ETHUSDT-trades-2024-01.csv",
            "id,price,qty,quote_qty,time,is_buyer_maker\n5,2352.05,0.0100,23.5205,1704153600011,true\n",
            ("binance|ETHUSDT", 1704153600011, {"last": "2352.05", "qty": "0.0100", "seq": 5}),
        ),
        (
            "kraken-trades",
            "XBTEUR.csv",
            "1381095255,123.61,0.1\n",
            ("kraken|XBTEUR", 1381095255000, {"last": "123.61", "qty": "0.1"}),
        ),
        (
            "kraken-trades",
            "XBTUSD.csv",
            "1690000000.1234,29900.1,0.1\n",
            ("kraken|XBTUSD", 1690000000123, {"last": "29900.1", "qty": "0.1"}),
        ),
        (
            "dukascopy",
            "usa30-tick-2022-11-01.csv",
            "timestamp,askPrice,bidPrice,askVolume,bidVolume\n1667253600123,41786.197,41780.615,0.000045,0.00005\n",
            ("dukascopy|USA30", 1667253600123, {"ask": "41786.197", "bid": "41780.615"}),
        ),
        (
            "dukascopy",
            "EURUSD-2018_07_27.csv",
            "2018-07-27 00:00:00.254000,1.16438,1.16436,1500000,2620000\n",
            ("dukascopy|EURUSD", 1532649600254, {"ask": "1.16438", "bid": "1.16436"}),
        ),
        (
            "dukascopy",
            "XAUUSD_Ticks_01.03.2013.csv",
            "Gmt time,Ask,Bid,AskVolume,BidVolume\n01.03.2013 00:00:00.605,1581.15,1580.787,400,700\n",
            ("dukascopy|XAUUSD", 1362096000605, {"ask": "1581.15", "bid": "1580.787"}),
        ),
        (
            "histdata",
            "DAT_ASCII_EURUSD_T_201202.csv",
            "20120201 000003660,1.306600,1.306770,0\n",
            ("histdata|EURUSD", 1328072403660, {"bid": "1.306600", "ask": "1.306770"}),
        ),
        (
            "histdata",
            "DAT_ASCII_EURUSD_T_201207.csv",  # no summer time
            "20120701 000003660,1.306600,1.306770,0\n",
            ("histdata|EURUSD", 1341118803660, {"bid": "1.306600", "ask": "1.306770"}),
        ),
        (
            "truefx",
            "EURUSD-2014-05.csv",
            "EUR/USD,20140501 00:00:00.123,1.38651,1.38656\n",
            ("truefx|EUR/USD", 1398902400123, {"bid": "1.38651", "ask": "1.38656"}),
        ),
        (
            "databento",
            "t.csv",
            (
                "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,ts_in_delta,sequence,symbol\n"
                "2022-06-06T00:00:00.070314216Z,2022-06-06T00:00:00.070033767Z,0,1,3,T,A,0,4130.250000000,2,0,1,157862,ESM2\n"
                "2022-06-06T00:00:00.070314216Z,2022-06-06T00:00:00.070033767Z,0,1,3,A,A,0,4130.250000000,2,0,1,157862,ESM2\n"
            ),
            ("databento|ESM2", 1654473600070, {"last": "4130.250000000", "qty": 2, "seq": 157862}),
        ),
        (
            "polygon",
            "2023-03-28.csv",
            (
                "ticker,conditions,correction,exchange,id,participant_timestamp,price,sequence_number,sip_timestamp,size,tape\n"
                'MSFT,"12,37",0,11,1,1679990340007888000,277.55,941,1679990340010084598,1,3\n'
            ),
            ("polygon|MSFT", 1679990340010, {"last": "277.55", "qty": 1, "seq": 941}),
        ),
        (
            "polygon",
            "crypto.csv",
            'ticker,conditions,exchange,id,participant_timestamp,price,size\nX:BTC-USD,"14",1,3,1679990400007888000,27000.5,0.002\n',
            ("polygon|X:BTC-USD", 1679990400007, {"last": "27000.5", "qty": "0.002"}),
        ),
        (
            "polygon",
            "quotes.csv",
            (
                "ticker,ask_exchange,ask_price,ask_size,bid_exchange,bid_price,bid_size,participant_timestamp,sequence_number,sip_timestamp\n"
                "MSFT,11,277.56,1,12,277.54,2,1679990340007888000,9,1679990340010084598\n"
            ),
            ("polygon|MSFT", 1679990340010, {"ask": "277.56", "bid": "277.54", "seq": 9}),
        ),
        (
            "tardis",
            "bitmex_trades_2020-01-01_XBTUSD.csv",
            (
                "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
                "bitmex,XBTUSD,1577836801000123,1577836801012345,aa-bb,sell,7189.5,100\n"
            ),
            ("bitmex|XBTUSD", 1577836801000, {"last": "7189.5", "qty": 100}),
        ),
        (
            "tardis",
            "bitmex_quotes_2020-01-01_XBTUSD.csv",
            (
                "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n"
                "bitmex,XBTUSD,1577836801000123,1577836801012345,5,7190,7189.5,100\n"
            ),
            ("bitmex|XBTUSD", 1577836801000, {"ask": 7190, "bid": "7189.5"}),
        ),
        (
            "lobster",
            "AMZN_2012-06-21_34200000_57600000_message_1.csv",
            "34200.017459617,5,0,1,2238200,-1\n34200.189607670,1,11885113,21,2238100,1\n",
            ("lobster|AMZN", 1340285400017, {"last": "223.8200", "qty": 1}),
        ),
        (
            "firstrate",
            "AAPL_tick.txt",
            "2024-01-02 09:30:00.125,185.64,100\n",
            ("firstrate|AAPL", 1704205800125, {"last": "185.64", "qty": 100}),
        ),
    ],
)
def test_a_row_of_each_layout(tmp_path: Path, layout: str, name: str, text: str, expected: Told) -> None:
    (found,) = read(tmp_path, layout, name, text)
    if "seq" not in expected[2]:
        found[2].pop("seq")
    assert found == expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_example_of_each_layout_is_one_of_it(tmp_path: Path, layout: str) -> None:
    each = LAYOUTS[layout]
    name = each.file_name.removesuffix(".gz").removesuffix(".zst").replace(".zip", ".csv")
    symbol = None if each.reading.get("file_name") or "symbol" in str(each.reading) else "S"
    (found,) = read(tmp_path, layout, name, f"{each.example}\n", symbol=symbol, zone="UTC" if each.needs else None)
    assert not {*each.prices} - {"mid"} or {*found[2]} & {*each.prices}


def test_metatrader_times_are_those_of_a_zone_that_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--layout mt4 needs --zone"):
        read(tmp_path, "mt4", "EURUSD.csv", "")
    (found,) = read(tmp_path, "mt4", "EURUSD.csv", "2024.01.02,00:05:00.142,1.10427,1.10434\n", zone="+02:00")
    assert found == ("mt4|EURUSD", 1704146700142, {"bid": "1.10427", "ask": "1.10434", "seq": 1})


def test_an_empty_bid_or_ask_of_metatrader_5_has_not_changed(tmp_path: Path) -> None:
    text = (
        "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\n"
        "2024.01.02\t00:05:00.142\t1.10427\t1.10434\t\t\t6\n2024.01.02\t00:05:01.005\t\t1.10433\t\t\t4\n"
    )
    first, second = read(tmp_path, "mt5", "EURUSD_202401020005_202401052358.csv", text, zone="Europe/Athens")
    assert first[:2] == ("mt5|EURUSD", 1704146700142)
    assert (second[2]["bid"], second[2]["ask"]) == ("1.10427", "1.10433")


def test_raw_prices_and_times_of_databento(tmp_path: Path) -> None:
    text = (
        "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,ts_in_delta,sequence\n"
        "1654473600070314216,1654473600070033767,0,1,3403,T,A,0,4130250000000,2,0,18681,157862\n"
        "1654473662807324169,1654473662807018955,0,1,3403,T,A,0,9223372036854775807,1,0,18681,157863\n"
    )
    first, second = read(tmp_path, "databento", "t.csv", text, "us", symbol="ES")
    assert first == ("databento|ES", 1654473600070, {"last": "4130.250000000", "qty": 2, "seq": 157862})
    assert "last" not in second[2]  # there is no price


def test_a_file_without_the_column_that_says_what_a_row_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no column action for kind"):
        read(tmp_path, "databento", "t.csv", "ts_event,price,size\n1,2,3\n", symbol="ES")


def test_options_go_before_the_layout(tmp_path: Path) -> None:
    options = {"symbol": "S", "broker_name": "B", "unit": "ms", "columns": "ts,bid"}
    (found,) = read(tmp_path, "kraken-trades", "XBTUSD.csv", "1690000000123,1.5,0.1\n", **options)
    assert found == ("B|S", 1690000000123, {"bid": "1.5", "seq": 1})


def test_a_layout_without_the_price_that_makes_the_bars_is_refused() -> None:
    with pytest.raises(InputError, match=r"--layout kraken-trades has no bid, .*: set BARWHEEL_PRICE=last"):
        reading_of(Settings.load(broker="", price="bid"), NONE | {"layout": "kraken-trades"}, 0)


def test_an_unknown_layout_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="--layout x: is unknown; known are binance-aggtrades, "):
        reading_of(Settings.load(broker=""), NONE | {"layout": "x"}, 0)


@pytest.mark.parametrize(
    ("pattern", "name", "symbol"),
    [("{symbol}-ticks-*.csv", "eurusd-ticks-2024.csv", "EURUSD"), ("d_{symbol}.csv", "d_A.B.csv", "A.B")],
)
def test_a_symbol_from_the_name_of_the_file(tmp_path: Path, pattern: str, name: str, symbol: str) -> None:
    (tmp_path / name).write_text("1,1.5,1.6\n", encoding="utf-8")
    options = NONE | {"broker_name": "b", "symbol_from_name": pattern}
    (row,) = rows(tmp_path / name, reading_of(Settings.load(broker=""), options, 0))
    assert isinstance(row, Row)
    assert row.key == f"b|{symbol}".encode()
