"""A customer who writes faster than we answer: nothing stale is sent, nothing is left unsaid, nothing is said twice.

The way from intake to the channel is walked step by step, in whatever order a test or chance decides, on the real
engine, with the real workers and the real send ledger.
"""

import random
from collections import deque
from typing import Any

import pytest
from sqlalchemy import select

from bus.adapter.contract import Accepted, Health, Manifest, RetryLater, SendResult
from bus.delivery import ledger
from bus.delivery.outcome import Outcome, SetTimer
from bus.delivery.sender import Sender
from bus.log.port import Record, StoredRecord
from bus.log.topics import CONTACT_IDENTIFIED, CONTACT_RECEIVED, REPLY_STATUS
from bus.message import Contact, Party, Reply, decode, encode
from bus.store.conversation import head_of
from bus.store.port import Effect
from bus.telemetry import Metrics
from workers.case import commands
from workers.case.work import Identified, Understanding, WorkItem
from workers.records.schema import goods_return

VISITOR = Party(kind="chat", address="s1")


class Window:
    """A chat window: what arrived in it, and how much the house had heard when it was sent."""

    manifest = Manifest(name="chat", kind="live-text", resolve_unknown="idempotent")

    def __init__(self, street: "Street") -> None:
        self._street = street
        self.shown: list[Reply] = []
        self.stale: list[str] = []
        self.trouble: list[SendResult] = []

    def routes(self) -> list[Any]:
        return []

    async def receive(self) -> None: ...

    async def send(self, reply: Reply, attempt: int) -> SendResult:
        head = await self._street.engine.one(head_of, {"tenant": reply.tenant, "case_id": reply.case})
        row = await self._street.engine.one(ledger.reply_row, {"reply": reply.id})
        if row is not None and head is not None and row["heard"] and row["heard"] < head["heard"]:
            self.stale.append(reply.id)
        if self.trouble:
            return self.trouble.pop()
        if all(reply.id != before.id for before in self.shown):
            self.shown.append(reply)
        return Accepted()

    async def probe(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None: ...


class Street:
    """The house's queues, walked by hand: one record of one group at a time."""

    def __init__(self, shop: Any) -> None:
        self.shop, self.engine, self.clock = shop, shop.engine, shop.clock
        self.window = Window(self)
        self.sender = Sender(self.window, store=shop.engine, clock=shop.clock, metrics=Metrics())
        self.queues: dict[str, deque[StoredRecord]] = {name: deque() for name in ("intake", "work", "sender", "status")}
        self.timers: dict[str, SetTimer] = {}
        self.meanings: dict[str, Understanding] = {}
        self.count = 0

    def write(self, text: str, meaning: Understanding, **more: Any) -> Contact:
        """The visitor says something: it is accepted, and nobody has looked at it."""
        contact = self.shop.contact(text, channel="chat", sender=VISITOR, conversation="s1", **more)
        self.meanings[contact.id] = meaning
        self._queue(CONTACT_RECEIVED, "s1", encode(contact), contact.id)
        return contact

    def _queue(self, topic: str, key: str, value: bytes, record_id: str) -> None:
        name = {CONTACT_RECEIVED: "intake", REPLY_STATUS: "status"}.get(topic)
        name = name or ("sender" if topic == "reply.chat" else "work" if topic.startswith("work.") else "")
        if name:
            self.count += 1
            self.queues[name].append(
                StoredRecord(
                    topic=topic,
                    partition=0,
                    offset=self.count,
                    at=0,
                    key=key,
                    value=value,
                    id=record_id,
                    headers={"tenant": "shop"},
                )
            )

    def _route(self, record: Record) -> None:
        if record.topic == CONTACT_IDENTIFIED:
            found = decode(record.value, Identified)
            item = WorkItem(
                contact=found.contact, case=found.case, person=found.person, link=found.link,
                understanding=self.meanings[found.contact.id],
            )  # fmt: skip
            self._queue(f"work.{item.understanding.department}.live", found.case, encode(item), found.contact.id)
        else:
            self._queue(record.topic, record.key, record.value, record.id)

    async def step(self, name: str) -> bool:
        """Handle the next record of a queue, once more after a conflict. False when it is empty."""
        if not self.queues[name]:
            return False
        record = self.queues[name][0]
        workers = {"intake": self.shop.workers["intake"], "sender": self.sender, "status": self.shop.workers["case"]}
        worker = workers.get(name) or self.shop.workers[record.topic.split(".")[1]]
        for _ in range(5):
            await worker.prepare([record])
            if await self.apply(await worker.handle(record)):
                self.queues[name].popleft()
                return True
        raise AssertionError(f"{name} never gets through")

    async def apply(self, outcome: Outcome) -> bool:
        """Apply as a runner does, and hand on what was emitted."""
        writes, emit = list(outcome.writes), list(outcome.emit)
        for reply in outcome.replies:
            rows, records = ledger.plan(reply, self.clock.now())
            writes += rows
            emit += records
        (result,) = await self.engine.apply(
            [Effect(outcome=Outcome(writes=tuple(writes), emit=tuple(emit), timers=outcome.timers))]
        )
        if not result.applied:
            assert result.reason == "conflict", result
            return False
        for change in outcome.timers:
            self.timers.pop(change.id, None)
            if isinstance(change, SetTimer):
                self.timers[change.id] = change
        for record in emit:
            self._route(record)
        return True

    async def walk(self, *names: str) -> None:
        """Empty the named queues; all of them, and whatever follows, without names."""
        moved = True
        while moved:
            moved = False
            for name in names or tuple(self.queues):
                while await self.step(name):
                    moved = True

    def fire(self, seconds: float) -> None:
        """Let time pass; timers that are due become records."""
        self.clock.advance(seconds)
        for timer in sorted(self.timers.values(), key=lambda timer: timer.due):
            if timer.due <= self.clock.now():
                del self.timers[timer.id]
                self._queue(timer.topic, timer.key, timer.value, f"{timer.id} {timer.due}")


@pytest.fixture
def street(shop: Any) -> Street:
    return Street(shop)


@pytest.fixture
def hours(understand: Any) -> Any:
    return understand("info.opening_hours", department="support", language="en")


@pytest.fixture
def delivery(understand: Any) -> Any:
    return understand("info.delivery_and_payment", department="support", language="en")


async def rows_of(street: Street) -> list[Any]:
    """The whole ledger."""
    return list(await street.engine.all(select(ledger.send_ledger)))


async def test_two_questions_in_a_row_get_one_answer_to_both(street: Street, hours: Any, delivery: Any) -> None:
    one, two = street.write("When are you open?", hours), street.write("And what does delivery cost?", delivery)
    await street.walk("intake")
    await street.walk()
    (reply,) = street.window.shown
    assert reply.answers == (one.id, two.id)
    assert "Saturday" in reply.text
    assert "delivery" in reply.text.lower()
    assert reply.text.count("anything else") == 1
    assert sorted(row["state"] for row in await rows_of(street)) == ["accepted", "blocked"]
    assert street.window.stale == []


async def test_an_answer_that_was_held_goes_into_the_next_one(street: Street, hours: Any, delivery: Any) -> None:
    one = street.write("When are you open?", hours)
    await street.walk("intake", "work")
    two = street.write("And what does delivery cost?", delivery)
    await street.walk("intake")
    await street.walk("sender")
    assert street.window.shown == []
    assert [(row["state"], row["reason"]) for row in await rows_of(street)] == [("planned", "overtaken")]
    await street.walk()
    (reply,) = street.window.shown
    assert reply.answers == (one.id, two.id)
    street.fire(3600)
    await street.walk()
    assert len(street.window.shown) == 1


async def test_an_answer_that_left_first_is_not_repeated(street: Street, hours: Any, delivery: Any) -> None:
    one = street.write("When are you open?", hours)
    await street.walk()
    two = street.write("And what does delivery cost?", delivery)
    await street.walk()
    assert [reply.answers for reply in street.window.shown] == [(one.id,), (two.id,)]
    assert "Saturday" not in street.window.shown[1].text


async def test_an_answer_that_leaves_while_the_next_is_decided_makes_it_be_decided_again(
    street: Street, hours: Any, delivery: Any
) -> None:
    street.write("When are you open?", hours)
    await street.walk("intake", "work")
    (held,) = street.queues["sender"]
    two = street.write("And what does delivery cost?", delivery)
    # The sender's guard comes first, the newer words are linked in the same moment.
    begun = await street.apply(Outcome(writes=(ledger.begin_sending(held.id, street.clock.now()),)))
    assert begun
    await street.walk("intake", "work")
    await street.walk()
    assert [reply.answers for reply in street.window.shown][-1] == (two.id,)
    assert len(street.window.shown) == 2
    assert "Saturday" not in street.window.shown[1].text


async def proposed(street: Street, understand: Any) -> Any:
    """A visitor who has proven who he is wishes an exchange; the proposal is decided and has not left."""

    def mean(intent: str = "", **more: Any) -> Any:
        return understand(intent, department="returns", language="nb", **more)

    street.write("Genseren er for liten, SO-10440", mean("return.exchange", entities={"order": "SO-10440"}))
    await street.walk()
    street.shop.sent += [decode(row["body"].encode(), Reply) for row in await rows_of(street)]
    street.write(street.shop.code_sent_to("ingrid.haugen@kunde.example"), mean(decision="ask"))
    await street.walk()
    street.write("L, takk", mean(decision="ask"))
    await street.walk("intake", "work")
    return mean


async def test_yes_to_what_nobody_has_read_is_no_consent(street: Street, understand: Any) -> None:
    mean = await proposed(street, understand)
    seen = len(street.window.shown)
    early = street.write("ja", mean("talk.yes", answer="yes"))
    await street.walk("intake")
    await street.walk()
    assert list(await street.engine.all(select(goods_return))) == []
    (proposal,) = street.window.shown[seen:]
    assert "fra M til L" in proposal.text
    assert proposal.kind == "question"
    street.write("ja", mean("talk.yes", answer="yes"))
    await street.walk()
    (row,) = list(await street.engine.all(select(goods_return)))
    assert row["detail"] == "L"
    assert early.id not in street.window.shown[-1].answers


async def test_another_wish_before_the_proposal_was_read_replaces_it(street: Street, understand: Any) -> None:
    mean = await proposed(street, understand)
    seen = len(street.window.shown)
    street.write("Unnskyld, SO-10440 i XL", mean("return.exchange", entities={"order": "SO-10440", "choice": "XL"}))
    await street.walk("intake")
    await street.walk()
    said = "\n".join(reply.text for reply in street.window.shown[seen:])
    assert "fra M til L" not in said
    assert list(await street.engine.all(select(goods_return))) == []


async def test_silence_lets_the_older_answer_stand(street: Street, hours: Any, understand: Any) -> None:
    one = street.write("When are you open?", hours)
    await street.walk("intake", "work")
    left = street.write("", understand("", department="support", decision="person"), native={"request": "ended"})
    await street.walk("intake")
    await street.walk("sender")
    assert street.window.shown == []
    await street.walk()
    assert [reply.answers for reply in street.window.shown] == [(one.id,)]
    assert left.id not in street.window.shown[0].answers


async def test_who_asks_for_a_person_still_gets_the_answer_first(street: Street, hours: Any, understand: Any) -> None:
    street.write("When are you open?", hours)
    await street.walk("intake", "work")
    street.write("A person please", understand("escalation.human", department="support", request_person=True))
    await street.walk("intake")
    await street.walk("sender")
    await street.walk()
    assert [reply.kind for reply in street.window.shown] == ["answer", "hold"]


async def test_a_question_that_the_next_words_answer_is_not_asked(street: Street, understand: Any) -> None:
    street.write("Hello", understand("talk.greeting", department="support", language="en"))
    await street.walk("intake", "work")
    two = street.write("When are you open?", understand("info.opening_hours", department="support", language="en"))
    await street.walk("intake")
    await street.walk()
    (reply,) = street.window.shown
    assert two.id in reply.answers
    assert len(reply.answers) == 2
    assert "Saturday" in reply.text


async def test_a_goodbye_is_not_said_to_somebody_who_goes_on(
    street: Street, hours: Any, delivery: Any, understand: Any
) -> None:
    street.write("When are you open?", hours)
    await street.walk()
    street.write(
        "No, thanks", understand("talk.thanks_done", department="support", answer="no", done=True, language="en")
    )
    await street.walk("intake", "work")
    street.write(
        "Oh, and what does delivery cost?", understand("info.delivery_and_payment", department="support", language="en")
    )
    await street.walk("intake")
    await street.walk()
    assert [reply.kind for reply in street.window.shown] == ["answer", "answer"]
    state = await street.shop.case(street.window.shown[0].case)
    assert state.status == "closing"


async def test_a_persons_words_go_out_whatever_the_customer_says_meanwhile(
    street: Street, hours: Any, understand: Any
) -> None:
    street.write("When are you open?", hours)
    await street.walk()
    state = await street.shop.case(street.window.shown[0].case)
    answer = commands.reply(state, text="I will look at it myself.", actor="Anna", now=street.clock.now())
    assert await street.apply(answer)
    street.write("Hello?", understand("talk.greeting", department="support", language="en"))
    await street.walk("intake")
    await street.walk("sender")
    assert street.window.shown[-1].text == "I will look at it myself."


async def test_if_nobody_decides_in_time_a_person_is_told(street: Street, hours: Any) -> None:
    street.write("When are you open?", hours)
    await street.walk("intake", "work")
    street.write("And on Sunday?", hours)
    await street.walk("intake")
    await street.walk("sender")
    stuck = street.queues.pop("work")
    street.queues["work"] = deque()
    street.fire(30)
    await street.walk("sender", "status")
    (row,) = await rows_of(street)
    assert (row["state"], row["reason"]) == ("blocked", "overtaken")
    state = await street.shop.case(row["case_id"])
    assert state.awaits_person()
    assert state.due is not None
    reminder = [timer for timer in street.timers.values() if timer.due == state.due]
    assert reminder, "a promise has its timer"
    # The worker is back: its decision finds people at the case and adds nothing.
    street.queues["work"] = stuck
    await street.walk()
    assert street.window.shown == []


async def test_a_reply_that_is_tried_again_later_goes_into_the_next(street: Street, hours: Any, delivery: Any) -> None:
    street.window.trouble = [RetryLater(reason="away", after_s=20)]
    one = street.write("When are you open?", hours)
    await street.walk()
    assert street.window.shown == []
    two = street.write("And what does delivery cost?", delivery)
    await street.walk()
    (reply,) = street.window.shown
    assert reply.answers == (one.id, two.id)
    street.fire(60)
    await street.walk()
    assert len(street.window.shown) == 1


def _in_order(shown: list[Reply], written: list[str]) -> list[str]:
    return [contact for reply in shown for contact in reply.answers if contact in written]


@pytest.mark.parametrize("seed", range(60))
async def test_however_they_race_every_message_is_answered_once_in_order_and_nothing_stale_is_sent(
    street: Street, understand: Any, seed: int
) -> None:
    chance = random.Random(seed)
    meanings = [
        understand("info.opening_hours", department="support", language="en"),
        understand("info.delivery_and_payment", department="support", language="en"),
        understand("talk.greeting", department="support", language="en"),
        understand("order.status", department="support", language="en", entities={"order": "SO-10420"}),
    ]
    left, written = chance.randint(2, 6), []
    while left or any(street.queues.values()):
        if left and chance.random() < 0.25:
            left -= 1
            written.append(street.write(f"message {left}", chance.choice(meanings)).id)
        else:
            name = chance.choice(list(street.queues))
            before = list(street.queues[name])[:1]
            await street.step(name)
            if chance.random() < 0.1:
                # The process died before it could say that the record was finished: it comes once more.
                street.queues[name].extendleft(before)
        if chance.random() < 0.02:
            street.window.trouble.append(RetryLater(reason="away", after_s=1))
            street.fire(1)
    street.window.trouble.clear()
    for _ in range(3):
        street.fire(10)
        await street.walk()
    assert street.window.stale == []
    assert _in_order(street.window.shown, written) == written
    waiting = [
        row for row in await rows_of(street) if row["state"] not in ("accepted", "blocked") and row["channel"] == "chat"
    ]
    assert waiting == []
