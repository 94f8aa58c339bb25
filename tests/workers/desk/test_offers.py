"""Work finds people: whatever arrives, whoever declines, sleeps or vanishes, on a virtual clock."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from workers.case.model import CaseState
from workers.desk import offers
from workers.desk.offers import AWAY, BUSY, CALL, CHAT, MAIL, OFFERED, READY, TAKEN, Hand, Load, Offer, Present, Task
from workers.desk.staff import Staff

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
NAMES = ("Ada", "Bo", "Cy", "Di")


def task(case: str, *, lane: str = MAIL, left_min: float = 60, waited_min: float = 0, **more: Any) -> Task:
    since = START - timedelta(minutes=waited_min)
    return Task(
        case=case, lane=lane, due=START + timedelta(minutes=left_min), created=more.pop("created", since), since=since,
        **more,
    )  # fmt: skip


def person(name: str, **staff: Any) -> Present:
    return Present(staff=Staff(name=name, **staff), state=READY, since=START, seen=START)


def given_to(tasks: list[Task], *people: Present, loads: dict[str, Load] | None = None) -> dict[str, str]:
    made, _ = offers.match(START, tasks, {p.staff.name: p for p in people}, loads or {}, {})
    return {offer.case: offer.person for offer in made}


def test_the_least_time_left_comes_first_not_who_came_first() -> None:
    early = task("early", left_min=60, waited_min=50)
    assert given_to([early, task("late", left_min=5, waited_min=1)], person("Ada")) == {"late": "Ada"}


def test_with_the_same_time_left_whoever_was_heard_first_on_any_channel() -> None:
    older = task("older", created=START - timedelta(days=2))
    assert given_to([task("newer"), older], person("Ada")) == {"older": "Ada"}


def test_the_most_skilled_then_the_one_with_least_in_hand_then_the_one_who_waited_longest() -> None:
    one = [task("k", skill="billing")]
    expert, knows = person("Ada", skills={"billing": 3}), person("Bo", skills={"billing": 2})
    assert given_to(one, knows, expert) == {"k": "Ada"}
    assert given_to(one, person("Ada"), person("Bo"), loads={"Ada": Load(mails=1)}) == {"k": "Bo"}
    assert given_to(one, person("Ada"), replace(person("Bo"), since=START - timedelta(hours=1))) == {"k": "Bo"}


def test_the_choice_grows_wider_by_the_schedule() -> None:
    learner = person("Ada", skills={"billing": 1}, languages=("de",), departments=("billing",))
    about = {"skill": "billing", "language": "de", "department": "billing"}
    assert given_to([task("k", waited_min=59, left_min=400, **about)], learner) == {}
    assert given_to([task("k", waited_min=60, left_min=400, **about)], learner) == {"k": "Ada"}
    stranger = {**about, "skill": "return", "department": "returns"}
    assert given_to([task("k", waited_min=239, left_min=400, **stranger)], learner) == {}
    assert given_to([task("k", waited_min=240, left_min=400, **stranger)], learner) == {"k": "Ada"}
    foreign = {**about, "language": "nb"}
    assert given_to([task("k", waited_min=500, left_min=0.1, **foreign)], learner) == {}
    assert given_to([task("k", waited_min=500, left_min=0, **foreign)], learner) == {"k": "Ada"}
    assert given_to([task("k", lane=CHAT, waited_min=1, left_min=9, **about)], learner) == {"k": "Ada"}


def test_the_wish_for_a_person_is_no_skill() -> None:
    state = CaseState(
        id="k", tenant="shop", number="1", intents=("escalation.human", "billing.refund"), created=START, updated=START
    )
    assert offers.task_of(state).skill == "billing"
    assert offers.task_of(replace(state, intents=("escalation.human",))).skill == ""


def test_one_call_or_some_chats_and_mails() -> None:
    ada = Staff(name="Ada", chats=2, mails=1)
    assert offers.fits(Load(), CALL, ada)
    assert offers.fits(Load(mails=1), CALL, ada)
    assert not offers.fits(Load(chats=1), CALL, ada)
    assert not offers.fits(Load(calls=1), MAIL, ada)
    assert offers.fits(Load(chats=1, mails=1), CHAT, ada)
    assert not offers.fits(Load(chats=2), CHAT, ada)
    assert not offers.fits(Load(mails=1), MAIL, ada)


def test_a_call_back_is_not_offered_before_its_next_try() -> None:
    later = START + timedelta(minutes=15)
    resting = replace(task("k", lane=CALL), not_before=later)
    made, again = offers.match(START, [resting], {"Ada": person("Ada")}, {}, {})
    assert (made, again) == ([], later)
    made, _ = offers.match(later, [resting], {"Ada": person("Ada")}, {}, {})
    assert [offer.case for offer in made] == ["k"]


def test_who_ended_a_live_conversation_without_an_outcome_owes_one() -> None:
    taken = Offer(case="k", state=TAKEN, person="Ada", lane=CHAT, at=START, expires=START)
    hand = Hand(case="k", lane=MAIL, waits=False, awaited=False, assignee="Ada", over=True)
    done = offers.settle(START, [person("Ada")], [taken], {"k": hand})
    assert (done.people["Ada"].state, done.people["Ada"].case) == (offers.WRAP_UP, "k")
    solved = offers.settle(START, [person("Ada")], [taken], {"k": replace(hand, outcome="solved")})
    assert solved.people["Ada"].state == READY


class Room:
    """A room of people and what waits, driven by rounds; every invariant is looked at after each."""

    def __init__(self, people: list[Present]) -> None:
        self.now = START
        self.people = {p.staff.name: p for p in people}
        self.connected = set(self.people)
        self.tasks: dict[str, Task] = {}
        self.assigned: dict[str, str] = {}
        self.offers: dict[str, Offer] = {}
        self.next: datetime | None = None
        self.count = 0

    def arrive(self, **about: Any) -> None:
        self.count += 1
        left = about.pop("left_min")
        self.tasks[f"k{self.count}"] = Task(
            case=f"k{self.count}", due=self.now + timedelta(minutes=left), created=self.now, since=self.now, **about
        )

    def open(self) -> dict[str, Offer]:
        return {case: offer for case, offer in self.offers.items() if offer.state == OFFERED}

    def load(self, name: str, *, promised: bool = False) -> Load:
        load = Load()
        held = [case for case, who in self.assigned.items() if who == name]
        for case in held + ([c for c, o in self.open().items() if o.person == name] if promised else []):
            load = load.more(self.tasks[case].lane)
        return load

    def hands(self) -> dict[str, Hand]:
        return {
            case: Hand(case=case, lane=t.lane, waits=case not in self.assigned, awaited=True,
                       assignee=self.assigned.get(case, ""))
            for case, t in self.tasks.items()
            if case in self.offers or (case in self.assigned and t.lane != MAIL)
        }  # fmt: skip

    def round(self) -> None:
        for name in self.connected:
            self.people[name] = replace(self.people[name], seen=self.now)
        before = [offer for offer in self.offers.values() if offer.state != "free"]
        done = offers.settle(self.now, list(self.people.values()), before, self.hands())
        self.people, self.offers = done.people, self.offers | done.offers
        for case in done.released:
            del self.assigned[case]
        waiting = [t for case, t in self.tasks.items() if case not in self.assigned and case not in self.open()]
        asked = {offer.person for offer in self.open().values()}
        free = {n: p for n, p in self.people.items() if p.state == READY and n not in asked}
        loads = {name: self.load(name) for name in self.people}
        declined = {case: offer.declined for case, offer in self.offers.items()}
        made, later = offers.match(self.now, waiting, free, loads, declined)
        for offer in made:
            assert offer.case not in self.open()
            self.offers[offer.case] = offer
        moments = [later] if later else []
        moments += [offer.expires for offer in self.open().values()]
        moments += [p.seen + offers.ABSENT_AFTER for p in self.people.values() if p.state != AWAY]
        self.next = min(moments, default=None)
        self.check(made)

    def may(self, name: str, t: Task) -> bool:
        """Whether somebody could have been asked, said again in other words than the rules say it."""
        who, offer = self.people[name], self.offers.get(t.case)
        refused = offer.declined.get(name) if offer else None
        resting = {CALL: 60, CHAT: 60, MAIL: 1800}[t.lane]
        if refused is not None and (self.now - refused).total_seconds() < resting:
            return False
        load, staff = self.load(name), who.staff
        room = {
            CALL: load.calls == 0 and load.chats == 0,
            CHAT: load.calls == 0 and load.chats < staff.chats,
            MAIL: load.calls == 0 and load.mails < staff.mails,
        }[t.lane]
        if who.state != READY or not room:
            return False
        if self.now >= t.due:
            return True
        waited = (self.now - t.since).total_seconds() / (3600 if t.lane == MAIL else 60)
        if staff.languages and t.language not in staff.languages:
            return False
        if waited < (4 if t.lane == MAIL else 3) and staff.departments and t.department not in staff.departments:
            return False
        level = staff.skills.get(t.skill, 0) if staff.skills else 2
        return level >= (2 if waited < 1 else 1 if waited < 2 else 0)

    def check(self, made: list[Offer]) -> None:
        opened = self.open()
        asked = [offer.person for offer in opened.values()]
        assert len(asked) == len(set(asked)), "two offers to one person"
        assert not set(opened) & set(self.assigned), "offered although somebody has it"
        for name, who in self.people.items():
            load = self.load(name, promised=True)
            assert load.calls <= 1
            assert not (load.calls and load.chats), "a call beside a chat"
            assert load.chats <= who.staff.chats
            assert load.mails <= who.staff.mails
            assert who.state == READY or name not in asked, "offered to somebody who is not ready"
        idle = [name for name in self.people if name not in asked]
        waiting = [t for case, t in self.tasks.items() if case not in self.assigned and case not in opened]
        for t in waiting:
            assert not [name for name in idle if self.may(name, t)], "nobody is asked although somebody could be"
            for offer in made:
                given = self.tasks[offer.case]
                later = (given.due, given.created, given.case) > (t.due, t.created, t.case)
                assert not (later and self.may(offer.person, t)), "somebody with more time left was served first"

    def pass_time(self, moment: datetime) -> None:
        while self.next is not None and self.next <= moment:
            self.now = max(self.now, self.next)
            self.round()
        self.now = moment
        self.round()


languages = st.sampled_from(("de", "nb", "en"))
departments = st.sampled_from(("billing", "returns"))
staff = st.fixed_dictionaries(
    {
        "languages": st.lists(languages, unique=True, max_size=2).map(tuple),
        "departments": st.lists(departments, unique=True, max_size=1).map(tuple),
        "skills": st.dictionaries(departments, st.integers(1, 3), max_size=2),
        "chats": st.integers(0, 3),
        "mails": st.integers(0, 3),
    }
)
steps = st.one_of(
    st.tuples(
        st.just("arrive"),
        st.fixed_dictionaries(
            {"lane": st.sampled_from((CALL, CHAT, MAIL)), "language": languages, "department": departments,
             "skill": departments, "left_min": st.integers(1, 600)}
        ),
    ),
    st.tuples(st.sampled_from(("accept", "decline", "end", "ready", "busy", "crash", "pick")), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.sampled_from((1, 10, 21, 46, 61, 121, 1801, 7201))),
)  # fmt: skip


@settings(max_examples=80, phases=[Phase.generate])
@given(st.lists(staff, min_size=1, max_size=4), st.lists(steps, max_size=40))
def test_nobody_waits_while_somebody_suitable_is_free(people: list[dict[str, Any]], script: list[Any]) -> None:
    room = Room([person(name, **about) for name, about in zip(NAMES, people, strict=False)])
    for what, value in script:
        names, opened = sorted(room.people), sorted(room.open())
        if what == "arrive":
            room.arrive(**value)
        elif what == "wait":
            room.pass_time(room.now + timedelta(seconds=value))
        elif what in ("ready", "busy", "crash"):
            name = names[value % len(names)]
            if what == "crash":
                room.connected.discard(name)
            else:
                room.connected.add(name)
                state = READY if what == "ready" else BUSY
                room.people[name] = replace(room.people[name], state=state, since=room.now, seen=room.now)
        elif what == "pick":
            free = [c for c in sorted(room.tasks) if c not in room.assigned]
            takers = [n for n in names if free and offers.fits(
                room.load(n, promised=True), room.tasks[free[value % len(free)]].lane, room.people[n].staff
            )]  # fmt: skip
            if takers:
                room.assigned[free[value % len(free)]] = takers[value % len(takers)]
        elif what == "end" and room.assigned:
            case = sorted(room.assigned)[value % len(room.assigned)]
            del room.assigned[case], room.tasks[case]
            room.offers.pop(case, None)
        elif opened and what in ("accept", "decline"):
            offer = room.offers[opened[value % len(opened)]]
            if what == "accept":
                room.assigned[offer.case] = offer.person
                room.offers[offer.case] = replace(offer, state="free" if offer.lane == MAIL else TAKEN)
            else:
                room.offers[offer.case] = replace(
                    offer, state="free", person="", declined={**offer.declined, offer.person: room.now}
                )
        room.round()
    # Nothing is forgotten: once a generalist is there and takes everything, everything is taken.
    room.people["Zoe"] = person("Zoe", chats=10, mails=50)
    room.connected.add("Zoe")
    for _ in range(len(room.tasks) + 30):
        room.now += timedelta(minutes=31)
        room.round()
        room.people["Zoe"] = replace(room.people["Zoe"], state=READY)
        room.round()
        for case in [*room.open(), *room.assigned]:
            room.offers.pop(case, None)
            room.assigned.pop(case, None)
            del room.tasks[case]
    assert not room.tasks
