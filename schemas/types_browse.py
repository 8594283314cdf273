"""What the browse events say. Prices are in the setting's currency."""

from pydantic import Field

from schemas.fields import Data, Millis, Money, Name, Quantity, Text


class PageViewed(Data):
    """A page was looked at."""

    url: Text = Field(description="The page's address.")
    title: Text | None = Field(default=None, description="The page's title.")
    dwell_ms: Millis | None = Field(default=None, description="How long it was looked at, in milliseconds.")


class ProductViewed(Data):
    """A product's page was looked at."""

    sku: Name = Field(description="The product's code.")
    category: Text | None = Field(default=None, description="The category it is sold under.")
    price: Money | None = Field(default=None, description="The price that was shown, in the setting's currency.")


class CategoryViewed(Data):
    """A category's page was looked at."""

    category: Text = Field(description="The category.")


class SearchPerformed(Data):
    """Something was searched for."""

    query: Text = Field(description="What was typed.")


class CartAdded(Data):
    """Something was put into a cart."""

    sku: Name = Field(description="The product's code.")
    quantity: Quantity = Field(description="How many were added.")
    cart_id: Text | None = Field(default=None, description="Which cart; without one, the person's cart without an id.")
    unit_price: Money | None = Field(default=None, description="The price of one, in the setting's currency.")
    category: Text | None = Field(default=None, description="The category it is sold under.")


class CartRemoved(CartAdded):
    """Something was taken out of a cart."""

    quantity: Quantity = Field(description="How many were removed.")


class CartCleared(Data):
    """A cart was emptied."""

    cart_id: Text | None = Field(default=None, description="Which cart; without one, the person's cart without an id.")


class CheckoutStarted(Data):
    """The way to the till was begun."""

    cart_id: Text | None = Field(default=None, description="Which cart.")


class AppOpened(Data):
    """The app was opened."""

    channel: Text | None = Field(default=None, description="Which app: ios, android, a mini program.")
