"""The generated year: repeatable, valid but for what is broken on purpose, and lifelike enough to test against."""

from collections import Counter
from datetime import UTC, date, datetime
from itertools import pairwise as neighbours
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingest.admit import Admission
from ingest.generator import END_MS, Truth, generate, pairwise, write
from ingest.generator_catalogue import CATEGORIES, CHEAP, CONSUMABLES, DEAR, PRODUCTS
from ingest.generator_life import season
from ingest.generator_tape import BREAKS, spell_time
from schemas.contract import EVENT_MODELS
from schemas.decode import Decoder
from schemas.errors import InvalidEvent
from schemas.settings import Settings
from schemas.times import parse_rfc3339

CUSTOMERS = 400


@pytest.fixture(scope="module")
def year() -> tuple[list[bytes], Truth]:
    made = generate(customers=CUSTOMERS, seed=3)
    return list(made), made.truth


@pytest.fixture(scope="module")
def events(year: tuple[list[bytes], Truth]) -> list[dict[str, Any]]:
    """The good events: those that decode, each id once."""
    decode = Decoder("CNY").decode
    found: dict[str, dict[str, Any]] = {}
    for line in year[0]:
        try:
            decode(line.rstrip(b"\n"))
        except InvalidEvent:
            continue
        event = msgspec.json.decode(line)
        if not event["id"].endswith("-x"):
            found.setdefault(event["id"], event)
    return list(found.values())


def at_ms(event: dict[str, Any]) -> int:
    return event["time"] if isinstance(event["time"], int) else parse_rfc3339(event["time"])


def test_the_same_seed_gives_the_same_bytes(year: tuple[list[bytes], Truth]) -> None:
    again = generate(customers=CUSTOMERS, seed=3)
    assert list(again) == year[0]
    assert again.truth == year[1]
    assert list(generate(customers=5, seed=4)) != list(generate(customers=5, seed=5))


def test_the_counts_are_those_of_the_lines() -> None:
    made = generate(customers=60)
    lines = list(made)
    counts = made.counts
    assert len(lines) == counts.events + counts.duplicates + counts.broken
    assert min(counts.events, counts.duplicates, counts.broken) > 0


def test_every_line_is_one_line(year: tuple[list[bytes], Truth]) -> None:
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in year[0])


def test_only_what_is_broken_on_purpose_is_refused(year: tuple[list[bytes], Truth]) -> None:
    decode = Decoder("CNY").decode
    reasons: Counter[str] = Counter()
    for line in year[0]:
        try:
            decode(line.rstrip(b"\n"))
        except InvalidEvent as error:
            reasons[error.reason] += 1
            # cut, spoilt or without its id; whatever still has an id carries the mark of a broken line
            readable = b'"id":"' in line and error.reason != "not_json"
            assert not readable or b'-x",' in line, line[:300]
    assert set(reasons) >= {"not_json", "invalid", "too_large"}
    assert 0.0002 < reasons.total() / len(year[0]) < 0.003


def test_every_kind_of_breakage_is_refused() -> None:
    admission = Admission(Settings())
    event: dict[str, Any] = {
        "id": "web-1-x",
        "type": "page.viewed",
        "time": 1_760_000_000_000,
        "identifiers": {"phone": "13912345678"},
        "data": {"url": "https://shop.example.cn/"},
        "source": "web",
    }
    admission.admit(msgspec.json.encode(event))
    reasons = set()
    for breakage in BREAKS:
        for seed in range(6):
            with pytest.raises(InvalidEvent) as caught:
                admission.admit(breakage(Random(seed), event))
            reasons.add(caught.value.reason)
    assert reasons == {"not_json", "invalid", "unknown_type", "no_identifier", "invalid_link"}


def test_every_type_of_event_occurs(events: list[dict[str, Any]]) -> None:
    assert EVENT_MODELS.keys() - {event["type"] for event in events} <= {"customer.unlinked"}


def test_nothing_happens_after_the_end_and_the_year_is_full(events: list[dict[str, Any]]) -> None:
    times = [at_ms(event) for event in events]
    assert max(times) < END_MS
    assert min(times) >= END_MS - 365 * 86_400_000
    assert max(times) - min(times) > 330 * 86_400_000


def test_the_end_is_midnight_in_shanghai() -> None:
    assert datetime.fromtimestamp(END_MS / 1000, UTC) == datetime(2026, 6, 30, 16, tzinfo=UTC)


def test_lines_arrive_late_and_twice(year: tuple[list[bytes], Truth], events: list[dict[str, Any]]) -> None:
    times = [at_ms(event) for event in events]
    assert sum(later < earlier - 3_600_000 for earlier, later in neighbours(times)) > 20
    repeats = Counter(year[0])
    assert sum(count > 1 for count in repeats.values()) > 20
    ids = Counter(msgspec.json.decode(line)["id"] for line in set(year[0]) if line.startswith(b'{"source":"'))
    assert ids.total() > 10  # the same content in another order of keys


def test_people_browse_before_they_sign_in(events: list[dict[str, Any]]) -> None:
    seen: set[str] = set()
    before = 0
    for event in sorted(events, key=at_ms):
        identifiers = event.get("identifiers") or {}
        cookie = identifiers.get("anonymous_id", "")
        if event["type"] == "customer.identified" and cookie in seen:
            before += 1
        if list(identifiers) == ["anonymous_id"]:
            seen.add(cookie)
    assert before > 10


def test_a_shop_phone_is_typed_for_many_members() -> None:
    made = generate(customers=1500, seed=2)
    members: dict[str, set[str]] = {}
    for line in made:
        if b"customer.identified" not in line or b"member_id" not in line or b"phone" not in line:
            continue
        identifiers = msgspec.json.decode(line).get("identifiers", {})
        members.setdefault("phone:+86" + str(identifiers.get("phone", ""))[-11:], set()).add(identifiers["member_id"])
    shops = {ident for ident in made.truth.shared if ident.startswith("phone:")}
    assert shops
    assert max(len(members.get(shop, ())) for shop in shops) > 5


def test_phones_are_spelled_in_many_ways(events: list[dict[str, Any]]) -> None:
    phones = [event["identifiers"]["phone"] for event in events if "phone" in (event.get("identifiers") or {})]
    for mark in ("+86 ", "0086", "-", "１"):
        assert any(mark in phone for phone in phones), mark


def test_the_sales_are_busier_and_the_new_year_is_quieter_than_usual() -> None:
    usual = season(date(2026, 4, 15))
    assert season(date(2025, 11, 11)) > 3 * usual
    assert season(date(2026, 6, 18)) > 2.5 * usual
    assert season(date(2026, 2, 17)) < 0.5 * usual


def test_the_catalogue_has_something_for_every_purse() -> None:
    assert len({product.sku for product in PRODUCTS}) == len(PRODUCTS)
    assert len(CATEGORIES) == 9
    assert min(len(CHEAP), len(DEAR), len(CONSUMABLES)) > 10
    assert next(product for product in PRODUCTS if product.sku == "CF-1002").price_minor == 6990


@given(instant=st.integers(0, 4_000_000_000_000), style=st.sampled_from([0, 1, 2]))
@hypothesis_settings(max_examples=200)
def test_a_spelled_time_reads_back(instant: int, style: int) -> None:
    text = spell_time(instant, style, {})
    back = text if isinstance(text, int) else parse_rfc3339(text)
    assert back == (instant // 1000 * 1000 if style == 1 else instant)


def test_the_truth_survives_a_file(tmp_path: Path, year: tuple[list[bytes], Truth]) -> None:
    year[1].save(tmp_path / "truth.parquet")
    loaded = Truth.load(tmp_path / "truth.parquet")
    assert loaded.owners == year[1].owners
    assert loaded.shared.keys() == year[1].shared.keys()


def test_writing_gives_the_lines_and_the_truth(tmp_path: Path) -> None:
    counts = write(tmp_path / "year.jsonl", tmp_path / "truth.parquet", customers=20, days=60)
    lines = (tmp_path / "year.jsonl").read_bytes().splitlines()
    assert len(lines) == counts.events + counts.duplicates + counts.broken
    assert len(set(Truth.load(tmp_path / "truth.parquet").owners.values())) == 20


def test_a_short_time_of_few_people_works() -> None:
    assert list(generate(customers=1, days=1))
    with pytest.raises(ValueError, match="at least 1"):
        generate(customers=0)


def brute_force(truth: Truth, found: list[tuple[str, str]]) -> tuple[float, float]:
    known = [(one_id, truth.owners[ident]) for one_id, ident in found if ident in truth.owners]
    pairs = [(a, b) for place, a in enumerate(known) for b in known[place + 1 :]]
    both = sum(a == b for a, b in pairs)
    together = sum(a[0] == b[0] for a, b in pairs)
    belonging = sum(a[1] == b[1] for a, b in pairs)
    return both / together if together else 1.0, both / belonging if belonging else 1.0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4) | st.none()), max_size=25))
@hypothesis_settings(max_examples=150)
def test_agreement_by_counting_equals_agreement_pair_by_pair(rows: list[tuple[int, int | None]]) -> None:
    truth = Truth({f"phone:{place}": person for place, (_, person) in enumerate(rows) if person is not None})
    found = [(f"one-{group}", f"phone:{place}") for place, (group, _) in enumerate(rows)]
    agreement = pairwise(truth, found)
    assert (agreement.precision, agreement.recall) == pytest.approx(brute_force(truth, found))
    assert agreement.identifiers + agreement.left_out == len(rows)


def test_agreement_tells_too_much_from_too_little() -> None:
    truth = Truth({"phone:1": 0, "email:1": 0, "phone:2": 1, "email:2": 1}, {"device_id:k": None})
    right = [("a", "phone:1"), ("a", "email:1"), ("b", "phone:2"), ("b", "email:2"), ("b", "device_id:k")]
    assert (pairwise(truth, right).f1, pairwise(truth, right).exact, pairwise(truth, right).left_out) == (1.0, 2, 1)
    merged = pairwise(truth, [("a", ident) for _, ident in right])
    assert (round(3 * merged.precision, 9), merged.recall, merged.people_found) == (1.0, 1.0, 1)
    apart = pairwise(truth, [(ident, ident) for _, ident in right])
    assert (apart.precision, apart.recall, apart.f1, apart.found_sizes) == (1.0, 0.0, 0.0, {1: 4})
    only_phones = pairwise(truth, right, kinds={"phone"})
    assert (only_phones.identifiers, only_phones.people_true) == (2, 2)
