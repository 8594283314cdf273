import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.money import DECIMALS, MAX_MINOR, exact, exponent, format_minor, to_minor


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("19.99", "CNY", 1999),
        ("5", "JPY", 5),
        ("5.000", "JPY", 5),
        ("1.234", "KWD", 1234),
        ("1e2", "CNY", 10000),
        ("1E+2", "CNY", 10000),
        ("1999e-2", "CNY", 1999),
        ("+007.10", "CNY", 710),
        ("-0.00", "CNY", 0),
        ("0e999999999999999999", "CNY", 0),
        ("1." + "0" * 5000, "CNY", 100),
        ("1" + "0" * 5000 + "e-5000", "CNY", 100),
        ("10000000000000", "CNY", MAX_MINOR),
        ("1000000000000000", "JPY", MAX_MINOR),
    ],
)
def test_an_amount_is_judged_by_its_value(text: str, currency: str, minor: int) -> None:
    assert to_minor(text, currency) == minor


@pytest.mark.parametrize(
    ("value", "currency", "words"),
    [
        ("1.999", "CNY", "CNY has at most 2 decimals"),
        ("0.5", "JPY", "JPY has no decimals"),
        ("1.0001", "KWD", "at most 3 decimals"),
        ("-1", "CNY", "negative"),
        (-1, "CNY", "negative"),
        (-(10**4000), "CNY", "negative"),
        ("10000000000000.01", "CNY", "too large"),
        (10**15 + 1, "JPY", "too large"),
        (10**4000, "CNY", "too large"),
        ("9" * 5000, "CNY", "too large"),
        ("1e999999999", "CNY", "too large"),
        ("1e" + "9" * 5000, "CNY", "too large"),
        ("1e-999999999", "CNY", "decimals"),
        ("1." + "1" * 5000, "CNY", "decimals"),
        (Decimal("NaN"), "CNY", "decimal number"),
        (Decimal("Infinity"), "CNY", "decimal number"),
        (True, "CNY", "decimal number"),
        ("1", "cny", "unknown currency"),
        ("1", "XAU", "unknown currency"),
        *[
            (text, "CNY", "decimal number")
            for text in ["", " 1", "1 ", "1\n", "１", "٥", "1_0", ".5", "5.", "1,5", "0x1"]
        ],
    ],
)
def test_what_is_no_exact_amount_is_refused_in_plain_words_and_at_once(value: str, currency: str, words: str) -> None:
    start = time.process_time()
    with pytest.raises(ValueError, match=words):
        to_minor(value, currency)
    assert time.process_time() - start < 0.1


@given(st.integers(0, MAX_MINOR), st.sampled_from(sorted(DECIMALS)))
def test_formatting_and_reading_are_inverse(minor: int, currency: str) -> None:
    text = format_minor(minor, currency)
    assert to_minor(text, currency) == minor
    assert to_minor(Decimal(text), currency) == minor
    assert to_minor(f"{minor}e-{DECIMALS[currency]}", currency) == minor


@given(st.decimals(allow_nan=False, allow_infinity=False), st.sampled_from(["JPY", "CNY", "KWD", "CLF"]))
def test_an_amount_is_accepted_iff_it_is_a_whole_number_of_minor_units_in_range(value: Decimal, currency: str) -> None:
    scale = 10 ** DECIMALS[currency]
    whole = abs(value.adjusted()) < 400 and value * scale == (value * scale).to_integral_value()
    valid = value == 0 or (whole and 0 <= value * scale <= MAX_MINOR)
    try:
        minor = to_minor(str(value), currency)
    except ValueError:
        assert not valid
    else:
        assert valid
        assert minor == value * scale
        assert exact(str(value)) == value


def test_minor_units_are_written_with_all_decimals() -> None:
    assert format_minor(1999, "CNY") == "19.99"
    assert format_minor(-5, "CNY") == "-0.05"
    assert format_minor(5, "JPY") == "5"
    assert format_minor(5, "KWD") == "0.005"
    assert (exponent("CNY"), exponent("JPY"), exponent("KWD"), exponent("CLF"), exponent("XXX")) == (2, 0, 3, 4, None)
