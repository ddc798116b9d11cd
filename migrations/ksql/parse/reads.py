"""Statements that only read. A plan leaves them out, so no server sees them: here they are checked to their ends. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from migrations.ksql.errors import LexError
from migrations.ksql.names import RESERVED
from migrations.ksql.parse.lexer import Lexeme, Token
from migrations.ksql.parse.query import check_query

READS = frozenset({"SELECT", "PRINT", "SHOW", "LIST", "DESCRIBE", "EXPLAIN"})
_MARKS = {Lexeme.string: "'", Lexeme.number: "#", Lexeme.quoted: "`"}  # these tokens in a form; a word is itself
_NAME = rf"(?:`|(?!(?:{'|'.join(sorted(RESERVED))})(?: |$))\w[\w@]*)"
_LISTED = (
    r"(ALL )?TOPICS( EXTENDED)?|(STREAMS|TABLES|QUERIES)( EXTENDED)?|PROPERTIES|FUNCTIONS|TYPES|VARIABLES"
    r"|((SOURCE|SINK) )?CONNECTORS|CONNECTOR PLUGINS"
)
_FORMS = {  # what follows the first word, and an example
    "SHOW": (_LISTED, "SHOW STREAMS; or SHOW TABLES EXTENDED;"),
    "LIST": (_LISTED, "LIST STREAMS; or LIST TABLES EXTENDED;"),
    "DESCRIBE": (rf"(STREAMS|{_NAME})( EXTENDED)?|(FUNCTION|CONNECTOR) {_NAME}", "DESCRIBE name; or DESCRIBE name EXTENDED;"),
    "PRINT": (rf"({_NAME}|')( FROM BEGINNING)?( (INTERVAL|SAMPLE)( -)? #)?( LIMIT( -)? #)?", "PRINT 'topic' FROM BEGINNING;"),
    "EXPLAIN": (_NAME, "EXPLAIN query_id; or EXPLAIN SELECT ..;"),
}


def is_read(tokens: Sequence[Token]) -> bool:
    """Whether a statement begins as one that reads. `tokens` are without white space and comments."""
    return bool(tokens) and tokens[0].kind is Lexeme.word and tokens[0].text.upper() in READS


def check_read(tokens: Sequence[Token]) -> None:
    """Raises `LexError` unless a statement that begins as one that reads is one to its end.

    An EXPLAIN is that of a query's id. `tokens` are without white space, comments and the semicolon.
    """
    first, *more = tokens
    word = first.text.upper()
    if word == "SELECT":
        check_query(tokens)
        return
    form, example = _FORMS[word]
    if re.fullmatch(form, " ".join(_MARKS.get(token.kind, token.text.upper()) for token in more)) is None:
        raise LexError(f"{first.text} is written like {example}", first.line, first.column)
