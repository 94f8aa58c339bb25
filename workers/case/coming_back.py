"""Who waits to be called back and gets in touch in another case, maybe by another address, need not be called any more.

Every contact asks who waits in its company: hardly anybody does, and the index of `cases` has nobody else in it. Only
then are people compared, through merges. The waiting case is told by a timer that is due at once; what it makes of that
is its own decision, and its promises stay.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import bindparam, select, text

from bus.delivery.outcome import SetTimer
from bus.log.topics import CASE_TIMER
from bus.message import derive_id, encode
from bus.store.port import Row, Store
from workers.case import callback
from workers.case.events import CaseEvent
from workers.case.merging import heads
from workers.case.model import CaseState
from workers.case.schema import cases
from workers.case.work import CaseTimer

__all__ = ["KIND", "heard_elsewhere", "news_for", "waiting_for_a_call"]

KIND = "came-back"
"""Kind of the timer; its detail is when the customer was heard, and the number of the case."""

_waiting = select(cases.c.id, cases.c.person).where(cases.c.tenant == bindparam("tenant"), text("callback = 1"))
"""The condition is written out: with a parameter in it the index of just these rows would not be used."""


async def waiting_for_a_call(store: Store, tenant: str) -> Sequence[Row]:
    """`id` and `person` of every case in which somebody waits to be called back."""
    return await store.all(_waiting, {"tenant": tenant})


async def news_for(
    store: Store, here: CaseState, people: Collection[str], heard: datetime, waiting: Sequence[Row]
) -> Sequence[SetTimer]:
    """What tells the other cases of `people`, among those `waiting`, that the customer was heard `here`."""
    others = [row for row in waiting if row["id"] != here.id]
    mine = set(people) - {""}
    if not others or not mine:
        return ()
    head = await heads(store, here.tenant, mine | {row["person"] for row in others})
    same = {head[each] for each in mine}
    return [_news(row["id"], here, heard) for row in others if head[row["person"]] in same]


def heard_elsewhere(state: CaseState, detail: str, now: datetime) -> tuple[CaseEvent, ...]:
    """What follows in the waiting case from the timer's `detail`."""
    heard, _, number = detail.partition(" ")
    return callback.came_back_elsewhere(state, datetime.fromisoformat(heard), number, now)


def _news(case: str, here: CaseState, heard: datetime) -> SetTimer:
    detail = f"{heard.isoformat()} {here.number}"
    return SetTimer(
        id=derive_id("t", here.tenant, case, KIND), due=heard, topic=CASE_TIMER, key=case, kind="timer",
        tenant=here.tenant, value=encode(CaseTimer(tenant=here.tenant, case=case, kind=KIND, detail=detail)),
    )  # fmt: skip
