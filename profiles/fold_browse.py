"""How browse events other than those of carts change a part."""

from typing import Any

from profiles.part import Key, Part
from profiles.weights import VIEW, VISIT, weigh_category, weigh_channel

QUARTER_MS = 900_000
"""Every time zone's day begins on a quarter of an hour of UTC, so one view a quarter finds the first of any day."""

VIEWS = 500
"""Quarter hours with a view that a part keeps, the newest: years of a usual customer, weeks of a restless one."""
VIEWS_SLACK = 50  # sorting once in so many new quarters instead of at each

VIEWED = 20
VIEWED_SLACK = 6  # sorting once in six new products instead of at each


def _product_viewed(part: Part, at: int, event_id: str, data: Any) -> None:
    key = (at, event_id)
    sku = data.sku
    viewed = part.viewed
    if viewed is None:
        part.viewed = {sku: key}
    else:
        known = viewed.get(sku)
        if known is None:
            viewed[sku] = key
            if len(viewed) > VIEWED + VIEWED_SLACK:
                part.viewed = dict(sorted(viewed.items(), key=lambda entry: entry[1])[-VIEWED:])
        elif key > known:
            viewed[sku] = key
    views = part.views
    quarter = at // QUARTER_MS
    if views is None:
        part.views = {quarter: key}
    else:
        known = views.get(quarter)
        if known is None:
            views[quarter] = key
            if len(views) > VIEWS + VIEWS_SLACK:
                part.views = newest_views(views)
        elif key < known:
            views[quarter] = key
    category = data.category
    if category is not None:
        weigh_category(part, category, VIEW)


def newest_views(views: dict[int, Key]) -> dict[int, Key]:
    """Return the views of the newest quarters that a part keeps."""
    return views if len(views) <= VIEWS else {quarter: views[quarter] for quarter in sorted(views)[-VIEWS:]}


def _category_viewed(part: Part, at: int, event_id: str, data: Any) -> None:
    weigh_category(part, data.category, VIEW)


def _app_opened(part: Part, at: int, event_id: str, data: Any) -> None:
    if data is not None and data.channel is not None:
        weigh_channel(part, data.channel, VISIT)


HANDLERS = {
    "product.viewed": _product_viewed,
    "category.viewed": _category_viewed,
    "app.opened": _app_opened,
}
