"""What somebody does with an offer: accept or decline it. Decided on the newest rows, written under their versions."""

from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from bus.clock import Clock
from bus.delivery.outcome import Outcome
from bus.errors import Conflict
from bus.store.port import Effect, Store
from workers.case import events
from workers.case.changes import Draft, load_case
from workers.case.model import CLOSED, CaseState
from workers.case.rules import Refused
from workers.case.waiting import look
from workers.desk.offer_schema import ONE_OFFER
from workers.desk.offering import move_offer, offer_of
from workers.desk.offers import MAIL, OFFERED, TAKEN, Offer

__all__ = ["Answering"]

ATTEMPTS = 8
"""A case changes a few times a second at most."""


class Answering:
    """Answers to offers. `tenant` and `person` come from the session, never from the request."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def accept(self, tenant: str, case: str, person: str) -> None:
        """The case is the person's. Raises Refused with `offer` when it is not (or no longer) offered to this person,
        with `taken` when somebody else was faster."""

        def decide(offer: Offer, state: CaseState, draft: Draft) -> Offer:
            if state.assignee or state.status == CLOSED:
                raise Refused(("taken",))
            draft.tell(events.Offered(at=draft.now, actor=person, to=person, how="accepted"))
            draft.tell(events.Assigned(at=draft.now, actor=person, to=person))
            return replace(offer, state="free" if offer.lane == MAIL else TAKEN, at=draft.now)

        await self._answer(tenant, case, person, decide)

    async def decline(self, tenant: str, case: str, person: str, reason: str = "") -> None:
        """The case goes to others; the person is asked again after a while when nobody took it. Raises Refused."""

        def decide(offer: Offer, _state: CaseState, draft: Draft) -> Offer:
            draft.tell(events.Offered(at=draft.now, actor=person, to=person, how="declined", reason=reason))
            return replace(offer, state="free", person="", declined={**offer.declined, person: draft.now})

        await self._answer(tenant, case, person, decide)

    async def _answer(
        self, tenant: str, case: str, person: str, decide: Callable[[Offer, CaseState, Draft], Offer]
    ) -> None:
        for _ in range(ATTEMPTS):
            now: datetime = self._clock.now()
            row = await self._store.one(ONE_OFFER, {"tenant": tenant, "case_id": case})
            state = await load_case(self._store, tenant, case)
            if row is None or state is None or row["state"] != OFFERED or row["person"] != person:
                raise Refused(("offer",))
            draft = Draft(state, now)
            write = move_offer(tenant, decide(offer_of(row), state, draft), row)
            outcome = draft.outcome()
            news = look(tenant, f"{case}.offer.{row['version']}", now)
            changed = Outcome(
                writes=(*outcome.writes, write), emit=(*outcome.emit, news), timers=outcome.timers,
                replies=outcome.replies,
            )  # fmt: skip
            (result,) = await self._store.apply([Effect(outcome=changed)])
            if result.applied:
                return
        raise Conflict("the offer changed faster than it could be answered")
