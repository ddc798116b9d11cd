"""A parsed statement, in more detail than plans need."""

from __future__ import annotations

from migrations.ksql.parse.lexer import Lexeme, tokenize
from migrations.ksql.parse.statement import identifier
from tests.ksqldb_server.syntax import Parse, parse


class Parsed:
    """The tokens of a statement, and their texts in upper case."""

    def __init__(self, text: str, tree: Parse | None = None) -> None:
        self.text = text.strip()
        self.tokens = [token for token in tokenize(text) if token.text != ";"]
        self.upper = [token.text.upper() if token.kind is Lexeme.word else token.text for token in self.tokens]
        self.tree = tree or parse(tokenize(text))

    def starts(self, *words: str) -> bool:
        """Whether the statement begins with these words."""
        return self.upper[: len(words)] == list(words)

    def has(self, *words: str) -> bool:
        """Whether it contains these words in a row."""
        return self.index(*words) is not None

    def index(self, *words: str) -> int | None:
        """The first position of these words in a row; None if there is none."""
        size = len(words)
        return next((n for n in range(len(self.upper) - size + 1) if self.upper[n : n + size] == list(words)), None)

    def name(self, at: int) -> str:
        """The identifier at a position."""
        return identifier(self.tokens[at])

    def options(self) -> dict[str, str]:
        """The options of the first WITH: names in upper case, values as text."""
        at = self.index("WITH", "(")
        found: dict[str, str] = {}
        if at is None:
            return found
        for token, name in zip(self.tokens[at + 2 :], range(at + 2, len(self.tokens)), strict=True):
            if token.text == ")":
                break
            if name + 2 < len(self.tokens) and self.tokens[name + 1].text == "=":
                found[token.text.strip("'`\"").upper()] = self.tokens[name + 2].text.strip("'")
        return found
