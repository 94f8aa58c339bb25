"""Tables of the reference implementation. A company with a merchandise system puts an adapter behind the ports."""

from sqlalchemy import BigInteger, Column, Index, Table, Text

from bus.store.schema import metadata

__all__ = ["charge", "customer", "goods_return", "invoice", "order_line", "orders", "product", "refund"]


def _text(name: str, *, primary_key: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=primary_key, nullable=False)


def _number(name: str, *, primary_key: bool = False) -> Column[int]:
    return Column(name, BigInteger, primary_key=primary_key, nullable=False, autoincrement=False)


def _own() -> tuple[Column[str], Column[str]]:
    return _text("tenant", primary_key=True), _text("id", primary_key=True)


customer = Table(
    "customer",
    metadata,
    *_own(),
    *(_text(name) for name in ("person", "name", "language", "email", "phone", "address", "country")),
    _number("since"),
    Index("ix_customer_tenant_email", "tenant", "email"),
    Index("ix_customer_tenant_person", "tenant", "person"),
)

orders = Table(
    "orders",
    metadata,
    *_own(),
    *(_text(name) for name in ("customer", "place", "state", "currency", "receipt", "tracking")),
    *(_number(name) for name in ("total", "placed", "expected", "delivered")),
    Index("ix_orders_tenant_customer", "tenant", "customer"),
    Index("ix_orders_tenant_receipt", "tenant", "receipt"),
)

order_line = Table(
    "order_line",
    metadata,
    _text("tenant", primary_key=True),
    _text("order_id", primary_key=True),
    _number("line", primary_key=True),
    _text("product"),
    _text("variant"),
    *(_number(name) for name in ("quantity", "price", "shelf_price")),
)

invoice = Table(
    "invoice",
    metadata,
    *_own(),
    _text("order_id"),
    _number("total"),
    _number("issued"),
    _text("lines"),
    Index("ix_invoice_tenant_order_id", "tenant", "order_id"),
)
"""`lines` is JSON: an invoice is a document and never changes."""

charge = Table(
    "charge",
    metadata,
    *_own(),
    *(_text(name) for name in ("order_id", "currency", "method", "mark")),
    *(_number(name) for name in ("amount", "refunded", "at")),
    Index("ix_charge_tenant_order_id", "tenant", "order_id"),
)

refund = Table(
    "refund",
    metadata,
    *_own(),
    *(_text(name) for name in ("charge_id", "order_id", "currency", "reason", "case_id")),
    *(_number(name) for name in ("amount", "at")),
    Index("ix_refund_tenant_order_id", "tenant", "order_id"),
)
"""`id` is derived from charge and reason: the idempotency key."""

goods_return = Table(
    "goods_return",
    metadata,
    *_own(),
    *(_text(name) for name in ("order_id", "kind", "state", "detail", "case_id")),
    *(_number(name) for name in ("line", "at")),
    Index("ix_goods_return_tenant_order_id", "tenant", "order_id"),
)
"""`id` is derived from order, line and kind: the idempotency key."""

product = Table(
    "product",
    metadata,
    *_own(),
    *(_text(name) for name in ("category", "names", "price", "variants")),
    _number("stock"),
)
