"""What is asked in the transaction that starts a sending: newer words, a closed case, the pace; and who wins a race."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from bus.adapter.contract import Accepted, Health, Manifest, RetryLater, SendResult, Unknown
from bus.delivery import ledger
from bus.delivery.outcome import Outcome, Write
from bus.delivery.sender import Sender
from bus.delivery.sending_settings import SendingSettings
from bus.log.port import StoredRecord
from bus.message import Party, Reply, Status, decode
from bus.store.conversation import closed_write, heard_write
from bus.store.pace import Pace, forget_write, pace, take_write
from bus.store.permission import consent_write
from bus.store.port import Effect
from bus.telemetry import Metrics
from bus.testing.clock import FakeClock

ANSWER = Reply(
    id="r-1",
    tenant="shop",
    case="k-1",
    channel="email",
    account="hilfe@shop.example",
    person="p-1",
    to=Party(kind="email", address="g@x.example"),
    text="Guten Tag",
    language="de",
    heard=1,
    answers=("c-1",),
)


class Adapter:
    """Takes everything, unless told otherwise."""

    def __init__(self, kind: str, trouble: list[SendResult]) -> None:
        self.manifest = Manifest(name="email", kind=kind, resolve_unknown="resend-same-id", replies_per_minute=60)
        self.sent: list[str] = []
        self.trouble = trouble

    def routes(self) -> list[Any]:
        return []

    async def receive(self) -> None: ...

    async def send(self, reply: Reply, attempt: int) -> SendResult:
        self.sent.append(reply.id)
        return self.trouble.pop() if self.trouble else Accepted()

    async def probe(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None: ...


class Office:
    """A sender over the real engine. `handle` gives a reply's record to it and applies what it decides."""

    def __init__(self, engine: Any, clock: FakeClock, kind: str, **settings: Any) -> None:
        self.engine, self.clock = engine, clock
        self.adapter = Adapter(kind, [])
        self.sender = Sender(
            self.adapter, store=engine, clock=clock, metrics=Metrics(), settings=SendingSettings(**settings)
        )

    async def plan(self, reply: Reply) -> None:
        await self.write(*ledger.plan(reply, self.clock.now())[0])

    async def write(self, *writes: Write) -> bool:
        (result,) = await self.engine.apply([Effect(outcome=Outcome(writes=writes))])
        return result.applied

    async def decide(self, reply: Reply) -> Outcome:
        """What the sender makes of the record of a reply as it was planned."""
        (record,) = ledger.plan(reply, self.clock.now())[1]
        return await self.sender.handle(
            StoredRecord(
                topic=record.topic,
                partition=0,
                offset=1,
                at=0,
                key=record.key,
                value=record.value,
                id=record.id,
                headers=dict(record.headers),
            )
        )

    async def apply(self, outcome: Outcome) -> bool:
        (result,) = await self.engine.apply([Effect(outcome=outcome)])
        return result.applied

    async def handle(self, reply: Reply) -> Outcome:
        outcome = await self.decide(reply)
        assert await self.apply(outcome)
        return outcome

    async def row(self, reply: Reply) -> Any:
        return await self.engine.one(ledger.reply_row, {"reply": reply.id})

    async def standing(self, reply: Reply) -> tuple[str, str]:
        row = await self.row(reply)
        return row["state"], row["reason"]


@pytest.fixture
def office(store: Any, clock: FakeClock) -> Callable[..., Office]:
    return lambda kind="deferred", **settings: Office(store, clock, kind, **settings)


def failures(outcome: Outcome) -> list[str]:
    found = [decode(record.value, Status) for record in outcome.emit]
    return [status.reason for status in found if status.state == "failed" and status.permanent]


# Newer words of the customer


async def test_what_the_decision_knew_is_sent(office: Any) -> None:
    desk = office()
    await desk.write(heard_write("shop", "k-1"))
    await desk.plan(ANSWER)
    await desk.handle(ANSWER)
    assert desk.adapter.sent == ["r-1"]


async def test_newer_words_keep_an_answer_back_until_they_are_decided(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.plan(ANSWER)
    await desk.write(heard_write("shop", "k-1"), heard_write("shop", "k-1"))
    (timer,) = (await desk.handle(ANSWER)).timers
    assert desk.adapter.sent == []
    assert timer.due - clock.now() == timedelta(hours=1)
    assert await desk.standing(ANSWER) == ("planned", "overtaken")
    both = replace(ANSWER, heard=2, answers=("c-1", "c-2"))
    assert await desk.write(ledger.stand_by(await desk.row(ANSWER), both, clock.now()))
    await desk.handle(ANSWER)
    assert desk.adapter.sent == ["r-1"]
    row = await desk.row(ANSWER)
    assert decode(row["body"].encode(), Reply).answers == ("c-1", "c-2")


async def test_words_in_another_case_or_of_another_tenant_keep_nothing_back(office: Any) -> None:
    desk = office()
    await desk.plan(ANSWER)
    await desk.write(heard_write("shop", "k-1"), heard_write("shop", "k-2", 5), heard_write("bank", "k-1", 5))
    await desk.handle(ANSWER)
    assert desk.adapter.sent == ["r-1"]


@pytest.mark.parametrize("change", [{"heard": 0, "kind": "acknowledgement"}, {"heard": 0, "automatic": False}])
async def test_what_stays_true_goes_out_whatever_is_said(office: Any, change: Any) -> None:
    desk = office()
    reply = replace(ANSWER, **change)
    await desk.plan(reply)
    await desk.write(heard_write("shop", "k-1", 3))
    await desk.handle(reply)
    assert desk.adapter.sent == ["r-1"]


@pytest.mark.parametrize(("kind", "seconds"), [("live-text", 30), ("deferred", 3600)])
async def test_an_answer_that_nobody_settles_becomes_a_persons(
    office: Any, clock: FakeClock, kind: str, seconds: float
) -> None:
    desk = office(kind)
    await desk.plan(ANSWER)
    await desk.write(heard_write("shop", "k-1", 2))
    await desk.handle(ANSWER)
    clock.advance(seconds - 1)
    (again,) = (await desk.handle(ANSWER)).timers
    assert (again.due - clock.now()).total_seconds() == 1
    clock.advance(1)
    assert failures(await desk.handle(ANSWER)) == ["overtaken"]
    assert await desk.standing(ANSWER) == ("blocked", "overtaken")
    assert desk.adapter.sent == []


async def test_a_goodbye_to_somebody_who_goes_on_is_dropped(office: Any) -> None:
    desk = office()
    goodbye = replace(ANSWER, kind="goodbye")
    await desk.plan(goodbye)
    await desk.write(heard_write("shop", "k-1", 2))
    outcome = await desk.handle(goodbye)
    assert outcome.timers == ()
    assert await desk.standing(goodbye) == ("blocked", "overtaken")


async def test_what_may_have_arrived_already_is_not_overtaken_any_more(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.plan(ANSWER)
    await desk.write(heard_write("shop", "k-1"))
    assert await desk.write(ledger.begin_sending("r-1", clock.now()))
    await desk.handle(ANSWER)
    await desk.write(heard_write("shop", "k-1"))
    clock.advance(900)
    await desk.handle(ANSWER)
    assert desk.adapter.sent == ["r-1"]
    assert (await desk.standing(ANSWER))[0] == "accepted"


# Races: whoever commits first wins, and the other one sees it


async def test_linked_first_the_sending_does_not_begin(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.plan(ANSWER)
    await desk.write(heard_write("shop", "k-1", 2))
    assert not await desk.write(ledger.begin_sending("r-1", clock.now()))


async def test_begun_first_the_newer_decision_finds_it_gone(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.plan(ANSWER)
    await desk.write(heard_write("shop", "k-1"))
    seen = await desk.row(ANSWER)
    assert await desk.write(ledger.begin_sending("r-1", clock.now()))
    assert await desk.write(heard_write("shop", "k-1"))
    assert not await desk.write(ledger.withdraw(seen, clock.now()))
    assert not await desk.write(ledger.stand_by(seen, replace(ANSWER, heard=2), clock.now()))


async def test_taken_back_first_the_sending_does_not_begin(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.plan(ANSWER)
    await desk.write(heard_write("shop", "k-1"))
    assert await desk.write(ledger.withdraw(await desk.row(ANSWER), clock.now()))
    assert await desk.handle(ANSWER) == Outcome()
    assert desk.adapter.sent == []


async def test_let_stand_while_it_was_being_held_it_is_sent_and_not_held(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.plan(ANSWER)
    await desk.write(heard_write("shop", "k-1", 2))
    seen = await desk.row(ANSWER)
    holding = await desk.decide(ANSWER)
    assert await desk.write(ledger.stand_by(seen, replace(ANSWER, heard=2), clock.now()))
    assert not await desk.apply(holding)
    await desk.handle(ANSWER)
    assert desk.adapter.sent == ["r-1"]


async def test_held_while_it_was_let_stand_the_decision_is_taken_again(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.plan(ANSWER)
    await desk.write(heard_write("shop", "k-1", 2))
    seen = await desk.row(ANSWER)
    await desk.handle(ANSWER)
    # It would not have known that the reply has lost its record.
    assert not await desk.write(ledger.stand_by(seen, replace(ANSWER, heard=2), clock.now()))


async def test_let_stand_while_it_was_being_given_up_it_is_sent(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.plan(ANSWER)
    await desk.write(heard_write("shop", "k-1", 2))
    await desk.handle(ANSWER)
    clock.advance(3600)
    giving_up = await desk.decide(ANSWER)
    assert await desk.write(ledger.stand_by(await desk.row(ANSWER), replace(ANSWER, heard=2), clock.now()))
    assert not await desk.apply(giving_up)
    await desk.handle(ANSWER)
    assert desk.adapter.sent == ["r-1"]


# A case that was closed meanwhile


async def test_a_closed_case_gets_its_goodbye_and_no_more_answers(office: Any, clock: FakeClock) -> None:
    desk = office()
    goodbye = replace(ANSWER, id="r-2", kind="goodbye")
    await desk.write(heard_write("shop", "k-1"))
    for reply in (ANSWER, goodbye):
        await desk.plan(reply)
    await desk.write(closed_write("shop", "k-1", closed=True))
    assert failures(await desk.handle(ANSWER)) == ["closed"]
    await desk.handle(goodbye)
    assert desk.adapter.sent == ["r-2"]


async def test_a_case_that_was_opened_again_is_answered(office: Any) -> None:
    desk = office()
    await desk.write(heard_write("shop", "k-1"))
    await desk.write(closed_write("shop", "k-1", closed=True))
    await desk.write(closed_write("shop", "k-1", closed=False), heard_write("shop", "k-1"))
    reply = replace(ANSWER, heard=2)
    await desk.plan(reply)
    await desk.handle(reply)
    assert desk.adapter.sent == ["r-1"]


# The pace


def many(count: int, **change: Any) -> list[Reply]:
    return [replace(ANSWER, id=f"r-{number}", case=f"k-{number}", **change) for number in range(count)]


async def test_too_many_to_one_address_wait_and_none_is_dropped(office: Any, clock: FakeClock) -> None:
    desk = office(recipient_burst=3, recipient_every_s=60)
    replies = many(5)
    waits: dict[str, float] = {}
    for reply in replies:
        await desk.plan(reply)
        for timer in (await desk.handle(reply)).timers:
            waits[reply.id] = (timer.due - clock.now()).total_seconds()
    assert desk.adapter.sent == ["r-0", "r-1", "r-2"]
    # Each has a turn of its own: nobody is woken in vain.
    assert waits == {"r-3": 60, "r-4": 120}
    assert (await desk.standing(replies[4]))[0] == "planned"
    clock.advance(60)
    for reply in replies[3:]:
        await desk.handle(reply)
    assert desk.adapter.sent == ["r-0", "r-1", "r-2", "r-3"]
    clock.advance(60)
    await desk.handle(replies[4])
    assert desk.adapter.sent[-1] == "r-4"


async def test_a_turn_that_was_booked_is_kept_by_a_process_that_died_over_it(office: Any, clock: FakeClock) -> None:
    desk = office(recipient_burst=1, recipient_every_s=60)
    first, second = many(2)
    for reply in (first, second):
        await desk.plan(reply)
    await desk.handle(first)
    await desk.decide(second)
    clock.advance(20)
    (timer,) = (await desk.handle(second)).timers
    assert (timer.due - clock.now()).total_seconds() == 40
    clock.advance(40)
    await desk.handle(second)
    assert desk.adapter.sent == [first.id, second.id]


async def test_who_waits_for_a_turn_can_still_be_overtaken(office: Any, clock: FakeClock) -> None:
    desk = office(recipient_burst=1, recipient_every_s=60)
    first, second = many(2)
    for reply in (first, second):
        await desk.plan(reply)
        await desk.handle(reply)
    await desk.write(heard_write("shop", second.case, 2))
    clock.advance(60)
    await desk.handle(second)
    assert await desk.standing(second) == ("planned", "overtaken")


async def test_another_address_is_not_slowed_down_and_spelling_makes_no_other_address(office: Any) -> None:
    desk = office(recipient_burst=1)
    first, same, other = many(3)
    same = replace(same, to=Party(kind="email", address=" G@X.example"))
    other = replace(other, to=Party(kind="email", address="h@x.example"))
    for reply in (first, same, other):
        await desk.plan(reply)
        await desk.handle(reply)
    assert desk.adapter.sent == [first.id, other.id]


async def test_a_channel_keeps_its_pace_whoever_is_written_to(office: Any, clock: FakeClock) -> None:
    desk = office(per_minute={"email": 2})
    replies = [replace(reply, to=Party(kind="email", address=f"{reply.id}@x.example")) for reply in many(3)]
    for reply in replies:
        await desk.plan(reply)
        await desk.handle(reply)
    assert desk.adapter.sent == ["r-0", "r-1"]
    clock.advance(29)
    await desk.handle(replies[2])
    assert len(desk.adapter.sent) == 2
    clock.advance(1)
    await desk.handle(replies[2])
    assert desk.adapter.sent[-1] == "r-2"


async def test_a_reply_counts_once_however_often_it_is_tried(office: Any) -> None:
    desk = office(recipient_burst=1)
    desk.adapter.trouble = [RetryLater(reason="greylisted"), RetryLater(reason="greylisted")]
    await desk.plan(ANSWER)
    for _ in range(3):
        await desk.handle(ANSWER)
    assert (await desk.standing(ANSWER))[0] == "accepted"


@pytest.mark.parametrize(
    ("kind", "change"), [("live-text", {}), ("live-media", {}), ("deferred", {"automatic": False})]
)
async def test_who_waits_this_moment_and_who_writes_by_hand_is_not_slowed_down(
    office: Any, kind: str, change: Any
) -> None:
    desk = office(kind, recipient_burst=1)
    for reply in many(3, **change):
        await desk.plan(reply)
        await desk.handle(reply)
    assert len(desk.adapter.sent) == 3


async def test_advertising_is_slowed_down_even_in_a_chat(office: Any, clock: FakeClock) -> None:
    desk = office("live-text", recipient_burst=1)
    now = clock.now()
    await desk.write(
        consent_write(
            tenant="shop",
            person="p-1",
            purpose="marketing",
            channel="email",
            evidence="form",
            granted_at=now,
            expires_at=now + timedelta(days=1),
        )
    )
    for reply in many(2, purpose="marketing", kind="notice", heard=0):
        await desk.plan(reply)
        await desk.handle(reply)
    assert len(desk.adapter.sent) == 1


async def test_what_expires_while_it_waits_goes_to_a_person(office: Any, clock: FakeClock) -> None:
    desk = office(recipient_burst=1)
    first, second = many(2, expires_at=clock.now() + timedelta(seconds=60))
    for reply in (first, second):
        await desk.plan(reply)
        await desk.handle(reply)
    clock.advance(120)
    assert failures(await desk.handle(second)) == ["expired"]


async def test_a_clock_that_goes_back_leaves_nobody_waiting(office: Any, clock: FakeClock) -> None:
    desk = office(recipient_burst=1, recipient_every_s=60)
    first, second, third = many(3)
    clock.advance(3600)
    await desk.plan(first)
    await desk.handle(first)
    clock.advance(-3600)
    for reply in (second, third):
        await desk.plan(reply)
        await desk.handle(reply)
    assert desk.adapter.sent == [first.id, second.id]
    clock.advance(60)
    await desk.handle(third)
    assert desk.adapter.sent[-1] == third.id


async def test_limits_that_nobody_uses_any_more_are_forgotten(office: Any, clock: FakeClock) -> None:
    desk = office()
    limit = Pace(burst=1, every_s=60)
    await desk.write(take_write(limit, clock.now(), tenant="shop", channel="email", recipient="a-1"))
    await desk.write(forget_write(clock.now(), unused_s=0))
    (row,) = await desk.engine.all(pace.select())
    assert row["free_at"] - row["at"] == limit.every
    clock.advance(61)
    await desk.write(forget_write(clock.now(), unused_s=0))
    assert list(await desk.engine.all(pace.select())) == []


@pytest.mark.parametrize("trouble", [Unknown(reason="the line was cut"), RetryLater(reason="greylisted", after_s=60)])
async def test_a_later_answer_waits_for_an_earlier_one_that_rests(office: Any, clock: FakeClock, trouble: Any) -> None:
    """Else the customer reads the second answer first, and takes it for the answer to the first question."""
    sales = office()
    await sales.write(heard_write("shop", "k-1"))
    first, second = ANSWER, replace(ANSWER, id="r-2", heard=2, answers=("c-2",))
    await sales.plan(first)
    sales.adapter.trouble = [trouble]
    await sales.handle(first)
    clock.advance(1)
    await sales.write(heard_write("shop", "k-1"))
    if isinstance(trouble, RetryLater):
        # It has not left, so whoever decided about the newer words let it stand.
        first = replace(first, heard=2)
        assert await sales.write(ledger.stand_by(await sales.row(first), first, clock.now()))
    await sales.plan(second)
    waits = await sales.handle(second)
    assert sales.adapter.sent == ["r-1"]
    assert [timer.id for timer in waits.timers] == ["send-r-2"]
    clock.advance(1000)
    await sales.handle(first)
    await sales.handle(second)
    assert sales.adapter.sent == ["r-1", "r-1", "r-2"]


async def test_nobody_waits_for_ever_behind_an_answer_of_which_nothing_is_heard(office: Any, clock: FakeClock) -> None:
    sales = office()
    await sales.write(heard_write("shop", "k-1"))
    await sales.plan(ANSWER)
    await sales.write(heard_write("shop", "k-1"))
    later = replace(ANSWER, id="r-2", heard=2, answers=("c-2",))
    await sales.plan(later)
    await sales.handle(later)
    assert sales.adapter.sent == []
    clock.advance(24 * 3600 + 1)
    await sales.handle(later)
    assert sales.adapter.sent == ["r-2"]
