"""Symbols as UDF names them, `BROKER:SYMBOL`, and how a name that a client sends is found.

A broker with a colon in its name is written `BROKER|SYMBOL`, so that no name means two symbols.
"""

from __future__ import annotations

from app.readmodel.queries import Queries

MOST_LISTED = 5  # brokers that an error names

Name = tuple[str, str]  # broker and symbol


class UnknownSymbolError(Exception):
    """No symbol has the name, or several have it. The text says so, and is sent to the client."""


def ticker(broker: str, symbol: str) -> str:
    """The name of a symbol that leads to it, and to no other."""
    return f"{broker}|{symbol}" if ":" in broker else f"{broker}:{symbol}"


def prefix_of(query: str) -> str:
    """A client's search as a prefix for the read model, which writes `broker|symbol`."""
    return query if "|" in query else query.replace(":", "|", 1)


def find(queries: Queries, name: str) -> Name:
    """The symbol with this name. Its broker may be left out, and the case be another, where one symbol alone fits.

    Raises `UnknownSymbolError`.
    """
    separator = "|" if "|" in name else ":"
    broker, found, symbol = name.partition(separator)
    if found:
        if queries.symbol(broker, symbol):
            return broker, symbol
        matches = {(one.broker, one.symbol) for one in queries.symbols(f"{broker}|{symbol}|", None, "", MOST_LISTED + 1)}
    if not found or not matches:  # a symbol with a colon in its name may come without its broker
        matches = _with_symbol(queries, name)
    if len(matches) == 1:
        return matches.pop()
    if not matches:
        raise UnknownSymbolError(f"unknown_symbol: no bar of {name} is here; /udf/search finds symbols")
    listed = ", ".join(sorted(ticker(*one) for one in matches)[:MOST_LISTED])
    raise UnknownSymbolError(f"unknown_symbol: {name} is the name of several: {listed}")


def _with_symbol(queries: Queries, symbol: str) -> set[Name]:
    """The symbols of this name at any broker: those in its own case, or else those in another."""
    if "|" in symbol:
        return set()
    rows = queries.symbols(symbol, None, f"{symbol.casefold()}|", MOST_LISTED + 1)
    found = {(one.broker, one.symbol) for one in rows if one.symbol.casefold() == symbol.casefold()}
    return {one for one in found if one[1] == symbol} or found
