"""The demo's customers, what they bought, and what went wrong. Dates lie around the moment of loading."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from bus.clock import Clock, to_micros
from bus.delivery.outcome import Outcome, Write
from bus.message import Party, derive_id
from bus.store.permission import consent_write
from bus.store.port import Effect, Store
from bus.store.sql import insert_ignore
from workers.case.people import identity_write, person_write
from workers.records import schema
from workers.records.demo_people import CUSTOMERS, PRODUCTS, DemoCustomer, DemoOrder

__all__ = ["demo_customers", "load_demo"]

TENANT = "shop"

_TABLES = {
    name: insert_ignore(getattr(schema, name), keys)
    for name, keys in {
        "customer": ["tenant", "id"],
        "orders": ["tenant", "id"],
        "order_line": ["tenant", "order_id", "line"],
        "invoice": ["tenant", "id"],
        "charge": ["tenant", "id"],
        "refund": ["tenant", "id"],
        "product": ["tenant", "id"],
    }.items()
}


def demo_customers() -> list[dict[str, Any]]:
    """Who they are, for `contactbus demo show` and for tests."""
    return [
        {
            "name": someone.name,
            "language": someone.language,
            "email": someone.email,
            "phone": someone.phone,
            "address": someone.address,
            "orders": [
                {
                    "number": order.number,
                    "invoice": order.invoice,
                    "receipt": order.receipt,
                    "total": order.total,
                    "currency": order.currency,
                    "product": PRODUCTS[order.product].names[someone.language],
                }
                for order in someone.orders
            ],
            "consent": someone.consent,
            "story": someone.story,
        }
        for someone in CUSTOMERS
    ]


async def load_demo(store: Store, clock: Clock) -> None:
    """Put the demo's customers and purchases into the store. Loading again changes nothing."""
    now = clock.now()
    at = to_micros(now)
    writes: list[Write] = [_row("product", id=key, **_product(key)) for key in PRODUCTS]
    for someone in CUSTOMERS:
        writes += _customer(someone, at)
        if someone.consent:
            writes.append(_consent(someone, now))
        for order in someone.orders:
            writes += _order(someone, order, now)
    for result in await store.apply([Effect(outcome=Outcome(writes=tuple(writes)))]):
        if not result.applied:
            raise RuntimeError(f"the demo's data could not be loaded: {result.reason} {result.detail}")


def _row(table: str, **values: Any) -> Write:
    return Write(statement=_TABLES[table], params={"tenant": TENANT, **values})


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _product(key: str) -> dict[str, Any]:
    product = PRODUCTS[key]
    return {
        "category": product.category,
        "names": _json(product.names),
        "price": _json(product.price),
        "variants": _json(product.variants),
        "stock": product.stock,
    }


def _person(someone: DemoCustomer) -> str:
    return derive_id("p", TENANT, "customer", someone.id)


def _customer(someone: DemoCustomer, at: int) -> list[Write]:
    person = _person(someone)
    since = at - 700 * 86_400_000_000
    parties = (
        Party(kind="email", address=someone.email),
        Party(kind="phone", address=someone.phone),
        Party(kind="postal", address=someone.address, name=someone.name),
        Party(kind="customer", address=someone.id),
    )
    return [
        _row(
            "customer", id=someone.id, person=person, name=someone.name, language=someone.language,
            email=someone.email, phone=someone.phone, address=someone.address, country=someone.country, since=since,
        ),
        person_write(
            tenant=TENANT, id=person, name=someone.name, language=someone.language, customer=someone.id, at=at
        ),
        *(identity_write(tenant=TENANT, party=party, person=person, at=at, on_file=True) for party in parties),
    ]  # fmt: skip


def _consent(someone: DemoCustomer, now: datetime) -> Write:
    return consent_write(
        tenant=TENANT, person=_person(someone), purpose="marketing", channel="email",
        evidence="ticked at checkout, confirmed by double opt-in", granted_at=now - timedelta(days=200),
        expires_at=now + timedelta(days=530),
    )  # fmt: skip


def _days(now: datetime, days: int | None) -> int:
    """Microseconds of noon so many days ago (negative: ahead); 0 for never."""
    if days is None:
        return 0
    return to_micros(now.replace(hour=11, minute=0, second=0, microsecond=0) - timedelta(days=days))


def _order(someone: DemoCustomer, order: DemoOrder, now: datetime) -> list[Write]:
    placed = _days(now, order.placed_days_ago)
    shipping = order.total - order.price
    lines = [{"kind": "item", "amount": order.price, "product": order.product, "quantity": 1}]
    if shipping:
        lines.append({"kind": "shipping", "amount": shipping})
    writes = [
        _row(
            "orders", id=order.number, customer=someone.id, place=order.place, state=order.state,
            currency=order.currency, receipt=order.receipt, tracking=order.tracking, total=order.total, placed=placed,
            expected=_days(now, order.expected_days_ago), delivered=_days(now, order.delivered_days_ago),
        ),
        _row(
            "order_line", order_id=order.number, line=1, product=order.product, variant=order.variant, quantity=1,
            price=order.price, shelf_price=order.shelf_price or order.price,
        ),
    ]  # fmt: skip
    if order.invoice:
        writes.append(
            _row(
                "invoice", id=order.invoice, order_id=order.number, total=order.total, issued=placed, lines=_json(lines)
            )
        )
    for count in range(order.charges):
        refunded = order.refunded if count == 0 else 0
        charge = f"CH-{order.number[3:]}-{count + 1}"
        writes.append(
            _row(
                "charge", id=charge, order_id=order.number, currency=order.currency, method="card", mark=order.card,
                amount=order.total, refunded=refunded, at=placed + count * 3 * 3_600_000_000,
            )
        )  # fmt: skip
        if refunded:
            writes.append(
                _row(
                    "refund", id=derive_id("f", TENANT, charge, "return"), charge_id=charge, order_id=order.number,
                    currency=order.currency, reason="return", case_id="", amount=refunded, at=_days(now, 2),
                )
            )  # fmt: skip
    return writes
