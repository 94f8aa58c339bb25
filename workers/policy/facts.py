"""What the systems of record know about an order, as the facts that the rules look at."""

from datetime import datetime

from workers.policy.model import Facts, ItemFacts, PaymentFacts
from workers.records import Customer, OrderFile

__all__ = ["facts_of"]


def facts_of(
    file: OrderFile, customer: Customer, *, confirmed: bool = False, declared: datetime | None = None
) -> Facts:
    """The facts of an order for a customer who has proven to be that customer."""
    order = file.order
    return Facts(
        proven=customer.id,
        owner=order.customer,
        country=customer.country,
        place=order.place,
        state=order.state,
        currency=order.currency,
        total=order.total,
        delivered=order.delivered,
        declared=declared,
        payments=tuple(
            PaymentFacts(
                id=charge.id,
                amount=charge.amount,
                currency=charge.currency,
                refunded=charge.refunded,
                reasons=tuple(refund.reason for refund in file.refunds if refund.charge == charge.id),
                method=charge.method,
            )
            for charge in file.charges
        ),
        items=tuple(
            ItemFacts(
                line=line.line,
                category=file.product_of(line).category,
                price=line.price,
                quantity=line.quantity,
                shelf_price=line.shelf_price,
                kinds=tuple(back.kind for back in file.returns if back.line == line.line),
            )
            for line in file.lines
        ),
        confirmed=confirmed,
    )
