"""Random lives of cases on a virtual clock: customers, representatives, timers, crashes, late and repeated news.

The case's own worker and commands run as in the product, over a store in memory whose transactions may be lost before
they are applied and whose records come again. What was promised is judged from the events alone, by other code.

`CONTACTBUS_TEST_SCHEDULES=10000` runs as many as a release wants; `CONTACTBUS_TEST_SEED` repeats one.
"""

import asyncio
import contextlib
import heapq
import os
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bus.delivery.outcome import CancelTimer, Outcome, SetTimer
from bus.log.port import StoredRecord
from bus.log.topics import CASE_TIMER, REPLY_STATUS
from bus.message import Party, Reply, Status, decode, encode
from bus.testing.clock import FakeClock
from workers.case import commands, events, rules
from workers.case.chain import broken_at
from workers.case.changes import Draft
from workers.case.evolving import evolve
from workers.case.hold import REASONS
from workers.case.model import CaseState, Promise, Route
from workers.case.rules import Refused
from workers.case.worker import CaseWorker
from workers.packs import load

SCHEDULES = int(os.environ.get("CONTACTBUS_TEST_SCHEDULES", "150"))
SEED = int(os.environ.get("CONTACTBUS_TEST_SEED", "20261122"))
LATE = timedelta(seconds=1)
"""What a timer may be late, and a crash may add."""
APART = timedelta(seconds=0.3)
"""How wrong the clock of a host is at most: one fires a timer, another one handles it."""
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
CHANNELS = ("chat", "chat", "email", "post", "phone")
SAYS_NOTHING = {"goodbye", "hold", "acknowledgement", "notice", "survey"}

PACK = load("shop")


class Memory:
    """One case's snapshot and rows, as far as the worker asks for them; every statement with a guard is guarded."""

    def __init__(self) -> None:
        self.snapshot = ""
        self.rows: list[tuple[int, str, str]] = []
        self.told: list[events.CaseEvent] = []

    async def one(self, statement: Any, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if params.keys() == {"reply"}:
            return {"tenant": "shop", "state": "accepted"}
        return {"snapshot": self.snapshot} if params.keys() == {"tenant", "id"} and self.snapshot else None

    async def all(self, statement: Any, params: Mapping[str, Any] | None = None) -> Sequence[Mapping[str, Any]]:
        return []

    async def by_keys(self, *_: Any) -> Sequence[Mapping[str, Any]]:
        return []

    def state(self) -> CaseState | None:
        return decode(self.snapshot.encode(), CaseState) if self.snapshot else None

    def apply(self, outcome: Outcome) -> bool:
        """False when the snapshot is not the one that was decided on."""
        before = self.state()
        for write in outcome.writes:
            if "v_snapshot" in write.params:
                if before is None or write.params["b_version"] != before.version:
                    return False
                self.snapshot = write.params["v_snapshot"]
            elif "snapshot" in write.params:
                if before is not None:
                    return False
                self.snapshot = write.params["snapshot"]
        for write in outcome.writes:
            if "chain" in write.params:
                self.rows.append((write.params["seq"], write.params["data"], write.params["chain"]))
                self.told.append(events.decode_event(write.params["data"]))
        return True


class Host:
    """The clock of whoever handles a record, a little wrong."""

    def __init__(self, true: FakeClock) -> None:
        self._true, self.wrong_by = true, timedelta()

    def now(self) -> datetime:
        return self._true.now() + self.wrong_by

    def monotonic(self) -> float:
        return self._true.monotonic()


class Records:
    """Systems of record that know nobody."""

    async def customer(self, tenant: str, number: str) -> None:
        return None

    async def fulfilled(self, tenant: str, action: str) -> bool:
        return False


class Life:
    """One case from its first contact until nothing is due any more."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.clock = FakeClock(START + timedelta(seconds=chance.uniform(0, 7 * 86_400)))
        self.memory = Memory()
        self.pack = PACK
        store: Any = self.memory
        records: Any = Records()
        self.host = Host(self.clock)
        self.worker = CaseWorker(store=store, clock=self.host, pack=self.pack, records=records)
        self.timers: dict[str, SetTimer] = {}
        self.news: list[tuple[datetime, int, Status]] = []
        self.number = 0

    @property
    def now(self) -> datetime:
        return self.clock.now()

    @property
    def state(self) -> CaseState:
        state = self.memory.state()
        assert state is not None
        return state

    # --- what happens

    async def live(self) -> None:
        self._contact(first=True)
        machine = (self._answer, self._ask, self._hand_over)
        happenings = (self._contact, *machine, self._person, self._person, self._close, self._leave)
        for _ in range(self.chance.randint(3, 25)):
            await self._pass(self.chance.choice((0.5, 5, 20, 50, 90, 600, 4_000, 40_000)) * self.chance.random())
            self.chance.choice(happenings)()
        # Everything that is due comes due; nobody says anything any more.
        for _ in range(400):
            if not self.timers and not self.news:
                return
            await self._pass(86_400)
        raise AssertionError(f"something is due for ever: {list(self.timers)}")

    def _contact(self, first: bool = False) -> None:
        self.number += 1
        channel = self.chance.choice(CHANNELS)
        draft = self._draft()
        if first:
            draft.do(rules.Open(id="k-1", tenant="shop", number="1", person="p-1", channel=channel))
        address = Party(kind="email" if channel == "email" else channel, address="anna@kunde.example")
        route = Route(channel=channel, account="a", address=address, conversation=f"{channel}-1", at=self.now)
        contact = f"c-{self.chance.randint(1, self.number)}"
        draft.do(
            rules.Receive(
                received=events.Received(at=self.now, actor="customer", contact=contact, route=route, text="?")
            )
        )
        if draft.events:
            tone = self.chance.choice(("calm", "calm", "upset", "angry"))
            understood = events.Understood(at=self.now, contact=contact, department="support", tone=tone)
            draft.do(rules.Understand(understood=understood, supervisor_at="angry"))
        self._commit(draft.outcome())

    def _answer(self) -> None:
        self._machine(self.chance.choice(("answer", "question", "acknowledgement")))

    def _ask(self) -> None:
        """Software has done what was wanted, and asks whether that was all."""
        if self.state.with_person or self.state.status == "closed":
            return
        self._machine("answer", closing=True)

    def _machine(self, kind: str, *, closing: bool = False) -> None:
        state = self.state
        route = state.route()
        if route is None or state.with_person or state.status == "closed":
            return
        draft = self._draft()
        self.number += 1
        draft.reply(
            Reply(
                id=f"r-{self.number}", tenant="shop", case="k-1", channel=route.channel, account="a", to=route.address,
                text=".", language="de", kind=kind,
            )
        )  # fmt: skip
        if closing:
            draft.tell(events.OutcomeChosen(at=self.now, outcome="explained"))
            draft.tell(events.AnythingElseAsked(at=self.now, channel=route.channel))
            until = self.now + timedelta(hours=self.chance.choice((0.05, 4, 72)))
            draft.timers.append(draft.timer("closing-notice", until, self.now.isoformat()))
        elif self.chance.random() < 0.2:
            until = self.now + timedelta(seconds=self.chance.choice((60, 3_600, 200_000)))
            made = Promise(id=f"p-{self.number}", what="refund", by="machine", until=until)
            draft.tell(events.PromiseMade(at=self.now, promise=made))
        self._commit(draft.outcome())

    def _hand_over(self) -> None:
        if self.state.status == "closed":
            return
        draft = self._draft()
        draft.do(rules.HandOver(reason="asked", until=self.now + timedelta(minutes=self.chance.choice((1, 30, 600)))))
        self._commit(draft.outcome())

    def _person(self) -> None:
        state, chance = self.state, self.chance
        doing = chance.choice(("reply", "reply", "hold", "assign", "note", "promise", "keep", "no", "yes", "back"))
        promises = [promise.id for promise in state.open_promises()] or ["none"]
        until = self.now + timedelta(seconds=chance.choice((30, 900, 90_000)))
        with contextlib.suppress(Refused):
            match doing:
                case "reply":
                    asks = chance.random() < 0.4
                    self._commit(
                        commands.reply(state, text="Guten Tag", actor="Mina", now=self.now, anything_else=asks)
                    )
                case "hold":
                    reason = chance.choice(REASONS)
                    self._commit(commands.hold(state, reason=reason, actor="Mina", now=self.now))
                case "assign":
                    self._commit(commands.assign(state, to="Mina", actor="Mina", now=self.now))
                case "note":
                    self._commit(commands.note(state, text="...", actor="Mina", now=self.now))
                case "promise":
                    self._commit(commands.promise(state, what="letter", until=until, actor="Mina", now=self.now))
                case "keep":
                    promise = chance.choice(promises)
                    self._commit(commands.keep(state, promise_id=promise, actor="Mina", now=self.now))
                case "back":
                    self._commit(commands.give_back(state, actor="Mina", now=self.now))
                case _:
                    self._commit(commands.answer_anything_else(state, answer=doing, actor="Mina", now=self.now))

    def _close(self) -> None:
        with contextlib.suppress(Refused):
            self._commit(commands.close(self.state, outcome="solved", actor="Mina", now=self.now))

    def _leave(self) -> None:
        state = self.state
        route = state.route()
        if route is None or route.channel not in ("chat", "phone"):
            return
        self.number += 1
        draft = self._draft()
        ended = events.Received(
            at=self.now, actor="customer", contact=f"c-end-{self.number}", route=route, request="ended", automatic=True
        )
        draft.do(rules.Receive(received=ended))
        self._commit(draft.outcome())

    # --- time, and what goes wrong

    async def _pass(self, seconds: float) -> None:
        """Time passes; timers fire and news of replies come, now and then twice, late, or with a crash before."""
        ends = self.now + timedelta(seconds=seconds)
        while True:
            timer = min(self.timers.values(), key=lambda t: t.due, default=None)
            at_timer = ends + timedelta(days=1) if timer is None else timer.due
            at_news = self.news[0][0] if self.news else ends + timedelta(days=1)
            if min(at_timer, at_news) > ends:
                break
            if timer is not None and at_timer <= at_news:
                del self.timers[timer.id]
                self._go_to(at_timer + LATE * self.chance.random())
                await self._hear(CASE_TIMER, timer.value, ce_time=timer.due.isoformat())
            else:
                _, _, status = heapq.heappop(self.news)
                self._go_to(at_news)
                await self._hear(REPLY_STATUS, encode(status))
        self._go_to(ends)

    async def _hear(self, topic: str, value: bytes, **headers: str) -> None:
        record = StoredRecord(
            topic=topic, partition=0, offset=0, at=0, key="k-1", value=value, id="t",
            headers={"tenant": "shop", **headers},
        )  # fmt: skip
        self.host.wrong_by = APART * self.chance.uniform(-1, 1)
        times = 2 if self.chance.random() < 0.1 else 1
        for _ in range(times):
            outcome = await self.worker.handle(record)
            if self.chance.random() < 0.1:
                # Killed before the transaction: nothing of it was, and another process decides anew.
                outcome = await self.worker.handle(record)
            if not self._commit(outcome):
                assert self._commit(await self.worker.handle(record))

    def _go_to(self, moment: datetime) -> None:
        self.clock.advance(max(0.0, (moment - self.now).total_seconds()))

    def _draft(self) -> Draft:
        return Draft(self.memory.state(), self.now, hours=self.pack.policy.service.hours)

    def _commit(self, outcome: Outcome) -> bool:
        if not self.memory.apply(outcome):
            return False
        for timer in outcome.timers:
            if isinstance(timer, CancelTimer):
                self.timers.pop(timer.id, None)
            else:
                self.timers[timer.id] = timer
        for reply in outcome.replies:
            self._send(reply)
        return True

    def _send(self, reply: Reply) -> None:
        """Most replies arrive; some fail for good, of some nothing is ever known, some news come twice."""
        fate = self.chance.random()
        states = ["accepted", "delivered"] if fate < 0.85 else ["accepted", "failed"] if fate < 0.93 else []
        for state in states:
            for _ in range(2 if self.chance.random() < 0.1 else 1):
                self.number += 1
                at = self.now + timedelta(seconds=self.chance.choice((0.1, 0.3, 2)) * self.chance.random())
                status = Status(
                    reply=reply.id, tenant="shop", case="k-1", channel=reply.channel,
                    state=state, permanent=state == "failed", at=at,
                )  # fmt: skip
                heapq.heappush(self.news, (at, self.number, status))


# --- the judge: from the events alone


def judge(told: Sequence[events.CaseEvent]) -> None:
    _nobody_waits(told)
    _nothing_is_closed_half_done(told)
    _no_promise_is_forgotten(told)


def _nobody_waits(told: Sequence[events.CaseEvent]) -> None:
    heard: datetime | None = None
    channel = ""
    for event in told:
        if heard is not None:
            assert event.at - heard <= timedelta(seconds=60) + LATE, f"silence before {event}"
        if isinstance(event, events.HoldStarted) and heard is None:
            heard, channel = event.at, event.channel
        elif isinstance(event, events.HoldEnded):
            heard = None
        elif isinstance(event, events.ReplyPlanned) and heard is not None and event.channel == channel:
            heard = event.at
    assert heard is None, "a hold never ended"


def _nothing_is_closed_half_done(told: Sequence[events.CaseEvent]) -> None:
    outcome, asked, answered = "", False, False
    promises: dict[str, bool] = {}
    replies: dict[str, tuple[str, str, str]] = {}
    for event in told:
        match event:
            case events.OutcomeChosen():
                outcome = event.outcome
            case events.AnythingElseAsked():
                asked, answered = True, False
            case events.AnythingElseAnswered():
                asked, answered = event.answer != "yes" and asked, event.answer != "yes"
            case events.Reopened():
                outcome, asked, answered = "", False, False
            case events.PromiseMade():
                promises[event.promise.id] = True
            case events.PromiseKept():
                promises[event.id] = False
            case events.ReplyPlanned():
                replies[event.reply] = (event.reply_kind, event.channel, "planned")
            case events.ReplyProgress() if event.reply in replies:
                kind, channel, _ = replies[event.reply]
                replies[event.reply] = (kind, channel, event.state)
            case events.Closed():
                assert outcome, "closed without an outcome"
                assert asked, "closed without the question"
                assert answered, "closed without an answer or its notice"
                last = [reply for reply in replies.values() if reply[0] not in SAYS_NOTHING][-1:]
                for _, channel, state in last:
                    unheard = state == "failed" and channel in ("chat", "phone") and event.actor != "machine"
                    assert state in ("accepted", "delivered", "read") or unheard, f"closed, and the answer is {state}"
                # Spent: a case that goes on after this is closed by the same rule again.
                outcome, asked, answered = "", False, False
            case _:
                pass


def _no_promise_is_forgotten(told: Sequence[events.CaseEvent]) -> None:
    open_until: dict[str, datetime] = {}
    for event in told:
        for promise, until in list(open_until.items()):
            about = getattr(event, "id", "") or getattr(getattr(event, "promise", None), "id", "")
            if about != promise:
                assert event.at <= until + LATE + APART, f"the time of {promise} went by without a word before {event}"
        if isinstance(event, events.PromiseMade):
            open_until[event.promise.id] = event.promise.until
        elif isinstance(event, events.PromiseKept | events.PromiseBroken | events.PromiseDue):
            open_until.pop(event.id, None)
    assert open_until == {}, "promises that nobody came back to"


@pytest.mark.timeout(3_600)
def test_random_lives_of_cases_keep_every_promise() -> None:
    closed = broken = returns = 0
    for number in range(SCHEDULES):
        seed = f"{SEED}/{number}"
        life = Life(random.Random(seed))
        try:
            asyncio.run(life.live())
            told = life.memory.told
            judge(told)
            again: CaseState | None = None
            for event in told:
                again = evolve(again, event)
            assert again == life.state, "the snapshot is not what its events say"
            assert broken_at(life.memory.rows, life.state.chain) is None
        except AssertionError as error:
            raise AssertionError(f"schedule {seed}: {error}") from error
        closed += sum(isinstance(event, events.Closed) for event in told)
        broken += sum(isinstance(event, events.PromiseBroken) for event in told)
        returns += sum(isinstance(event, events.HoldReturned) for event in told)
    print(f"{SCHEDULES} lives: closed {closed} times, {broken} promises broken, came back {returns} times; seed {SEED}")
    # A judge that saw nothing would be content with anything.
    assert min(closed, broken, returns) > SCHEDULES / 25


def _spoilt(life: Life, fault: str) -> list[events.CaseEvent]:
    """The events of a life as a house that keeps no promises would have written them."""
    told = life.memory.told
    match fault:
        case "silent":
            unasked = {event.reply for event in told if isinstance(event, events.HoldReturned)}
            return [event for event in told if getattr(event, "reply", "") not in unasked]
        case "hasty":
            first = next(n for n, event in enumerate(told) if isinstance(event, events.ReplyPlanned))
            return [*told[: first + 1], events.Closed(at=told[first].at), *told[first + 1 :]]
        case _:
            return [event for event in told if not isinstance(event, events.PromiseBroken | events.PromiseDue)]


@pytest.mark.parametrize(
    ("fault", "word"), [("silent", "silence"), ("hasty", "closed without"), ("forgetful", "without a word")]
)
def test_the_judge_finds_what_a_worse_house_would_do(fault: str, word: str) -> None:
    found: list[str] = []
    for number in range(12):
        life = Life(random.Random(f"judge/{number}"))
        asyncio.run(life.live())
        with contextlib.suppress(StopIteration):
            try:
                judge(_spoilt(life, fault))
            except AssertionError as error:
                found.append(str(error))
    assert any(word in what for what in found), found
