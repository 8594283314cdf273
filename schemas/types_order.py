"""What the order events say."""

from typing import Any

from pydantic import Field

from schemas.fields import Currency, Data, Days, FieldError, Model, Money, Name, Quantity, Text


class _Line(Model):
    """What was bought, and how many."""

    sku: Name = Field(description="The shop's code of what was bought.")
    quantity: Quantity = Field(description="How many.")
    name: Text | None = Field(default=None, description="What the product is called.")
    category: Text | None = Field(default=None, description="The category it is sold under.")
    brand: Text | None = Field(default=None, description="Its brand.")
    consumption_days: Days | None = Field(default=None, description="For how many days one lasts.")


class Item(_Line):
    """One line of an order."""

    unit_price: Money = Field(description="The price of one, in the order's currency.")


class RefundedItem(_Line):
    """One line of a refund; its price may be left out."""

    unit_price: Money | None = Field(default=None, description="The price of one, in the refund's currency.")


class OrderPlaced(Data):
    """An order was placed; it is not yet paid."""

    order_id: Name = Field(description="The order's number, the same in every event about it.")
    items: list[Item] = Field(description="What was ordered, line by line; empty if the lines are not told.")
    amount: Money = Field(description="What is to be paid in all, in `currency`.")
    currency: Currency = Field(description="ISO 4217 code of every amount of the event.")
    cart_id: Text | None = Field(default=None, description="The cart it empties; without one, all of the person's.")
    channel: Text | None = Field(default=None, description="Where it was ordered: app, web, store, a marketplace.")
    store: Text | None = Field(default=None, description="The shop or branch.")
    coupon: Text | None = Field(default=None, description="The coupon that was used.")
    discount: Money | None = Field(default=None, description="What was taken off, in `currency`.")
    shipping: Money | None = Field(default=None, description="What delivery costs, in `currency`.")


class OrderPaid(Data):
    """An order was paid. With items, amount and currency it carries the whole order; all three or none are given."""

    order_id: Name = Field(description="The order's number, the same in every event about it.")
    items: list[Item] | None = Field(default=None, description="What was paid for, line by line.")
    amount: Money | None = Field(default=None, description="What was paid in all, in `currency`.")
    currency: Currency | None = Field(default=None, description="ISO 4217 code of every amount of the event.")
    cart_id: Text | None = Field(default=None, description="The cart it empties; without one, all of the person's.")
    channel: Text | None = Field(default=None, description="Where it was ordered: app, web, store, a marketplace.")
    store: Text | None = Field(default=None, description="The shop or branch.")
    coupon: Text | None = Field(default=None, description="The coupon that was used.")
    discount: Money | None = Field(default=None, description="What was taken off, in `currency`.")
    shipping: Money | None = Field(default=None, description="What delivery costs, in `currency`.")

    @staticmethod
    def complete(data: Any) -> None:
        """Ask for items, amount and currency together."""
        missing = [name for name in ("items", "amount", "currency") if getattr(data, name) is None]
        if 0 < len(missing) < 3:
            raise FieldError(missing[0], "is missing: items, amount and currency are given together or not at all")


class OrderCancelled(Data):
    """An order was called off; if it was paid, what is left of it counts as refunded."""

    order_id: Name = Field(description="The order's number.")
    reason: Text | None = Field(default=None, description="Why, in words.")


class OrderRefunded(Data):
    """Money of an order was given back."""

    order_id: Name = Field(description="The order's number.")
    amount: Money = Field(description="What was given back this time, in `currency`.")
    currency: Currency = Field(description="ISO 4217 code of every amount of the event.")
    items: list[RefundedItem] | None = Field(default=None, description="What was returned.")


class OrderDelivered(Data):
    """An order reached its customer."""

    order_id: Name = Field(description="The order's number.")
