"""The structs and the pydantic models accept and refuse the same events, with the same values."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.contract import DATA_MODELS
from schemas.decode import Decoder, Raw
from schemas.errors import InvalidEvent
from tests.schemas.odd_json import HARD, ODD, Node, encoded
from tests.schemas.samples import FULL, event

DECODER = Decoder("CNY")
TYPES = [*sorted(DATA_MODELS), "custom.any"]


def exact(line: bytes) -> Raw | InvalidEvent:
    try:
        return DECODER.decode_exact(line)
    except InvalidEvent as error:
        return error


def shown(value: Any) -> str:
    """Tell 1 from 1.0, True and -0.0, which compare equal."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{shown(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    if hasattr(value, "__struct_fields__"):
        return type(value).__name__ + shown({name: getattr(value, name) for name in value.__struct_fields__})
    return repr(value)


def assert_agreement(line: bytes, hard: bool = False) -> bool:
    """Return whether the event is valid."""
    fast, slow = DECODER.decode_fast(line), exact(line)
    if isinstance(slow, InvalidEvent):
        assert fast is None, (line, slow)
        assert slow.detail
        return False
    if fast is None:
        assert hard, line
    else:
        assert shown(fast) == shown(slow)
    assert shown(DECODER.decode(line)) == shown(slow)
    return True


@pytest.mark.parametrize("event_type", TYPES)
def test_every_odd_value_in_every_place_of_every_type_is_judged_alike(event_type: str) -> None:
    tree = Node.of(event(event_type, source="s", schema_version=1, specversion="1.0"))
    accepted = refused = 0
    for node in tree.nodes():
        for pair in node.pairs:
            kept = pair[1]
            for hard, values in ((False, ODD), (True, HARD)):
                for value in values:
                    pair[1] = value
                    if assert_agreement(encoded(tree), hard):
                        accepted += 1
                    else:
                        refused += 1
            pair[1] = kept
    assert accepted > 100
    assert refused > 100


@pytest.mark.parametrize("event_type", TYPES)
def test_each_field_missing_is_judged_alike(event_type: str) -> None:
    tree = Node.of(event(event_type))
    for node in tree.nodes():
        for place in range(len(node.pairs)):
            kept = node.pairs.pop(place)
            assert_agreement(encoded(tree))
            node.pairs.insert(place, kept)


VALUES = st.one_of(
    st.sampled_from(ODD).map(lambda value: (value, False)),
    st.sampled_from(HARD).map(lambda value: (value, True)),
    st.text(max_size=5).map(lambda value: (Node.of(value.encode(errors="replace").decode()), "\0" in value)),
    st.integers().map(lambda value: (str(value), False)),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-10, max_value=10**14).map(
        lambda value: (str(value), False)
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda value: (repr(value), False)),
)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[bytes, bool]:
    event_type = draw(st.sampled_from(TYPES))
    tree = Node.of(event(event_type))
    hard = False
    for _ in range(draw(st.integers(0, 4))):
        node = draw(st.sampled_from(list(tree.nodes())))
        action = draw(st.sampled_from(["replace", "remove", "null", "repeat", "extra", "copy"]))
        if not node.pairs and action != "extra":
            continue
        place = draw(st.integers(0, max(0, len(node.pairs) - 1)))
        value, is_hard = draw(VALUES)
        hard |= is_hard
        if action == "remove":
            node.pairs.pop(place)
        elif action == "null":
            node.pairs[place][1] = "null"
        elif action == "replace":
            node.pairs[place][1] = value
        elif action == "extra":
            name = draw(st.sampled_from(["x", "currency", "complete", "__class__", "items", "amount", "text"]))
            hard |= any(key == name for key, _ in node.pairs)
            node.pairs.append([name, value])
        elif action == "copy":  # a field of another type's data
            other = FULL[draw(st.sampled_from(sorted(FULL)))]
            node.pairs += [[key, Node.of(item)] for key, item in other.items()]
            hard = True
        else:  # of a repeated key the last counts: an odd first one is no reason to refuse
            node.pairs.insert(draw(st.integers(0, len(node.pairs))), [node.pairs[place][0], value])
            hard = True
    line = encoded(tree)
    if draw(st.integers(0, 20)) == 0:
        at = draw(st.integers(0, len(line)))
        line = line[:at] + draw(st.binary(min_size=1, max_size=2)) + line[at:]
        hard = True
    return line, hard


@settings(max_examples=1500, deadline=None)
@given(mutated())
def test_events_changed_at_random_are_judged_alike(case: tuple[bytes, bool]) -> None:
    line, hard = case
    assert_agreement(line, hard)


def test_what_is_sent_as_it_should_be_takes_the_fast_path() -> None:
    for event_type in TYPES:
        assert DECODER.decode_fast(encoded(Node.of(event(event_type)))) is not None
