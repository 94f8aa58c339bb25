"""Who asked to be called keeps the place, is called three times at most, and never twice in doubt."""

from datetime import timedelta
from typing import Any

import pytest

from bus.log.topics import REPLY_STATUS
from bus.message import Party, Reply, Status
from workers.case import events, model, rules
from workers.case.callback import KIND
from workers.case.calling import begin_call, end_call
from workers.case.changes import Draft
from workers.desk.offers import CALL, task_of

JONAS = Party(kind="phone", address="+49305550144")
MINA = "+493012345"


async def asked(shop: Any, understand: Any) -> str:
    contact = shop.contact(
        channel="phone",
        sender=JONAS,
        conversation="CA1",
        native={"request": "callback", "callback_number": "+49305550144"},
    )
    return (await shop.hear(contact, understand("escalation.call_back", department="desk"))).case


async def call(shop: Any, case: str, *, phone: str = MINA, actor: str = "Mina") -> Reply | None:
    draft = Draft(await shop.case(case), shop.clock.now())
    begin_call(draft, shop.pack, actor=actor, phone=phone)
    outcome = draft.outcome()
    assert (await shop.apply(outcome)).applied
    return outcome.replies[0] if outcome.replies else None


async def ended(shop: Any, reply: Reply, state: str, reason: str = "") -> list[Reply]:
    status = Status(
        reply=reply.id, tenant="shop", case=reply.case, channel="phone", state=state, at=shop.clock.now(),
        permanent=state == "failed", reason=reason,
    )  # fmt: skip
    outcome = await shop.take(shop.workers["case"], shop.stored(REPLY_STATUS, reply.case, status))
    return list(outcome.replies)


async def test_the_wish_keeps_place_and_promise(shop: Any, understand: Any) -> None:
    state = await shop.case(await asked(shop, understand))
    assert state.callback == model.CallBack(number="+49305550144", line="phone", asked=shop.clock.now())
    assert state.awaits_person()
    task = task_of(state)
    assert (task.lane, task.created, task.due) == (CALL, state.created, state.due)


async def test_who_waits_and_then_asks_for_a_call_is_promised_the_time_that_was_told(
    shop: Any, understand: Any
) -> None:
    """0 for a person, then 1 to be called: no ten minutes are left to be broken, and the place in the queue stays."""
    wants = understand("", department="desk", decision="person", request_person=True)
    waits = {"channel": "phone", "sender": JONAS, "conversation": "CA1"}
    case = (await shop.hear(shop.contact("0", native={"request": "person"}, **waits), wants)).case
    (before,) = (await shop.case(case)).open_promises()
    called = shop.contact("1", native={"request": "callback", "callback_number": JONAS.address}, **waits)
    assert (await shop.hear(called, understand("escalation.call_back", department="desk"))).case == case
    state = await shop.case(case)
    (promise,) = state.open_promises()
    assert (before.what, promise.id, promise.what) == ("answer", before.id, "callback")
    assert promise.until > before.until
    assert task_of(state).due <= state.callback.place == before.until
    assert await shop.pass_time(seconds=(before.until - shop.clock.now()).total_seconds() + 60) == []
    (promise,) = (await shop.case(case)).open_promises()
    assert (promise.what, promise.broke) == ("callback", None)


async def test_first_the_person_then_the_customer_and_talking_keeps_the_promise(shop: Any, understand: Any) -> None:
    case = await asked(shop, understand)
    reply = await call(shop, case)
    assert reply is not None
    assert (reply.kind, reply.channel, reply.via, reply.to.address) == (KIND, "phone", MINA, "+49305550144")
    with pytest.raises(rules.Refused, match="under-way"):
        await call(shop, case)
    await ended(shop, reply, "accepted")
    assert (await shop.case(case)).callback.reply == reply.id
    await ended(shop, reply, "delivered")
    state = await shop.case(case)
    assert (state.callback, state.awaits_person(), state.assignee) == (None, False, "Mina")


async def test_what_was_picked_up_by_nobody_knows_whom_is_said_by_the_person(shop: Any, understand: Any) -> None:
    """Hung up without a word of it: no talk, no next try by itself, and the promise stays; then it was a mailbox."""
    case = await asked(shop, understand)
    reply = await call(shop, case)
    assert reply is not None
    await ended(shop, reply, "delivered", "unsaid")
    state = await shop.case(case)
    assert (state.callback.reply, state.callback.tries, state.assignee) == ("", 1, "Mina")
    assert state.awaits_person()
    draft = Draft(state, shop.clock.now())
    end_call(draft, shop.pack, "customer", actor="Mina")
    await shop.apply(draft.outcome())
    state = await shop.case(case)
    assert (state.callback.tries, state.assignee) == (1, "")
    assert state.callback.next_at == shop.clock.now() + timedelta(minutes=15)


async def test_three_tries_in_the_hours_of_work_and_then_in_writing(shop: Any, understand: Any) -> None:
    case = await asked(shop, understand)
    mail = shop.contact("Bitte rufen Sie mich an", sender=Party(kind="email", address="jonas@kunde.example"))
    state = await shop.case(case)
    route = model.Route(channel="email", account="hilfe", address=mail.sender, at=shop.clock.now())
    draft = Draft(state, shop.clock.now())
    draft.tell(events.Received(at=shop.clock.now(), actor="customer", contact="c-0", route=route, automatic=False))
    await shop.apply(draft.outcome())
    gaps = []
    for number in range(1, 4):
        began = shop.clock.now()
        reply = await call(shop, case)
        assert reply is not None
        answers = await ended(shop, reply, "failed", "customer")
        state = await shop.case(case)
        if number < 3:
            assert (state.assignee, state.callback.tries, answers) == ("", number, [])
            gaps.append(state.callback.next_at - began)
            assert task_of(state).not_before == state.callback.next_at
            shop.clock.advance((state.callback.next_at - began).total_seconds())
    assert gaps == [timedelta(minutes=15), timedelta(hours=2)]
    (written,) = answers
    assert (written.channel, written.kind) == ("email", "notice")
    assert "dreimal" in written.text
    assert state.callback is None
    kinds = [type(event) for event in await shop.timeline(case)]
    assert kinds.count(events.CallBackTried) == 3
    assert kinds.count(events.CallBackMissed) == 3


async def test_without_a_way_to_write_a_supervisor_hears_of_it(shop: Any, understand: Any) -> None:
    case = await asked(shop, understand)
    for _ in range(3):
        assert await call(shop, case, phone="") is None
        draft = Draft(await shop.case(case), shop.clock.now())
        end_call(draft, shop.pack, "customer", actor="Mina")
        await shop.apply(draft.outcome())
    state = await shop.case(case)
    assert (state.callback, state.supervisor, state.awaits_person()) == (None, "callback", True)


@pytest.mark.parametrize("channel", ["phone", "email", "chat"])
async def test_who_comes_back_is_not_called(shop: Any, understand: Any, channel: str) -> None:
    case = await asked(shop, understand)
    state = await shop.case(case)
    contact = shop.contact("Hier bin ich wieder", channel=channel, sender=JONAS, case_token=case, conversation="x")
    await shop.hear(contact, understand("", department="desk"))
    assert (await shop.case(case)).callback is None
    draft = Draft(await shop.case(case), shop.clock.now())
    with pytest.raises(rules.Refused, match="callback"):
        end_call(draft, shop.pack, "talked")
    assert state.callback is not None


@pytest.mark.parametrize(
    ("reason", "told"),
    [("it is not known whether the reply arrived", "doubt"), ("expired", "representative"), ("representative",) * 2],
)
async def test_a_try_in_doubt_is_a_persons_to_decide(shop: Any, understand: Any, reason: str, told: str) -> None:
    case = await asked(shop, understand)
    reply = await call(shop, case)
    assert reply is not None
    await ended(shop, reply, "failed", reason)
    state = await shop.case(case)
    missed = [event for event in await shop.timeline(case) if isinstance(event, events.CallBackMissed)]
    assert [event.reason for event in missed] == [told]
    assert (state.assignee, state.callback.reply, state.callback.tries) == ("Mina", "", int(told == "doubt"))
    assert await ended(shop, reply, "failed", reason) == []


async def test_a_call_of_which_nothing_more_is_heard_ends_in_doubt(shop: Any, understand: Any) -> None:
    case = await asked(shop, understand)
    reply = await call(shop, case)
    assert reply is not None
    await ended(shop, reply, "accepted")
    await shop.pass_time(minutes=149)
    assert (await shop.case(case)).callback.reply == reply.id
    await shop.pass_time(minutes=2)
    assert (await shop.case(case)).callback.reply == ""


async def test_nobody_is_called_at_night(shop: Any, understand: Any) -> None:
    case = await asked(shop, understand)
    shop.clock.advance(timedelta(hours=14).total_seconds())
    with pytest.raises(rules.Refused, match="hours"):
        await call(shop, case)


async def test_no_telephone_rings_while_the_customers_would_wait_for_the_morning(shop: Any, understand: Any) -> None:
    case = await asked(shop, understand)
    # Half past eight in the evening: the sending would be kept until nine, and nobody would know why nothing rings.
    shop.clock.advance(timedelta(hours=10.5).total_seconds())
    with pytest.raises(rules.Refused, match="hours"):
        await call(shop, case)
    # Whoever dials by hand goes by the hours of the house.
    assert await call(shop, case, phone="") is None
    assert (await shop.case(case)).callback.tries == 1
