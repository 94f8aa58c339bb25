"""Proposals, facts and verdicts. All of it is data, so that a verdict can be replayed from what was known."""

from datetime import datetime
from typing import Annotated

import msgspec

__all__ = [
    "ASK",
    "FORBID",
    "NEEDS_PERSON",
    "PERMIT",
    "REQUIRE",
    "Exchange",
    "Facts",
    "Goodwill",
    "ItemFacts",
    "Moment",
    "PaymentFacts",
    "Proposal",
    "Refund",
    "Repair",
    "Replacement",
    "ReturnGoods",
    "Verdict",
]

PERMIT = "permit"
REQUIRE = "require"
ASK = "ask"
NEEDS_PERSON = "needs_person"
FORBID = "forbid"


Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time that says where it holds: one without an offset cannot be compared, so it is refused when read."""


class _Proposal(msgspec.Struct, frozen=True, kw_only=True, tag_field="action", omit_defaults=True):
    """What every proposal says: for whom, about which order."""

    customer: str
    order: str


class Refund(_Proposal, frozen=True, kw_only=True, tag="refund"):
    """Pay back part of a charge. `reason`: duplicate, price_difference, withdrawal, defect. `method`: original."""

    charge: str
    amount: int
    currency: str
    reason: str
    method: str = "original"


class ReturnGoods(_Proposal, frozen=True, kw_only=True, tag="return"):
    """Take goods back for their price."""

    line: int


class Exchange(_Proposal, frozen=True, kw_only=True, tag="exchange"):
    """Swap a line for the same product in another variant."""

    line: int
    variant: str = ""


class Repair(_Proposal, frozen=True, kw_only=True, tag="repair"):
    """Repair faulty goods at our cost."""

    line: int


class Replacement(_Proposal, frozen=True, kw_only=True, tag="replacement"):
    """Replace faulty goods at our cost."""

    line: int


class Goodwill(_Proposal, frozen=True, kw_only=True, tag="goodwill"):
    """Give something on top, without a duty."""

    amount: int
    currency: str


Proposal = Refund | ReturnGoods | Exchange | Repair | Replacement | Goodwill


class PaymentFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A charge as the books show it. `reasons`: what it was refunded for already."""

    id: str
    amount: int
    currency: str
    refunded: int = 0
    reasons: tuple[str, ...] = ()
    method: str = "card"


class ItemFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the order. `kinds`: what is under way for it (refund, exchange, repair, replacement)."""

    line: int
    category: str = ""
    price: int = 0
    quantity: int = 1
    shelf_price: int = 0
    kinds: tuple[str, ...] = ()
    opened: bool = False


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known. None and empty mean unknown, and unknown is asked for, never assumed.

    `proven`: the customer that the writer proved to be. `owner`: whose order it is. `declared`: when the customer
    said so (a withdrawal counts from its sending, Directive 2011/83/EU Art. 11). `confirmed`: an explicit yes to
    exactly this proposal. `given_case`, `given_year`: goodwill so far.
    """

    proven: str = ""
    owner: str = ""
    country: str = ""
    place: str = ""
    state: str = ""
    currency: str = ""
    total: int = 0
    delivered: Moment | None = None
    declared: Moment | None = None
    payments: tuple[PaymentFacts, ...] = ()
    items: tuple[ItemFacts, ...] = ()
    confirmed: bool = False
    given_case: int = 0
    given_year: int = 0
    approver: str = ""
    """The role of the person who approves the proposal; empty while software decides alone."""

    def payment(self, charge: str) -> PaymentFacts | None:
        """One charge."""
        return next((payment for payment in self.payments if payment.id == charge), None)

    def item(self, line: int) -> ItemFacts | None:
        """One line."""
        return next((item for item in self.items if item.line == line), None)


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`effect`: permit, require (the law demands it), ask (`missing` names what), needs_person or forbid.

    `rules` are the ids of all rows that decided, `reasons` the words for the reply, `deadline` the last day where one
    counts (of the customer's right, or of our duty).
    """

    effect: str
    rules: tuple[str, ...]
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    deadline: datetime | None = None

    @property
    def allowed(self) -> bool:
        """Whether it may be done now."""
        return self.effect in (PERMIT, REQUIRE)
