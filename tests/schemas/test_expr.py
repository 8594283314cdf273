"""The expression language: what it means, what it refuses, and that nothing makes it fail later."""

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.expr import ExpressionError, compile_condition, compile_expression

ROW: dict[str, Any] = {
    "n": 3,
    "price": "2.50",
    "word": "Blue",
    "empty": None,
    "flag": True,
    "yes": "TRUE",
    "tags": ["vip", "new"],
    "cart.value": 12900,
    "Unit Price": "19.90",
    "ratio": 0.1,
    "bad": float("nan"),
    "客户": "张三",
}


def value(text: str) -> Any:
    return compile_expression(text).evaluate(ROW.get)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 2 - 3", 5),
        ("8 / 4 / 2", 1),
        ("-n + 1", -2),
        ("0.1 + 0.2", Decimal("0.3")),
        ("ratio * 3", Decimal("0.3")),
        ("price * n", Decimal("7.50")),
        ("`Unit Price` * 2", Decimal("39.80")),
        ("1 / 0", None),
        ("1 / 4", Decimal("0.25")),
        ("word * 2", None),
        ("bad + 1", None),
        ("round(2.5, 0)", 3),
        ("round(-1.005, 2)", Decimal("-1.01")),
        ("'it''s'", "it's"),
        ('"a ""b"""', 'a "b"'),
        ("price > 2", True),
        ("price = 2.5", True),
        ("word > 2", None),
        ("word = 2", False),
        ("'10' < '9'", True),
        ("yes = true", True),
        ("flag = 1", False),
        ("cart.value >= 12900", True),
        ("cart.value > 12900", False),
        ("missing = null", None),
        ("empty is null", True),
        ("n is not null", True),
        ("not n = 3", False),
        ("not empty", None),
        ("n in [1, 2, 3]", True),
        ("n not in [1, 2]", True),
        ("price in ['2.5', 2.5]", True),
        ("n in [1, null]", None),
        ("'vip' in tags", True),
        ("not 'x' in tags", True),
        ("n in []", False),
        ("flag and empty = 1", None),
        ("empty = 1 and 1 = 2", False),
        ("empty = 1 or flag", True),
        ("1 = 2 or 1 = 1 and 1 = 2", False),
        ("n = 3 AND NOT n = 4", True),
        ("lower(word)", "blue"),
        ("upper(word) == 'BLUE'", True),
        ("length(tags) + length(word)", 6),
        ("abs(-2.5)", Decimal("2.5")),
        ("startswith(word, 'Bl') and endswith(word, 'ue')", True),
        ("contains(word, 'lu')", True),
        ("contains(tags, 'new')", True),
        ("matches(word, '[A-Z][a-z]+')", True),
        ("matches(word, 'lu')", False),
        ("matches(n, '[0-9]')", True),
        ("lower(empty)", None),
        ("coalesce(empty, missing, n)", 3),
        ("客户 = '张三'", True),
        ("tags = ['vip', 'new']", True),
        ("n != 4", True),
        ("n <> 3", False),
    ],
)
def test_means(text: str, wanted: Any) -> None:
    found = value(text)
    assert found == wanted
    assert (found is None or isinstance(found, bool)) == (wanted is None or isinstance(wanted, bool))


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("", 0, "the text ends"),
        ("1 +", 3, "a value is missing"),
        ("a b", 2, "an operator is missing"),
        ("(a", 2, "')' is missing"),
        ("a = 'x", 4, "quote is not closed"),
        ("a = `x", 4, "quote is not closed"),
        ("a ; b", 2, "unexpected character ';'"),
        ("a < b < c", 6, "do not chain"),
        ("nope(1)", 0, "no function 'nope'"),
        ("lower(1, 2)", 0, "takes 1 values"),
        ("matches(a, b)", 0, "regular expression in quotes"),
        ("matches(a, '(')", 11, "not a regular expression"),
        ("a in 'text'", 5, "wants a list"),
        ("a not = 1", 6, "'in' is missing"),
        ("a is 1", 5, "'null' is missing"),
        ("1 and a", 0, "wants a boolean"),
        ("'x' * 2", 0, "wants a number"),
        ("a + true", 4, "wants a number"),
        ("__import__('os')", 0, "no function"),
        ("1e9999", 0, "too long or too large"),
        ("a.", 1, "unexpected character"),
        ("[1, 2", 5, "']' is missing"),
    ],
)
def test_a_mistake_is_named_with_its_position(text: str, position: int, says: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert says in caught.value.message
    assert caught.value.position == position


def test_a_condition_cannot_be_a_number() -> None:
    with pytest.raises(ExpressionError, match="this is a number"):
        compile_condition("cart.value + 1")
    assert compile_condition("cart.value > 1").test(ROW.get)


def test_null_is_false_at_the_end() -> None:
    assert not compile_condition("missing > 1").test(ROW.get)
    assert not compile_condition("not missing > 1").test(ROW.get)


def test_names_are_collected() -> None:
    assert compile_expression("a.b + `c d` > lower(a.b) and 'x' in tags").names == {"a.b", "c d", "tags"}


@pytest.mark.parametrize(
    "text", ["(" * 5000 + "1" + ")" * 5000, "1" + "+1" * 4000, "not " * 2000 + "a", "-" * 5000 + "1"]
)
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError, match=r"nested too deeply|longer than"):
        compile_expression(text)


def test_a_long_row_of_conditions_is_not_deep() -> None:
    assert compile_condition(" or ".join(f"n = {i}" for i in range(900))).test(ROW.get)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(max_size=5),
    st.sampled_from(["1e400", "9" * 5000, "1e999", "-0", " 7 ", "NaN"]),
    st.just(10**5000),
    st.just(Decimal("1e999999")),
    st.lists(st.integers(), max_size=3),
)
OPERATORS = ["+", "-", "*", "/", "=", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
CALLS = ["lower(a)", "upper(a)", "length(a)", "abs(a)", "round(a, b)", "coalesce(a, b)", "contains(a, b)"]
CALLS += ["startswith(a, b)", "endswith(a, b)", "matches(a, '.*')", "-a", "not a", "a is null"]


@settings(max_examples=200, deadline=None)
@given(VALUES, VALUES, st.sampled_from([*[f"a {operator} b" for operator in OPERATORS], *CALLS]))
def test_evaluation_never_fails(a: Any, b: Any, text: str) -> None:
    compile_expression(text).evaluate({"a": a, "b": b}.get)
    compile_expression(f"length(coalesce({text}, 'x'))").evaluate({"a": a, "b": b}.get)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab1.'\"`()[],+-*/<>=! notiul", max_size=25) | st.text(max_size=20))
def test_any_text_is_an_expression_or_an_expression_error(text: str) -> None:
    position = 0
    try:
        compile_expression(text).evaluate({}.get)
    except ExpressionError as error:
        position = error.position
    assert 0 <= position <= len(text)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_arithmetic_agrees_with_exact_fractions(seed: int) -> None:
    from fractions import Fraction

    random_ = random.Random(seed)

    def grow(depth: int) -> tuple[str, Fraction]:
        if depth == 0 or random_.random() < 0.2:
            n = random_.randint(0, 10**6)
            return (str(n), Fraction(n)) if random_.random() < 0.5 else (f"{n}.25", Fraction(n) + Fraction(1, 4))
        (a, x), (b, y) = grow(depth - 1), grow(depth - 1)
        op = random_.choice("+-*")
        return f"({a} {op} {b})", {"+": x + y, "-": x - y, "*": x * y}[op]

    text, wanted = grow(3)
    assert Fraction(compile_expression(text).evaluate({}.get)) == wanted
