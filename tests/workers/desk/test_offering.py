"""Offers over the real store: rounds, answers, heartbeats, and several processes at once."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bus.delivery.outcome import SetTimer
from bus.log.port import StoredRecord
from bus.log.topics import CASE_OFFERS
from bus.message import Party, encode
from workers.case import commands, events, rules
from workers.case.work import Look
from workers.desk.answering import Answering
from workers.desk.offering import OfferWorker
from workers.desk.offers import AWAY, BREAK, BREAK_OVER, BUSY, READY, WRAP_UP
from workers.desk.roster import Roster
from workers.desk.staff import People, Staff

LOOK = StoredRecord(
    topic=CASE_OFFERS, partition=0, offset=1, at=0, key="shop", value=encode(Look(tenant="shop")), id="l", headers={}
)


class Room:
    """People of the demo shop, and the worker that gives them work."""

    def __init__(self, shop: Any) -> None:
        self.shop = shop
        given: dict[str, Any] = {"store": shop.engine, "clock": shop.clock}
        self.people, self.roster, self.answering = People(**given), Roster(**given), Answering(**given)
        self.worker = OfferWorker(**given)
        self.due: Any = None

    async def staff(self, *names: str, **about: Any) -> None:
        for name in names:
            await self.people.keep("shop", Staff(name=name, **about))
            await self.roster.say("shop", name, READY)
            self.shop.clock.advance(1)

    async def round(self) -> None:
        outcome = await self.shop.take(self.worker, LOOK)
        for timer in outcome.timers:
            if isinstance(timer, SetTimer) and timer.topic == CASE_OFFERS:
                self.due = timer.due

    async def until_timer(self, *connected: str) -> None:
        """Time passes to the next moment that matters; the pages of some are open."""
        now = self.shop.clock.now()
        self.shop.clock.advance(max(0.0, (self.due - now).total_seconds()))
        for name in connected:
            async with self.roster.connected("shop", name):
                pass
        await self.round()

    async def state(self, name: str) -> str:
        row = await self.roster.one("shop", name)
        assert row is not None
        return row["state"]

    async def told(self, case: str) -> list[tuple[str, str]]:
        timeline = await self.shop.timeline(case)
        return [(event.how, event.to) for event in timeline if isinstance(event, events.Offered)]


@pytest.fixture
def room(shop: Any) -> Room:
    return Room(shop)


async def waiting(room: Room, understand: Callable[..., Any], *, channel: str = "email", number: int = 1) -> str:
    sender = Party(kind=channel, address=f"v-{number}@kunde.example")
    contact = room.shop.contact("?", channel=channel, sender=sender, conversation=f"v-{number}")
    heard = await room.shop.hear(contact, understand("", language="de", department="desk", request_person=True))
    return heard.case


async def in_a_chat(room: Room, understand: Callable[..., Any]) -> str:
    """Ada, who is alone, talks with a visitor."""
    await room.staff("Ada")
    case = await waiting(room, understand, channel="chat")
    await room.round()
    await room.answering.accept("shop", case, "Ada")
    await room.round()
    return case


async def the_visitor_leaves(room: Room, understand: Callable[..., Any]) -> None:
    sender = Party(kind="chat", address="v-1@kunde.example")
    contact = room.shop.contact(channel="chat", sender=sender, conversation="v-1", native={"request": "ended"})
    await room.shop.hear(contact, understand("", department="desk"))
    await room.round()


async def test_an_offer_that_nobody_sees_goes_on_and_is_taken(room: Room, understand: Any) -> None:
    await room.staff("Ada", "Bo")
    case = await waiting(room, understand)
    await room.round()
    assert (await room.shop.case(case)).offered == "Ada"
    with pytest.raises(rules.Refused, match="offer"):
        await room.answering.accept("shop", case, "Bo")
    for _ in range(4):
        if (await room.shop.case(case)).offered == "Bo":
            break
        await room.until_timer("Ada", "Bo")
    assert (await room.state("Ada"), await room.state("Bo")) == (AWAY, READY)
    await room.answering.accept("shop", case, "Bo")
    await room.round()
    state = await room.shop.case(case)
    assert (state.assignee, state.offered) == ("Bo", "")
    assert await room.told(case) == [("made", "Ada"), ("timed-out", "Ada"), ("made", "Bo"), ("accepted", "Bo")]


async def test_who_declines_is_asked_again_later_when_nobody_else_is_there(room: Room, understand: Any) -> None:
    await room.staff("Ada")
    case = await waiting(room, understand)
    await room.round()
    await room.answering.decline("shop", case, "Ada", "after lunch")
    await room.round()
    assert (await room.shop.case(case)).offered == ""
    asked = room.shop.clock.now()
    while (await room.shop.case(case)).offered == "":
        await room.until_timer("Ada")
    assert (room.shop.clock.now() - asked).total_seconds() == 1800


async def test_a_closed_lid_gives_the_offer_back_within_a_minute(room: Room, understand: Any) -> None:
    await room.staff("Ada", mails=5)
    case = await waiting(room, understand)
    await room.round()
    began = room.shop.clock.now()
    while await room.state("Ada") == READY:
        await room.until_timer()
    assert (room.shop.clock.now() - began).total_seconds() <= 60
    assert (await room.shop.case(case)).offered == ""
    assert ("returned", "Ada") in await room.told(case)


async def test_a_chat_whose_person_vanishes_is_offered_to_others(room: Room, understand: Any) -> None:
    await room.staff("Ada", "Bo")
    case = await waiting(room, understand, channel="chat")
    await room.round()
    await room.answering.accept("shop", case, "Ada")
    await room.round()
    while await room.state("Ada") == READY:
        await room.until_timer("Bo")
    await room.round()
    state = await room.shop.case(case)
    assert (state.assignee, state.offered) == ("", "Bo")


async def test_after_a_chat_comes_the_outcome_and_then_the_next_offer(room: Room, understand: Any) -> None:
    case = await in_a_chat(room, understand)
    await the_visitor_leaves(room, understand)
    assert await room.state("Ada") == WRAP_UP
    other = await waiting(room, understand, number=2)
    await room.round()
    assert (await room.shop.case(other)).offered == ""
    with pytest.raises(rules.Refused, match="outcome"):
        await room.roster.say("shop", "Ada", READY)
    with pytest.raises(rules.Refused, match="outcome"):
        await room.roster.wrapped_up("shop", "Ada", "")
    await room.roster.wrapped_up("shop", "Ada", "explained")
    await room.round()
    assert (await room.shop.case(case)).outcome == "explained"
    assert (await room.shop.case(other)).offered == "Ada"


@pytest.mark.parametrize("by_itself", [False, True])
async def test_a_break_lasts_as_long_as_it_was_meant_to(room: Room, understand: Any, by_itself: bool) -> None:
    """No offer before its end; then the person is asked, or the house has said that offers come again."""
    room.worker = OfferWorker(store=room.shop.engine, clock=room.shop.clock, ready_after_break=by_itself)
    await room.staff("Ada")
    await room.roster.say("shop", "Ada", BREAK, minutes=10, reason="abuse")
    began = room.shop.clock.now()
    case = await waiting(room, understand)
    await room.round()
    while await room.state("Ada") == BREAK:
        assert (await room.shop.case(case)).offered == ""
        await room.until_timer("Ada")
    assert (room.shop.clock.now() - began).total_seconds() == 600
    row = await room.roster.one("shop", "Ada")
    assert row is not None
    assert (row["state"], row["reason"], row["until"]) == (READY if by_itself else BUSY, BREAK_OVER, 0)
    if not by_itself:
        assert (await room.shop.case(case)).offered == ""
        await room.roster.say("shop", "Ada", READY)
        await room.round()
    assert (await room.shop.case(case)).offered == "Ada"


async def test_an_outcome_written_down_during_a_break_does_not_end_it(room: Room, understand: Any) -> None:
    await in_a_chat(room, understand)
    await room.roster.say("shop", "Ada", BREAK, minutes=10)
    until = (await room.roster.one("shop", "Ada") or {})["until"]
    await the_visitor_leaves(room, understand)
    await room.roster.wrapped_up("shop", "Ada", "explained")
    row = await room.roster.one("shop", "Ada")
    assert row is not None
    assert (row["state"], row["until"], row["case_id"]) == (BREAK, until, "")
    other = await waiting(room, understand, number=2)
    await room.round()
    assert (await room.shop.case(other)).offered == ""


async def test_picking_from_the_queue_withdraws_the_offer(room: Room, understand: Any) -> None:
    await room.staff("Ada", "Bo")
    case = await waiting(room, understand)
    await room.round()
    state = await room.shop.case(case)
    await room.shop.apply(commands.assign(state, to="Bo", actor="Bo", now=room.shop.clock.now()))
    with pytest.raises(rules.Refused, match="taken"):
        await room.answering.accept("shop", case, "Ada")
    await room.round()
    assert (await room.told(case))[-1] == ("withdrawn", "Ada")
    assert (await room.shop.case(case)).assignee == "Bo"


async def test_two_processes_decide_at_once_and_one_of_them_counts(room: Room, understand: Any) -> None:
    await room.staff("Ada", "Bo")
    for number in range(3):
        await waiting(room, understand, number=number)
    given: dict[str, Any] = {"store": room.shop.engine, "clock": room.shop.clock}
    outcomes = await asyncio.gather(*(OfferWorker(**given).handle(LOOK) for _ in range(3)))
    applied: Sequence[bool] = [(await room.shop.apply(outcome)).applied for outcome in outcomes]
    assert applied == [True, False, False]
    answers = await asyncio.gather(
        *(room.answering.accept("shop", state.id, state.offered) for state in await _offered(room)),
        return_exceptions=True,
    )
    assert answers == [None, None]


async def _offered(room: Room) -> list[Any]:
    found = [await room.shop.case(row["case_id"]) for row in await _rows(room)]
    return [state for state in found if state.offered]


async def _rows(room: Room) -> Any:
    from workers.desk.offer_schema import OPEN_OFFERS

    return await room.shop.engine.all(OPEN_OFFERS, {"tenant": "shop"})


async def test_who_works_here_no_more_gets_nothing(room: Room, understand: Any) -> None:
    await room.staff("Ada")
    assert await room.people.role("shop", "Ada") == "representative"
    assert await room.people.remove("shop", "Ada")
    assert await room.people.role("shop", "Ada") == ""
    assert await room.people.role("shop", "Somebody") == ""
    case = await waiting(room, understand)
    await room.round()
    assert (await room.shop.case(case)).offered == ""
