"""A parsed statement, in more detail than plans need."""

from __future__ import annotations

from migrations.ksql.parse.lexer import Lexeme, Token, tokenize
from migrations.ksql.parse.statement import identifier


class Parsed:
    """The tokens of a statement, and their texts in upper case."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.tokens = [token for token in tokenize(text) if token.text != ";"]
        self.upper = [token.text.upper() if token.kind is Lexeme.word else token.text for token in self.tokens]

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

    def columns(self) -> list[list[str]]:
        """The declared columns: name, type, and KEY for a key column."""
        opened = next((n for n, word in enumerate(self.upper[:8]) if word == "("), None)
        if opened is None or (self.has("WITH") and opened > (self.index("WITH") or 0)):
            return []
        parts: list[list[Token]] = [[]]
        depth = 0
        for token in self.tokens[opened + 1 :]:
            depth += (token.text in "(<") - (token.text in ")>")
            if depth < 0:
                break
            if token.text == "," and not depth:
                parts.append([])
            else:
                parts[-1].append(token)
        return [_column(part) for part in parts if len(part) > 1]


def _column(part: list[Token]) -> list[str]:
    words = [token.text.upper() for token in part[1:]]
    key = "KEY" if "KEY" in words else ""
    kind = "".join(word for word in words if word not in {"PRIMARY", "KEY"})
    return [identifier(part[0]), {"VARCHAR": "STRING", "INT": "INTEGER"}.get(kind, kind), key]
