"""How fast replies leave, asked in the transaction that starts a sending: who is over a limit waits for a turn."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from bus.adapter.contract import RetryLater
from bus.message import Party, Reply
from bus.store.conversation import heard_write
from bus.store.pace import Pace, forget_write, pace, take_write
from bus.testing.clock import FakeClock


def many(desk: Any, count: int, **change: Any) -> list[Reply]:
    return [desk.reply(id=f"r-{number}", case=f"k-{number}", **change) for number in range(count)]


async def test_too_many_to_one_address_wait_and_none_is_dropped(office: Any, clock: FakeClock) -> None:
    desk = office(recipient_burst=3, recipient_every_s=60)
    replies = many(desk, 5)
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
    first, second = many(desk, 2)
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
    first, second = many(desk, 2)
    for reply in (first, second):
        await desk.plan(reply)
        await desk.handle(reply)
    await desk.write(heard_write("shop", second.case, 2))
    clock.advance(60)
    await desk.handle(second)
    assert await desk.standing(second) == ("planned", "overtaken")


async def test_another_address_is_not_slowed_down_and_spelling_makes_no_other_address(office: Any) -> None:
    desk = office(recipient_burst=1)
    first, same, other = many(desk, 3)
    same = replace(same, to=Party(kind="email", address=" G@X.example"))
    other = replace(other, to=Party(kind="email", address="h@x.example"))
    for reply in (first, same, other):
        await desk.plan(reply)
        await desk.handle(reply)
    assert desk.adapter.sent == [first.id, other.id]


async def test_a_channel_keeps_its_pace_whoever_is_written_to(office: Any, clock: FakeClock) -> None:
    desk = office(per_minute={"email": 2})
    replies = [replace(reply, to=Party(kind="email", address=f"{reply.id}@x.example")) for reply in many(desk, 3)]
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
    desk.adapter.answers = [RetryLater(reason="greylisted"), RetryLater(reason="greylisted")]
    await desk.plan()
    for _ in range(3):
        await desk.handle()
    assert (await desk.standing())[0] == "accepted"


@pytest.mark.parametrize(
    ("kind", "change"), [("live-text", {}), ("live-media", {}), ("deferred", {"automatic": False})]
)
async def test_who_waits_this_moment_and_who_writes_by_hand_is_not_slowed_down(
    office: Any, kind: str, change: Any
) -> None:
    desk = office(kind, recipient_burst=1)
    for reply in many(desk, 3, **change):
        await desk.plan(reply)
        await desk.handle(reply)
    assert len(desk.adapter.sent) == 3


async def test_advertising_is_slowed_down_even_in_a_chat(office: Any) -> None:
    desk = office("live-text", recipient_burst=1)
    await desk.agree(days=1)
    for reply in many(desk, 2, purpose="marketing", kind="notice", heard=0):
        await desk.plan(reply)
        await desk.handle(reply)
    assert len(desk.adapter.sent) == 1


async def test_what_expires_while_it_waits_goes_to_a_person(office: Any, clock: FakeClock) -> None:
    desk = office(recipient_burst=1)
    first, second = many(desk, 2, expires_at=clock.now() + timedelta(seconds=60))
    for reply in (first, second):
        await desk.plan(reply)
        await desk.handle(reply)
    clock.advance(120)
    assert desk.failures(await desk.handle(second)) == ["expired"]


async def test_a_clock_that_goes_back_leaves_nobody_waiting(office: Any, clock: FakeClock) -> None:
    desk = office(recipient_burst=1, recipient_every_s=60)
    first, second, third = many(desk, 3)
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
    (row,) = await desk.store.all(pace.select())
    assert row["free_at"] - row["at"] == limit.every
    clock.advance(61)
    await desk.write(forget_write(clock.now(), unused_s=0))
    assert list(await desk.store.all(pace.select())) == []
