"""The send ledger: effectively once, with permission asked at the last moment."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bus.adapter.contract import Accepted, Refused, RetryLater, Unknown
from bus.clock import to_micros
from bus.delivery.ledger import begin_sending
from bus.delivery.outcome import Outcome, SetTimer
from bus.errors import TransientError
from bus.log.embedded import EmbeddedEngine
from bus.message import Reply, Status, decode
from bus.store.permission import recipient_key, withdrawal_write
from bus.store.port import Effect
from bus.testing.clock import FakeClock


def statuses(outcome: Outcome) -> list[tuple[str, bool]]:
    found = [decode(record.value, Status) for record in outcome.emit]
    return [(status.state, status.permanent) for status in found]


async def test_a_reply_is_sent_once_however_often_its_record_comes(bench: Any) -> None:
    desk = bench(Accepted(provider_id="250 q1"))
    await desk.plan()
    assert statuses(await desk.handle()) == [("accepted", False)]
    assert await desk.handle() == Outcome()
    assert desk.adapter.attempts == [("r-1", 1)]
    assert await desk.tried() == ("accepted", 1)


async def test_the_first_answer_is_measured_from_when_the_customer_was_heard(bench: Any, clock: FakeClock) -> None:
    desk = bench(Accepted(delivered=True))
    heard = clock.now() - timedelta(seconds=3)
    await desk.plan(**{"contact-at": heard.isoformat()})
    assert statuses(await desk.handle()) == [("delivered", False)]
    sample = desk.metrics.registry.get_sample_value("first_answer_seconds_sum", {"tenant": "shop", "channel": "email"})
    assert sample == 3.0


async def test_refused_goes_back_to_work(bench: Any) -> None:
    desk = bench(Refused(reason="no such address"))
    await desk.plan()
    assert statuses(await desk.handle()) == [("failed", True)]
    assert await desk.tried() == ("refused", 1)


async def test_later_waits_on_a_timer_that_brings_the_same_reply(bench: Any, clock: FakeClock) -> None:
    desk = bench(RetryLater(reason="greylisted", after_s=300), Accepted())
    await desk.plan()
    outcome = await desk.handle()
    (timer,) = outcome.timers
    assert isinstance(timer, SetTimer)
    assert (timer.topic, timer.due - clock.now()) == ("reply.email", timedelta(seconds=300))
    assert decode(timer.value, Reply) == desk.reply()
    assert await desk.tried() == ("planned", 1)
    await desk.handle()
    assert await desk.tried() == ("accepted", 2)


@pytest.mark.parametrize("answer", [Unknown(reason="cut after the dot"), RuntimeError("boom")])
async def test_in_doubt_is_tried_once_more_and_then_a_person_decides(bench: Any, answer: Any, clock: FakeClock) -> None:
    desk = bench(answer, answer)
    await desk.plan()
    (timer,) = (await desk.handle()).timers
    assert timer.due - clock.now() == timedelta(minutes=15)
    assert await desk.tried() == ("unknown", 1)
    clock.advance(900)
    assert statuses(await desk.handle()) == [("failed", True)]
    assert await desk.tried() == ("failed", 2)
    assert await desk.handle() == Outcome()


async def test_a_reply_in_doubt_rests_however_often_its_record_comes(bench: Any, clock: FakeClock) -> None:
    desk = bench(Unknown(reason="cut after the dot"), Accepted())
    await desk.plan()
    await desk.handle()
    clock.advance(600)
    (timer,) = (await desk.handle()).timers
    assert timer.due - clock.now() == timedelta(minutes=5)
    assert desk.adapter.attempts == [("r-1", 1)]
    clock.advance(300)
    await desk.handle()
    assert await desk.tried() == ("accepted", 2)


async def test_attempts_that_were_certainly_not_sent_leave_the_second_try_of_one_in_doubt(
    bench: Any, clock: FakeClock
) -> None:
    desk = bench(RetryLater(reason="later"), RetryLater(reason="later"), Unknown(reason="cut"), Accepted())
    await desk.plan()
    for _ in range(3):
        await desk.handle()
    assert await desk.tried() == ("unknown", 3)
    clock.advance(900)
    await desk.handle()
    assert await desk.tried() == ("accepted", 4)


async def test_where_nothing_may_be_repeated_a_person_decides_at_once(bench: Any, clock: FakeClock) -> None:
    desk = bench(resolve_unknown="person")
    await desk.plan()
    await desk.write(begin_sending("r-1", clock.now()))
    assert statuses(await desk.handle()) == [("failed", True)]
    assert desk.adapter.sent == []
    assert await desk.tried() == ("failed", 1)


async def test_a_channel_that_says_itself_that_it_cannot_tell_is_not_asked_again(bench: Any) -> None:
    desk = bench(Unknown(reason="taken from the tray"), resolve_unknown="idempotent")
    await desk.plan()
    assert statuses(await desk.handle()) == [("failed", True)]
    assert await desk.tried() == ("failed", 1)


async def test_a_channel_that_keeps_failing_over_one_reply_is_asked_a_few_times(bench: Any, clock: FakeClock) -> None:
    desk = bench(*(RuntimeError("boom") for _ in range(9)), resolve_unknown="idempotent")
    await desk.plan()
    for _ in range(9):
        await desk.handle()
        clock.advance(5)
    assert await desk.tried() == ("failed", 5)


async def test_an_interrupted_sending_counts_as_in_doubt(bench: Any, clock: FakeClock) -> None:
    desk = bench(Accepted())
    await desk.plan()
    await desk.write(begin_sending("r-1", clock.now()))
    outcome = await desk.handle()
    assert desk.adapter.sent == []
    assert len(outcome.timers) == 1
    assert await desk.tried() == ("unknown", 1)


async def test_a_channel_that_knows_the_reply_again_is_simply_asked_again(bench: Any, clock: FakeClock) -> None:
    desk = bench(Accepted(), resolve_unknown="idempotent")
    await desk.plan()
    await desk.write(begin_sending("r-1", clock.now()))
    await desk.handle()
    assert desk.adapter.attempts == [("r-1", 2)]
    assert (await desk.tried())[0] == "accepted"


async def test_an_expired_reply_is_not_sent(bench: Any, clock: FakeClock) -> None:
    desk = bench()
    await desk.plan(desk.reply(expires_at=clock.now() - timedelta(seconds=1)))
    assert statuses(await desk.handle()) == [("failed", True)]
    assert (await desk.tried())[0] == "blocked"


async def stop(desk: Any, person: str = "p-1", **more: Any) -> None:
    """The customer says "stop"."""
    await desk.write(withdrawal_write(tenant="shop", person=person, evidence="c-1", now=desk.clock.now(), **more))


async def test_marketing_needs_consent_for_this_channel_that_still_holds(bench: Any, clock: FakeClock) -> None:
    desk = bench()
    await desk.agree(channel="phone")
    await desk.agree(since=clock.now() - timedelta(days=60))
    await desk.plan(desk.reply(purpose="marketing"))
    assert statuses(await desk.handle()) == [("failed", True)]
    assert (await desk.tried())[0] == "blocked"
    assert desk.adapter.sent == []


async def test_stop_said_after_planning_still_stops_the_sending(bench: Any) -> None:
    desk = bench()
    await desk.agree()
    await desk.plan(desk.reply(purpose="marketing"))
    await stop(desk)
    await desk.handle()
    assert desk.adapter.sent == []


async def test_marketing_with_consent_is_sent(bench: Any) -> None:
    desk = bench(Accepted())
    await desk.agree()
    await desk.plan(desk.reply(purpose="marketing"))
    await desk.handle()
    assert desk.adapter.attempts == [("r-1", 1)]


async def test_a_stop_between_the_judgement_and_the_sending_wins(
    bench: Any, engine: EmbeddedEngine, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = bench(Accepted())
    await desk.agree()
    await desk.plan(desk.reply(purpose="marketing"))
    withdrawal = withdrawal_write(tenant="shop", person="p-1", evidence="c-1", now=clock.now())
    apply = engine.apply

    async def apply_after_the_stop(effects: Any) -> Any:
        await apply([Effect(outcome=Outcome(writes=(withdrawal,)))])
        return await apply(effects)

    monkeypatch.setattr(engine, "apply", apply_after_the_stop)
    with pytest.raises(TransientError):
        await desk.handle()
    monkeypatch.undo()
    assert statuses(await desk.handle()) == [("failed", True)]
    assert (await desk.tried())[0] == "blocked"
    assert desk.adapter.sent == []


async def test_a_stop_from_the_address_alone_holds_for_it(bench: Any) -> None:
    desk = bench(Accepted())
    await desk.agree()
    await stop(desk, person="", recipient=recipient_key("shop", desk.reply().to))
    await desk.plan(desk.reply(purpose="marketing"))
    assert statuses(await desk.handle()) == [("failed", True)]


async def test_advertising_waits_for_the_morning_and_is_judged_again_then(bench: Any, clock: FakeClock) -> None:
    desk = bench(Accepted())
    await desk.agree(days=300)
    clock.advance(13 * 3600)  # 23 o'clock in Berlin
    await desk.plan(desk.reply(purpose="marketing"))
    (timer,) = (await desk.handle()).timers
    assert timer.due == datetime(2026, 1, 6, 8, 0, tzinfo=UTC)
    clock.advance((timer.due - clock.now()).total_seconds())
    await stop(desk)
    assert statuses(await desk.handle()) == [("failed", True)]
    assert desk.adapter.sent == []


def test_micros_are_exact() -> None:
    assert to_micros(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)) == 1_000_005
