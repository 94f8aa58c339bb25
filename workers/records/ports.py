"""Ports of the systems of record. Reads return structs; commands return guarded `Write`s for the case's own outcome."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bus.delivery.outcome import Write
from workers.records.model import Charge, Customer, Order, OrderFile, Product

__all__ = ["Customers", "Fulfilment", "Orders", "Payments", "Products", "Records", "Returns"]


class Customers(Protocol):
    """Who buys."""

    async def customer(self, tenant: str, customer_id: str) -> Customer | None:
        """One customer."""
        ...

    async def customer_of_person(self, tenant: str, person: str) -> Customer | None:
        """The customer record of a person."""
        ...

    async def customer_by_email(self, tenant: str, email: str) -> Customer | None:
        """The customer with that address on file."""
        ...


class Orders(Protocol):
    """What was bought, billed and delivered."""

    async def find_order(self, tenant: str, number: str) -> Order | None:
        """The order that an order, invoice or receipt number belongs to, in any spelling."""
        ...

    async def orders_of(self, tenant: str, customer: str) -> Sequence[Order]:
        """A customer's orders, newest first."""
        ...

    async def order_file(self, tenant: str, order: Order) -> OrderFile:
        """Everything about one order."""
        ...


class Payments(Protocol):
    """Money back. Both writes are guarded: an outcome that would pay twice or too much is rolled back as a whole."""

    def refund(
        self, *, tenant: str, charge: Charge, amount: int, reason: str, case: str, now: datetime
    ) -> tuple[str, Sequence[Write]]:
        """The refund's id and its writes. Once per charge and reason; never above what the charge has left."""
        ...


class Returns(Protocol):
    """Goods back."""

    def announce_return(
        self, *, tenant: str, order: str, line: int, kind: str, case: str, now: datetime, detail: str = ""
    ) -> tuple[str, Sequence[Write]]:
        """The return's id and its writes. Once per line and kind."""
        ...


class Products(Protocol):
    """The range."""

    async def products(self, tenant: str) -> Sequence[Product]:
        """Every product."""
        ...


class Fulfilment(Protocol):
    """Whether what was set going has been done."""

    async def fulfilled(self, tenant: str, reference: str) -> bool:
        """Of `refund:<id>`, `return:<id>` or `order:<id>`: paid out, settled, delivered. False for anything else."""
        ...


class Records(Customers, Orders, Payments, Returns, Products, Fulfilment, Protocol):
    """All of them; one system often answers for several."""
