"""The ports on the store: reads as selects, commands as guarded writes."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import and_, bindparam, exists, or_, select, update

from bus.clock import from_micros, to_micros
from bus.delivery.outcome import Write
from bus.message import derive_id
from bus.store.port import Row, Store
from bus.store.sql import insert_ignore
from workers.records import schema
from workers.records.model import (
    ON_TOP,
    Charge,
    Customer,
    Invoice,
    InvoiceLine,
    Order,
    OrderFile,
    OrderLine,
    Product,
    Refunded,
    Return,
)

__all__ = [
    "MAX_ORDERS",
    "SqlRecords",
    "customer_by_id",
    "customer_of_person",
    "normal_number",
    "order_by_id",
    "order_of_invoice",
    "order_of_receipt",
]

MAX_ORDERS = 50
"""Orders of one customer that are looked at; more are never read out to anybody."""

_tenant, _id = bindparam("tenant"), bindparam("id")

customer_by_id = select(schema.customer).where(schema.customer.c.tenant == _tenant, schema.customer.c.id == _id)
customer_of_person = select(schema.customer).where(schema.customer.c.tenant == _tenant, schema.customer.c.person == _id)
_customer_by_email = select(schema.customer).where(schema.customer.c.tenant == _tenant, schema.customer.c.email == _id)
order_by_id = select(schema.orders).where(schema.orders.c.tenant == _tenant, schema.orders.c.id == _id)
order_of_receipt = select(schema.orders).where(schema.orders.c.tenant == _tenant, schema.orders.c.receipt == _id)
order_of_invoice = (
    select(schema.orders)
    .join(
        schema.invoice,
        (schema.invoice.c.tenant == schema.orders.c.tenant) & (schema.invoice.c.order_id == schema.orders.c.id),
    )
    .where(schema.invoice.c.tenant == _tenant, schema.invoice.c.id == _id)
)
_orders_of = (
    select(schema.orders)
    .where(schema.orders.c.tenant == _tenant, schema.orders.c.customer == _id)
    .order_by(schema.orders.c.placed.desc())
    .limit(MAX_ORDERS)
)


def _of_order(table: Any, order: Any) -> Any:
    return select(table).where(table.c.tenant == _tenant, table.c.order_id == _id).order_by(order)


_lines = _of_order(schema.order_line, schema.order_line.c.line)
_invoices = _of_order(schema.invoice, schema.invoice.c.issued)
_charges = _of_order(schema.charge, schema.charge.c.at)
_refunds = _of_order(schema.refund, schema.refund.c.at)
_returns = _of_order(schema.goods_return, schema.goods_return.c.at)
_products = select(schema.product).where(schema.product.c.tenant == _tenant)

_take_back = (
    update(schema.charge)
    .where(
        schema.charge.c.tenant == bindparam("b_tenant"),
        schema.charge.c.id == bindparam("b_charge"),
        schema.charge.c.refunded + bindparam("b_amount") <= schema.charge.c.amount,
    )
    .values(refunded=schema.charge.c.refunded + bindparam("b_amount"))
)
_add_refund = insert_ignore(schema.refund, ["tenant", "id"])
_add_return = insert_ignore(schema.goods_return, ["tenant", "id"])

_refund_by_id = select(schema.refund.c.id).where(schema.refund.c.tenant == _tenant, schema.refund.c.id == _id)
_delivered = select(schema.orders.c.id).where(
    schema.orders.c.tenant == _tenant,
    schema.orders.c.id == _id,
    or_(schema.orders.c.delivered > 0, schema.orders.c.state == "cancelled"),
)
_settled = select(schema.goods_return.c.id).where(
    schema.goods_return.c.tenant == _tenant,
    schema.goods_return.c.id == _id,
    or_(
        schema.goods_return.c.state == "settled",
        and_(
            schema.goods_return.c.kind == "refund",
            exists().where(
                schema.refund.c.tenant == schema.goods_return.c.tenant,
                schema.refund.c.order_id == schema.goods_return.c.order_id,
                schema.refund.c.at >= schema.goods_return.c.at,
                ~schema.refund.c.reason.startswith(ON_TOP),
            ),
        ),
    ),
)
_FULFILLED = {"refund": _refund_by_id, "order": _delivered, "return": _settled}

_NUMBER = re.compile(r"^([A-Z]+)[^A-Z0-9]*([0-9][0-9\s.-]*)$")


def normal_number(number: str) -> str:
    """`so 10 234`, `SO10234` and `SO-10234` are one number. Anything without letters stays as it is, without blanks."""
    plain = number.strip().upper()
    match = _NUMBER.match(plain)
    if match is None:
        return "".join(plain.split())
    return f"{match[1]}-{re.sub(r'[^0-9]', '', match[2])}"


class SqlRecords:
    """Every port of `workers.records.ports` on the house's own store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def customer(self, tenant: str, customer_id: str) -> Customer | None:
        return _to_customer(await self._store.one(customer_by_id, {"tenant": tenant, "id": customer_id}))

    async def customer_of_person(self, tenant: str, person: str) -> Customer | None:
        return _to_customer(await self._store.one(customer_of_person, {"tenant": tenant, "id": person}))

    async def customer_by_email(self, tenant: str, email: str) -> Customer | None:
        found = await self._store.all(_customer_by_email, {"tenant": tenant, "id": email.strip().casefold()})
        # One address on two records proves neither.
        return _to_customer(found[0]) if len(found) == 1 else None

    async def find_order(self, tenant: str, number: str) -> Order | None:
        params = {"tenant": tenant, "id": normal_number(number)}
        if not params["id"]:
            return None
        for statement in (order_by_id, order_of_invoice, order_of_receipt):
            row = await self._store.one(statement, params)
            if row is not None:
                return _to_order(row)
        return None

    async def orders_of(self, tenant: str, customer: str) -> Sequence[Order]:
        return [_to_order(row) for row in await self._store.all(_orders_of, {"tenant": tenant, "id": customer})]

    async def order_file(self, tenant: str, order: Order) -> OrderFile:
        params = {"tenant": tenant, "id": order.id}
        lines = [_to_line(row) for row in await self._store.all(_lines, params)]
        wanted = {line.product for line in lines}
        return OrderFile(
            order=order,
            lines=tuple(lines),
            invoices=tuple(_to_invoice(row) for row in await self._store.all(_invoices, params)),
            charges=tuple(_to_charge(row) for row in await self._store.all(_charges, params)),
            refunds=tuple(_to_refund(row) for row in await self._store.all(_refunds, params)),
            returns=tuple(_to_return(row) for row in await self._store.all(_returns, params)),
            products={product.id: product for product in await self.products(tenant) if product.id in wanted},
        )

    async def products(self, tenant: str) -> Sequence[Product]:
        return [_to_product(row) for row in await self._store.all(_products, {"tenant": tenant})]

    def refund(
        self, *, tenant: str, charge: Charge, amount: int, reason: str, case: str, now: datetime
    ) -> tuple[str, Sequence[Write]]:
        if amount <= 0:
            raise ValueError("a refund is more than nothing")
        refund_id = derive_id("f", tenant, charge.id, reason)
        return refund_id, (
            # The charge's own row is the lock and the sum: two refunds of one charge cannot both fit.
            Write(
                statement=_take_back, params={"b_tenant": tenant, "b_charge": charge.id, "b_amount": amount}, expect=1
            ),
            Write(
                statement=_add_refund,
                params={
                    "tenant": tenant, "id": refund_id, "charge_id": charge.id, "order_id": charge.order,
                    "currency": charge.currency, "reason": reason, "case_id": case, "amount": amount,
                    "at": to_micros(now),
                },
                expect=1,
            ),
        )  # fmt: skip

    def announce_return(
        self, *, tenant: str, order: str, line: int, kind: str, case: str, now: datetime, detail: str = ""
    ) -> tuple[str, Sequence[Write]]:
        return_id = derive_id("b", tenant, order, str(line), kind)
        params = {
            "tenant": tenant, "id": return_id, "order_id": order, "line": line, "kind": kind, "state": "announced",
            "detail": detail, "case_id": case, "at": to_micros(now),
        }  # fmt: skip
        return return_id, (Write(statement=_add_return, params=params, expect=1),)

    async def fulfilled(self, tenant: str, reference: str) -> bool:
        kind, _, name = reference.partition(":")
        statement = _FULFILLED.get(kind)
        return statement is not None and await self._store.one(statement, {"tenant": tenant, "id": name}) is not None


def _moment(micros: int) -> datetime | None:
    return from_micros(micros) if micros else None


def _to_customer(row: Row | None) -> Customer | None:
    if row is None:
        return None
    fields = {name: row[name] for name in ("id", "person", "name", "language", "email", "phone", "address", "country")}
    return Customer(**fields, since=from_micros(row["since"]))


def _to_order(row: Row) -> Order:
    return Order(
        id=row["id"], customer=row["customer"], place=row["place"], state=row["state"], currency=row["currency"],
        total=row["total"], placed=from_micros(row["placed"]), expected=_moment(row["expected"]),
        delivered=_moment(row["delivered"]), receipt=row["receipt"], tracking=row["tracking"],
    )  # fmt: skip


def _to_line(row: Row) -> OrderLine:
    return OrderLine(
        line=row["line"], product=row["product"], variant=row["variant"], quantity=row["quantity"],
        price=row["price"], shelf_price=row["shelf_price"],
    )  # fmt: skip


def _to_invoice(row: Row) -> Invoice:
    lines = msgspec.json.decode(row["lines"], type=tuple[InvoiceLine, ...])
    return Invoice(
        id=row["id"], order=row["order_id"], total=row["total"], issued=from_micros(row["issued"]), lines=lines
    )


def _to_charge(row: Row) -> Charge:
    return Charge(
        id=row["id"], order=row["order_id"], amount=row["amount"], currency=row["currency"], at=from_micros(row["at"]),
        method=row["method"], mark=row["mark"], refunded=row["refunded"],
    )  # fmt: skip


def _to_refund(row: Row) -> Refunded:
    return Refunded(
        id=row["id"], charge=row["charge_id"], order=row["order_id"], amount=row["amount"], currency=row["currency"],
        reason=row["reason"], at=from_micros(row["at"]),
    )  # fmt: skip


def _to_return(row: Row) -> Return:
    return Return(
        id=row["id"], order=row["order_id"], line=row["line"], kind=row["kind"], state=row["state"],
        at=from_micros(row["at"]), detail=row["detail"],
    )  # fmt: skip


def _to_product(row: Row) -> Product:
    return Product(
        id=row["id"], category=row["category"], names=msgspec.json.decode(row["names"], type=dict[str, str]),
        price=msgspec.json.decode(row["price"], type=dict[str, int]),
        variants=msgspec.json.decode(row["variants"], type=tuple[str, ...]), stock=row["stock"],
    )  # fmt: skip
