"""Exact money: decimal text to integer minor units of an ISO 4217 currency, and back.

Nothing here goes through binary floats, and nothing grows with the size of a number: the digits are judged as text
before any arithmetic, so that 5,000 digits or an exponent of a billion cost no more than a look.
"""

import re
from decimal import Decimal
from typing import NamedTuple

MAX_MINOR = 10**15
"""The largest amount, in minor units of any currency."""

_MAX_DIGITS = len(str(MAX_MINOR))
_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?)([0-9]+))?")
_FAR = 10**12  # an exponent beyond the length of any line: its exact size no longer matters

_CODES_BY_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
        CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF
        IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK
        MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP
        SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG
        YER ZAR ZMW ZWG
        ANG BGN CUC HRK SLL ZWL
    """,  # the last row was withdrawn since 2021 and still stands in order histories
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
DECIMALS: dict[str, int] = {code: places for places, codes in _CODES_BY_DECIMALS.items() for code in codes.split()}
"""Decimals of each currency. Codes without a minor unit (gold, test codes) are no currency of a price."""

MAX_DECIMALS = max(DECIMALS.values())


def exponent(currency: str) -> int | None:
    """Return how many decimals the currency has (CNY 2, JPY 0, KWD 3), or None for a code that is not one."""
    return DECIMALS.get(currency)


class Amount(NamedTuple):
    """A decimal number as `digits` x 10^`power`: no leading or trailing zeros in `digits`; zero has no digits."""

    negative: bool
    digits: str
    power: int


def parse_amount(text: str) -> Amount:
    """Read decimal text (`[+-]?digits[.digits][e[+-]digits]`, ASCII) by value, whatever its length.

    Raises ValueError when it is not such a number.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError("must be a decimal number such as 19.99")
    sign, whole, fraction, power_sign, power_text = match.groups(default="")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return Amount(False, "", 0)
    significant = digits.rstrip("0")
    power_text = power_text.lstrip("0")
    power = _FAR if len(power_text) > 12 else int(power_text or "0")
    if power_sign == "-":
        power = -power
    return Amount(sign == "-", significant, power - len(fraction) + len(digits) - len(significant))


def scaled(amount: Amount, decimals: int, currency: str) -> int:
    """Return the amount as an integer with `decimals` decimals. Raises ValueError when it does not fit."""
    if not amount.digits:
        return 0
    if amount.negative:
        raise ValueError("must not be negative")
    power = amount.power + decimals
    if len(amount.digits) + power > _MAX_DIGITS:
        raise ValueError("is too large: at most 10^15 minor units")
    if power < 0:
        allowed = "no decimals" if decimals == 0 else f"at most {decimals} decimals"
        raise ValueError(f"has too many decimals: {currency} has {allowed}")
    minor = int(amount.digits + "0" * power)
    if minor > MAX_MINOR:
        raise ValueError("is too large: at most 10^15 minor units")
    return minor


def exact(text: str) -> Decimal:
    """Return decimal text as a Decimal, judged by what holds in every currency.

    Raises ValueError when it is not a number, negative, above 10^15 or finer than four decimals.
    """
    amount = parse_amount(text)
    if amount.digits and amount.power < -MAX_DECIMALS:
        raise ValueError(f"has too many decimals: no currency has more than {MAX_DECIMALS}")
    units = scaled(amount._replace(power=max(amount.power, 0)), 0, "")  # whether it is too large or negative
    return Decimal(units) if amount.power >= 0 else Decimal(amount.digits or "0").scaleb(amount.power)


def to_minor(value: str | int | Decimal, currency: str) -> int:
    """Return an amount in minor units of its currency, exactly: "19.99", "1999e-2" CNY -> 1999; 5 JPY -> 5.

    Raises ValueError in plain words: not a number, negative, above 10^15 minor units, more decimals than the
    currency has (by value: 1.000 JPY is 1), or a currency that ISO 4217 does not know.
    """
    decimals = DECIMALS.get(currency)
    if decimals is None:
        raise ValueError(f"unknown currency {currency[:10]!r}")
    if isinstance(value, int):
        if isinstance(value, bool):
            raise ValueError("must be a decimal number such as 19.99")
        if value > MAX_MINOR:
            raise ValueError("is too large: at most 10^15 minor units")
        value = str(max(value, -1))  # the size of a negative one does not matter, and may be too long to print
    return scaled(parse_amount(str(value)), decimals, currency)


def format_minor(minor: int, currency: str) -> str:
    """Return minor units as decimal text with all the currency's decimals: 1999 CNY -> "19.99", -5 CNY -> "-0.05".

    Raises ValueError for an unknown currency.
    """
    decimals = DECIMALS.get(currency)
    if decimals is None:
        raise ValueError(f"unknown currency {currency[:10]!r}")
    if decimals == 0:
        return str(minor)
    whole, fraction = divmod(abs(minor), 10**decimals)
    return f"{'-' if minor < 0 else ''}{whole}.{fraction:0{decimals}d}"
