"""What the company knows of its customers and their purchases. Amounts are integer minor units with their currency."""

from datetime import datetime

import msgspec

__all__ = [
    "ON_TOP",
    "Charge",
    "Customer",
    "Invoice",
    "InvoiceLine",
    "Order",
    "OrderFile",
    "OrderLine",
    "Product",
    "Refunded",
    "Return",
]

ON_TOP = "goodwill"
"""How the reason of a refund begins that no duty asked for: it settles nothing that is owed."""


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer record. `person` is the same human in the house of cases. `country` is ISO 3166."""

    id: str
    person: str
    name: str
    language: str
    email: str
    phone: str
    address: str
    country: str
    since: datetime


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an order. `price` is what one piece was charged with, `shelf_price` what it was offered for."""

    line: int
    product: str
    quantity: int
    price: int
    shelf_price: int
    variant: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A purchase. `place`: web or store. `state`: placed, shipped, delivered, cancelled. `receipt` of the till."""

    id: str
    customer: str
    place: str
    state: str
    currency: str
    total: int
    placed: datetime
    expected: datetime | None = None
    delivered: datetime | None = None
    receipt: str = ""
    tracking: str = ""


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an invoice. `kind`: item, shipping, discount. `product` for an item."""

    kind: str
    amount: int
    product: str = ""
    quantity: int = 1


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice with its lines."""

    id: str
    order: str
    total: int
    issued: datetime
    lines: tuple[InvoiceLine, ...]


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """A payment taken. `method` is card, invoice or account; `mark` is what the customer knows it by (last digits).

    `refunded` is the sum of its refunds and never exceeds `amount`.
    """

    id: str
    order: str
    amount: int
    currency: str
    at: datetime
    method: str
    mark: str = ""
    refunded: int = 0


class Refunded(msgspec.Struct, frozen=True, kw_only=True):
    """A refund of a charge, paid back the way it came."""

    id: str
    charge: str
    order: str
    amount: int
    currency: str
    reason: str
    at: datetime


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an order on its way back.

    `kind`: refund, exchange, repair, replacement. `state`: announced, arrived, settled (what was
    promised for it is done).
    """

    id: str
    order: str
    line: int
    kind: str
    state: str
    at: datetime
    detail: str = ""


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """An article of the range, with its name per language."""

    id: str
    category: str
    names: dict[str, str]
    price: dict[str, int]
    variants: tuple[str, ...] = ()
    stock: int = 0

    def name(self, language: str) -> str:
        """Its name as the customer reads it."""
        return self.names.get(language) or next(iter(self.names.values()), self.id)


class OrderFile(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one order, read together."""

    order: Order
    lines: tuple[OrderLine, ...]
    invoices: tuple[Invoice, ...]
    charges: tuple[Charge, ...]
    refunds: tuple[Refunded, ...]
    returns: tuple[Return, ...]
    products: dict[str, Product]

    def product_of(self, line: OrderLine) -> Product:
        """The product of a line; a stand-in when the range no longer has it."""
        return self.products.get(line.product) or Product(id=line.product, category="", names={}, price={})
