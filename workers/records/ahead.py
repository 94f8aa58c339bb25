"""What a batch of contacts will ask of the systems of record, looked up at once."""

from collections.abc import Iterable

from sqlalchemy import bindparam, select

from bus.store.ahead import Ahead, Question
from workers.records import schema
from workers.records.sql import (
    customer_by_id,
    customer_of_person,
    normal_number,
    order_by_id,
    order_of_invoice,
    order_of_receipt,
)

__all__ = ["QUESTIONS", "look_ahead"]

_customers = select(schema.customer).where(schema.customer.c.tenant == bindparam("tenant"))
_orders = select(schema.orders).where(schema.orders.c.tenant == bindparam("tenant"))

_CUSTOMER = Question(asked=customer_by_id, many=_customers, column=schema.customer.c.id, label="id", key="id")
_PERSON = Question(asked=customer_of_person, many=_customers, column=schema.customer.c.person, label="person", key="id")
_ORDER = Question(asked=order_by_id, many=_orders, column=schema.orders.c.id, label="id", key="id")
_RECEIPT = Question(asked=order_of_receipt, many=_orders, column=schema.orders.c.receipt, label="receipt", key="id")
_INVOICE = Question(
    asked=order_of_invoice,
    many=select(schema.orders, schema.invoice.c.id.label("invoice"))
    .join(
        schema.invoice,
        (schema.invoice.c.tenant == schema.orders.c.tenant) & (schema.invoice.c.order_id == schema.orders.c.id),
    )
    .where(schema.invoice.c.tenant == bindparam("tenant")),
    column=schema.invoice.c.id,
    label="invoice",
    key="id",
)
QUESTIONS = (_CUSTOMER, _PERSON, _ORDER, _RECEIPT, _INVOICE)


async def look_ahead(ahead: Ahead, tenant: str, *, numbers: Iterable[str], people: Iterable[str]) -> None:
    """Look up the orders that are named by `numbers`, in any spelling, their customers, and who `people` are."""
    given = {"tenant": tenant}
    left = {number for number in map(normal_number, numbers) if number}
    customers: set[str] = set()
    for question in (_ORDER, _INVOICE, _RECEIPT):
        # In the order in which `SqlRecords.find_order` asks: what one answers, the next is not asked.
        found = await ahead.look(question, sorted(left), given)
        left = {number for number, rows in found.items() if not rows}
        customers.update(row["customer"] for rows in found.values() for row in rows)
    await ahead.look(_CUSTOMER, sorted(customers), given)
    await ahead.look(_PERSON, sorted(set(people)), given)
