"""The order of what is found, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.index.query import ALIASES, Field, Kind, Order
from podium.index.unsound import QueryUnsound, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

ORDERS_MAX: Final = 16


def parse_order(
    text: str, fields: Mapping[str, Field], *, lenient: bool = False
) -> tuple[Order, ...]:
    """`field:ASC|field:DESC`; without a direction ASC. Raises QueryUnsound."""
    orders: list[Order] = []
    for item in (each for each in text.split("|") if each.strip()):
        name, _, direction = (each.strip() for each in item.partition(":"))
        if direction not in ("", "ASC", "DESC"):
            raise QueryUnsound(
                f"sort: expected ASC or DESC after {shown(name)}, found {shown(direction)}"
            )
        field = fields.get(ALIASES.get(name, name))
        if field is None or field.kind in (Kind.WORDS, Kind.FIXED):
            if lenient:
                continue
            raise QueryUnsound(f"sort: expected a field that can be sorted, found {shown(name)}")
        orders.append(Order(field, descending=direction == "DESC"))
    if len(orders) > ORDERS_MAX:
        raise QueryUnsound(f"sort: expected at most {ORDERS_MAX} fields, found {len(orders)}")
    return tuple(orders)
