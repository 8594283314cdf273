"""The carts of a person: deltas of all parts that are newer than what any part knows to have emptied the cart."""

from collections.abc import Sequence

import msgspec

from profiles.part import CartPart, Delta, Key, Part


class CartLine(msgspec.Struct, gc=False, frozen=True):
    """A line that is not empty; the price is the latest stated, in minor units of the setting's currency."""

    quantity: int
    unit_price_minor: int | None
    category: str | None


class Cart(msgspec.Struct, gc=False, frozen=True):
    """A cart that is not empty. `changed` is (time, event id, part key) of its last change; lines are by SKU."""

    cart_id: str
    lines: dict[str, CartLine]
    changed: tuple[int, str, str]

    @property
    def quantity(self) -> int:
        """The sum of the quantities."""
        return sum(line.quantity for line in self.lines.values())

    @property
    def value_minor(self) -> int:
        """Quantity times price over the lines; a line without a price adds nothing."""
        return sum(line.quantity * (line.unit_price_minor or 0) for line in self.lines.values())


def join_carts(parts: Sequence[Part]) -> dict[str, Cart]:
    """Return the carts that are not empty, by id in alphabetical order; '' is the cart without an id."""
    held: dict[str, list[tuple[str, CartPart]]] = {}
    cleared_all: Key | None = None
    for part in parts:
        if part.cleared is not None and (cleared_all is None or part.cleared > cleared_all):
            cleared_all = part.cleared
        if part.carts is not None:
            for cart_id, cart in part.carts.items():
                held.setdefault(cart_id, []).append((part.key, cart))
    carts = {}
    for cart_id in sorted(held):
        joined = _join(cart_id, held[cart_id], cleared_all)
        if joined is not None:
            carts[cart_id] = joined
    return carts


def _join(cart_id: str, held: list[tuple[str, CartPart]], cleared: Key | None) -> Cart | None:
    for _, cart in held:
        if cart.cleared is not None and (cleared is None or cart.cleared > cleared):
            cleared = cart.cleared
    deltas: dict[str, list[Delta]] = {}
    changed: tuple[int, str, str] | None = None
    for part_key, cart in held:
        for sku, line in cart.lines.items():
            for delta in line:
                if cleared is not None and delta[:2] <= cleared:
                    continue
                deltas.setdefault(sku, []).append(delta)
                if changed is None or delta[:2] > changed[:2]:
                    changed = (delta[0], delta[1], part_key)
    lines = {}
    for sku in sorted(deltas):
        joined = _line(deltas[sku])
        if joined is not None:
            lines[sku] = joined
    return None if changed is None or not lines else Cart(cart_id, lines, changed)


def _line(deltas: list[Delta]) -> CartLine | None:
    quantity = sum([delta[2] for delta in deltas])
    if quantity <= 0:
        return None
    if len(deltas) == 1:
        return CartLine(quantity, deltas[0][3], deltas[0][4])
    price: int | None = None
    category: str | None = None
    for delta in sorted(deltas, key=lambda delta: delta[:2], reverse=True):
        price = delta[3] if price is None else price
        category = delta[4] if category is None else category
        if price is not None and category is not None:
            break
    return CartLine(quantity, price, category)
