"""Expressions and types: whether they are such, as far as the order of their parts tells. Pure.

An expression is operands with operators between them. Which operator binds closer, and which types fit, is the server's.
"""

from __future__ import annotations

from migrations.ksql.parse.cursor import UNITS, Cursor
from migrations.ksql.parse.lexer import Lexeme

_LOGIC = ("AND", "OR")
_OPERATORS = ("+", "-", "*", "/", "%", "||", "=", "<>", "!=", "<", "<=", ">", ">=", "=>", ":=", "LIKE", "BETWEEN", *_LOGIC)


class Expressions(Cursor):
    """A cursor that reads expressions and types."""

    def list_of(self, begin: str, end: str) -> None:
        """Read expressions between these two; perhaps none."""
        self.expect(begin)
        if not self.takes(end):
            self.several(self.expression)
            self.expect(end)

    def expression(self) -> None:
        """Read an expression."""
        while True:
            while self.takes_any("NOT", "+", "-"):
                pass
            self._operand()
            if not self._operator():
                return

    def _operator(self) -> bool:
        """Read what follows an operand. True after an operator that another operand follows."""
        while self._suffix():
            pass
        if self.takes("IS"):
            self.takes("NOT")
            if self.takes("DISTINCT", "FROM"):
                return True
            self.expect("NULL")
            return self.takes_any(*_LOGIC)
        if self.takes("NOT") and self.word() not in {"LIKE", "BETWEEN", "IN"}:
            self.fail()
        if self.takes("IN"):
            self.list_of("(", ")")
            return self.takes_any(*_LOGIC)
        return self.takes_any(*_OPERATORS)

    def _suffix(self) -> bool:
        """Read an index, a field, a zone or the ESCAPE of a pattern, if one follows."""
        if self.takes("["):
            self.expression()
            self.expect("]")
        elif self.sees("->") and not self.sees("->", "*"):
            self.at += 1
            self.name()
        elif self.takes("AT"):
            self.expect("TIME", "ZONE")
            self.string()
        elif self.sees("ESCAPE") and self.is_kind(Lexeme.string, 1):
            self.at += 2
        else:
            return False
        return True

    def _operand(self) -> None:
        if self.takes("("):
            number = self.several(self.expression)
            self.expect(")")
            if number > 1 and not self.sees("=>"):  # only the parameters of a lambda are several
                self.fail()
        elif self.takes("CASE"):
            self._case()
        elif self.takes("CAST", "("):
            self.expression()
            self.expect("AS")
            self.type()
            self.expect(")")
        elif self.sees("ARRAY", "["):
            self.at += 1
            self.list_of("[", "]")
        elif self.is_kind(Lexeme.number) or self.is_kind(Lexeme.string):
            self.at += 1
        elif self.is_name():
            self._named()
        elif self.takes_any("NULL", "TRUE", "FALSE"):
            return
        else:  # a unit, which is an argument
            self.one_of(*UNITS)
            if self.word() not in {",", ")"}:
                self.fail()

    def _case(self) -> None:
        if not self.sees("WHEN"):
            self.expression()
        self.expect("WHEN")
        self._choice()
        while self.takes("WHEN"):
            self._choice()
        if self.takes("ELSE"):
            self.expression()
        self.expect("END")

    def _choice(self) -> None:
        self.expression()
        self.expect("THEN")
        self.expression()

    def _named(self) -> None:
        """A column, the call of a function, or a constant of a type, such as DATE '2020-01-01'."""
        self.name()
        if self.is_kind(Lexeme.string) or (self.sees(".") and self.is_name(1)):
            self.at += 1 if self.is_kind(Lexeme.string) else 2
        elif self.sees("(") and not self.takes("(", "*", ")"):
            self.list_of("(", ")")

    def type(self) -> None:
        """Read a type."""
        if self.takes("DECIMAL"):
            self.expect("(")
            self.number()
            self.expect(",")
            self.number()
            self.expect(")")
        elif self.takes("ARRAY", "<"):
            self.type()
            self.expect(">")
        elif self.takes("MAP", "<"):
            self.type()
            self.expect(",")
            self.type()
            self.expect(">")
        elif self.takes("STRUCT", "<"):
            if not self.sees(">"):
                self.several(self._field)
            self.expect(">")
        else:
            self.name()
            if self.takes("("):
                self.several(self._parameter)
                self.expect(")")
        while self.takes("ARRAY"):
            pass

    def _field(self) -> None:
        self.name()
        self.type()

    def _parameter(self) -> None:
        if not self.takes("STRING"):
            self.number()
