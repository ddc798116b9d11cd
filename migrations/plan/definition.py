"""What a statement defines, as far as two texts of it can be compared: a plan's and the server's. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from migrations.ksql.parse.lexer import GAPS, Token, lex
from migrations.ksql.parse.normal import normal_form
from migrations.ksql.parse.rewrite import plain_create

# options of WITH that describe a topic, which may have been there before, or that name a query
_LEFT_OUT = {"CLEANUP_POLICY", "PARTITIONS", "REPLICAS", "RETENTION_MS", "QUERY_ID"}


def definition(text: str) -> str:
    """The normal form of a statement without OR REPLACE, IF NOT EXISTS, and options of its topic and its query.

    The remaining options are in the order of their names.
    """
    tokens = [token for token in plain_create(lex(text)) if token.kind not in GAPS]
    words = [token.text.upper() for token in tokens]
    begin = next((at for at in range(len(words)) if words[at : at + 2] == ["WITH", "("]), None)
    if begin is None:
        return _joined(tokens)
    end = words.index(")", begin) if ")" in words[begin:] else len(words) - 1
    options = sorted(filter(None, (_option(part) for part in _split(tokens[begin + 2 : end]))))
    clause = f"WITH ( {' , '.join(options)} )" if options else ""
    return " ".join(filter(None, (_joined(tokens[:begin]), clause, _joined(tokens[end + 1 :]))))


def _option(tokens: list[Token]) -> str:
    """One option; empty if it is left out. Names of formats are upper case, as the server takes them in any."""
    name = tokens[0].text.strip("'`\"").upper() if tokens else ""
    if not name or name in _LEFT_OUT:
        return ""
    value = _joined(tokens[1:])
    return f"{name} {value.upper() if name.endswith('FORMAT') and name != 'TIMESTAMP_FORMAT' else value}"


def _split(tokens: list[Token]) -> Iterable[list[Token]]:
    part: list[Token] = []
    for token in tokens:
        if token.text == ",":
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _joined(tokens: list[Token]) -> str:
    return normal_form(" ".join(token.text for token in tokens))
