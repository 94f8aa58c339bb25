"""Which case is offered to whom. Pure: from everything that waits and everybody who is there to what shall happen.

One round looks at a whole tenant: first what became of earlier offers (`settle`), then the cases that wait, those with
the least time left to what was promised first, and for each the most suitable person with a free hand (`match`). A
round that is repeated, late or early does no harm: it starts from what is there, not from what it remembers.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from bus.log.topics import LIVE_CHANNELS
from workers.case import model
from workers.case.model import CaseState
from workers.case.waiting import place_of, waits
from workers.desk.staff import Staff

__all__ = [
    "ABSENT_AFTER",
    "AWAY",
    "BREAK",
    "BREAK_OVER",
    "BUSY",
    "COOL_OFF",
    "EXPIRES",
    "LIVE_IDLE",
    "MAIL",
    "OFFERED",
    "READY",
    "RELAX",
    "STATES",
    "TAKEN",
    "WRAP_UP",
    "Hand",
    "Load",
    "Offer",
    "Present",
    "Settled",
    "Step",
    "Task",
    "fits",
    "hand_of",
    "match",
    "settle",
    "suits",
    "task_of",
]

READY, BUSY, WRAP_UP, BREAK, AWAY = "ready", "busy", "wrap-up", "break", "away"
STATES = (READY, BUSY, WRAP_UP, BREAK, AWAY)
"""ready: takes offers. busy: here, and wants none just now. wrap-up: a conversation has ended and its outcome is not
written down. break: back in a while. away: not here."""

BREAK_OVER = "break-over"
"""Why somebody is `busy` (or `ready`, where the house says so) again: the break has ended, and nobody was asked."""

OFFERED, TAKEN = "offered", "taken"

CALL, CHAT, MAIL = "call", "chat", "mail"
"""Lanes: somebody on the line, somebody before a window, and what can wait an hour."""

ABSENT_AFTER = timedelta(seconds=45)
"""Three heartbeats of 15 s: one lost request sends nobody away, a closed lid gives its offer back within a minute."""

EXPIRES = {CALL: timedelta(seconds=20), CHAT: timedelta(seconds=20), MAIL: timedelta(minutes=2)}
"""How long an offer stands. A telephone rings five times in 20 s, and three people can be asked before the caller has
waited for the promised minute; a mail may wait until the sentence at hand is finished."""

COOL_OFF = {CALL: timedelta(seconds=60), CHAT: timedelta(seconds=60), MAIL: timedelta(minutes=30)}
"""Whoever declined is asked again after that, when nobody else has taken it: nobody is forgotten because all said no
once."""

LIVE_IDLE = timedelta(minutes=15)
"""A chat in which the customer has said nothing for so long no longer fills a hand: windows stay open for days."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """How wide the choice of people is from a moment on: `live` and `written` count from when the case began to wait.

    `level`: the least level of the skill; `department`, `language`: whether they have to fit.
    """

    name: str
    live: timedelta
    written: timedelta
    level: int = 0
    department: bool = True
    language: bool = True


RELAX = (
    Step(name="skilled", live=timedelta(), written=timedelta(), level=2),
    # A person is promised within 10 minutes where somebody waits, within a working day (10 h) in writing: the first
    # tenth belongs to those who know the matter best, then to those who learn it.
    Step(name="learning", live=timedelta(minutes=1), written=timedelta(hours=1), level=1),
    Step(name="department", live=timedelta(minutes=2), written=timedelta(hours=2)),
    # A third of the time is gone: somebody who can at least listen, write down and ask is better than silence.
    Step(name="house", live=timedelta(minutes=3), written=timedelta(hours=4), department=False),
)
ANYBODY = Step(name="anybody", live=timedelta(), written=timedelta(), department=False, language=False)
"""When the time that was promised is over: even somebody who has to have the language translated."""

_UNGRADED = 2
"""The level of people for whom no skills are written down: a house that grades nobody has no beginners."""


_NO_SKILL = frozenset({"escalation"})
"""Families of requests that say how somebody wants to be served, and not what has to be known for it."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A case that waits for a person. `due` is what was promised, `created` the first contact on any channel, `since`
    when it began to wait for a person."""

    case: str
    lane: str
    due: datetime
    created: datetime
    since: datetime
    department: str = ""
    language: str = ""
    skill: str = ""
    not_before: datetime | None = None
    """When the next try of a call-back is due."""


class Present(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody on the roster. `seen` is the last heartbeat, `case` that of a wrap-up, `until` the end of a break."""

    staff: Staff
    state: str
    since: datetime
    seen: datetime
    reason: str = ""
    case: str = ""
    until: datetime | None = None


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody has in hand."""

    calls: int = 0
    chats: int = 0
    mails: int = 0

    def more(self, lane: str) -> "Load":
        """With one more of a lane."""
        if lane == CALL:
            return replace(self, calls=self.calls + 1)
        return replace(self, chats=self.chats + 1) if lane == CHAT else replace(self, mails=self.mails + 1)

    @property
    def all(self) -> int:
        return self.calls + self.chats + self.mails


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """The offer of a case: to whom, since when, until when. `state`: offered, taken (a live conversation), or free."""

    case: str
    state: str
    person: str = ""
    lane: str = MAIL
    at: datetime
    expires: datetime
    declined: Mapping[str, datetime] = {}


class Hand(msgspec.Struct, frozen=True, kw_only=True):
    """What an offer has to know of its case."""

    case: str
    lane: str
    waits: bool
    awaited: bool
    """A person has to answer, whoever has it."""
    assignee: str = ""
    closed: bool = False
    over: bool = False
    """Nobody is on the line any more."""
    outcome: str = ""


class Settled(msgspec.Struct, kw_only=True):
    """What became of earlier offers. `events` are (case, person, how, reason) for the timelines."""

    offers: dict[str, Offer] = {}
    people: dict[str, Present] = {}
    released: dict[str, str] = {}
    """Cases whose person went away in the middle of a conversation."""
    events: list[tuple[str, str, str, str]] = []


def lane_of(state: CaseState) -> str:
    """The lane of a case now. Who asked to be called needs a hand like somebody on the line."""
    route = state.route()
    there = route is not None and not route.left
    if state.callback is not None or (state.channel == "phone" and there):
        return CALL
    return CHAT if state.channel in LIVE_CHANNELS and there else MAIL


def task_of(state: CaseState) -> Task:
    """A case as work to be offered."""
    since = state.waits_since or state.updated
    families = (intent.partition(".")[0] for intent in state.intents)
    return Task(
        case=state.id, lane=lane_of(state), due=place_of(state) or since + RELAX[-1].written, created=state.created,
        since=since, department=state.department, language=state.language,
        skill=next((family for family in families if family not in _NO_SKILL), ""),
        not_before=None if state.callback is None else state.callback.next_at,
    )  # fmt: skip


def hand_of(state: CaseState) -> Hand:
    """A case as whoever has it holds it."""
    route = state.route()
    # Who was shown the door need not have gone through it: for the person the conversation is over all the same.
    gone = route is not None and (route.left or bool(state.ended))
    return Hand(
        case=state.id, lane=lane_of(state), waits=waits(state), awaited=state.status == model.WAITING_PERSON,
        assignee=state.assignee, closed=state.status == model.CLOSED, outcome=state.outcome,
        over=state.channel in LIVE_CHANNELS and gone and state.callback is None,
    )  # fmt: skip


def fits(load: Load, lane: str, staff: Staff) -> bool:
    """Whether a free hand is left: one call and nothing live beside it, or some chats and mails."""
    if load.calls:
        return False
    if lane == CALL:
        return not load.chats
    return load.chats < staff.chats if lane == CHAT else load.mails < staff.mails


def step_of(task: Task, now: datetime) -> Step:
    """How wide the choice is by now."""
    if now >= task.due:
        return ANYBODY
    return next(step for step in reversed(RELAX) if now >= task.since + _after(step, task))


def next_step(task: Task, now: datetime) -> datetime | None:
    """When the choice grows wider next; None when it cannot."""
    later = [task.since + _after(step, task) for step in RELAX] + [task.due]
    return min((moment for moment in later if moment > now), default=None)


def _after(step: Step, task: Task) -> timedelta:
    return step.written if task.lane == MAIL else step.live


def suits(staff: Staff, task: Task, step: Step) -> bool:
    """Whether somebody may be asked for a case at a step."""
    if step.language and task.language and staff.languages and task.language not in staff.languages:
        return False
    if step.department and staff.departments and task.department not in ("", "desk", *staff.departments):
        return False
    return not task.skill or _level(staff, task.skill) >= step.level


def _level(staff: Staff, skill: str) -> int:
    return staff.skills.get(skill, 0) if staff.skills else _UNGRADED


def settle(
    now: datetime,
    people: Iterable[Present],
    offers: Sequence[Offer],
    hands: Mapping[str, Hand],
    *,
    ready_after_break: bool = False,
) -> Settled:
    """What became of people and of earlier offers; `hands` are the cases of the offers and all live ones in hand.

    Whoever's break is over is `ready_after_break` where the house says so; else busy, and becomes ready by own act.
    """
    done = Settled(people={person.staff.name: person for person in people})
    for name, person in list(done.people.items()):
        if person.state != AWAY and now >= person.seen + ABSENT_AFTER:
            _move(done, name, AWAY, now, "connection")
        elif person.state == BREAK and person.until is not None and now >= person.until:
            state = (WRAP_UP if person.case else READY) if ready_after_break else BUSY
            _move(done, name, state, now, BREAK_OVER)
    for offer in offers:
        hand = hands.get(offer.case)
        if offer.state == OFFERED:
            _settle_offered(done, offer, hand, now)
        elif offer.state == TAKEN:
            _settle_taken(done, offer, hand, now)
    taken = {(offer.case, offer.person) for offer in offers if offer.state == TAKEN}
    for hand in hands.values():
        _settle_hand(done, hand, now, known=(hand.case, hand.assignee) in taken)
    return done


def _settle_offered(done: Settled, offer: Offer, hand: Hand | None, now: datetime) -> None:
    person = done.people.get(offer.person)
    if hand is None or not hand.waits:
        taken = hand is not None and hand.assignee == offer.person
        _free(done, offer)
        done.events.append((offer.case, offer.person, "accepted" if taken else "withdrawn", ""))
    elif person is None or person.state != READY:
        _free(done, offer)
        done.events.append((offer.case, offer.person, "returned", person.state if person else AWAY))
    elif now >= offer.expires:
        _free(done, replace(offer, declined={**offer.declined, offer.person: now}))
        done.events.append((offer.case, offer.person, "timed-out", ""))
        # Whoever does not see an offer does not see the next one either.
        _move(done, offer.person, AWAY, now, "unanswered")


def _settle_taken(done: Settled, offer: Offer, hand: Hand | None, now: datetime) -> None:
    if hand is not None and hand.assignee == offer.person and not hand.closed and not hand.over:
        return
    _free(done, offer)
    person = done.people.get(offer.person)
    ended = hand is not None and hand.over and not hand.closed and hand.assignee == offer.person
    if ended and hand is not None and not hand.outcome and person is not None:
        here = person.state in (READY, BUSY)
        moved = replace(person, case=offer.case)
        done.people[offer.person] = replace(moved, state=WRAP_UP, since=now, reason="") if here else moved


def _settle_hand(done: Settled, hand: Hand, now: datetime, *, known: bool) -> None:
    """A live conversation: whoever has it in hand may have gone, or may have taken it from the queue."""
    person = done.people.get(hand.assignee)
    if person is None or hand.closed or hand.over or hand.lane == MAIL:
        return
    if person.state == AWAY:
        if hand.awaited:
            done.released[hand.case] = hand.assignee
    elif not known:
        done.offers[hand.case] = Offer(
            case=hand.case, state=TAKEN, person=hand.assignee, lane=hand.lane, at=now, expires=now
        )


def _free(done: Settled, offer: Offer) -> None:
    done.offers[offer.case] = replace(offer, state="free", person="")


def _move(done: Settled, name: str, state: str, now: datetime, reason: str) -> None:
    person = done.people.get(name)
    if person is not None:
        done.people[name] = replace(person, state=state, since=now, reason=reason, until=None)


def match(
    now: datetime,
    tasks: Sequence[Task],
    free: Mapping[str, Present],
    loads: Mapping[str, Load],
    declined: Mapping[str, Mapping[str, datetime]],
) -> tuple[list[Offer], datetime | None]:
    """New offers, at most one a person, and when the next round may find more without anything having happened.

    `free`: people who are ready and have no open offer. The least time left to the promise comes first, then whoever
    was heard first. The most skilled person is asked, among equals the one with the least in hand, then the one who
    has waited longest for work.
    """
    left, offers, later = dict(free), list[Offer](), list[datetime]()
    for task in sorted(tasks, key=lambda task: (task.due, task.created, task.case)):
        if not left:
            break
        if task.not_before is not None and task.not_before > now:
            later.append(task.not_before)
            continue
        step, refused = step_of(task, now), declined.get(task.case, {})
        resting = {name for name, at in refused.items() if now < at + COOL_OFF[task.lane]}
        found = [
            person
            for name, person in left.items()
            if name not in resting and fits(loads.get(name, Load()), task.lane, person.staff)
            and suits(person.staff, task, step)
        ]  # fmt: skip
        if not found:
            wider = next_step(task, now)
            later += [refused[name] + COOL_OFF[task.lane] for name in resting] + ([wider] if wider else [])
            continue
        chosen = min(found, key=lambda person: _preference(person, task, loads))
        offers.append(
            Offer(
                case=task.case, state=OFFERED, person=chosen.staff.name, lane=task.lane, at=now,
                expires=now + EXPIRES[task.lane], declined=refused,
            )
        )  # fmt: skip
        del left[chosen.staff.name]
    return offers, min(later, default=None)


def _preference(person: Present, task: Task, loads: Mapping[str, Load]) -> tuple[int, int, datetime, str]:
    name = person.staff.name
    return -_level(person.staff, task.skill), loads.get(name, Load()).all, person.since, name
