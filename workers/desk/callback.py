"""Call-backs by people at the desk: rings the telephone of the person and then the customer's, or notes how it went."""

from workers.case.calling import begin_call, end_call
from workers.case.changes import Draft
from workers.case.model import CallBack
from workers.desk.actions import Actions
from workers.desk.staff import People
from workers.packs import Pack

__all__ = ["CallBacks"]


class CallBacks:
    """`tenant` and `person` come from the session, never from the request. Each raises UnknownCase and Refused."""

    def __init__(self, *, actions: Actions, people: People, pack: Pack, dials: bool) -> None:
        """`dials`: the phone channel can call out; else people dial by hand."""
        self._actions, self._people, self._pack, self._dials = actions, people, pack, dials

    async def call(self, tenant: str, case: str, person: str, number: str = "") -> tuple[CallBack, bool]:
        """Begin a try; whether it rings by itself (the person's telephone is known)."""
        staff = await self._people.one(tenant, person)
        phone = "" if staff is None or not self._dials else staff.phone
        begun: list[CallBack] = []

        def decide(draft: Draft) -> None:
            begun.append(begin_call(draft, self._pack, actor=person, phone=phone, number=number))

        await self._actions.draft(tenant, case, decide)
        return begun[-1], bool(phone)

    async def called(self, tenant: str, case: str, person: str, result: str) -> None:
        """How a try went that the person dialled by hand: talked, or customer when nobody picked up."""
        await self._actions.draft(tenant, case, lambda draft: end_call(draft, self._pack, result, actor=person))
