"""CASE, which takes several lines if it is long."""

from __future__ import annotations

from migrations.ksql.expressions import Expression


class Case(Expression):
    """CASE WHEN .. THEN .. ELSE .. END."""

    def __init__(self, branches: tuple[tuple[Expression, Expression], ...], otherwise: Expression) -> None:
        super().__init__("", otherwise.kind, *(part for branch in branches for part in branch), otherwise)
        self.branches = branches
        self.otherwise = otherwise

    def lines(self, *, qualified: bool = False) -> list[str]:
        """One line per branch."""

        def ksql(part: Expression) -> str:
            return part.text(qualified=qualified)

        whens = [f"  WHEN {ksql(condition)} THEN {ksql(result)}" for condition, result in self.branches]
        return ["CASE", *whens, f"  ELSE {ksql(self.otherwise)}", "END"]

    def text(self, *, qualified: bool = False) -> str:
        """All on one line."""
        return " ".join(line.strip() for line in self.lines(qualified=qualified))
