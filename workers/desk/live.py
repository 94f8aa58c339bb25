"""What is under way: offers to a person, and live cases by risk. Reads only, each bound to one tenant."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import and_, bindparam, or_, select

from bus.clock import Clock, from_micros
from bus.delivery.dead_letters import unseen_letters
from bus.message import decode
from bus.store.port import Store
from workers.case.changes import load_case, load_cases
from workers.case.model import CLOSED, WAITING_PERSON, CaseState
from workers.case.schema import cases, person
from workers.desk.offer_schema import OPEN_OFFERS
from workers.desk.offers import OFFERED
from workers.desk.risk import Reason, reasons_of, score

__all__ = ["LiveReading", "RiskRow"]

_MOST = 500
"""Cases that are weighed: more than that at once is one reason, and not five hundred."""

_LIVE = (
    select(cases.c.snapshot)
    .where(
        cases.c.tenant == bindparam("tenant"),
        cases.c.status != CLOSED,
        or_(
            cases.c.status == WAITING_PERSON,
            cases.c.assignee != "",
            cases.c.tone.in_(("angry", "abusive")),
            cases.c.urgency >= 3,
        ),
    )
    .order_by(cases.c.due == 0, cases.c.due)
    .limit(_MOST)
)
_NAMES = select(person.c.id, person.c.name).where(and_(person.c.tenant == bindparam("tenant"), person.c.name != ""))


class RiskRow(msgspec.Struct, frozen=True, kw_only=True):
    """A live case with its weight and the reasons, the heaviest first (`risk.<word>` of the catalogue)."""

    id: str
    number: str
    name: str
    subject: str
    intent: str
    channel: str
    language: str
    department: str
    assignee: str
    joined: tuple[str, ...]
    status: str
    tone: str
    supervisor: str
    """Why a supervisor was called; empty when nobody was."""
    due: datetime | None
    created: datetime
    score: int
    reasons: tuple[Reason, ...]


class LiveReading:
    """Reads for people and their supervisors."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def by_risk(self, tenant: str) -> Sequence[RiskRow]:
        """Live cases that somebody should look at, the most urgent first."""
        now = self._clock.now()
        rows = await self._store.all(_LIVE, {"tenant": tenant})
        states = [decode(row["snapshot"].encode(), CaseState) for row in rows]
        weighed = [(state, reasons) for state in states if (reasons := reasons_of(state, now))]
        names = await self._names(tenant, [state for state, _ in weighed])
        found = [_row(state, reasons, names.get(state.person, "")) for state, reasons in weighed]
        return sorted(found, key=lambda row: (-row.score, row.created))

    async def unseen(self, tenant: str) -> Sequence[Mapping[str, Any]]:
        """Records that were given up and show in no case: `group`, `topic`, `letters`, `since`."""
        return [
            {
                "group": row["group_name"], "topic": row["topic"], "letters": row["letters"],
                "since": from_micros(row["since"]),
            }
            for row in await unseen_letters(self._store, tenant)
        ]  # fmt: skip

    async def offers(self, tenant: str, name: str) -> Sequence[Mapping[str, Any]]:
        """What is offered to somebody now."""
        rows = [
            row
            for row in await self._store.all(OPEN_OFFERS, {"tenant": tenant})
            if row["state"] == OFFERED and row["person"] == name
        ]
        states = await load_cases(self._store, [(tenant, row["case_id"]) for row in rows])
        names = await self._names(tenant, list(states.values()))
        return [
            {
                "case": state.id, "number": state.number, "lane": row["lane"], "channel": state.channel,
                "language": state.language, "department": state.department, "tone": state.tone,
                "name": names.get(state.person, "") or _called(state), "subject": state.subject,
                "intent": state.intents[0] if state.intents else "", "due": state.due, "created": state.created,
                "callback": state.callback, "expires": from_micros(row["expires"]),
            }
            for row in rows
            if (state := states.get((tenant, row["case_id"]))) is not None
        ]  # fmt: skip

    async def is_call_back(self, tenant: str, case: str) -> bool:
        """Whether the customer of a case waits to be called."""
        state = await load_case(self._store, tenant, case)
        return state is not None and state.callback is not None

    async def named(self, tenant: str, case: str) -> Mapping[str, str] | None:
        """A case by id and number, for a link."""
        state = await load_case(self._store, tenant, case) if case else None
        return None if state is None else {"case": state.id, "number": state.number}

    async def _names(self, tenant: str, states: Sequence[CaseState]) -> Mapping[str, str]:
        people = sorted({state.person for state in states if state.person})
        rows = await self._store.by_keys(_NAMES, person.c.id, people, {"tenant": tenant})
        return {row["id"]: row["name"] for row in rows}


def _called(state: CaseState) -> str:
    route = state.route()
    return route.address.name if route is not None else ""


def _row(state: CaseState, reasons: tuple[Reason, ...], name: str) -> RiskRow:
    return RiskRow(
        id=state.id, number=state.number, name=name or _called(state), subject=state.subject,
        intent=state.intents[0] if state.intents else "", channel=state.channel, language=state.language,
        department=state.department, assignee=state.assignee, joined=state.joined, status=state.status, tone=state.tone,
        supervisor=state.supervisor, due=state.due, created=state.created, score=score(reasons), reasons=reasons,
    )  # fmt: skip
