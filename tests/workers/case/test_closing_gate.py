"""The closing gate: one test for each missing condition by command and by worker, and random roads with a clock."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.message import Party
from workers.case import commands, events, model, rules
from workers.case.changes import Draft
from workers.case.closing import REASONS, SAYS_NOTHING_NEW
from workers.case.evolving import evolve
from workers.case.model import CaseState, Promise, Route
from workers.case.rules import Refused, decide

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
ANNA = Party(kind="email", address="anna.becker@kunde.example", name="Anna Becker")


async def ready(shop: Any, understand: Any, *, without: str = "") -> str:
    """A case with a person that only waits to be closed, but for one condition."""
    heard = await shop.hear(
        shop.contact("Mensch bitte", sender=ANNA), understand("", department="desk", request_person=True)
    )
    shop.clock.advance(60)
    state = await shop.case(heard.case)
    service = shop.pack.policy.service
    answered = commands.reply(
        state, text="Erledigt.", actor="mia", now=shop.clock.now(), anything_else=without != "anything-else",
        service=service,
    )  # fmt: skip
    await shop.apply(answered)
    if without != "reply":
        await shop.deliver(answered.replies)
    if without == "promise":
        state = await shop.case(heard.case)
        until = shop.clock.now() + timedelta(days=2)
        await shop.apply(commands.promise(state, what="Anruf", until=until, actor="mia", now=shop.clock.now()))
    if without not in ("anything-else", "answer"):
        state = await shop.case(heard.case)
        await shop.apply(commands.answer_anything_else(state, answer="no", actor="mia", now=shop.clock.now()))
    return heard.case


@pytest.mark.parametrize("condition", REASONS)
async def test_a_person_is_told_each_thing_that_is_missing(shop: Any, understand: Any, condition: str) -> None:
    case = await ready(shop, understand, without=condition)
    outcome = "" if condition == "outcome" else "solved"
    state = await shop.case(case)
    with pytest.raises(Refused) as refused:
        commands.close(state, outcome=outcome, actor="mia", now=shop.clock.now())
    assert refused.value.missing == (condition,)
    # Nothing else was missing.
    complete = await ready(shop, understand)
    closed = commands.close(await shop.case(complete), outcome="solved", actor="mia", now=shop.clock.now())
    await shop.apply(closed)
    assert (await shop.case(complete)).status == model.CLOSED


async def test_everything_that_is_missing_is_named_at_once(shop: Any, understand: Any) -> None:
    heard = await shop.hear(
        shop.contact("Mensch bitte", sender=ANNA), understand("", department="desk", request_person=True)
    )
    with pytest.raises(Refused) as refused:
        commands.close(await shop.case(heard.case), outcome="", actor="mia", now=shop.clock.now())
    assert refused.value.missing == ("outcome", "anything-else", "promise")


@pytest.mark.parametrize("condition", ["promise", "reply", "answer"])
async def test_software_closes_nothing_that_is_not_complete(shop: Any, understand: Any, condition: str) -> None:
    opening = understand("info.opening_hours", department="support")
    deliver = shop.deliver
    if condition == "reply":

        async def silent(replies: Any) -> None:
            return None

        shop.deliver = silent
    heard = await shop.hear(shop.contact("Wann offen?", sender=ANNA, conversation="<a@x>"), opening)
    if condition == "promise":
        draft = Draft(await shop.case(heard.case), shop.clock.now())
        until = shop.clock.now() + timedelta(days=60)
        draft.tell(events.PromiseMade(at=draft.now, promise=Promise(id="x", what="Anruf", by="mia", until=until)))
        await shop.apply(draft.outcome())
    if condition == "answer":
        await shop.pass_time(days=6)
        assert (await shop.case(heard.case)).status == model.CLOSING
        return
    thanks = understand("talk.thanks_done", department="support", answer="no", done=True)
    await shop.hear(shop.contact("Nein danke", sender=ANNA, conversation="<a@x>"), thanks)
    assert (await shop.case(heard.case)).status == model.CLOSING
    if condition == "reply":
        # The news that it arrived is the last thing that was missing.
        await deliver(heard.replies)
        assert (await shop.case(heard.case)).status == model.CLOSED
        return
    state = await shop.case(heard.case)
    await shop.apply(commands.keep(state, promise_id="x", actor="mia", now=shop.clock.now()))
    assert (await shop.case(heard.case)).open_promises() == ()


async def test_the_notice_of_a_person_ends_too_but_not_over_newer_words(shop: Any, understand: Any) -> None:
    case = await ready(shop, understand, without="answer")
    await shop.pass_time(days=8)
    state = await shop.case(case)
    assert state.anything_else_answered is not None
    await shop.apply(commands.close(state, outcome="solved", actor="mia", now=shop.clock.now()))
    assert (await shop.case(case)).status == model.CLOSED


async def test_words_after_the_answer_are_one_more_matter(shop: Any, understand: Any) -> None:
    case = await ready(shop, understand)
    unclear = understand("", department="desk", decision="person")
    state = await shop.case(case)
    await shop.hear(shop.contact("Ach, noch etwas", sender=ANNA, case_token=case), unclear)
    # Whoever closes by what he saw before loses the race, and decides anew on what is there.
    stale = commands.close(state, outcome="solved", actor="mia", now=shop.clock.now())
    assert not (await shop.apply(stale)).applied
    with pytest.raises(Refused) as refused:
        commands.close(await shop.case(case), outcome="solved", actor="mia", now=shop.clock.now())
    assert refused.value.missing == ("anything-else", "promise")


async def test_a_word_in_the_second_of_the_closing_opens_the_same_case(shop: Any, understand: Any) -> None:
    case = await ready(shop, understand)
    closed = commands.close(await shop.case(case), outcome="solved", actor="mia", now=shop.clock.now())
    late = shop.contact("Ach, noch etwas", sender=ANNA, case_token=case)
    await shop.apply(closed)
    assert late.received_at == shop.clock.now()
    heard = await shop.hear(late, understand("info.opening_hours", department="support"))
    assert heard.case == case
    state = await shop.case(case)
    assert state.status != model.CLOSED
    assert heard.replies


async def test_a_line_that_goes_dead_after_the_end_opens_nothing(shop: Any, understand: Any) -> None:
    case = await ready(shop, understand)
    await shop.apply(commands.close(await shop.case(case), outcome="solved", actor="mia", now=shop.clock.now()))
    ended = shop.contact("", sender=ANNA, case_token=case, native={"request": "ended"})
    await shop.hear(ended, understand("", department="desk", decision="person"))
    assert (await shop.case(case)).status == model.CLOSED


# Random roads: the same events as above in any order, late and repeated, on a clock that jumps.

Act = tuple[str, str, int]
ACTS: st.SearchStrategy[list[Act]] = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "hear", "hang-up", "automatic", "answer", "answer-by-hand", "notice", "delivered", "failed", "unknown",
                "outcome", "ask", "no", "yes", "promise", "kept", "broken", "hand-over", "give-back", "close",
                "close-by-hand", "missed", "under-way",
            ]
        ),
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 100_000),
    ),
    max_size=40,
)  # fmt: skip


def command(act: str, name: str, now: datetime) -> rules.Command:
    until = now + timedelta(hours=1)

    def tell(event: events.CaseEvent) -> rules.Command:
        return rules.Happened(event=event)

    def planned(actor: str, kind: str) -> rules.Command:
        reply = events.ReplyPlanned(at=now, actor=actor, reply=name, channel="email", reply_kind=kind, text=".")
        return rules.Reply(actor=actor, planned=reply)

    def progress(state: str) -> rules.Command:
        return rules.Track(
            progress=events.ReplyProgress(at=now, reply=name, channel="email", state=state, permanent=True), until=until
        )

    match act:
        case "hear" | "hang-up" | "automatic":
            route = Route(channel="email", account="a", address=ANNA, at=now)
            request = "ended" if act == "hang-up" else ""
            heard = events.Received(
                at=now, actor="customer", contact=f"{name}{now}", route=route, request=request,
                automatic=act == "automatic",
            )  # fmt: skip
            return rules.Receive(received=heard)
        case "answer" | "answer-by-hand":
            return planned(model.MACHINE if act == "answer" else "mia", "answer")
        case "notice":
            return planned(model.MACHINE, "notice")
        case "delivered" | "failed" | "unknown":
            return progress(act)
        case "outcome":
            return tell(events.OutcomeChosen(at=now, outcome="solved"))
        case "ask":
            return tell(events.AnythingElseAsked(at=now, channel="email"))
        case "no" | "yes":
            return tell(events.AnythingElseAnswered(at=now, answer=act))
        case "promise" | "under-way":
            action = "refund:1" if act == "under-way" else ""
            return tell(
                events.PromiseMade(at=now, promise=Promise(id=name, what="x", by="mia", until=until, action=action))
            )
        case "kept":
            return tell(events.PromiseKept(at=now, id=name))
        case "broken":
            return tell(events.PromiseBroken(at=now, id=name, what="x", until=now))
        case "hand-over":
            return rules.HandOver(reason="?", until=until)
        case "give-back":
            return tell(events.Returned(at=now, actor="mia"))
        case "missed":
            return tell(events.TargetMissed(at=now, target="resolution", until=now))
        case _:
            return rules.Close(outcome="", actor="mia" if act == "close-by-hand" else model.MACHINE)


class Judge:
    """Keeps its own books of what was said and done, from the events alone."""

    def __init__(self) -> None:
        self.outcome = ""
        self.asked = self.answered = False
        self.promises: dict[str, bool] = {}
        self.replies: dict[str, tuple[str, str]] = {}

    def see(self, told: Sequence[events.CaseEvent]) -> None:
        for event in told:
            match event:
                case events.Received(automatic=False, request=""):
                    if self.answered:
                        self.asked = self.answered = False
                case events.Reopened():
                    self.outcome, self.asked, self.answered = "", False, False
                case events.OutcomeChosen():
                    self.outcome = event.outcome
                case events.AnythingElseAsked():
                    self.asked, self.answered = True, False
                case events.AnythingElseAnswered():
                    self.answered = event.answer != "yes"
                    self.asked = self.asked and event.answer != "yes"
                case events.PromiseMade():
                    self.promises.pop(event.promise.id, None)
                    self.promises[event.promise.id] = not event.promise.action
                case events.PromiseKept():
                    self.promises.pop(event.id, None)
                case events.ReplyPlanned():
                    self.replies[event.reply] = (event.reply_kind, "planned")
                case events.ReplyProgress():
                    self.replies[event.reply] = (self.replies[event.reply][0], event.state)
                case events.Closed():
                    self.judge()
                    # Spent: a case that goes on after this is closed by the same rule again.
                    self.outcome, self.asked, self.answered = "", False, False
                case _:
                    pass

    def judge(self) -> None:
        assert self.outcome
        assert self.asked
        assert self.answered
        assert not any(self.promises.values())
        said = [state for kind, state in self.replies.values() if kind not in SAYS_NOTHING_NEW]
        assert not said or said[-1] in ("accepted", "delivered", "read")


FINISH = ("hear", "answer", "delivered", "outcome", "ask", "no")


@given(acts=ACTS, left_out=st.sampled_from(["", *FINISH]))
@settings(max_examples=250, deadline=None)
def test_no_road_closes_a_case_with_a_condition_missing(acts: list[Act], left_out: str) -> None:
    state: CaseState | None = None
    judge = Judge()
    now = NOW
    opening = rules.Open(id="k-1", tenant="shop", number="00000000000097", person="p-1", channel="email")
    finish: list[Act] = [(act, "a", 1) for act in FINISH if act != left_out]
    for each in [opening, *finish, *acts, ("close-by-hand", "a", 1), ("close", "a", 1)]:
        if isinstance(each, rules.Open):
            told = decide(state, each, now)
        else:
            act, name, seconds = each
            now += timedelta(seconds=seconds)
            try:
                told = decide(state, command(act, name, now), now)
            except Refused as refused:
                unknown = set(refused.missing) - set(REASONS)
                if unknown:
                    pytest.fail(f"no such reason: {unknown}")
                continue
        for event in told:
            state = evolve(state, event)
        judge.see(told)
    assert state is not None
