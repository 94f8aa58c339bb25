"""The decider: versions count events, the snapshot is the replay, the closing rule holds on every road."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.message import Party
from workers.case import commands as by_hand
from workers.case import events, model, rules
from workers.case.closing import REASONS, what_is_missing
from workers.case.events import CaseEvent
from workers.case.evolving import evolve
from workers.case.model import CaseState
from workers.case.rules import Refused, decide
from workers.packs import load

PACK = load("shop")
NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
OPEN = rules.Open(id="k-1", tenant="shop", number="00000000000097", person="p-1", channel="chat")


def run(commands: list[rules.Command]) -> tuple[CaseState, list[CaseEvent], list[tuple[str, ...]]]:
    """State, events and refusals after commands, one second apart."""
    state: CaseState | None = None
    told: list[CaseEvent] = []
    refusals: list[tuple[str, ...]] = []
    for second, command in enumerate([OPEN, *commands]):
        try:
            new = decide(state, command, NOW + timedelta(seconds=second))
        except Refused as refused:
            refusals.append(refused.missing)
            continue
        for event in new:
            state = evolve(state, event)
        told.extend(new)
    assert state is not None
    return state, told, refusals


def received(contact: str, *, automatic: bool = False) -> rules.Command:
    route = model.Route(channel="chat", account="web", address=Party(kind="chat", address="s"), contact=contact, at=NOW)
    event = events.Received(at=NOW, actor="customer", contact=contact, route=route, automatic=automatic)
    return rules.Receive(received=event)


def reply(name: str, actor: str = model.MACHINE, kind: str = "answer") -> rules.Command:
    event = events.ReplyPlanned(at=NOW, actor=actor, reply=name, channel="chat", reply_kind=kind, text="...")
    return rules.Reply(actor=actor, planned=event)


def track(name: str, state: str, *, permanent: bool = False) -> rules.Command:
    event = events.ReplyProgress(at=NOW, reply=name, channel="chat", state=state, permanent=permanent)
    return rules.Track(progress=event, until=NOW + timedelta(hours=4))


def tell(event: CaseEvent) -> rules.Command:
    return rules.Happened(event=event)


names = st.sampled_from(["a", "b", "c"])
commands = st.lists(
    st.one_of(
        st.builds(received, names, automatic=st.booleans()),
        st.builds(reply, names, st.sampled_from([model.MACHINE, "mia"]), st.sampled_from(["answer", "goodbye"])),
        st.builds(
            track, names, st.sampled_from(["accepted", "delivered", "read", "failed", "unknown"]),
            permanent=st.booleans(),
        ),
        st.builds(rules.HandOver, reason=st.just("?"), until=st.just(NOW + timedelta(hours=1))),
        st.builds(rules.Close, outcome=st.sampled_from(["", "solved"])),
        st.just(tell(events.AnythingElseAsked(at=NOW, channel="chat"))),
        st.just(tell(events.AnythingElseAnswered(at=NOW, answer="no"))),
        st.just(tell(events.AnythingElseAnswered(at=NOW, answer="yes"))),
        st.just(tell(events.OutcomeChosen(at=NOW, outcome="solved"))),
        st.just(tell(events.PromiseKept(at=NOW, id="person"))),
        st.just(tell(events.Returned(at=NOW, actor="mia"))),
    ),
    max_size=30,
)  # fmt: skip


@given(commands)
@settings(max_examples=300, deadline=None)
def test_version_counts_events_and_replay_gives_the_snapshot(road: list[rules.Command]) -> None:
    state, told, _ = run(road)
    assert state.version == len(told)
    again: CaseState | None = None
    for event in told:
        again = evolve(again, event)
    assert again == state


@given(commands)
@settings(max_examples=300, deadline=None)
def test_no_road_closes_a_case_against_the_rule(road: list[rules.Command]) -> None:
    state: CaseState | None = None
    for second, command in enumerate([OPEN, *road]):
        now = NOW + timedelta(seconds=second)
        before = state
        try:
            told = decide(state, command, now)
        except Refused as refused:
            unknown = set(refused.missing) - set(REASONS)
            if unknown:
                pytest.fail(f"no such reason: {unknown}")
            continue
        for event in told:
            state = evolve(state, event)
            if isinstance(event, events.Closed):
                assert before is not None
                assert before.anything_else_asked is not None
                assert before.anything_else_answered is not None
                assert before.open_promises() == ()
                assert state is not None
                assert state.outcome
    assert state is not None
    assert state.due == min((p.until for p in state.open_promises()), default=None)


@given(commands)
@settings(max_examples=200, deadline=None)
def test_reply_states_never_go_back(road: list[rules.Command]) -> None:
    rank = {"planned": -1, "unknown": 0, "accepted": 1, "delivered": 2, "read": 3, "failed": 4}
    state: CaseState | None = None
    for command in [OPEN, *road]:
        before = {note.id: note.state for note in state.replies} if state is not None else {}
        try:
            for event in decide(state, command, NOW):
                state = evolve(state, event)
        except Refused:
            continue
        assert state is not None
        for note in state.replies:
            if note.id in before:
                assert rank[note.state] >= rank[before[note.id]]


FINISHED = [
    received("a"),
    reply("r"),
    track("r", "accepted"),
    tell(events.OutcomeChosen(at=NOW, outcome="solved")),
    tell(events.AnythingElseAsked(at=NOW, channel="chat")),
    tell(events.AnythingElseAnswered(at=NOW, answer="no")),
]


@pytest.mark.parametrize(("left_out", "reason"), [(2, "reply"), (3, "outcome"), (4, "anything-else"), (5, "answer")])
def test_each_condition_of_the_closing_rule_counts(left_out: int, reason: str) -> None:
    complete, _, refusals = run([*FINISHED, rules.Close()])
    assert (complete.status, refusals) == (model.CLOSED, [])
    road = [command for place, command in enumerate(FINISHED) if place != left_out]
    state, _, refusals = run([*road, rules.Close()])
    assert state.status != model.CLOSED
    assert reason in refusals[0]


def test_an_open_promise_keeps_a_case_open() -> None:
    promise = model.Promise(id="x", what="call", by="mia", until=NOW)
    state, _, refusals = run([*FINISHED, tell(events.PromiseMade(at=NOW, promise=promise)), rules.Close()])
    assert refusals == [("promise",)]
    kept = evolve(state, events.PromiseKept(at=NOW, id="x"))
    assert what_is_missing(kept, NOW) == ()


def test_a_closed_case_opens_again_when_the_customer_writes_but_not_for_a_machine() -> None:
    closed, _, _ = run([*FINISHED, rules.Close()])
    (only,) = decide(closed, received("robot", automatic=True), NOW)
    assert isinstance(only, events.Received)
    told = decide(closed, received("b"), NOW)
    assert isinstance(told[0], events.Reopened)
    state = closed
    for event in told:
        state = evolve(state, event)
    assert (state.status, state.outcome, state.anything_else_asked) == (model.OPEN, "", None)


@pytest.mark.parametrize(
    "goes_on",
    [
        rules.HandOver(reason="?", until=NOW + timedelta(hours=1)),
        reply("by-hand", actor="mia"),
        track("r", "failed", permanent=True),
        tell(events.Returned(at=NOW, actor="mia")),
        tell(events.QuestionAsked(at=NOW, question=model.Question(kind="request", asked_at=NOW))),
    ],
)
def test_what_goes_on_in_a_closed_case_opens_it_and_spends_what_closed_it(goes_on: rules.Command) -> None:
    state, told, refusals = run([*FINISHED, rules.Close(), goes_on, rules.Close(actor="mia")])
    assert [type(event) for event in told].count(events.Reopened) == 1
    assert state.status != model.CLOSED
    assert {"outcome", "anything-else"} <= set(refusals[0])


def test_news_of_a_closed_case_leaves_it_closed() -> None:
    state, told, _ = run([*FINISHED, rules.Close(), reply("bye", kind="goodbye"), track("bye", "delivered")])
    assert state.status == model.CLOSED
    assert not any(isinstance(event, events.Reopened) for event in told)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda case: by_hand.give_back(case, actor="mia", now=NOW), "closed"),
        (lambda case: by_hand.answer_anything_else(case, answer="no", actor="mia", now=NOW), "closed"),
        (lambda case: by_hand.promise(case, what="x", until=NOW + timedelta(days=1), actor="mia", now=NOW), "closed"),
        (
            lambda case: by_hand.end(case, pack=PACK, reason="insults", written=None, actor="mia", now=NOW),
            "channel",
        ),
    ],
)
def test_nobody_does_to_a_closed_case_what_only_an_open_one_can_have(
    act: Callable[[CaseState], object], reason: str
) -> None:
    closed, _, _ = run([*FINISHED, rules.Close()])
    with pytest.raises(Refused) as refused:
        act(closed)
    assert refused.value.missing == (reason,)


def test_a_contact_counts_once() -> None:
    state, _, _ = run([received("a")])
    assert decide(state, received("a"), NOW) == ()


def test_a_final_failure_of_a_reply_hands_the_case_to_people_with_a_promise() -> None:
    state, _, _ = run([received("a"), reply("r"), track("r", "failed", permanent=True)])
    assert (state.with_person, state.status) == (True, model.WAITING_PERSON)
    assert state.due is not None
    state, _, _ = run([received("a"), reply("r"), track("r", "failed")])
    assert not state.with_person


@pytest.mark.parametrize("kind", ["hold", "notice", "acknowledgement"])
def test_a_notice_that_found_nobody_on_the_line_keeps_no_case_open(kind: str) -> None:
    road = [*FINISHED, reply("n", kind=kind), track("n", "failed", permanent=True)]
    state, _, _ = run(road)
    assert "reply" not in what_is_missing(state, NOW + timedelta(minutes=1))
    # The answer before it must have arrived all the same.
    lost = [command for place, command in enumerate(road) if place != 2]
    state, _, _ = run(lost)
    assert "reply" in what_is_missing(state, NOW + timedelta(minutes=1))


def test_a_person_may_close_where_the_line_went_dead_before_the_answer_was_heard() -> None:
    kept = tell(events.PromiseKept(at=NOW, actor="mia", id="person"))
    road = [received("a"), reply("r"), track("r", "failed", permanent=True), kept, *FINISHED[3:]]
    state, _, refusals = run([*road, rules.Close(outcome="solved")])
    assert (state.status, refusals) == (model.WAITING_PERSON, [("reply",)])
    state, _, refusals = run([*road, rules.Close(outcome="solved", actor="mia")])
    assert (state.status, refusals) == (model.CLOSED, [])
    # On paper or by mail the customer still waits for it, and an answer on its way is worth waiting for.
    mail = replace(state, status=model.CLOSING, replies=(replace(state.replies[0], channel="email"),))
    assert what_is_missing(mail, NOW + timedelta(minutes=1), by_person=True) == ("reply",)
    under_way = replace(state, status=model.CLOSING, replies=(replace(state.replies[0], state="planned"),))
    assert what_is_missing(under_way, NOW + timedelta(minutes=1), by_person=True) == ("reply",)


def test_a_lost_answer_of_a_person_is_promised_anew() -> None:
    road = [
        received("a"), rules.HandOver(reason="?", until=NOW + timedelta(hours=1)), reply("r", "mia"),
    ]  # fmt: skip
    state, _, _ = run(road)
    assert state.due is None
    state, _, _ = run([*road, track("r", "failed", permanent=True)])
    assert state.awaits_person()
    hold, _, _ = run([*road, reply("h", kind="hold"), track("h", "failed", permanent=True)])
    assert not hold.awaits_person()


def test_a_second_hand_over_never_makes_the_customer_wait_longer() -> None:
    soon, late = NOW + timedelta(hours=1), NOW + timedelta(hours=9)
    state, _, _ = run([rules.HandOver(reason="a", until=soon), rules.HandOver(reason="b", until=late)])
    assert state.due == soon
    state, _, _ = run([rules.HandOver(reason="a", until=late), rules.HandOver(reason="b", until=soon)])
    assert state.due == soon
    assert len(state.open_promises()) == 1
