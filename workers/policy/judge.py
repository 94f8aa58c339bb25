"""The engine: every check of a proposal, and the verdict that follows. A pure function of facts, figures and time.

Unknown facts ask, never permit. Law stands above company policy, unless the policy is better for the customer.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

import msgspec

from bus.message import decode, encode
from workers.packs import Policy
from workers.policy import model
from workers.policy.calendar import add_days, end_of_day, next_working_day
from workers.policy.model import Facts, ItemFacts, Moment, Proposal, Verdict
from workers.policy.rules import ROWS

__all__ = ["judge", "judge_line"]


class _Finding(msgspec.Struct, frozen=True):
    """One row that speaks, what it misses and the day it counts to."""

    rule: str
    missing: str = ""
    deadline: datetime | None = None


_Check = Iterator[_Finding]

_SEVERITY = {model.FORBID: 4, model.NEEDS_PERSON: 3, model.ASK: 2, model.REQUIRE: 1, model.PERMIT: 0}


def judge(proposal: Proposal, facts: Facts, policy: Policy, now: datetime) -> Verdict:
    """The verdict on a proposal. The severest finding decides; all that agree with it are named."""
    findings = [*_common(proposal, facts), *_SPECIAL[type(proposal)](proposal, facts, policy, now)]
    if not facts.confirmed:
        findings.append(_Finding("confirmation.yes", missing="confirmation"))
    effects = {finding.rule: ROWS[finding.rule].effect for finding in findings}
    if not any(effect in (model.PERMIT, model.REQUIRE) for effect in effects.values()):
        # Nothing speaks for it: then nothing permits it, whatever else is complete.
        effects["fact.unknown"] = model.ASK
        findings.append(_Finding("fact.unknown"))
    effect = max(effects.values(), key=_SEVERITY.__getitem__)
    deciding = [finding for finding in findings if effects[finding.rule] == effect]
    deadlines = [finding.deadline for finding in findings if finding.deadline is not None]
    return Verdict(
        effect=effect,
        rules=tuple(dict.fromkeys(f.rule for f in deciding)),
        reasons=tuple(dict.fromkeys(f.rule for f in findings)),
        missing=tuple(dict.fromkeys(f.missing for f in findings if f.missing)),
        deadline=max(deadlines, default=None),
    )


class _Line(msgspec.Struct, kw_only=True):
    facts: Facts
    proposal: Proposal
    now: Moment


def judge_line(line: bytes, policy: Policy) -> bytes:
    """The verdict as JSON on `{"facts": ..., "proposal": ..., "now": ...}`. Raises PoisonError for anything else."""
    given = decode(line, _Line)
    return encode(judge(given.proposal, given.facts, policy, given.now))


def _common(proposal: Proposal, facts: Facts) -> _Check:
    if not facts.proven:
        yield _Finding("identity.proof", missing="proof")
    elif facts.proven != proposal.customer:
        yield _Finding("identity.owner")
    if not facts.owner:
        yield _Finding("fact.unknown", missing="order")
    elif facts.owner != proposal.customer:
        yield _Finding("identity.owner")
    if facts.state == "cancelled" and not isinstance(proposal, model.Refund):
        yield _Finding("state.cancelled")


def _money(amount: int, currency: str, facts: Facts) -> _Check:
    if amount <= 0:
        yield _Finding("amount.positive")
    if not facts.currency:
        yield _Finding("fact.unknown", missing="currency")
    elif currency != facts.currency:
        yield _Finding("amount.currency")


def _refund(proposal: Proposal, facts: Facts, policy: Policy, now: datetime) -> _Check:
    assert isinstance(proposal, model.Refund)
    yield from _money(proposal.amount, proposal.currency, facts)
    if proposal.method != "original":
        yield _Finding("method.original")
    payment = facts.payment(proposal.charge)
    if payment is None:
        yield _Finding("identity.owner")
        return
    if payment.currency != proposal.currency:
        yield _Finding("amount.currency")
    if proposal.reason in payment.reasons:
        yield _Finding("once.refund")
    if proposal.amount > payment.amount - payment.refunded:
        yield _Finding("amount.charged")
    if proposal.amount > policy.refunds.software_limit.get(proposal.currency, 0):
        yield _Finding("ceiling.software")
    match proposal.reason:
        case "duplicate":
            yield from _duplicate(proposal, facts)
        case "price_difference":
            yield from _price_difference(proposal, facts, policy)
        case _:
            # Withdrawal and defect pay when the goods are back: that is a return, and a person settles the rest.
            yield _Finding("defect.refund-second")


def _duplicate(proposal: model.Refund, facts: Facts) -> _Check:
    paid = sum(payment.amount - payment.refunded for payment in facts.payments)
    same = [p for p in facts.payments if p.amount == proposal.amount and p.id != proposal.charge]
    if not facts.total:
        yield _Finding("fact.unknown", missing="total")
    elif not same or paid - proposal.amount < facts.total:
        yield _Finding("charge.not-duplicate")
    else:
        yield _Finding("charge.duplicate")


def _price_difference(proposal: model.Refund, facts: Facts, policy: Policy) -> _Check:
    wrong = [item for item in facts.items if item.price > item.shelf_price > 0]
    difference = sum((item.price - item.shelf_price) * item.quantity for item in wrong)
    if not wrong or proposal.amount > difference:
        yield _Finding("price.no-difference")
        return
    if proposal.amount > policy.refunds.price_difference_limit.get(proposal.currency, 0):
        yield _Finding("ceiling.software")
    if any((i.price - i.shelf_price) * 100 > i.shelf_price * policy.refunds.price_match_tolerance for i in wrong):
        yield _Finding("price.tolerance")
    yield _Finding("price.shelf")


def _item(line: int, kind: str, facts: Facts) -> tuple[ItemFacts | None, list[_Finding]]:
    item = facts.item(line)
    if item is None:
        return None, [_Finding("fact.unknown", missing="item")]
    found: list[_Finding] = []
    if kind in item.kinds or "refund" in item.kinds:
        found.append(_Finding("once.item"))
    if facts.delivered is None:
        # Shipped or placed is known not to have arrived; an empty state is not known at all.
        found.append(_Finding("state.delivered") if facts.state else _Finding("fact.unknown", missing="delivery"))
    return item, found


def _window(facts: Facts, days: int) -> datetime:
    assert facts.delivered is not None
    last = add_days(facts.delivered, days, facts.country)
    return end_of_day(next_working_day(last, facts.country), facts.country)


def _return(proposal: Proposal, facts: Facts, policy: Policy, now: datetime) -> _Check:
    assert isinstance(proposal, model.ReturnGoods)
    item, found = _item(proposal.line, "refund", facts)
    yield from found
    if item is None or facts.delivered is None:
        return
    declared = facts.declared or now
    by_law = _window(facts, policy.returns.withdrawal_days)
    by_us = _window(facts, max(policy.returns.window_days, policy.returns.withdrawal_days))
    if item.category in policy.returns.excluded_categories and item.opened:
        yield _Finding("return.excluded")
    elif facts.place == "web" and declared <= by_law:
        yield _Finding("withdrawal.law", deadline=by_law)
    elif declared <= by_us:
        yield _Finding("return.window", deadline=by_us)
    else:
        yield _Finding("return.late", deadline=by_us)


def _exchange(proposal: Proposal, facts: Facts, policy: Policy, now: datetime) -> _Check:
    assert isinstance(proposal, model.Exchange)
    item, found = _item(proposal.line, "exchange", facts)
    yield from found
    if item is None or facts.delivered is None:
        return
    last = _window(facts, policy.returns.exchange_days)
    yield _Finding("exchange.window" if (facts.declared or now) <= last else "exchange.late", deadline=last)
    if not proposal.variant:
        yield _Finding("exchange.variant", missing="variant")


def _defect(proposal: Proposal, facts: Facts, policy: Policy, now: datetime) -> _Check:
    assert isinstance(proposal, model.Repair | model.Replacement)
    kind = "repair" if isinstance(proposal, model.Repair) else "replacement"
    item, found = _item(proposal.line, kind, facts)
    yield from found
    if item is None or facts.delivered is None:
        return
    durable = item.category in policy.defects.durable_categories
    table = policy.defects.durable_guarantee_days if durable else policy.defects.guarantee_days
    days = table.get(facts.country, table["default"])
    last = end_of_day(add_days(facts.delivered, days, facts.country), facts.country)
    yield _Finding("defect.guarantee" if now <= last else "defect.late", deadline=last)


def _goodwill(proposal: Proposal, facts: Facts, policy: Policy, now: datetime) -> _Check:
    assert isinstance(proposal, model.Goodwill)
    yield from _money(proposal.amount, proposal.currency, facts)
    by_person = policy.goodwill.by_role.get(facts.approver)
    if by_person is not None:
        within = facts.given_case + proposal.amount <= by_person.get(proposal.currency, 0)
        yield _Finding("goodwill.within" if within else "goodwill.ceiling")
        return
    ceiling = policy.goodwill.ceiling.get(proposal.currency, 0)
    share = facts.total * policy.goodwill.percent_of_order // 100
    year = policy.goodwill.ceiling_year.get(proposal.currency, 0)
    within = facts.given_case + proposal.amount <= min(ceiling, share) and facts.given_year + proposal.amount <= year
    yield _Finding("goodwill.within" if within else "goodwill.ceiling")


_SPECIAL: dict[type, Callable[[Proposal, Facts, Policy, datetime], _Check]] = {
    model.Refund: _refund,
    model.ReturnGoods: _return,
    model.Exchange: _exchange,
    model.Repair: _defect,
    model.Replacement: _defect,
    model.Goodwill: _goodwill,
}
