"""Service promises: set with the contact, kept by an answer and by the end, still while the customer has the word."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bus.message import Party
from bus.telemetry import Metrics
from workers.case import commands, model
from workers.case.events import HandedOver, Targeted, TargetMissed
from workers.case.model import CaseState, Target
from workers.case.service import missed, next_due, promised, resumed
from workers.case.worker import CaseWorker
from workers.packs import load
from workers.packs.policy import ServicePromise

ANNA = Party(kind="email", address="anna.becker@kunde.example", name="Anna Becker")
PACK = load("shop")
HOURS = PACK.policy.service.hours
BERLIN = ZoneInfo("Europe/Berlin")


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=BERLIN)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("since", "first_answer", "resolution"),
    [
        # Four hours and twenty, from Wednesday at nine.
        (at(2026, 11, 25, 9), at(2026, 11, 25, 13), at(2026, 11, 27, 9)),
        # Friday at five and half a minute: over the weekend.
        (at(2026, 11, 27, 17, 0, 30), at(2026, 11, 30, 11, 0, 30), at(2026, 12, 1, 17, 0, 30)),
        # Over the holidays of the state: Reformation Day in Hamburg.
        (at(2025, 10, 30, 17), at(2025, 11, 3, 11), at(2025, 11, 4, 17)),
        # Over the night in which the clocks change.
        (at(2026, 3, 27, 16), at(2026, 3, 30, 10), at(2026, 3, 31, 16)),
        # From midnight on nothing counts until people come.
        (at(2026, 11, 25, 0), at(2026, 11, 25, 12), at(2026, 11, 26, 18)),
    ],
)
def test_promises_count_the_time_while_people_work(
    since: datetime, first_answer: datetime, resolution: datetime
) -> None:
    made = promised(PACK.policy.service.promise_of("email"), HOURS, since, since)
    assert (made.first_answer, made.resolution) == (first_answer, resolution)


def test_the_figures_are_judged_when_they_are_read() -> None:
    with pytest.raises(ValueError, match="first_answer_minutes"):
        ServicePromise(first_answer_minutes=0, resolution_hours=1)
    with pytest.raises(ValueError, match="first_answer_minutes"):
        ServicePromise(first_answer_minutes=61, resolution_hours=1)
    assert PACK.policy.service.promise_of("pigeon") == PACK.policy.service.promises["default"]


def test_what_was_left_passes_again_when_the_customer_has_spoken() -> None:
    since = at(2026, 11, 25, 9)
    target = Target(since=since, until=at(2026, 11, 25, 17), paused_at=at(2026, 11, 25, 12, 0, 1))
    state = CaseState(id="k", tenant="shop", number="1", resolution=target, created=since, updated=since)
    goes_on = resumed(state, HOURS, at(2026, 12, 1, 16))
    assert goes_on is not None
    # Five hours less a second were left: two on Tuesday, the rest on Wednesday.
    assert goes_on.resolution == at(2026, 12, 2, 10, 59, 59)
    assert goes_on.first_answer is None
    assert next_due(state) is None
    assert missed(state, at(2027, 1, 1, 0)) == ()


async def heard(shop: Any, understand: Any, text: str = "Mensch bitte", **more: Any) -> Any:
    meaning = understand("", department="desk", decision="person", request_person=True)
    return await shop.hear(shop.contact(text, sender=ANNA, conversation="<a@x>", **more), meaning)


async def test_an_answer_keeps_the_first_and_the_end_the_second(shop: Any, understand: Any) -> None:
    case = (await heard(shop, understand)).case
    state = await shop.case(case)
    assert state.first_answer is not None
    assert state.resolution is not None
    assert state.first_answer.kept_at is None, "an acknowledgement is no answer"
    assert state.due == state.first_answer.until
    shop.clock.advance(3600)
    answered = commands.reply(state, text="Erledigt.", actor="mia", now=shop.clock.now(), anything_else=True)
    await shop.apply(answered)
    await shop.deliver(answered.replies)
    state = await shop.case(case)
    assert state.first_answer is not None
    assert state.first_answer.kept_at == shop.clock.now()
    assert state.resolution is not None
    assert state.resolution.paused_at == shop.clock.now()
    assert state.due is None
    # A month passes while the customer has the word: nothing is missed.
    await shop.pass_time(days=31)
    await shop.apply(
        commands.answer_anything_else(await shop.case(case), answer="no", actor="mia", now=shop.clock.now())
    )
    await shop.apply(commands.close(await shop.case(case), outcome="solved", actor="mia", now=shop.clock.now()))
    state = await shop.case(case)
    assert state.resolution is not None
    assert state.resolution.kept_at == shop.clock.now()
    assert not [event for event in await shop.timeline(case) if isinstance(event, TargetMissed)]
    # Whoever writes again is promised both anew, from the moment at which his contact arrived.
    arrived = shop.clock.now()
    late = shop.contact("Doch noch etwas", sender=ANNA, conversation="<a@x>")
    shop.clock.advance(90)
    await shop.hear(late, understand("", department="desk", decision="person"))
    state = await shop.case(case)
    assert state.first_answer is not None
    assert (state.first_answer.since, state.first_answer.kept_at) == (arrived, None)


async def test_a_missed_one_is_told_counted_and_stays_on_top(shop: Any, understand: Any) -> None:
    metrics = Metrics()
    shop.workers["case"] = CaseWorker(store=shop.engine, clock=shop.clock, pack=shop.pack, metrics=metrics)
    case = (await heard(shop, understand)).case
    state = await shop.case(case)
    assert state.first_answer is not None
    first, until = state.first_answer.until, state.open_promises()[0].until
    await shop.pass_time(seconds=(first - shop.clock.now()).total_seconds() - 1)
    assert not [event for event in await shop.timeline(case) if isinstance(event, TargetMissed)]
    timers = dict(shop.timers)
    await shop.pass_time(seconds=1)
    shop.timers.update({name: timer for name, timer in timers.items() if b'"service"' in timer.value})
    await shop.pass_time(seconds=1)
    (event,) = [event for event in await shop.timeline(case) if isinstance(event, TargetMissed)]
    assert (event.target, event.until) == ("first-answer", first)
    state = await shop.case(case)
    assert state.due == first < until
    value = metrics.registry.get_sample_value(
        "service_promises_missed_total", {"channel": "email", "target": "first-answer"}
    )
    assert value == 1
    # Late is not never: the answer takes it from the top.
    await shop.apply(commands.reply(state, text="Hier.", actor="mia", now=shop.clock.now()))
    assert (await shop.case(case)).due is None
    await shop.pass_time(days=3)
    assert metrics.registry.get_sample_value("promises_total", {"result": "kept"}) == 1


async def test_whoever_got_no_answer_from_software_gets_a_person(shop: Any, understand: Any) -> None:
    opening = understand("info.opening_hours", department="support")
    case = (await shop.hear(shop.contact("Wann offen?", sender=ANNA), opening)).case
    state = await shop.case(case)
    assert state.status == model.CLOSING
    # As if software had said nothing: the customer has asked, and the case lies open with nobody.
    given_back = commands.answer_anything_else(state, answer="yes", actor="mia", now=shop.clock.now())
    await shop.apply(given_back)
    assert (await shop.case(case)).status == model.OPEN
    await shop.pass_time(days=10)
    told = await shop.timeline(case)
    assert [event.target for event in told if isinstance(event, TargetMissed)] == ["resolution"]
    assert "service" in [event.reason for event in told if isinstance(event, HandedOver)]
    assert (await shop.case(case)).with_person


async def test_software_that_answers_at_once_leaves_no_timer_behind(shop: Any, understand: Any) -> None:
    answered = await shop.hear(
        shop.contact("Wann offen?", sender=ANNA), understand("info.opening_hours", department="support")
    )
    assert [timer for timer in shop.timers.values() if b'"service"' in timer.value] == []
    assert len([event for event in await shop.timeline(answered.case) if isinstance(event, Targeted)]) == 1


async def test_who_asks_to_be_called_goes_by_the_time_that_was_told(shop: Any, understand: Any) -> None:
    told = shop.clock.now() + timedelta(hours=3)
    call = shop.contact(
        "", channel="phone", sender=Party(kind="phone", address="+4930555010"), conversation="CA1",
        native={"request": "callback", "callback_by": told.isoformat()},
    )  # fmt: skip
    case = (await shop.hear(call, understand("", department="desk", decision="person"))).case
    state = await shop.case(case)
    assert state.first_answer is None
    assert state.due == told


def test_a_machine_is_promised_nothing() -> None:
    route_free = CaseState(id="k", tenant="shop", number="1", created=at(2026, 1, 5, 9), updated=at(2026, 1, 5, 9))
    assert next_due(route_free) is None
    assert resumed(route_free, HOURS, datetime(2026, 1, 6, tzinfo=UTC)) is None
