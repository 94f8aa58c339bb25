"""A person hears praise that no rule recognised, and passes it on with one key."""

from datetime import datetime

from bus.clock import Clock
from bus.delivery.outcome import Outcome
from bus.store.port import Store
from workers.case.changes import Draft
from workers.case.model import CaseState
from workers.case.praise import meant
from workers.case.rules import Refused
from workers.desk.actions import Actions
from workers.desk.reading import Reading
from workers.desk.staff import People, colleague_of
from workers.dialogue.praising import give_praise
from workers.packs import Pack

__all__ = ["Praising"]


class Praising:
    """Passes the customer's last words on. `tenant` and `person` come from the session."""

    def __init__(self, *, store: Store, clock: Clock, pack: Pack, actions: Actions) -> None:
        self._reading = Reading(store=store, clock=clock)
        self._people = People(store=store, clock=clock)
        self._pack, self._actions = pack, actions

    async def pass_on(self, tenant: str, case: str, person: str) -> None:
        """Once for each contact. Raises UnknownCase, and Refused with `praise` where the customer has said nothing."""
        timeline = await self._reading.events(tenant, case)
        said = next((e for e in reversed(timeline) if e["kind"] == "received" and e.get("text")), None)
        if said is None:
            await self._reading.state(tenant, case)
            raise Refused(("praise",))
        if any(e["kind"] == "praise-given" and e["contact"] == said["contact"] for e in timeline):
            return
        colleagues = [colleague_of(staff) for staff in await self._people.all(tenant)]
        route = said["route"]
        name = route["address"].get("name", "")

        def decide(state: CaseState, now: datetime) -> Outcome:
            draft = Draft(state, now)
            give_praise(
                draft, self._pack, contact=said["contact"], text=said["text"],
                names=meant(said["text"], colleagues, state.helpers, writer=name), colleagues=colleagues,
                who=name or route["address"]["address"], channel=route["channel"],
                actor=person,
            )  # fmt: skip
            return draft.outcome()

        await self._actions.change(tenant, case, decide)
