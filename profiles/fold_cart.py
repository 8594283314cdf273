"""How cart events, and orders that empty carts, change a part."""

from typing import Any

from profiles.part import CartPart, Delta, Key, Part
from profiles.weights import ADD, weigh_category

MAX_DELTAS = 128
MAX_LINES = 2_000
MAX_CARTS = 1_000


def clear_all(part: Part, key: Key) -> None:
    """Empty all carts of the part as of `key`, and remember it for those of other parts."""
    if part.cleared is not None and key <= part.cleared:
        return
    part.cleared = key
    if part.carts is None:
        return
    for cart_id, cart in list(part.carts.items()):
        if cart.cleared is not None and cart.cleared <= key:
            cart.cleared = None
        _drop(cart, key)
        if cart.cleared is None and not cart.lines:
            del part.carts[cart_id]
    if not part.carts:
        part.carts = None


def _cart(part: Part, cart_id: str) -> CartPart:
    carts = part.carts
    if carts is None:
        carts = part.carts = {}
    cart = carts.get(cart_id)
    if cart is None:
        cart = carts[cart_id] = CartPart()
        if len(carts) > MAX_CARTS:
            _drop_oldest_cart(carts, cart_id)
    return cart


def clear(part: Part, key: Key, cart_id: str) -> None:
    """Empty one cart as of `key`; '' is the cart without an id."""
    if part.cleared is not None and key <= part.cleared:
        return
    cart = _cart(part, cart_id)
    if cart.cleared is None or key > cart.cleared:
        cart.cleared = key
        _drop(cart, key)


def _drop(cart: CartPart, key: Key) -> None:
    """Drop the deltas that a clearing at `key` has undone."""
    lines = {}
    for sku, deltas in cart.lines.items():
        left = [delta for delta in deltas if delta[:2] > key]
        if left:
            lines[sku] = left
    cart.lines = lines


def _cleared(part: Part, at: int, event_id: str, data: Any) -> None:
    cart_id = None if data is None else data.cart_id
    clear(part, (at, event_id), cart_id or "")


def _added(part: Part, at: int, event_id: str, data: Any) -> None:
    if data.category is not None:
        weigh_category(part, data.category, ADD)
    _change(part, (at, event_id, data.quantity, data.unit_price, data.category), data.cart_id or "", data.sku)


def _removed(part: Part, at: int, event_id: str, data: Any) -> None:
    _change(part, (at, event_id, -data.quantity, data.unit_price, data.category), data.cart_id or "", data.sku)


def _change(part: Part, delta: Delta, cart_id: str, sku: str) -> None:
    key = delta[:2]
    if part.cleared is not None and key <= part.cleared:
        return
    cart = _cart(part, cart_id)
    if cart.cleared is not None and key <= cart.cleared:
        return
    deltas = cart.lines.get(sku)
    if deltas is None:
        cart.lines[sku] = [delta]
        if len(cart.lines) > MAX_LINES:
            del cart.lines[min(cart.lines, key=lambda line: max(cart.lines[line])[:2])]
        return
    deltas.append(delta)
    if len(deltas) > MAX_DELTAS:
        cart.lines[sku] = add_up(deltas)


def add_up(deltas: list[Delta]) -> list[Delta]:
    """Return the deltas with the older half added up into one, at the time of the newest of them."""
    deltas = sorted(deltas, key=lambda delta: delta[:2])
    half = len(deltas) // 2
    at, event_id, quantity, price, category = deltas[0]
    for delta in deltas[1:half]:
        at, event_id = delta[:2]
        quantity += delta[2]
        price = price if delta[3] is None else delta[3]
        category = category if delta[4] is None else delta[4]
    return [(at, event_id, quantity, price, category), *deltas[half:]]


def _drop_oldest_cart(carts: dict[str, CartPart], spare: str) -> None:
    """Drop the cart, other than the new one, that was changed or emptied longest ago."""

    def changed(cart_id: str) -> Key:
        cart = carts[cart_id]
        newest: Key = max((max(deltas)[:2] for deltas in cart.lines.values()), default=(-1, ""))
        return newest if cart.cleared is None else max(newest, cart.cleared)

    del carts[min((cart_id for cart_id in carts if cart_id != spare), key=changed)]


HANDLERS = {"cart.added": _added, "cart.removed": _removed, "cart.cleared": _cleared}
