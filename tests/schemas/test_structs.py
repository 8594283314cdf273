import msgspec
import pytest

from schemas.fields import Model, Money
from schemas.structs import amount_fields, listed_amounts, struct_of
from schemas.types_order import Item, OrderPaid


def test_amounts_are_found_where_the_models_have_them() -> None:
    assert amount_fields(Item) == (("unit_price", True),)
    assert amount_fields(OrderPaid) == (("amount", False), ("discount", False), ("shipping", False))
    assert listed_amounts(OrderPaid) == (("items", (("unit_price", True),)),)


def test_limits_of_the_model_are_limits_of_the_struct() -> None:
    decode = msgspec.json.Decoder(struct_of(Item)).decode
    assert decode(b'{"sku":"A","quantity":1000000,"unit_price":1}').quantity == 1_000_000
    for bad in (b'{"sku":"","quantity":1,"unit_price":1}', b'{"sku":"A","quantity":1000001,"unit_price":1}'):
        with pytest.raises(msgspec.ValidationError):
            decode(bad)


def test_a_field_that_the_structs_cannot_hold_stops_the_import() -> None:
    class Unheard(Model):
        price: Money
        when: bytes

    with pytest.raises(TypeError, match="no struct type"):
        struct_of(Unheard)
