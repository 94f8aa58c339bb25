"""Gives work to people: one round for a tenant whenever something about its work or its people has changed.

Group `offers`. Every change that may matter puts a record on `case.offers` in its own transaction, all of a tenant in
one lane: so a round reads what is committed, no two rounds of a tenant run at once, and no case slips between one that
begins to wait and a person who becomes ready in the same moment. Times (an offer runs out, a heartbeat is missing, the
choice grows wider) come from one durable timer per tenant, set by each round for the next moment that matters.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import bindparam, func, select

from bus.clock import Clock, from_micros, to_micros
from bus.delivery.outcome import NOTHING, Outcome, SetTimer, Write
from bus.log.port import StoredRecord
from bus.log.topics import CASE_OFFERS, LIVE_CHANNELS
from bus.message import decode, derive_id, encode
from bus.store.port import Row, Store
from workers.case import events
from workers.case.changes import Draft, load_cases
from workers.case.model import WAITING_CUSTOMER, WAITING_PERSON, CaseState
from workers.case.schema import cases
from workers.case.work import Look
from workers.desk import offers as rules
from workers.desk.offer_schema import ADD_OFFER, MOVE_OFFER, MOVE_ROSTER, OPEN_OFFERS, desk_offer
from workers.desk.offers import ABSENT_AFTER, LIVE_IDLE, Load, Offer, Present
from workers.desk.roster import Roster

__all__ = ["OfferWorker", "move_offer", "offer_of"]

_SLICE = 200
"""Cases looked at in one read; the next ones are read only while somebody's hands are free."""

_MOST_SLICES = 50
"""10,000 waiting cases that suit nobody who is there: then it is people that are missing, not another look."""

_WAITING = (
    select(cases.c.snapshot)
    .where(cases.c.tenant == bindparam("tenant"), cases.c.status == WAITING_PERSON, cases.c.assignee == "")
    .order_by(cases.c.due, cases.c.created, cases.c.id)
    .limit(_SLICE)
    .offset(bindparam("skip"))
)
_LIVE = select(cases.c.snapshot, cases.c.updated).where(
    cases.c.tenant == bindparam("tenant"),
    cases.c.assignee != "",
    cases.c.status.in_((WAITING_PERSON, WAITING_CUSTOMER)),
    cases.c.channel.in_(sorted(LIVE_CHANNELS)),
)
_WRITTEN = (
    select(cases.c.assignee, func.count().label("mails"))
    .where(
        cases.c.tenant == bindparam("tenant"),
        cases.c.status == WAITING_PERSON,
        cases.c.assignee != "",
        cases.c.channel.not_in(sorted(LIVE_CHANNELS)),
    )
    .group_by(cases.c.assignee)
)
_ROWS = select(desk_offer).where(desk_offer.c.tenant == bindparam("tenant"))


class OfferWorker:
    """One round per record."""

    group = "offers"
    topics: Sequence[str] = (CASE_OFFERS,)

    def __init__(self, *, store: Store, clock: Clock, ready_after_break: bool = False) -> None:
        """`ready_after_break`: whoever's break is over gets offers without having said so."""
        self._store, self._clock, self._ready_after_break = store, clock, ready_after_break
        self._roster = Roster(store=store, clock=clock)

    async def prepare(self, batch: Sequence[StoredRecord]) -> None:
        """Nothing to load ahead: each round reads what the one before it left."""

    async def handle(self, record: StoredRecord) -> Outcome:
        """One round."""
        tenant = decode(record.value, Look).tenant
        rows = {row["case_id"]: row for row in await self._store.all(OPEN_OFFERS, {"tenant": tenant})}
        versions, people = await self._roster.present(tenant)
        if not people and not rows:
            return NOTHING
        return await _Round(
            self._store, self._clock.now(), tenant, rows, versions, people, ready_after_break=self._ready_after_break
        ).decide()


class _Round:
    """What is known in one round, and the outcome of it."""

    def __init__(
        self, store: Store, now: datetime, tenant: str, rows: dict[str, Row], versions: Mapping[str, int],
        people: Sequence[Present], *, ready_after_break: bool,
    ) -> None:  # fmt: skip
        self._store, self._now, self._tenant = store, now, tenant
        self._ready_after_break = ready_after_break
        self._rows, self._versions, self._people = rows, versions, people
        self._cases: dict[str, CaseState] = {}
        self._later: list[datetime] = []

    async def decide(self) -> Outcome:
        """Settle, match, and write down what changed."""
        before = [offer_of(row) for row in self._rows.values()]
        live = await self._live()
        missing = [offer.case for offer in before if offer.case not in self._cases]
        found = await load_cases(self._store, [(self._tenant, case) for case in missing])
        self._cases.update({state.id: state for state in found.values()})
        hands = {case: rules.hand_of(self._cases[case]) for case in {*live, *(o.case for o in before)} & {*self._cases}}
        settled = rules.settle(self._now, self._people, before, hands, ready_after_break=self._ready_after_break)
        standing = {o.case: o for o in before} | settled.offers
        made = await self._match(settled.people, standing, await self._loads(live))
        offers = standing | {offer.case: offer for offer in made}
        changed = {o.case: o for o in offers.values() if o not in before}
        self._later += [o.expires for o in offers.values() if o.state == rules.OFFERED]
        self._later += [p.seen + ABSENT_AFTER for p in settled.people.values() if p.state != rules.AWAY]
        self._later += [p.until for p in settled.people.values() if p.until is not None]
        outcome = self._timelines(settled, made)
        writes = [move_offer(self._tenant, o, self._rows.get(o.case)) for o in changed.values()]
        writes += [self._moved(p) for p in settled.people.values() if p not in self._people]
        return Outcome(
            writes=(*outcome.writes, *writes), emit=outcome.emit, timers=(*outcome.timers, *self._timer()),
            replies=outcome.replies,
        )  # fmt: skip

    async def _live(self) -> set[str]:
        """Live cases in somebody's hand: the ids; their states are kept."""
        live: set[str] = set()
        for row in await self._store.all(_LIVE, {"tenant": self._tenant}):
            state = decode(row["snapshot"].encode(), CaseState)
            idle = from_micros(row["updated"]) + LIVE_IDLE
            if state.status == WAITING_PERSON or idle > self._now:
                self._cases[state.id] = state
                live.add(state.id)
                if state.status != WAITING_PERSON:
                    self._later.append(idle)
        return live

    async def _loads(self, live: Iterable[str]) -> dict[str, Load]:
        written = await self._store.all(_WRITTEN, {"tenant": self._tenant})
        loads = {row["assignee"]: Load(mails=row["mails"]) for row in written}
        for case in live:
            hand = rules.hand_of(self._cases[case])
            if hand.lane != rules.MAIL or hand.awaited:
                loads[hand.assignee] = loads.get(hand.assignee, Load()).more(hand.lane)
        return loads

    async def _match(
        self, people: Mapping[str, Present], standing: Mapping[str, Offer], loads: Mapping[str, Load]
    ) -> list[Offer]:
        asked = {offer.person for offer in standing.values() if offer.state == rules.OFFERED}
        free = {name: p for name, p in people.items() if p.state == rules.READY and name not in asked}
        made: list[Offer] = []
        for number in range(_MOST_SLICES):
            if not free:
                break
            rows = await self._store.all(_WAITING, {"tenant": self._tenant, "skip": number * _SLICE})
            states = [decode(row["snapshot"].encode(), CaseState) for row in rows]
            ids = [state.id for state in states]
            known = await self._store.by_keys(_ROWS, desk_offer.c.case_id, ids, {"tenant": self._tenant})
            self._rows.update({row["case_id"]: row for row in known})
            declined = {row["case_id"]: _declined_of(row) for row in known} | {
                case: offer.declined for case, offer in standing.items()
            }
            open_ones = {case for case, offer in standing.items() if offer.state == rules.OFFERED}
            tasks = [rules.task_of(state) for state in states if state.id not in open_ones]
            offers, later = rules.match(self._now, tasks, free, loads, declined)
            self._cases.update({state.id: state for state in states})
            self._later += [later] if later else []
            made += offers
            free = {name: p for name, p in free.items() if all(name != offer.person for offer in offers)}
            if len(rows) < _SLICE:
                break
        return made

    def _timelines(self, settled: rules.Settled, made: Sequence[Offer]) -> Outcome:
        """The cases' own events, decided like all their others."""
        told: dict[str, list[events.CaseEvent]] = {}
        for case, person, how, reason in settled.events:
            told.setdefault(case, []).append(events.Offered(at=self._now, to=person, how=how, reason=reason))
        for case in settled.released:
            told.setdefault(case, []).append(events.Assigned(at=self._now, to=""))
        for offer in made:
            told.setdefault(offer.case, []).append(events.Offered(at=self._now, to=offer.person, how="made"))
        outcome = Outcome()
        for case, happened in told.items():
            state = self._cases.get(case)
            if state is None:
                continue
            draft = Draft(state, self._now)
            for event in happened:
                draft.tell(event)
            each = draft.outcome()
            outcome = Outcome(
                writes=(*outcome.writes, *each.writes), emit=(*outcome.emit, *each.emit),
                timers=(*outcome.timers, *each.timers), replies=(*outcome.replies, *each.replies),
            )  # fmt: skip
        return outcome

    def _moved(self, person: Present) -> Write:
        return Write(
            statement=MOVE_ROSTER,
            params={
                "b_tenant": self._tenant, "b_name": person.staff.name,
                "b_version": self._versions[person.staff.name], "b_state": person.state, "b_reason": person.reason,
                "b_since": to_micros(person.since), "b_until": 0 if person.until is None else to_micros(person.until),
                "b_case": person.case,
            },
            expect=1,
        )  # fmt: skip

    def _timer(self) -> Sequence[SetTimer]:
        if not self._later:
            return ()
        due = max(min(self._later), self._now + timedelta(milliseconds=50))
        return (
            SetTimer(
                id=derive_id("t", self._tenant, "offers"), due=due, topic=CASE_OFFERS, key=self._tenant, kind="look",
                value=encode(Look(tenant=self._tenant)), tenant=self._tenant,
            ),
        )  # fmt: skip


def offer_of(row: Row) -> Offer:
    """A row of `desk_offer`."""
    return Offer(
        case=row["case_id"], state=row["state"], person=row["person"], lane=row["lane"], at=from_micros(row["at"]),
        expires=from_micros(row["expires"]), declined=_declined_of(row),
    )  # fmt: skip


def _declined_of(row: Row) -> Mapping[str, datetime]:
    """Who did not want the case of a row, and when."""
    return {name: from_micros(at) for name, at in msgspec.json.decode(row["declined"]).items()}


def move_offer(tenant: str, offer: Offer, row: Row | None) -> Write:
    """Write an offer down over the row that was read; whoever was faster wins."""
    values = {
        "state": offer.state, "person": offer.person, "lane": offer.lane, "at": to_micros(offer.at),
        "expires": to_micros(offer.expires),
        "declined": msgspec.json.encode({name: to_micros(at) for name, at in offer.declined.items()}).decode(),
    }  # fmt: skip
    if row is None:
        own = {"tenant": tenant, "case_id": offer.case, "version": 1}
        return Write(statement=ADD_OFFER, params={**own, **values}, expect=1)
    guard = {"b_tenant": tenant, "b_case": offer.case, "b_version": row["version"]}
    return Write(statement=MOVE_OFFER, params={**guard, **{f"b_{name}": v for name, v in values.items()}}, expect=1)
