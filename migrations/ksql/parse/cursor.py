"""A cursor over the tokens of one statement. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from migrations.ksql.errors import LexError
from migrations.ksql.names import RESERVED
from migrations.ksql.parse.lexer import Lexeme, Token, word_of

UNITS = frozenset(f"{unit}{s}" for unit in ("DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND") for s in ("", "S"))


def is_name(token: Token) -> bool:
    """Whether it can be a name: quoted, or a word that is not reserved."""
    return token.kind is Lexeme.quoted or (token.kind is Lexeme.word and token.text.upper() not in RESERVED)


class Cursor:
    """The tokens of a statement, without white space, comments and the semicolon, and how far they are read.

    Methods named after a thing read it, and raise `LexError` with the place where another one stands. `at` is the position.
    """

    def __init__(self, tokens: Sequence[Token], at: int = 0) -> None:
        self._tokens = tokens
        self._words = tuple(map(word_of, tokens))
        self.at = at

    def word(self, ahead: int = 0) -> str:
        """The token that follows: a word in upper case, another one as it is; empty at the end."""
        return self._words[self.at + ahead] if self.at + ahead < len(self._words) else ""

    def sees(self, *words: str) -> bool:
        """Whether these words follow."""
        return self._words[self.at : self.at + len(words)] == words

    def takes(self, *words: str) -> bool:
        """Whether these words follow; if so, they are read."""
        found = self.sees(*words)
        self.at += len(words) * found
        return found

    def takes_any(self, *words: str) -> bool:
        """Whether one of these words follows; if so, it is read."""
        found = self.word() in words
        self.at += found
        return found

    def expect(self, *words: str) -> None:
        """Read all of these words."""
        for word in words:
            if not self.takes(word):
                self.fail()

    def one_of(self, *words: str) -> None:
        """Read one of these words."""
        if not self.takes_any(*words):
            self.fail()

    def end(self) -> None:
        """Raises the error that more stands there, unless all is read."""
        if self.at < len(self._tokens):
            self.fail()

    def fail(self) -> NoReturn:
        """Raises the error that another token must stand here."""
        if self.at >= len(self._tokens):
            last = self._tokens[-1]
            raise LexError(f"more must follow {last.text}", last.line, last.column)
        token = self._tokens[self.at]
        before = f"follow {self._tokens[self.at - 1].text} here" if self.at else "begin a statement"
        more = "; as a name it must be in backquotes" if self.word() in RESERVED and token.kind is Lexeme.word else ""
        raise LexError(f"{token.text} cannot {before}{more}", token.line, token.column)

    def is_kind(self, kind: Lexeme, ahead: int = 0) -> bool:
        """Whether a token of this kind follows."""
        return self.at + ahead < len(self._tokens) and self._tokens[self.at + ahead].kind is kind

    def is_name(self, ahead: int = 0) -> bool:
        """Whether a name follows."""
        return self.at + ahead < len(self._tokens) and is_name(self._tokens[self.at + ahead])

    def name(self) -> None:
        """Read a name."""
        self._skip(fits=self.is_name())

    def number(self) -> None:
        """Read a number, perhaps with its sign."""
        self.takes("-")
        self._skip(fits=self.is_kind(Lexeme.number))

    def string(self) -> None:
        """Read a text in quotes."""
        self._skip(fits=self.is_kind(Lexeme.string))

    def duration(self) -> None:
        """Read a number and a unit of time."""
        self.number()
        self.one_of(*UNITS)

    def several(self, one: Callable[[], None]) -> int:
        """Read parts with commas between them. Returns their number."""
        number = 1
        one()
        while self.takes(","):
            one()
            number += 1
        return number

    def _skip(self, *, fits: bool) -> None:
        if not fits:
            self.fail()
        self.at += 1
