"""The order that a proven customer means: found, or asked for again with a kind word and what there is to choose."""

from workers.dialogue.steps import ORDER, NeedFacts
from workers.dialogue.turn import Turn
from workers.records import OrderFile

__all__ = ["LISTED_ORDERS", "item_names", "open_order"]

LISTED_ORDERS = 3
"""Orders offered to choose from: more cannot be kept in mind on the phone."""


async def open_order(turn: Turn) -> OrderFile | NeedFacts:
    """The order in `turn.facts`, if it is the customer's own. Somebody else's and none at all are told alike."""
    customer = turn.customer
    assert customer is not None
    number = turn.facts["order"]
    order = await turn.records.find_order(turn.tenant, number)
    if order is not None and order.customer == customer.id:
        turn.facts["order"] = order.id
        return await turn.records.order_file(turn.tenant, order)
    del turn.facts["order"]
    turn.say("order.not-found", number=number)
    orders = (await turn.records.orders_of(turn.tenant, customer.id))[:LISTED_ORDERS]
    if orders:
        listed = ", ".join(f"{order.id} ({turn.date(order.placed)})" for order in orders)
        turn.say("order.yours", orders=listed)
    return NeedFacts((ORDER,))


def item_names(turn: Turn, file: OrderFile) -> str:
    """The products of an order in the customer's language."""
    return ", ".join(file.product_of(line).name(turn.language) for line in file.lines)
