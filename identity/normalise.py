"""From what an event says about someone to identifiers that compare equal when they mean the same."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import PhoneMetadata

from identity.policy import Policy
from schemas.errors import InvalidEvent

Why = Literal["undeclared", "invalid", "blocked"]

# Enough for the visitors of a busy hour; a full cache is emptied, which costs one slow look at each value.
CACHE_VALUES = 1 << 16
CACHE_LENGTH = 256  # nobody's identifier is longer; a line may be a million characters

# A plain address: no quoting, no dash pairs (punycode), no name that is reserved; the library accepts all of these.
_PLAIN_EMAIL = re.compile(
    r"[a-z0-9_]+(?:[.+-][a-z0-9_]+)*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.){1,3}(?:com|cn|net|org|edu|io)", re.ASCII
)
_PLAIN_EMAIL_LENGTH = 64  # under the 254 of an address and the 63 of a label


def _cn_mobile() -> re.Pattern[str]:
    """Return the mobile numbers of the library's own table, bare or grouped 3-4-4 after an optional +86."""
    metadata = PhoneMetadata.metadata_for_region("CN")
    pattern = None if metadata is None or metadata.mobile is None else metadata.mobile.national_number_pattern
    return re.compile("(?!)" if pattern is None else pattern, re.ASCII)


_CN_MOBILE = _cn_mobile()
_CN_GROUPED = re.compile(r"(?:\+86[ -]?)?(1[0-9]{2})[ -]?([0-9]{4})[ -]?([0-9]{4})", re.ASCII)


def phone(text: str, region: str) -> str | None:
    """Return the E.164 form of a number that is valid, None otherwise. `region` is that of numbers without a +."""
    if region == "CN" and text.isascii():
        grouped = _CN_GROUPED.fullmatch(text)
        if grouped is not None:
            number = "".join(grouped.groups())
            if _CN_MOBILE.fullmatch(number) is not None:
                return "+86" + number
    return phone_by_library(text, region)


def phone_by_library(text: str, region: str) -> str | None:
    """Return what `phone` returns, without its short cut."""
    if any(map(str.isalpha, text)):
        return None
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def email(text: str) -> str | None:
    """Return the lower-cased address if it is valid, None otherwise."""
    value = text.lower()
    if len(value) <= _PLAIN_EMAIL_LENGTH and _PLAIN_EMAIL.fullmatch(value) is not None:
        return value
    return email_by_library(text)


def email_by_library(text: str) -> str | None:
    """Return what `email` returns, without its short cut."""
    value = text.lower()
    try:
        validate_email(value, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return None
    return value


class Normaliser:
    """Normalises identifiers under one policy and counts, by (kind, why), those it left out."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.ignored: Counter[tuple[str, Why]] = Counter()
        self._place = policy.place
        self._known: dict[str, dict[str, str | tuple[Why]]] = {kind: {} for kind in policy.kinds}

    def identifiers(self, raw: Mapping[str, Any]) -> tuple[str, ...]:
        """Return an event's identifiers `kind:value`: i1, i2 ... by the kind's place, then as listed, without repeats.

        `raw` maps a kind to a string, an integer, null or a list of these. Raises InvalidEvent `invalid` for another
        type of value under a declared kind, and `no_identifier` when none is left.
        """
        found: list[tuple[int, str]] = []
        left_out: list[tuple[str, Why]] = []
        top = -1
        in_order = True
        for kind, value in raw.items():
            known = self._known.get(kind)
            if known is None:
                left_out.append((kind, "undeclared"))
                continue
            place = self._place[kind]
            if place < top:
                in_order = False
            top = place
            if type(value) is list:
                texts = [_text(item, kind, number) for number, item in enumerate(value)]
            else:
                texts = [value if type(value) is str else _text(value, kind, None)]
            for text in texts:
                if text is None:
                    continue
                result = known.get(text)
                if result is None:
                    result = self._look(kind, text, known)
                if isinstance(result, str):
                    found.append((place, result))
                else:
                    left_out.append((kind, result[0]))
        if left_out:
            self.ignored.update(left_out)
        if not in_order:
            found.sort(key=_by_place)
        idents = tuple(dict.fromkeys([ident for _, ident in found]))
        if not idents:
            raise InvalidEvent("no_identifier", "identifiers: none is usable" + _listing(left_out))
        return idents

    def one(self, kind: str, value: object) -> str | None:
        """Return the identifier of one value, None if its kind is not declared or the value blocked or invalid.

        Raises InvalidEvent `invalid` for a value that is neither a string nor an integer nor null.
        """
        known = self._known.get(kind)
        if known is None:
            return None
        text = _text(value, kind, None)
        if text is None:
            return None
        result = known.get(text)
        if result is None:
            result = self._look(kind, text, known)
        return result if isinstance(result, str) else None

    def _look(self, kind: str, text: str, known: dict[str, str | tuple[Why]]) -> str | tuple[Why]:
        value = self._normal(kind, text)
        result: str | tuple[Why] = value if isinstance(value, tuple) else f"{kind}:{value}"
        if len(text) <= CACHE_LENGTH:
            if len(known) >= CACHE_VALUES:
                known.clear()
            known[text] = result
        return result

    def _normal(self, kind: str, text: str) -> str | tuple[Why]:
        policy = self.policy
        if policy.is_blocked(kind, text):
            return ("blocked",)
        clean = (text if text.isascii() else unicodedata.normalize("NFKC", text)).strip()
        value: str | None = clean
        if kind == "phone":
            value = phone(clean, policy.region) if clean else ""
        elif kind == "email":
            value = email(clean) if clean else ""
        if value is None:
            return ("blocked",) if policy.is_blocked(kind, clean) else ("invalid",)
        if value is not text and policy.is_blocked(kind, value):
            return ("blocked",)
        return value


def _by_place(item: tuple[int, str]) -> int:
    return item[0]


def _text(value: object, kind: str, number: int | None) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        # By way of Decimal, as `str` refuses integers of more than 4,300 digits.
        return str(value) if -(1 << 64) < value < 1 << 64 else str(Decimal(value))
    where = f"identifiers.{kind}" + ("" if number is None else f"[{number}]")
    raise InvalidEvent("invalid", f"{where}: a string is needed, this is {_type_name(value)}")


def _type_name(value: object) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (float, Decimal)):
        return "a number that is not an integer"
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, (list, tuple)) else f"a {type(value).__name__}"


def _listing(left_out: list[tuple[str, Why]]) -> str:
    if not left_out:
        return ""
    return ": " + ", ".join(f"{kind} {why}" for kind, why in dict.fromkeys(left_out))
