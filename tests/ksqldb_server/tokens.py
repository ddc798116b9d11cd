"""A cursor over the tokens of a statement, with the words and names of the grammar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from migrations.ksql.parse.lexer import Lexeme, Token
from migrations.ksql.parse.statement import identifier
from tests.ksqldb_server.refusal import SyntaxRefusal
from tests.ksqldb_server.words import RESERVED, UNITS


class Cursor:
    """The tokens of one statement, without its semicolon. A method that finds something else raises `SyntaxRefusal`."""

    def __init__(self, tokens: Sequence[Token], end: Token) -> None:
        self._tokens = [*tokens, end]
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._tokens) - 1

    def token(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def word(self, ahead: int = 0) -> str:
        """The token in upper case; for one in quotes, with its quotes."""
        token = self.token(ahead)
        return token.text.upper() if token.kind is Lexeme.word else token.text

    def fail(self, more: str = "", ahead: int = 0) -> NoReturn:
        token = self.token(ahead)
        raise SyntaxRefusal(f"line {token.line}:{token.column}: Syntax Error\n{more}", token.line, token.column)

    def sees(self, *words: str) -> bool:
        """Whether these words follow."""
        return all(self.word(number) == word for number, word in enumerate(words))

    def takes(self, *words: str) -> bool:
        """As `sees`; the cursor moves past them."""
        found = self.sees(*words)
        self._at += len(words) * found
        return found

    def expect(self, *words: str) -> None:
        for word in words:
            if not self.takes(word):
                self.fail(f"Expecting '{word}'")

    def one_of(self, *words: str) -> str:
        """The one of these words that follows; an empty string if none does."""
        return next((word for word in words if self.takes(word)), "")

    def starts_name(self, ahead: int = 0) -> bool:
        token = self.token(ahead)
        if token.kind is Lexeme.word:
            return token.text.upper() not in RESERVED and not token.text.isdigit()
        return token.kind is Lexeme.quoted

    def name(self, *, source: bool = False) -> str:
        """An identifier. The messages for the name of a source and for other names differ."""
        token = self.token()
        if not self.starts_name():
            if token.kind is Lexeme.word and not source:
                self.fail(
                    f'"{token.text}" is a reserved keyword and it can\'t be used as an identifier. '
                    f"You can use it as an identifier by escaping it as '{token.text}' "
                )
            self.fail(f"Syntax error at or near '{token.text}' at line {token.line}:{token.column}" if source else "")
        self._at += 1
        return identifier(token)

    def string(self) -> str:
        token = self.token()
        if token.kind is not Lexeme.string:
            self.fail()
        self._at += 1
        return token.text[1:-1].replace("''", "'")

    def number(self) -> str:
        """A number with its sign, as written."""
        sign = self.one_of("-")
        token = self.token()
        if token.kind is not Lexeme.number:
            self.fail()
        self._at += 1
        return sign + token.text

    def duration(self) -> int:
        """Milliseconds of a number and a unit."""
        number = self.number()
        if self.word() not in UNITS:
            self.fail()
        self._at += 1
        return int(number) * UNITS[self.word(-1)]

    def skip(self) -> str:
        """Any one token."""
        if self.at_end:
            self.fail()
        self._at += 1
        return self.word(-1)
