"""Normalising identifiers: the section Identifiers of identity.md."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import phonenumbers
from email_validator import EmailNotValidError, validate_email

Identifier = tuple[str, str]

BLOCKED = {
    "", "null", "nil", "none", "undefined", "unknown", "anonymous", "guest", "user", "test", "n/a", "na", "nan",
    "true", "false", "-", "[object object]", "not set", "(not set)",
}  # fmt: skip


def blocked(kind: str, value: str) -> bool:
    low = value.lower()
    if low in BLOCKED:
        return True
    bare = "".join(c for c in low if c not in " -./_")
    if bare and set(bare) == {"0"}:
        return True
    if kind == "email" and low.startswith("test@"):
        return True
    return kind == "phone" and value == "+8613800138000"


@lru_cache(maxsize=100_000)
def normalise(kind: str, raw: str, region: str) -> tuple[str | None, str]:
    """The value, or None and why: "blocked" or "invalid"."""
    if blocked(kind, raw):
        return None, "blocked"
    value = unicodedata.normalize("NFKC", raw).strip()
    if blocked(kind, value):
        return None, "blocked"
    if kind == "phone":
        if any(unicodedata.category(c).startswith("L") for c in value):
            return None, "invalid"
        try:
            number = phonenumbers.parse(value, region)
        except phonenumbers.NumberParseException:
            return None, "invalid"
        if not phonenumbers.is_valid_number(number):
            return None, "invalid"
        value = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    elif kind == "email":
        value = value.lower()
        try:
            validate_email(value, check_deliverability=False, test_environment=True)
        except EmailNotValidError:
            return None, "invalid"
    if blocked(kind, value):
        return None, "blocked"
    return value, ""
