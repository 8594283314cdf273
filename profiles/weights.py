"""How much each act says about what a customer likes. Integers, so that sums are exact in any order."""

from profiles.part import Part

VIEW = 1
"""`product.viewed` or `category.viewed`, for its category."""
ADD = 3
"""`cart.added`, for its category."""
BUY = 5
"""Each line of a counted order for its category; each counted order for its channel."""
VISIT = 1
"""`app.opened`, `chat.started` or `message.opened`, for its channel."""
CLICK = 2
"""`message.clicked`, for its channel."""


def weigh_category(part: Part, category: str, weight: int) -> None:
    """Add to the weight of a category."""
    categories = part.categories
    if categories is None:
        part.categories = {category: weight}
    else:
        categories[category] = categories.get(category, 0) + weight


def weigh_channel(part: Part, channel: str, weight: int) -> None:
    """Add to the weight of a channel."""
    channels = part.channels
    if channels is None:
        part.channels = {channel: weight}
    else:
        channels[channel] = channels.get(channel, 0) + weight
