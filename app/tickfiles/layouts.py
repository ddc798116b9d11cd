"""Layouts of the files of vendors and exchanges by name: their columns, times and units, and lines of example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from app.errors import InputError
from app.tickfiles.reading import UNIT_BY_DIGITS, Names

_NEW_YORK = "America/New_York"
_EASTERN = "-05:00"  # Eastern Standard Time all year: HistData knows no summer time


def _names(**fields: str) -> Mapping[str, Names]:
    """The names of each field in a header; some have several, separated by |."""
    return {target: tuple((name,) for name in names.split("|")) for target, names in fields.items()}


@dataclass(frozen=True)
class Layout:
    """One layout: the values of `Reading` that it stands for. `example` is the beginning of a file."""

    about: str
    example: str
    file_name: str  # an example of a file's name
    reading: Mapping[str, Any]
    needs: str = ""  # an option that must be given, and why
    prices: tuple[str, ...] = field(default=("last",))  # the values of the setting price that it has prices for


_MT_TIMES = ("%Y.%m.%d %H:%M:%S.%f", "%Y.%m.%d %H:%M")
_SERVER = "--zone: times are those of the broker's server, which the file does not name, such as +02:00 or Europe/Athens"

LAYOUTS: Mapping[str, Layout] = {
    "binance-aggtrades": Layout(
        "Binance aggTrades, spot and futures, in milliseconds or microseconds",
        "900100,94012.10000000,0.00150000,7001,7001,1735801200000123,True,True",
        "BTCUSDT-aggTrades-2025-01-02.zip",
        {
            "columns": ("seq", "last", "qty", "-", "-", "ts", "-"),
            "file_unit": UNIT_BY_DIGITS,
            "broker": "binance",
            "file_name": r"(?P<symbol>[^-]+)-aggTrades-",
        },
    ),
    "binance-trades": Layout(
        "Binance trades, spot and futures, in milliseconds or microseconds",
        "4357300000,94012.10000000,0.00150000,141.01,1735801200000123,True,True",
        "BTCUSDT-trades-2025-01-02.zip",
        {
            "columns": ("seq", "last", "qty", "-", "ts", "-"),
            "file_unit": UNIT_BY_DIGITS,
            "broker": "binance",
            "file_name": r"(?P<symbol>[^-]+)-trades-",
        },
    ),
    "kraken-trades": Layout(
        "Kraken time and sales: seconds, price, volume",
        "1690000000.1234,29900.1,0.1",
        "XBTUSD.csv",
        {"columns": ("ts", "last", "qty"), "file_unit": "s", "broker": "kraken", "file_name": r"(?P<symbol>[A-Za-z0-9]+)\.csv"},
    ),
    "dukascopy": Layout(
        "Dukascopy ticks as duka, dukascopy-node and JForex write them: time, ask, bid (UTC)",
        "01.03.2013 00:00:00.605,1581.15,1580.787,400,700",
        "EURUSD_Ticks_01.03.2013-01.03.2013.csv",
        {
            "columns": ("ts", "ask", "bid"),
            "time_formats": ("epoch", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M:%S.%f"),
            "zone": "UTC",
            "file_unit": "ms",
            "broker": "dukascopy",
            "file_name": r"(?P<symbol>[A-Za-z0-9.]+)[-_]",
        },
        prices=("bid", "ask", "mid"),
    ),
    "histdata": Layout(
        "HistData ASCII ticks: time, bid, ask (Eastern Standard Time, without summer time)",
        "20120201 000003660,1.306600,1.306770,0",
        "DAT_ASCII_EURUSD_T_201202.csv",
        {
            "columns": ("ts", "bid", "ask"),
            "time_formats": ("%Y%m%d %H%M%S%f",),
            "zone": _EASTERN,
            "broker": "histdata",
            "file_name": r"DAT_ASCII_(?P<symbol>[A-Z0-9]+)_T_",
        },
        prices=("bid", "ask", "mid"),
    ),
    "truefx": Layout(
        "TrueFX ticks: pair, time, bid, ask (UTC)",
        "EUR/USD,20140501 00:00:00.123,1.38651,1.38656",
        "EURUSD-2014-05.csv",
        {
            "columns": ("symbol", "ts", "bid", "ask"),
            "time_formats": ("%Y%m%d %H:%M:%S.%f",),
            "zone": "UTC",
            "broker": "truefx",
        },
        prices=("bid", "ask", "mid"),
    ),
    "mt4": Layout(
        "MetaTrader 4 ticks: date, time, bid, ask",
        "2024.01.02,00:05:00.142,1.10427,1.10434",
        "EURUSD.csv",
        {
            "columns": ("date", "time", "bid", "ask"),
            "time_formats": _MT_TIMES,
            "broker": "mt4",
            "file_name": r"(?P<symbol>[A-Za-z0-9.#]+?)(?:_.*)?\.csv",
        },
        needs=_SERVER,
        prices=("bid", "ask", "mid"),
    ),
    "mt5": Layout(
        "MetaTrader 5 ticks, exported; an empty bid or ask has not changed",
        "2024.01.02\t00:05:00.142\t1.10427\t1.10434\t\t\t6",
        "EURUSD_202401020005_202401052358.csv",
        {
            "columns": ("date", "time", "bid", "ask", "last", "qty"),
            "delimiter": "\t",
            "time_formats": _MT_TIMES,
            "carry": True,
            "broker": "mt5",
            "file_name": r"(?P<symbol>[A-Za-z0-9.#]+?)_\d{8}",
        },
        needs=_SERVER,
        prices=("bid", "ask", "mid", "last"),
    ),
    "databento": Layout(
        "Databento CSV: the trades of trades, tbbo and mbp-1; prices and times raw or pretty",
        "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,ts_in_delta,sequence,symbol\n"
        "2022-06-06T00:00:00.070314216Z,2022-06-06T00:00:00.070033767Z,0,1,3403,T,A,0,4130.250000000,2,0,18681,157862,ESM2",
        "glbx-mdp3-20220606.trades.csv.zst",
        {
            "fields": _names(ts="ts_event", last="price", qty="size", seq="sequence", symbol="symbol", kind="action"),
            "optional": True,
            "only": frozenset({"T"}),
            "time_formats": ("epoch", "%Y-%m-%dT%H:%M:%S.%f%z"),
            "file_unit": "ns",
            "scale": Decimal("0.000000001"),
            "scale_integers": True,
            "undefined": "9223372036854775807",
            "broker": "databento",
        },
    ),
    "polygon": Layout(
        "Polygon flat files, trades and quotes, in nanoseconds",
        "ticker,conditions,correction,exchange,id,participant_timestamp,price,sequence_number,sip_timestamp,size,tape,trf_id,"
        'trf_timestamp\nMSFT,"12,37",0,11,1,1679990340007888000,277.55,941,1679990340010084598,1,3,0,0',
        "2023-03-28.csv.gz",
        {
            "fields": _names(
                ts="sip_timestamp|participant_timestamp",
                symbol="ticker",
                last="price",
                qty="size",
                seq="sequence_number",
                bid="bid_price",
                ask="ask_price",
            ),
            "optional": True,
            "file_unit": "ns",
            "broker": "polygon",
        },
        prices=("last", "bid", "ask", "mid"),
    ),
    "tardis": Layout(
        "Tardis.dev trades and quotes, in microseconds",
        "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
        "bitmex,XBTUSD,1577836801000000,1577836801012345,aa-bb,sell,7189.5,100",
        "bitmex_trades_2020-01-01_XBTUSD.csv.gz",
        {
            "fields": _names(
                ts="timestamp",
                broker="exchange",
                symbol="symbol",
                last="price",
                qty="amount",
                bid="bid_price",
                ask="ask_price",
            ),
            "optional": True,
            "file_unit": "us",
        },
        prices=("last", "bid", "ask", "mid"),
    ),
    "lobster": Layout(
        "LOBSTER message files: the executions, visible and hidden; the day is in the file's name (New York)",
        "34200.017459617,5,0,1,2238200,-1",
        "AMZN_2012-06-21_34200000_57600000_message_1.csv",
        {
            "columns": ("ts", "kind", "-", "qty", "last", "-"),
            "only": frozenset({"4", "5"}),
            "file_unit": "s",
            "scale": Decimal("0.0001"),
            "zone": _NEW_YORK,
            "broker": "lobster",
            "file_name": r"(?P<symbol>[^_]+)_(?P<date>\d{4}-\d\d-\d\d)_.*message",
        },
    ),
    "firstrate": Layout(
        "FirstRate Data ticks: time, price, volume (New York)",
        "2024-01-02 09:30:00.125,185.64,100",
        "AAPL_tick.txt",
        {
            "columns": ("ts", "last", "qty"),
            "time_formats": ("%Y-%m-%d %H:%M:%S.%f",),
            "zone": _NEW_YORK,
            "broker": "firstrate",
            "file_name": r"(?P<symbol>[A-Za-z0-9.]+?)(?:_.*)?\.(?:csv|txt)",
        },
    ),
}


def layout(name: str) -> Layout:
    """The layout of this name; raises `InputError` if there is none."""
    found = LAYOUTS.get(name)
    if found is None:
        raise InputError(f"--layout {name}: is unknown; known are {', '.join(LAYOUTS)}: --list-layouts shows them")
    return found


def values(name: str) -> dict[str, Any]:
    """The values of `Reading` for this layout. A header is skipped, and further columns are of no account."""
    return {"header": None, "rest": True, **layout(name).reading}


def check(name: str, given: Mapping[str, Any], price: str) -> None:
    """Raise `InputError` if an option is missing that the layout needs, or if it has no such price."""
    chosen = layout(name)
    option = chosen.needs.partition(":")[0].removeprefix("--")
    if option and not given.get(option):
        raise InputError(f"--layout {name} needs {chosen.needs}")
    if price not in chosen.prices and not given.get("columns"):
        have = " or ".join(f"BARWHEEL_PRICE={each}" for each in chosen.prices)
        raise InputError(
            f"--layout {name} has no {price}, of which bars are made (price={price}): set {have}, here and for the worker"
        )
