"""Identifiers compare equal when they mean the same, and the short cuts change nothing."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from identity.normalise import Normaliser, email, email_by_library, phone, phone_by_library
from identity.policy import Policy
from schemas.errors import ConfigError, InvalidEvent
from schemas.settings import BlockSettings, IdentitySettings, KindSettings, Settings

digits = st.text("0123456789", min_size=0, max_size=13)
mobiles = st.builds("{}{}{}{}{}".format, st.sampled_from(["", "+86", "+86 ", "+86-", "86", "0", "0086", "+"]),
                    st.sampled_from(["13", "14", "15", "16", "17", "18", "19", "161", "1740", "1", "12"]),
                    digits, st.sampled_from(["", " ", "-", "x"]), digits)  # fmt: skip
grouped = st.builds(
    "{}{}{}{}{}{}".format,
    st.sampled_from(["", "+86", "+86 ", "+86-"]),
    st.from_regex(r"1[0-9]{2}", fullmatch=True),
    st.sampled_from(["", " ", "-"]),
    st.from_regex(r"[0-9]{4}", fullmatch=True),
    st.sampled_from(["", " ", "-"]),
    st.from_regex(r"[0-9]{4}", fullmatch=True),
)


@settings(max_examples=400, deadline=None)
@given(mobiles | grouped | st.text("+0123456789 -()", max_size=16))
@example("13912345678")
@example("17401234567")
@example("17991234567")
def test_a_phone_is_what_the_library_makes_of_it(text: str) -> None:
    assert phone(text, "CN") == phone_by_library(text, "CN")


words = st.text("ab1_.+-", min_size=0, max_size=8) | st.sampled_from(["xn--a", "a--b", "x" * 63, "x" * 64, "test"])
domains = st.lists(words, min_size=1, max_size=4).map(".".join)
tops = st.sampled_from(["com", "cn", "net", "org", "edu", "io", "test", "local", "invalid", "com.cn", "COM", "c", ""])


@settings(max_examples=400, deadline=None)
@given(st.builds("{}@{}.{}".format, words, domains, tops) | st.text(max_size=20))
@example("Some.Body+tag@Mail-1.Example.COM")
def test_an_email_is_what_the_library_makes_of_it(text: str) -> None:
    assert email(text) == email_by_library(text)


def normaliser(**identity: Any) -> Normaliser:
    return Normaliser(Policy.from_settings(Settings(identity=IdentitySettings(**identity))))


def test_identifiers_come_by_the_place_of_their_kind_then_as_listed_and_once() -> None:
    raw = {
        "device_id": "D1",
        "phone": ["139 1234 5678", 13812345678, "+86 139-1234-5678", None],
        "member_id": 42,
        "email": "　Ａnna@Example.com ",
    }
    assert normaliser().identifiers(raw) == (
        "member_id:42",
        "phone:+8613912345678",
        "phone:+8613812345678",
        "email:anna@example.com",
        "device_id:D1",
    )


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(
            ("member_id", v)
            for v in ("", "  ", "0", "000", "0-0 0", "0./_0", "NULL", " null ", "N/A", "[object Object]")
        ),
        *(("card_no", v) for v in ("(not set)", "Not Set", "-", "ＮＵＬＬ", "００", "test", "True", "guest")),
        *(("email", v) for v in ("test@shop.cn", "TEST@shop.cn", "nobody", "a b@c.cn", "@", "")),
        *(("phone", v) for v in ("13800138000", "+86 138 0013 8000", "008613800138000", "１３８００１３８０００")),
        *(
            ("phone", v)
            for v in ("12345", "1391234567a", "ⅠⅡ3912345678", "13912345678 ext 5", "一三九12345678", "9" * 300)
        ),
    ],
)
def test_what_identifies_nobody_is_left_out(kind: str, value: str) -> None:
    one = normaliser()
    assert one.one(kind, value) is None
    assert one.identifiers({kind: value, "external_id": "x"}) == ("external_id:x",)
    assert sum(one.ignored.values()) == 1
    with pytest.raises(InvalidEvent, match=f"no_identifier: .*{kind}"):
        one.identifiers({kind: value})


@pytest.mark.parametrize("value", ["--", "0a", "tests", "undefined2", "0:0", "none@x"])
def test_what_only_resembles_a_blocked_value_stays(value: str) -> None:
    assert normaliser().one("external_id", value) == f"external_id:{value}"


def test_values_and_patterns_are_blocked_before_and_after_normalisation() -> None:
    one = normaliser(block=BlockSettings(values=("Unbekannt", "+8613912345678"), patterns=(r"demo\d+", r"139-.*")))
    assert one.one("member_id", "UNBEKANNT") is None
    assert one.one("member_id", "Demo12") is None
    assert one.one("member_id", "Demo12x") == "member_id:Demo12x"
    assert one.one("phone", "13912345678") is None
    assert one.one("phone", "139-8888-7777") is None
    assert one.one("phone", "13988887777") == "phone:+8613988887777"


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        ({"phone": ["13912345678", True]}, r"identifiers\.phone\[1\]: .*boolean"),
        ({"member_id": 1.0}, r"identifiers\.member_id: "),
        ({"member_id": {"a": 1}}, r"identifiers\.member_id: .*object"),
        ({"member_id": [["x"]]}, r"identifiers\.member_id\[0\]: .*list"),
    ],
)
def test_another_type_of_value_rejects_the_event(raw: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidEvent, match=where) as error:
        normaliser().identifiers(raw)
    assert error.value.reason == "invalid"


def test_an_undeclared_kind_is_counted_and_not_looked_at() -> None:
    one = normaliser()
    assert one.identifiers({"loyalty": {"not": "looked at"}, "Phone": 1.5, "member_id": "m"}) == ("member_id:m",)
    assert one.ignored == {("loyalty", "undeclared"): 1, ("Phone", "undeclared"): 1}


def test_null_is_absent_and_long_integers_keep_their_digits() -> None:
    one = normaliser()
    assert one.identifiers({"member_id": None, "card_no": [10**5000 + 7]}) == (f"card_no:1{'0' * 4999}7",)
    assert not one.ignored
    with pytest.raises(InvalidEvent, match="no_identifier"):
        one.identifiers({"member_id": None, "card_no": []})


def test_a_wrong_pattern_names_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"identity\.block\.patterns\[1\]"):
        Policy.of({"member_id": KindSettings()}, patterns=("fine", "("))


def test_the_order_of_the_settings_is_the_order_of_priority() -> None:
    kinds = {"phone": KindSettings(), "card": KindSettings(strength="weak", limit=7, hub=None)}
    policy = Policy.from_settings(Settings(identity=IdentitySettings(kinds=kinds, order=("card", "phone"))))
    assert (policy.kinds, policy.limit, policy.strong) == (("card", "phone"), (7, 20), (False, True))
    assert Normaliser(policy).identifiers({"phone": "13912345678", "card": "c"})[0] == "card:c"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30), st.sampled_from(["phone", "email", "member_id"]))
def test_any_text_is_an_identifier_or_left_out_and_normalising_again_changes_nothing(text: str, kind: str) -> None:
    one = normaliser()
    ident = one.one(kind, text)
    assert one.one(kind, text) == ident
    if ident is not None:
        assert ident.startswith(f"{kind}:")
