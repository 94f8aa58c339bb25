"""What the systems of record know of a customer, for the right column of the desk."""

from collections.abc import Mapping, Sequence
from typing import Any

from bus.store.port import Store
from workers.case.model import CaseState
from workers.records.sql import SqlRecords

__all__ = ["Facts"]

_ORDERS_SHOWN = 5
"""The newest orders fit on the screen; older ones are rarely what somebody writes about."""


class Facts:
    """Looks customers up by the person of a case. Whether the writer *is* that person is shown beside it (proof)."""

    def __init__(self, *, store: Store) -> None:
        self._records = SqlRecords(store)

    async def of(self, state: CaseState) -> Mapping[str, Any] | None:
        """Name and lines (`name` and one of `value`, `money`, `date`), or None for somebody we do not know."""
        tenant = state.tenant
        if state.customer:
            customer = await self._records.customer(tenant, state.customer)
        else:
            customer = await self._records.customer_of_person(tenant, state.person) if state.person else None
        if customer is None:
            return None
        lines: list[Mapping[str, Any]] = [
            {"name": "since", "date": customer.since},
            {"name": "address", "value": customer.address.replace("\n", ", ")},
        ]
        orders: Sequence[Any] = await self._records.orders_of(tenant, customer.id)
        shown: list[Mapping[str, Any]] = [
            {
                "id": order.id,
                "state": order.state,
                "placed": order.placed,
                "money": {"minor": order.total, "currency": order.currency},
            }
            for order in orders[:_ORDERS_SHOWN]
        ]
        return {"name": customer.name, "lines": lines, "orders": shown, "proven": bool(state.customer)}
