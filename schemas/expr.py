"""A small, safe expression language for conditions and amounts: `cart.value > 0 and not is_test`.

    or | and | not | = == != <> < <= > >= | in, not in, is null, is not null | + - | * / | -x

binds from weakest to strongest; comparisons do not chain. Literals are exact numbers, 'text' or "text" (a doubled quote
stands for itself), true, false, null and [lists]. A name is letters, digits and _ with dots between parts; any other
name stands in backticks. Words of the language may be written in any case. Functions: `lower upper length abs round
coalesce startswith endswith contains matches` (matches wants a literal regular expression and the whole text).
What operators do with values, and null, is told in `schemas.expr_values`. Nothing here runs Python code of the text.
"""

from collections.abc import Callable
from typing import Any

from schemas import expr_values as values
from schemas.expr_parser import ExpressionError, Kind, Lookup, Parser

__all__ = ["Expression", "ExpressionError", "Lookup", "compile_condition", "compile_expression"]


class Expression:
    """A compiled expression.

    `names` are the dotted names it reads, `kind` the type of its result as far as the text tells (`any` if a name
    decides). Evaluation never raises on any value: what does not fit is null.
    """

    __slots__ = ("_run", "kind", "names", "text")

    def __init__(self, text: str, names: frozenset[str], kind: Kind, run: Callable[[Lookup], Any]) -> None:
        self.text = text
        self.names = names
        self.kind = kind
        self._run = run

    def evaluate(self, lookup: Lookup) -> Any:
        """Return the value: None, a bool, an int, a Decimal, a str or a list; `lookup` gives a name's value."""
        return self._run(lookup)

    def test(self, lookup: Lookup) -> bool:
        """Return whether it holds: null, and what is no boolean, is false."""
        return values.truth(self._run(lookup)) is True

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def compile_expression(text: str) -> Expression:
    """Compile a text into an Expression. Raises ExpressionError with the position of the mistake."""
    parser = Parser(text)
    node = parser.whole()
    return Expression(text, frozenset(parser.names), node.kind, node.run)


def compile_condition(text: str) -> Expression:
    """Compile a text that must be a condition. Raises ExpressionError, also when its result is never a boolean."""
    expression = compile_expression(text)
    if expression.kind not in ("any", "boolean", "null"):
        raise ExpressionError(f"a condition is true or false, this is a {expression.kind}", 0)
    return expression
