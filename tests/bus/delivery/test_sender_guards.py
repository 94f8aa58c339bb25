"""What is asked in the transaction that starts a sending: newer words, a closed case, an earlier answer that is still
on its way; and who wins a race.
"""

from datetime import timedelta
from typing import Any

import pytest

from bus.adapter.contract import RetryLater, Unknown
from bus.delivery import ledger
from bus.delivery.outcome import Outcome
from bus.message import Reply, decode
from bus.store.conversation import closed_write, heard_write
from bus.testing.clock import FakeClock

# Newer words of the customer


async def test_what_the_decision_knew_is_sent(office: Any) -> None:
    desk = office()
    await desk.write(heard_write("shop", "k-1"))
    await desk.plan()
    await desk.handle()
    assert desk.adapter.sent == ["r-1"]


async def test_newer_words_keep_an_answer_back_until_they_are_decided(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.plan()
    await desk.write(heard_write("shop", "k-1"), heard_write("shop", "k-1"))
    (timer,) = (await desk.handle()).timers
    assert desk.adapter.sent == []
    assert timer.due - clock.now() == timedelta(hours=1)
    assert await desk.standing() == ("planned", "overtaken")
    both = desk.reply(heard=2, answers=("c-1", "c-2"))
    assert await desk.write(ledger.stand_by(await desk.row(), both, clock.now()))
    await desk.handle()
    assert desk.adapter.sent == ["r-1"]
    row = await desk.row()
    assert decode(row["body"].encode(), Reply).answers == ("c-1", "c-2")


async def test_words_in_another_case_or_of_another_tenant_keep_nothing_back(office: Any) -> None:
    desk = office()
    await desk.plan()
    await desk.write(heard_write("shop", "k-1"), heard_write("shop", "k-2", 5), heard_write("bank", "k-1", 5))
    await desk.handle()
    assert desk.adapter.sent == ["r-1"]


@pytest.mark.parametrize("change", [{"heard": 0, "kind": "acknowledgement"}, {"heard": 0, "automatic": False}])
async def test_what_stays_true_goes_out_whatever_is_said(office: Any, change: Any) -> None:
    desk = office()
    reply = desk.reply(**change)
    await desk.plan(reply)
    await desk.write(heard_write("shop", "k-1", 3))
    await desk.handle(reply)
    assert desk.adapter.sent == ["r-1"]


@pytest.mark.parametrize(("kind", "seconds"), [("live-text", 30), ("deferred", 3600)])
async def test_an_answer_that_nobody_settles_becomes_a_persons(
    office: Any, clock: FakeClock, kind: str, seconds: float
) -> None:
    desk = office(kind)
    await desk.plan()
    await desk.write(heard_write("shop", "k-1", 2))
    await desk.handle()
    clock.advance(seconds - 1)
    (again,) = (await desk.handle()).timers
    assert (again.due - clock.now()).total_seconds() == 1
    clock.advance(1)
    assert desk.failures(await desk.handle()) == ["overtaken"]
    assert await desk.standing() == ("blocked", "overtaken")
    assert desk.adapter.sent == []


async def test_a_goodbye_to_somebody_who_goes_on_is_dropped(office: Any) -> None:
    desk = office()
    goodbye = desk.reply(kind="goodbye")
    await desk.plan(goodbye)
    await desk.write(heard_write("shop", "k-1", 2))
    outcome = await desk.handle(goodbye)
    assert outcome.timers == ()
    assert await desk.standing(goodbye) == ("blocked", "overtaken")


async def test_what_may_have_arrived_already_is_not_overtaken_any_more(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.plan()
    await desk.write(heard_write("shop", "k-1"))
    assert await desk.write(ledger.begin_sending("r-1", clock.now()))
    await desk.handle()
    await desk.write(heard_write("shop", "k-1"))
    clock.advance(900)
    await desk.handle()
    assert desk.adapter.sent == ["r-1"]
    assert (await desk.standing())[0] == "accepted"


# Races: whoever commits first wins, and the other one sees it


async def test_linked_first_the_sending_does_not_begin(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.plan()
    await desk.write(heard_write("shop", "k-1", 2))
    assert not await desk.write(ledger.begin_sending("r-1", clock.now()))


async def test_begun_first_the_newer_decision_finds_it_gone(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.plan()
    await desk.write(heard_write("shop", "k-1"))
    seen = await desk.row()
    assert await desk.write(ledger.begin_sending("r-1", clock.now()))
    assert await desk.write(heard_write("shop", "k-1"))
    assert not await desk.write(ledger.withdraw(seen, clock.now()))
    assert not await desk.write(ledger.stand_by(seen, desk.reply(heard=2), clock.now()))


async def test_taken_back_first_the_sending_does_not_begin(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.plan()
    await desk.write(heard_write("shop", "k-1"))
    assert await desk.write(ledger.withdraw(await desk.row(), clock.now()))
    assert await desk.handle() == Outcome()
    assert desk.adapter.sent == []


async def test_let_stand_while_it_was_being_held_it_is_sent_and_not_held(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.plan()
    await desk.write(heard_write("shop", "k-1", 2))
    seen = await desk.row()
    holding = await desk.decide()
    assert await desk.write(ledger.stand_by(seen, desk.reply(heard=2), clock.now()))
    assert not await desk.apply(holding)
    await desk.handle()
    assert desk.adapter.sent == ["r-1"]


async def test_held_while_it_was_let_stand_the_decision_is_taken_again(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.plan()
    await desk.write(heard_write("shop", "k-1", 2))
    seen = await desk.row()
    await desk.handle()
    # It would not have known that the reply has lost its record.
    assert not await desk.write(ledger.stand_by(seen, desk.reply(heard=2), clock.now()))


async def test_let_stand_while_it_was_being_given_up_it_is_sent(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.plan()
    await desk.write(heard_write("shop", "k-1", 2))
    await desk.handle()
    clock.advance(3600)
    giving_up = await desk.decide()
    assert await desk.write(ledger.stand_by(await desk.row(), desk.reply(heard=2), clock.now()))
    assert not await desk.apply(giving_up)
    await desk.handle()
    assert desk.adapter.sent == ["r-1"]


# A case that was closed meanwhile


async def test_a_closed_case_gets_its_goodbye_and_no_more_answers(office: Any, clock: FakeClock) -> None:
    desk = office()
    answer, goodbye = desk.reply(), desk.reply(id="r-2", kind="goodbye")
    await desk.write(heard_write("shop", "k-1"))
    for reply in (answer, goodbye):
        await desk.plan(reply)
    await desk.write(closed_write("shop", "k-1", closed=True))
    assert desk.failures(await desk.handle(answer)) == ["closed"]
    await desk.handle(goodbye)
    assert desk.adapter.sent == ["r-2"]


async def test_a_case_that_was_opened_again_is_answered(office: Any) -> None:
    desk = office()
    await desk.write(heard_write("shop", "k-1"))
    await desk.write(closed_write("shop", "k-1", closed=True))
    await desk.write(closed_write("shop", "k-1", closed=False), heard_write("shop", "k-1"))
    reply = desk.reply(heard=2)
    await desk.plan(reply)
    await desk.handle(reply)
    assert desk.adapter.sent == ["r-1"]


# An earlier answer that is still on its way


@pytest.mark.parametrize("trouble", [Unknown(reason="the line was cut"), RetryLater(reason="greylisted", after_s=60)])
async def test_a_later_answer_waits_for_an_earlier_one_that_rests(office: Any, clock: FakeClock, trouble: Any) -> None:
    """Else the customer reads the second answer first, and takes it for the answer to the first question."""
    desk = office()
    await desk.write(heard_write("shop", "k-1"))
    first, second = desk.reply(), desk.reply(id="r-2", heard=2, answers=("c-2",))
    await desk.plan(first)
    desk.adapter.answers = [trouble]
    await desk.handle(first)
    clock.advance(1)
    await desk.write(heard_write("shop", "k-1"))
    if isinstance(trouble, RetryLater):
        # It has not left, so whoever decided about the newer words let it stand.
        first = desk.reply(heard=2)
        assert await desk.write(ledger.stand_by(await desk.row(first), first, clock.now()))
    await desk.plan(second)
    waits = await desk.handle(second)
    assert desk.adapter.sent == ["r-1"]
    assert [timer.id for timer in waits.timers] == ["send-r-2"]
    clock.advance(1000)
    await desk.handle(first)
    await desk.handle(second)
    assert desk.adapter.sent == ["r-1", "r-1", "r-2"]


async def test_nobody_waits_for_ever_behind_an_answer_of_which_nothing_is_heard(office: Any, clock: FakeClock) -> None:
    desk = office()
    await desk.write(heard_write("shop", "k-1"))
    await desk.plan()
    await desk.write(heard_write("shop", "k-1"))
    later = desk.reply(id="r-2", heard=2, answers=("c-2",))
    await desk.plan(later)
    await desk.handle(later)
    assert desk.adapter.sent == []
    clock.advance(24 * 3600 + 1)
    await desk.handle(later)
    assert desk.adapter.sent == ["r-2"]
