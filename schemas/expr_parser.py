"""The parser behind `schemas.expr`: a tokenizer and a Pratt parser whose nodes are closures."""

import operator
import re
import warnings
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from schemas import expr_values as values
from schemas.errors import ConfigError

Lookup = Callable[[str], Any]
Kind = Literal["any", "boolean", "number", "text", "list", "null"]

MAX_LENGTH = 10_000
MAX_DEPTH = 100  # well within Python's recursion limit, and beyond what anyone can read

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    | (?P<quoted>`[^`]+`)
    | (?P<name>[^\W\d]\w*(?:\.\w+)*)
    | (?P<op>==|!=|<>|<=|>=|[-+*/()\[\],=<>])
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_WORDS = frozenset(("and", "or", "not", "in", "is", "null", "true", "false"))
_COMPARISONS: dict[str, Callable[[Any, Any], bool | None]] = {
    "=": values.equal,
    "==": values.equal,
    "!=": values.unequal,
    "<>": values.unequal,
    "<": values.ordered(operator.lt),
    "<=": values.ordered(operator.le),
    ">": values.ordered(operator.gt),
    ">=": values.ordered(operator.ge),
}
_PLAIN = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_ARITHMETIC = {"+": values.add, "-": values.subtract, "*": values.multiply, "/": values.divide}
_FUNCTIONS: dict[str, tuple[int, int, Kind, Callable[..., Any]]] = {
    "lower": (1, 1, "text", values.lower),
    "upper": (1, 1, "text", values.upper),
    "length": (1, 1, "number", values.length),
    "abs": (1, 1, "number", values.absolute),
    "round": (2, 2, "number", values.rounded),
    "coalesce": (1, 20, "any", values.coalesce),
    "startswith": (2, 2, "boolean", values.starts),
    "endswith": (2, 2, "boolean", values.ends),
    "contains": (2, 2, "boolean", values.contains),
}


class ExpressionError(ConfigError):
    """The text is no expression. `position` counts characters from 0 to where it goes wrong."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} (at character {position + 1})")
        self.message = message
        self.position = position


class Node(NamedTuple):
    """A compiled part: what runs it, its kind as far as the text tells, how deep it is and where it began."""

    run: Callable[[Lookup], Any]
    kind: Kind
    depth: int
    at: int
    literal: Any = ...  # the value of a literal, else ...


class _Token(NamedTuple):
    sort: str  # number, text, name, word, op, end
    value: str
    at: int


def _tokens(text: str) -> list[_Token]:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"longer than {MAX_LENGTH} characters", MAX_LENGTH)
    found: list[_Token] = []
    at = 0
    while True:
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise ExpressionError(
                "a quote is not closed" if text[at] in "'\"`" else f"unexpected character {text[at]!r}", at
            )
        sort = match.lastgroup or "end"
        value = match.group(sort)
        start = match.start(sort)
        at = match.end()
        if sort == "quoted":
            sort, value = "name", value[1:-1]
        elif sort == "text":
            value = value[1:-1].replace(value[0] * 2, value[0])
        elif sort == "name" and value.lower() in _WORDS:
            sort, value = "word", value.lower()
        found.append(_Token(sort, value, start))
        if sort == "end":
            return found


class Parser:
    """A Pratt parser that builds closures: each takes the look-up and gives the value."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.next = 0
        self.nesting = 0
        self.names: set[str] = set()

    def whole(self) -> Node:
        """Parse the whole text. Raises ExpressionError."""
        node = self._parse(0)
        self._expect("end", "")
        return node

    def _take(self) -> _Token:
        token = self.tokens[self.next]
        self.next = min(self.next + 1, len(self.tokens) - 1)
        return token

    def _peek(self, *wanted: str) -> bool:
        token = self.tokens[self.next]
        return token.sort in ("op", "word") and token.value in wanted

    def _expect(self, sort: str, value: str) -> _Token:
        token = self._take()
        if token.sort != sort or (value and token.value != value):
            wanted = f"{value!r} is missing here" if value else "an operator is missing here"
            found = "the text ends" if token.sort == "end" else f"found {token.value!r}"
            raise ExpressionError(f"{wanted}, {found}", token.at)
        return token

    def _node(self, run: Callable[[Lookup], Any], kind: Kind, at: int, *inner: Node) -> Node:
        depth = 1 + max((node.depth for node in inner), default=0)
        if depth > MAX_DEPTH:
            raise ExpressionError("nested too deeply", at)
        return Node(run, kind, depth, at)

    def _parse(self, binding: int) -> Node:
        self.nesting += 1
        if self.nesting > MAX_DEPTH:
            raise ExpressionError("nested too deeply", self.tokens[self.next].at)
        left = self._prefix()
        while True:
            token = self.tokens[self.next]
            power = _BINDING.get(token.value, 0) if token.sort in ("op", "word") else 0
            if power <= binding:
                break
            self._take()
            left = self._infix(left, token, power)
        self.nesting -= 1
        return left

    def _prefix(self) -> Node:
        token = self._take()
        at = token.at
        if token.sort == "number":
            value = values.number(token.value)
            if value is None:
                raise ExpressionError("the number is too long or too large", at)
            return self._constant(value, "number", at)
        if token.sort == "text":
            return self._constant(token.value, "text", at)
        if token.sort == "name":
            return self._call(token) if self._peek("(") else self._name(token)
        if token.sort == "word" and token.value in ("true", "false"):
            return self._constant(token.value == "true", "boolean", at)
        if token.sort == "word" and token.value == "null":
            return self._constant(None, "null", at)
        if token.sort == "word" and token.value == "not":
            return self._negation(self._wants(self._parse(_BINDING["and"]), "boolean", "not"), at)
        if token.sort == "op" and token.value in "+-":
            return self._signed(self._wants(self._parse(_SIGN), "number", token.value), token)
        if token.sort == "op" and token.value == "(":
            inner = self._parse(0)
            self._expect("op", ")")
            return inner
        if token.sort == "op" and token.value == "[":
            return self._list_of(self._arguments("]"), at)
        found = "the text ends" if token.sort == "end" else f"found {token.value!r}"
        raise ExpressionError(f"a value is missing here, {found}", at)

    def _infix(self, left: Node, token: _Token, power: int) -> Node:
        word = token.value
        if word in ("and", "or"):
            parts = [self._wants(left, "boolean", word), self._wants(self._parse(power), "boolean", word)]
            while self._peek(word):
                self._take()
                parts.append(self._wants(self._parse(power), "boolean", word))
            return self._node(_junction([part.run for part in parts], word == "or"), "boolean", token.at, *parts)
        if word in _ARITHMETIC:
            right = self._wants(self._parse(power), "number", word)
            self._wants(left, "number", word)
            apply, a, b = _ARITHMETIC[word], left.run, right.run
            return self._node(lambda lookup: apply(a(lookup), b(lookup)), "number", token.at, left, right)
        result = self._comparison(left, token, power)
        following = self.tokens[self.next]
        if following.sort in ("op", "word") and _BINDING.get(following.value) == power:
            raise ExpressionError("comparisons do not chain: join two with 'and'", following.at)
        return result

    def _comparison(self, left: Node, token: _Token, power: int) -> Node:
        word, a = token.value, left.run
        if word == "is":
            refused = self._peek("not") and bool(self._take())
            self._expect("word", "null")
            return self._node(lambda lookup: (a(lookup) is None) is not refused, "boolean", token.at, left)
        if word == "not":
            self._expect("word", "in")
        right = self._parse(power)
        b = right.run
        if word in ("in", "not"):
            if right.kind not in ("any", "list", "null"):
                raise ExpressionError(f"'in' wants a list, this is a {right.kind}", right.at)
            inside = self._node(lambda lookup: values.among(a(lookup), b(lookup)), "boolean", token.at, left, right)
            return self._negation(inside, token.at) if word == "not" else inside
        apply, plain, literal = _COMPARISONS[word], _PLAIN.get(word), right.literal
        if plain is not None and type(literal) is int:

            def against(lookup: Lookup) -> bool | None:
                value = a(lookup)
                return bool(plain(value, literal)) if type(value) is int else apply(value, literal)

            return self._node(against, "boolean", token.at, left, right)
        return self._node(lambda lookup: apply(a(lookup), b(lookup)), "boolean", token.at, left, right)

    def _constant(self, value: Any, kind: Kind, at: int) -> Node:
        return Node(lambda lookup: value, kind, 1, at, value)

    def _name(self, token: _Token) -> Node:
        name = token.value
        self.names.add(name)
        return self._node(lambda lookup: lookup(name), "any", token.at)

    def _signed(self, node: Node, token: _Token) -> Node:
        if token.value == "+":
            return node
        if isinstance(node.literal, int | Decimal):
            return self._constant(
                -node.literal if isinstance(node.literal, int) else node.literal.copy_negate(), "number", token.at
            )
        run = node.run
        return self._node(lambda lookup: values.subtract(0, run(lookup)), "number", token.at, node)

    def _negation(self, node: Node, at: int) -> Node:
        run = node.run

        def negate(lookup: Lookup) -> bool | None:
            value = values.truth(run(lookup))
            return None if value is None else not value

        return self._node(negate, "boolean", at, node)

    def _arguments(self, closing: str) -> list[Node]:
        found: list[Node] = []
        if self._peek(closing):
            self._take()
            return found
        while True:
            found.append(self._parse(0))
            if self._peek(","):
                self._take()
                continue
            self._expect("op", closing)
            return found

    def _list_of(self, items: list[Node], at: int) -> Node:
        if all(item.literal is not ... for item in items):
            return self._constant([item.literal for item in items], "list", at)
        runs = [item.run for item in items]
        return self._node(lambda lookup: [run(lookup) for run in runs], "list", at, *items)

    def _call(self, token: _Token) -> Node:
        name = token.value.lower()
        self._take()
        given = self._arguments(")")
        if name == "matches":
            return self._matches(token, given)
        if name not in _FUNCTIONS:
            known = " ".join(sorted([*_FUNCTIONS, "matches"]))
            raise ExpressionError(f"there is no function {token.value!r}; there are: {known}", token.at)
        least, most, kind, apply = _FUNCTIONS[name]
        if not least <= len(given) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise ExpressionError(f"{name} takes {wanted} values, here are {len(given)}", token.at)
        runs = [item.run for item in given]
        if len(runs) == 1:
            first = runs[0]
            return self._node(lambda lookup: apply(first(lookup)), kind, token.at, *given)
        return self._node(lambda lookup: apply(*[run(lookup) for run in runs]), kind, token.at, *given)

    def _matches(self, token: _Token, given: list[Node]) -> Node:
        if len(given) != 2 or not isinstance(given[1].literal, str):
            raise ExpressionError("matches takes a value and a regular expression in quotes", token.at)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python warns of patterns it may read otherwise one day
                pattern = re.compile(given[1].literal)
        except (re.error, OverflowError, RecursionError) as error:
            raise ExpressionError(f"not a regular expression: {error}", given[1].at) from None
        run = given[0].run

        def match(lookup: Lookup) -> bool | None:
            spelled = values.text(run(lookup))
            return None if spelled is None else pattern.fullmatch(spelled) is not None

        return self._node(match, "boolean", token.at, *given)

    def _wants(self, node: Node, kind: Kind, word: str) -> Node:
        fits = node.kind in ("any", "null", kind) or (
            isinstance(node.literal, str)
            and (values.number if kind == "number" else values.truth)(node.literal) is not None
        )
        if not fits:
            raise ExpressionError(f"{word!r} wants a {kind}, this is a {node.kind}", node.at)
        return node


_SIGN = 70
_BINDING = {"or": 10, "and": 20, "not": 40, "in": 40, "is": 40} | dict.fromkeys(_COMPARISONS, 40)
_BINDING |= {"+": 50, "-": 50, "*": 60, "/": 60}


def _junction(runs: list[Callable[[Lookup], Any]], decisive: bool) -> Callable[[Lookup], bool | None]:
    """Three-valued `or` (decisive True) and `and` (decisive False): the decisive value wins over null."""

    def apply(lookup: Lookup) -> bool | None:
        result: bool | None = not decisive
        for run in runs:
            value = values.truth(run(lookup))
            if value is decisive:
                return decisive
            if value is None:
                result = None
        return result

    return apply
