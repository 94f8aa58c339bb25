"""Money moves once and never too far, whoever tries and however often; amounts read as they are written at home."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select

from bus.delivery.outcome import Outcome
from bus.store.port import Effect
from workers.records import SqlRecords, schema
from workers.records.demo import demo_customers, load_demo
from workers.records.money import format_date, format_money, speak_date, speak_money
from workers.records.sql import normal_number

TENANT = "shop"


@pytest.fixture
async def records(engine: Any, clock: Any) -> SqlRecords:
    await load_demo(engine, clock)
    return SqlRecords(engine)


async def charge_of(records: SqlRecords, number: str, place: int = 0) -> Any:
    order = await records.find_order(TENANT, number)
    assert order is not None
    return (await records.order_file(TENANT, order)).charges[place]


async def refund(engine: Any, records: SqlRecords, clock: Any, charge: Any, amount: int, reason: str) -> bool:
    _, writes = records.refund(tenant=TENANT, charge=charge, amount=amount, reason=reason, case="k-1", now=clock.now())
    (result,) = await engine.apply([Effect(outcome=Outcome(writes=tuple(writes)))])
    return result.applied


async def total_refunded(engine: Any) -> int:
    row = await engine.one(select(func.coalesce(func.sum(schema.refund.c.amount), 0).label("sum")))
    return row["sum"] - 44900  # the demo's own


async def test_one_refund_per_charge_and_reason(engine: Any, records: SqlRecords, clock: Any) -> None:
    charge = await charge_of(records, "SO-10234", 1)
    assert await refund(engine, records, clock, charge, 1000, "duplicate")
    assert not await refund(engine, records, clock, charge, 1000, "duplicate")
    assert await total_refunded(engine) == 1000
    assert (await charge_of(records, "SO-10234", 1)).refunded == 1000


async def test_never_more_than_the_charge(engine: Any, records: SqlRecords, clock: Any) -> None:
    charge = await charge_of(records, "SO-10234", 1)
    assert not await refund(engine, records, clock, charge, 4991, "duplicate")
    assert await refund(engine, records, clock, charge, 4000, "a")
    assert not await refund(engine, records, clock, charge, 991, "b")
    assert await refund(engine, records, clock, charge, 990, "b")
    assert await total_refunded(engine) == 4990


async def test_twenty_at_once_give_one(engine: Any, records: SqlRecords, clock: Any) -> None:
    charge = await charge_of(records, "SO-10234", 1)
    tries = await asyncio.gather(*(refund(engine, records, clock, charge, 4990, "duplicate") for _ in range(20)))
    assert sum(tries) == 1
    assert await total_refunded(engine) == 4990


async def test_a_refund_of_nothing_is_a_mistake_of_ours(records: SqlRecords, clock: Any) -> None:
    charge = await charge_of(records, "SO-10234")
    with pytest.raises(ValueError, match="more than nothing"):
        records.refund(tenant=TENANT, charge=charge, amount=0, reason="x", case="", now=clock.now())


async def test_an_order_is_found_by_each_of_its_numbers(records: SqlRecords) -> None:
    for number in ("SO-10388", "so 10388", "SO10388", "R-77120", "r77120"):
        order = await records.find_order(TENANT, number)
        assert order is not None, number
        assert order.id == "SO-10388"
    invoice = await records.find_order(TENANT, "RE-20234")
    assert invoice is not None
    assert invoice.id == "SO-10234"
    assert await records.find_order(TENANT, "SO-99999") is None
    assert await records.find_order(TENANT, "") is None
    assert await records.find_order("other", "SO-10388") is None


async def test_loading_twice_changes_nothing(engine: Any, records: SqlRecords, clock: Any) -> None:
    charge = await charge_of(records, "SO-10234", 1)
    assert await refund(engine, records, clock, charge, 4990, "duplicate")
    clock.advance(86_400)
    await load_demo(engine, clock)
    assert (await charge_of(records, "SO-10234", 1)).refunded == 4990
    order = await records.find_order(TENANT, "SO-10301")
    assert order is not None
    assert order.delivered is not None
    assert order.delivered.date().isoformat() == "2025-12-30"


async def test_the_demo_is_what_the_house_was_promised(records: SqlRecords) -> None:
    people = {customer["name"]: customer for customer in demo_customers()}
    assert len(people) >= 10
    assert {customer["language"] for customer in people.values()} == {"de", "nb", "en"}
    assert {customer["consent"] for customer in people.values()} == {True, False}
    for name, email, number, total, currency in (
        ("Grete Ohlsen", "grete.ohlsen@kunde.example", "SO-10234", 4990, "EUR"),
        ("Kari Lunde", "kari.lunde@kunde.example", "SO-10301", 124900, "NOK"),
        ("Tom Baker", "tom.baker@customer.example", "SO-10388", 2499, "GBP"),
        ("Jonas Weber", "jonas.weber@kunde.example", "SO-10412", 12900, "EUR"),
    ):
        customer = await records.customer_by_email(TENANT, email)
        order = await records.find_order(TENANT, number)
        assert customer is not None
        assert order is not None
        assert (customer.name, order.customer, order.total, order.currency) == (name, customer.id, total, currency)
    twice = await records.order_file(TENANT, await records.find_order(TENANT, "SO-10234"))  # type: ignore[arg-type]
    assert [charge.amount for charge in twice.charges] == [4990, 4990]
    assert sum(line.amount for line in twice.invoices[0].lines) == 4990


@pytest.mark.parametrize(
    ("amount", "currency", "language", "written", "spoken"),
    [
        (4990, "EUR", "de", "49,90 €", "49 Euro und 90 Cent"),
        (124900, "EUR", "de", "1.249,00 €", "1249 Euro"),
        (124900, "NOK", "nb", "1 249,00 kr", "1249 kroner"),
        (500, "GBP", "en", "£5.00", "5 pounds"),
        (199, "GBP", "en", "£1.99", "1 pound and 99 pence"),
        (124900, "NOK", "en", "NOK 1,249.00", "1249 kroner"),
        (5, "EUR", "de", "0,05 €", "5 Cent"),
        (100, "NOK", "nb", "1,00 kr", "1 krone"),
        (101, "GBP", "en", "£1.01", "1 pound and 1 penny"),
        (0, "EUR", "en", "€0.00", "0 euros"),
    ],
)
def test_money_as_it_is_written_and_said(amount: int, currency: str, language: str, written: str, spoken: str) -> None:
    assert format_money(amount, currency, language).replace("\u00a0", " ") == written
    assert speak_money(amount, currency, language) == spoken


def test_dates_are_those_of_the_customers_clock() -> None:
    late = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)
    assert format_date(late, "de") == "25. November 2026"
    assert format_date(late, "nb") == "25. november 2026"
    assert format_date(late, "en") == "24 November 2026"
    assert speak_date(late, "de") == "25. November"


def test_numbers_in_any_spelling() -> None:
    assert {normal_number(n) for n in ("SO-10234", "so 10 234", "So10234", " SO–10234 ")} == {"SO-10234"}
