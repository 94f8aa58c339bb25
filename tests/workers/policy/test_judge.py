"""The policy engine: a table of ordinary cases, and every mutation of a permitted one refused for the right reason."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.errors import PoisonError
from bus.message import encode
from workers.packs import load
from workers.policy import (
    Exchange,
    Facts,
    Goodwill,
    ItemFacts,
    PaymentFacts,
    Refund,
    Repair,
    Replacement,
    ReturnGoods,
    judge,
    judge_line,
)
from workers.policy.calendar import add_working_days, end_of_day, is_working_day, next_working_day
from workers.policy.rules import ROWS

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
POLICY = load("shop").policy


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


TWICE = Facts(
    proven="C-1", owner="C-1", country="DE", place="web", state="delivered", currency="EUR", total=4990,
    delivered=days_ago(8), confirmed=True,
    payments=(
        PaymentFacts(id="CH-1", amount=4990, currency="EUR"),
        PaymentFacts(id="CH-2", amount=4990, currency="EUR"),
    ),
    items=(ItemFacts(line=1, category="lighting", price=4990, shelf_price=4990),),
)  # fmt: skip
REFUND = Refund(customer="C-1", order="SO-1", charge="CH-2", amount=4990, currency="EUR", reason="duplicate")


def test_a_duplicate_is_owed() -> None:
    verdict = judge(REFUND, TWICE, POLICY, NOW)
    assert (verdict.effect, verdict.rules) == ("require", ("charge.duplicate",))
    assert verdict.allowed


MUTATIONS: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    ("nobody proved anything", {"proven": ""}, {}, "ask", "identity.proof"),
    ("another customer asks", {"proven": "C-2"}, {}, "forbid", "identity.owner"),
    ("another customer's order", {"owner": "C-2"}, {}, "forbid", "identity.owner"),
    ("the owner is not known", {"owner": ""}, {}, "ask", "fact.unknown"),
    ("no confirmation", {"confirmed": False}, {}, "ask", "confirmation.yes"),
    ("the currency is not known", {"currency": ""}, {}, "ask", "fact.unknown"),
    ("another currency", {}, {"currency": "NOK"}, "forbid", "amount.currency"),
    ("nothing", {}, {"amount": 0}, "forbid", "amount.positive"),
    ("less than nothing", {}, {"amount": -4990}, "forbid", "amount.positive"),
    ("more than charged", {}, {"amount": 4991}, "forbid", "amount.charged"),
    ("to another card", {}, {"method": "iban"}, "forbid", "method.original"),
    ("another order's charge", {}, {"charge": "CH-9"}, "forbid", "identity.owner"),
    ("only one charge", {"payments": TWICE.payments[1:]}, {}, "forbid", "charge.not-duplicate"),
    ("the total is not known", {"total": 0}, {}, "ask", "fact.unknown"),
    (
        "refunded before",
        {"payments": (TWICE.payments[0], replace(TWICE.payments[1], refunded=4990, reasons=("duplicate",)))},
        {}, "forbid", "once.refund",
    ),
    (
        "the other charge after the first was refunded",
        {"payments": (TWICE.payments[0], replace(TWICE.payments[1], refunded=4990, reasons=("duplicate",)))},
        {"charge": "CH-1"}, "forbid", "charge.not-duplicate",
    ),
    ("a reason that is none", {}, {"reason": "because"}, "needs_person", "defect.refund-second"),
]  # fmt: skip


@pytest.mark.parametrize(("_what", "facts", "proposal", "effect", "rule"), MUTATIONS, ids=[m[0] for m in MUTATIONS])
def test_every_mutation_of_a_permitted_refund_is_refused(
    _what: str, facts: dict[str, Any], proposal: dict[str, Any], effect: str, rule: str
) -> None:
    verdict = judge(replace(REFUND, **proposal), replace(TWICE, **facts), POLICY, NOW)
    assert verdict.effect == effect
    assert rule in verdict.rules
    assert not verdict.allowed


def test_above_the_ceiling_a_person_decides() -> None:
    dear = replace(TWICE, total=30000, payments=tuple(replace(payment, amount=30000) for payment in TWICE.payments))
    verdict = judge(replace(REFUND, amount=30000), dear, POLICY, NOW)
    assert (verdict.effect, verdict.rules) == ("needs_person", ("ceiling.software",))


TILL = Facts(
    proven="C-3", owner="C-3", country="GB", place="store", state="delivered", currency="GBP", total=2499,
    delivered=days_ago(1), confirmed=True, payments=(PaymentFacts(id="CH-3", amount=2499, currency="GBP"),),
    items=(ItemFacts(line=1, category="kitchen", price=2499, shelf_price=1999),),
)  # fmt: skip
DIFFERENCE = Refund(customer="C-3", order="SO-3", charge="CH-3", amount=500, currency="GBP", reason="price_difference")


def test_the_price_on_the_shelf_is_the_price() -> None:
    assert judge(DIFFERENCE, TILL, POLICY, NOW).effect == "permit"
    assert judge(replace(DIFFERENCE, amount=501), TILL, POLICY, NOW).rules == ("price.no-difference",)
    right = replace(TILL, items=(replace(TILL.items[0], shelf_price=2499),))
    assert judge(DIFFERENCE, right, POLICY, NOW).effect == "forbid"
    huge = replace(TILL, items=(replace(TILL.items[0], shelf_price=999),))
    assert judge(replace(DIFFERENCE, amount=1500), huge, POLICY, NOW).rules == ("price.tolerance",)


RETURN = ReturnGoods(customer="C-1", order="SO-1", line=1)


@pytest.mark.parametrize(
    ("delivered", "place", "effect", "rule"),
    [
        (6, "web", "require", "withdrawal.law"),
        (14, "web", "require", "withdrawal.law"),
        (16, "web", "require", "withdrawal.law"),  # ends on a Saturday, so on the Monday after it
        (17, "web", "permit", "return.window"),
        (6, "store", "permit", "return.window"),
        (30, "web", "permit", "return.window"),
        (35, "web", "forbid", "return.late"),
    ],
)
def test_windows_of_return(delivered: int, place: str, effect: str, rule: str) -> None:
    facts = replace(TWICE, delivered=days_ago(delivered), place=place)
    verdict = judge(RETURN, facts, POLICY, NOW)
    assert (verdict.effect, verdict.rules) == (effect, (rule,))
    assert verdict.deadline is not None


def test_a_withdrawal_counts_from_its_sending() -> None:
    facts = replace(TWICE, delivered=days_ago(40), declared=days_ago(27))
    assert judge(RETURN, facts, POLICY, NOW).rules == ("withdrawal.law",)


def test_what_cannot_go_back() -> None:
    opened = replace(TWICE, items=(replace(TWICE.items[0], category="hygiene", opened=True),))
    assert judge(RETURN, opened, POLICY, NOW).rules == ("return.excluded",)
    assert judge(RETURN, replace(TWICE, delivered=None, state="shipped"), POLICY, NOW).rules == ("state.delivered",)
    assert judge(RETURN, replace(TWICE, delivered=None, state=""), POLICY, NOW).missing == ("delivery",)
    assert judge(RETURN, replace(TWICE, state="cancelled"), POLICY, NOW).rules == ("state.cancelled",)
    assert judge(replace(RETURN, line=9), TWICE, POLICY, NOW).missing == ("item",)
    again = replace(TWICE, items=(replace(TWICE.items[0], kinds=("refund",)),))
    assert judge(RETURN, again, POLICY, NOW).rules == ("once.item",)


def test_exchange_once_in_its_window_with_a_variant() -> None:
    exchange = Exchange(customer="C-1", order="SO-1", line=1, variant="L")
    assert judge(exchange, TWICE, POLICY, NOW).rules == ("exchange.window",)
    assert judge(replace(exchange, variant=""), TWICE, POLICY, NOW).missing == ("variant",)
    assert judge(exchange, replace(TWICE, delivered=days_ago(35)), POLICY, NOW).rules == ("exchange.late",)
    twice = replace(TWICE, items=(replace(TWICE.items[0], kinds=("exchange",)),))
    assert judge(exchange, twice, POLICY, NOW).rules == ("once.item",)


@pytest.mark.parametrize(
    ("country", "category", "days", "effect"),
    [
        ("DE", "lighting", 700, "require"),
        ("DE", "lighting", 740, "needs_person"),
        ("NO", "coffee_machine", 1800, "require"),
        ("NO", "lighting", 1800, "needs_person"),
        ("GB", "lighting", 2000, "require"),
    ],
)
@pytest.mark.parametrize("kind", [Repair, Replacement])
def test_guarantee_by_country(kind: Any, country: str, category: str, days: int, effect: str) -> None:
    facts = replace(
        TWICE, country=country, delivered=days_ago(days), items=(replace(TWICE.items[0], category=category),)
    )
    assert judge(kind(customer="C-1", order="SO-1", line=1), facts, POLICY, NOW).effect == effect


def test_goodwill_within_its_ceilings() -> None:
    gift = Goodwill(customer="C-1", order="SO-1", amount=400, currency="EUR")
    assert judge(gift, TWICE, POLICY, NOW).effect == "permit"
    assert judge(replace(gift, amount=500), TWICE, POLICY, NOW).effect == "needs_person"
    assert judge(gift, replace(TWICE, given_case=200), POLICY, NOW).effect == "needs_person"
    assert judge(gift, replace(TWICE, given_year=3900), POLICY, NOW).effect == "needs_person"


@pytest.mark.parametrize(
    ("role", "amount", "effect"),
    [
        ("", 3000, "needs_person"),
        ("representative", 3000, "permit"),
        ("representative", 3001, "needs_person"),
        ("supervisor", 3001, "permit"),
        ("supervisor", 10001, "needs_person"),
        ("manager", 30000, "permit"),
        ("manager", 30001, "needs_person"),
        ("technical", 500, "needs_person"),
    ],
)
def test_each_role_approves_goodwill_up_to_its_own_ceiling(role: str, amount: int, effect: str) -> None:
    gift = Goodwill(customer="C-1", order="SO-1", amount=amount, currency="EUR")
    assert judge(gift, replace(TWICE, approver=role), POLICY, NOW).effect == effect
    assert judge(gift, replace(TWICE, approver=role, proven=""), POLICY, NOW).effect != "permit"


unknown = st.sampled_from(["proven", "owner", "currency", "confirmed"])


@given(st.lists(unknown, min_size=1), st.integers(-10, 6000))
@settings(max_examples=200, deadline=None)
def test_unknown_facts_never_permit(left_out: list[str], amount: int) -> None:
    facts = replace(TWICE, **{name: False if name == "confirmed" else "" for name in left_out})
    assert not judge(replace(REFUND, amount=amount), facts, POLICY, NOW).allowed


@given(
    amount=st.integers(-100, 20000), refunded=st.integers(0, 4990), total=st.integers(0, 10000),
    reason=st.sampled_from(["duplicate", "price_difference", "withdrawal"]),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_nothing_permitted_exceeds_what_is_left_of_the_charge(
    amount: int, refunded: int, total: int, reason: str
) -> None:
    payments = (TWICE.payments[0], replace(TWICE.payments[1], refunded=refunded))
    facts = replace(TWICE, payments=payments, total=total)
    verdict = judge(replace(REFUND, amount=amount, reason=reason), facts, POLICY, NOW)
    if verdict.allowed:
        assert 0 < amount <= 4990 - refunded
        assert 2 * 4990 - refunded - amount >= total > 0


def test_every_verdict_names_rows_that_exist() -> None:
    for _, facts, proposal, _, _ in MUTATIONS:
        verdict = judge(replace(REFUND, **proposal), replace(TWICE, **facts), POLICY, NOW)
        assert set(verdict.rules) | set(verdict.reasons) <= ROWS.keys()


def test_a_line_in_and_a_verdict_line_out() -> None:
    line = encode({"facts": TWICE, "proposal": REFUND, "now": NOW})
    assert b'"effect":"require"' in judge_line(line, POLICY)
    with pytest.raises(PoisonError):
        judge_line(b"{}", POLICY)


def test_days_of_rest() -> None:
    saturday = datetime(2026, 1, 10, 12, tzinfo=UTC)
    assert next_working_day(saturday, "DE").day == 12
    assert not is_working_day(datetime(2026, 5, 17).date(), "NO")
    assert is_working_day(datetime(2026, 5, 18).date(), "NO")
    assert add_working_days(datetime(2026, 1, 9, 12, tzinfo=UTC), 5, "DE").day == 16
    assert end_of_day(NOW, "DE") == datetime(2026, 1, 5, 22, 59, 59, tzinfo=UTC)


def test_a_day_of_25_hours_takes_none_from_the_customer() -> None:
    # Delivered half an hour after midnight on 13 October, in summer time: 30 days later it is 12 November, all of it.
    facts = replace(TWICE, delivered=datetime(2026, 10, 12, 22, 30, tzinfo=UTC))
    late = datetime(2026, 11, 12, 22, 30, tzinfo=UTC)
    verdict = judge(RETURN, facts, POLICY, late)
    assert (verdict.effect, verdict.deadline) == ("permit", datetime(2026, 11, 12, 22, 59, 59, tzinfo=UTC))
    friday = datetime(2026, 10, 22, 22, 30, tzinfo=UTC)
    assert add_working_days(friday, 2, "DE") == datetime(2026, 10, 26, 23, 30, tzinfo=UTC)
