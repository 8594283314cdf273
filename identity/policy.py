"""The identity policy: which kinds there are, in order of priority, and what identifies nobody."""

import re
from dataclasses import dataclass
from functools import cached_property

from schemas.errors import ConfigError
from schemas.settings import KindSettings, Settings

_NOBODY = frozenset(
    [
        *"null nil none undefined unknown anonymous guest user test n/a na nan true false -".split(),  # noqa: SIM905
        "[object object]",
        "not set",
        "(not set)",
    ]
)
_SEPARATORS = str.maketrans("", "", " -./_")
_PLACEHOLDER_PHONE = "+8613800138000"


def kind_of(ident: str) -> str:
    """Return the kind of an identifier `kind:value`."""
    return ident.partition(":")[0]


@dataclass(frozen=True)
class Policy:
    """Kinds in order of priority, with their strength, limit and hub by place, and the values that are blocked.

    `blocked` holds case-folded values, `patterns` match whole values. `max_size` is the most identifiers of a person.
    """

    kinds: tuple[str, ...]
    strong: tuple[bool, ...]
    limit: tuple[int, ...]
    hub: tuple[int | None, ...]
    max_size: int = 1000
    region: str = "CN"
    blocked: frozenset[str] = _NOBODY
    patterns: tuple[re.Pattern[str], ...] = ()

    @classmethod
    def from_settings(cls, settings: Settings) -> "Policy":
        """Build the policy of `settings`; the kinds stand there in order of priority."""
        block = settings.identity.block
        return cls.of(
            settings.identity.kinds,
            max_size=settings.identity.max_size,
            region=settings.default_region,
            values=block.values,
            patterns=block.patterns,
        )

    @classmethod
    def of(
        cls,
        kinds: dict[str, KindSettings],
        *,
        max_size: int = 1000,
        region: str = "CN",
        values: tuple[str, ...] = (),
        patterns: tuple[str, ...] = (),
    ) -> "Policy":
        """Build a policy from its kinds in order; `values` and `patterns` are blocked over those built in.

        Raises ConfigError for a pattern that is no regular expression.
        """
        compiled = []
        for number, pattern in enumerate(patterns):
            try:
                compiled.append(re.compile(pattern, re.IGNORECASE))
            except re.error as error:
                raise ConfigError(f"identity.block.patterns[{number}]: {error}") from error
        return cls(
            kinds=tuple(kinds),
            strong=tuple(kind.strength == "strong" for kind in kinds.values()),
            limit=tuple(kind.limit for kind in kinds.values()),
            hub=tuple(kind.hub for kind in kinds.values()),
            max_size=max_size,
            region=region,
            blocked=_NOBODY | {value.casefold() for value in values},
            patterns=tuple(compiled),
        )

    @cached_property
    def place(self) -> dict[str, int]:
        """Return the place of every kind: 0 is the first, of the highest priority."""
        return {kind: place for place, kind in enumerate(self.kinds)}

    def order_key(self, ident: str) -> tuple[int, str]:
        """Return what identifiers compare by: the place of the kind, then the value in code points.

        Raises KeyError for an undeclared kind.
        """
        kind, _, value = ident.partition(":")
        return self.place[kind], value

    def ordered(self, a: str, b: str) -> tuple[str, str]:
        """Return the pair with the lower identifier first."""
        return (a, b) if self.order_key(a) <= self.order_key(b) else (b, a)

    def is_strong(self, a: str, b: str) -> bool:
        """Return whether an edge between the two is strong: both ends are."""
        return self.strong[self.order_key(a)[0]] and self.strong[self.order_key(b)[0]]

    def is_blocked(self, kind: str, value: str) -> bool:
        """Return whether a value identifies nobody, as it stands; asked before and after normalisation."""
        folded = value.casefold()
        if not folded or folded in self.blocked:
            return True
        if folded[0] in "0 -./_" and _is_zeros(folded):
            return True
        if kind == "email" and folded.startswith("test@"):
            return True
        if kind == "phone" and value == _PLACEHOLDER_PHONE:
            return True
        return any(pattern.fullmatch(value) for pattern in self.patterns)


def _is_zeros(text: str) -> bool:
    bare = text.translate(_SEPARATORS)
    return bool(bare) and not bare.strip("0")
