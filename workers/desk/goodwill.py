"""Something on top for a customer, booked at the desk: money back to a charge, within what the role may approve.

The policy judges it (`workers.policy`), the case adds it up, and the books take it in the same transaction.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from bus.clock import Clock
from bus.delivery.outcome import Outcome
from bus.store.port import Store
from workers.case.changes import Draft
from workers.case.events import GOODWILL, Acted, Noted
from workers.case.model import CLOSED, CaseState
from workers.case.rules import Refused
from workers.desk.actions import Actions
from workers.desk.reading import Reading
from workers.packs import Pack
from workers.policy import Goodwill, judge
from workers.policy.facts import facts_of
from workers.records import ON_TOP, Charge, Customer, OrderFile
from workers.records.sql import SqlRecords

__all__ = ["Gift", "Gifts"]

MOST_REASON = 500
"""Characters of a reason: a few sentences."""


class Gift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody wants to give. `amount` is minor units. `given` is what the page shows as given in this case so
    far: when it is more by then, somebody has just booked, and nothing is booked twice."""

    order: str
    amount: int
    currency: str
    reason: str
    given: int = 0


class Gifts:
    """Books goodwill. `tenant`, `person` and `role` come from the session, never from the request."""

    def __init__(self, *, store: Store, clock: Clock, pack: Pack, actions: Actions) -> None:
        self._reading = Reading(store=store, clock=clock)
        self._records = SqlRecords(store)
        self._pack, self._actions = pack, actions

    async def book(self, tenant: str, case: str, person: str, role: str, gift: Gift) -> None:
        """Give it back to a charge of the order that has so much left.

        Raises UnknownCase, and Refused with `reason`, `closed`, `proof` (nobody proved to be the customer), `order`,
        `given` (other than `gift.given` by now), `charge` (no payment of that size to give it back to), or the rules of
        the policy that do not allow it (`goodwill.ceiling`, `amount.currency`, ...).
        """
        if not gift.reason.strip() or len(gift.reason) > MOST_REASON:
            raise Refused(("reason",))
        state = await self._reading.state(tenant, case)
        customer = await self._records.customer(tenant, state.customer) if state.customer else None
        if customer is None:
            raise Refused(("proof",))
        order = await self._records.find_order(tenant, gift.order)
        if order is None or order.customer != customer.id:
            raise Refused(("order",))
        file = await self._records.order_file(tenant, order)

        def decide(state: CaseState, now: datetime) -> Outcome:
            if state.status == CLOSED:
                raise Refused(("closed",))
            if state.customer != customer.id:
                raise Refused(("proof",))
            if state.goodwill.get(gift.currency, 0) != gift.given:
                raise Refused(("given",))
            rules = self._permitted(customer, file, gift, role, now)
            charge = _charge(file, gift.amount)
            number, writes = self._records.refund(
                tenant=tenant, charge=charge, amount=gift.amount, reason=_next(file, charge), case=case, now=now
            )
            draft = Draft(state, now)
            draft.tell(
                Acted(
                    at=now, actor=person, action=GOODWILL, reference=number, amount=gift.amount,
                    currency=gift.currency, rules=tuple(rules),
                )
            )  # fmt: skip
            draft.tell(Noted(at=now, actor=person, text=gift.reason.strip()))
            draft.writes.extend(writes)
            return draft.outcome()

        await self._actions.change(tenant, case, decide)

    def _permitted(self, customer: Customer, file: OrderFile, gift: Gift, role: str, now: datetime) -> Sequence[str]:
        """The rules that permit it. The person who books it answers for the customer's yes."""
        facts = msgspec.structs.replace(facts_of(file, customer, confirmed=True), approver=role, given_case=gift.given)
        proposal = Goodwill(customer=customer.id, order=file.order.id, amount=gift.amount, currency=gift.currency)
        verdict = judge(proposal, facts, self._pack.policy, now)
        if not verdict.allowed:
            raise Refused(verdict.missing or verdict.rules)
        return verdict.rules


def _charge(file: OrderFile, amount: int) -> Charge:
    found = next((charge for charge in file.charges if charge.amount - charge.refunded >= amount), None)
    if found is None:
        raise Refused(("charge",))
    return found


def _next(file: OrderFile, charge: Charge) -> str:
    """A charge is refunded once for each reason; what is given on top another time has a number of its own."""
    before = [each for each in file.refunds if each.charge == charge.id and each.reason.startswith(ON_TOP)]
    return f"{ON_TOP} {len(before) + 1}"
