"""Nobody waits on a live channel for more than 60 seconds without hearing from us: on a virtual clock, in any order."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.message import Party
from workers.case import events, hold, model, rules
from workers.case.events import Received, ReplyPlanned
from workers.case.evolving import evolve
from workers.case.model import CaseState, Route

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def received(at: datetime, contact: str, channel: str = "chat", request: str = "") -> Received:
    route = Route(channel=channel, account="widget", address=Party(kind=channel, address="s-1"), at=at)
    return Received(at=at, actor="customer", contact=contact, route=route, text="?", request=request)


class Desk:
    """A case, its customer and its timer, as the worker drives them."""

    def __init__(self, channel: str = "chat") -> None:
        self.now = START
        self.state: CaseState | None = None
        self.events: list[events.CaseEvent] = []
        self.words: list[datetime] = []
        self.number = 0
        self.do(rules.Open(id="k-1", tenant="shop", number="1", person="p", channel=channel))
        self.write(channel)

    def do(self, command: rules.Command) -> None:
        for event in rules.decide(self.state, command, self.now):
            self.state = evolve(self.state, event)
            self.events.append(event)
            if isinstance(event, ReplyPlanned) and event.channel == "chat":
                self.words.append(self.now)

    def write(self, channel: str = "chat", request: str = "") -> None:
        self.number += 1
        self.do(rules.Receive(received=received(self.now, f"c-{self.number}", channel, request)))

    def hand_over(self) -> None:
        self.do(rules.HandOver(reason="asked", until=self.now + timedelta(minutes=10)))
        self.say(model.MACHINE, "acknowledgement")

    def say(self, actor: str, kind: str = "answer") -> None:
        self.number += 1
        planned = ReplyPlanned(
            at=self.now, actor=actor, reply=f"r-{self.number}", channel="chat", reply_kind=kind, text="."
        )
        self.do(rules.Reply(actor=actor, planned=planned))
        self.arrive(f"r-{self.number}")

    def arrive(self, reply: str) -> None:
        progress = events.ReplyProgress(at=self.now, reply=reply, channel="chat", state="delivered")
        self.do(rules.Track(progress=progress, until=self.now + timedelta(hours=4)))

    def due(self) -> datetime | None:
        return None if self.state is None or self.state.hold is None else hold.next_step(self.state.hold)[1]

    def step(self, arrives: bool = True) -> None:
        """The timer fires."""
        assert self.state is not None
        assert self.state.hold is not None
        kind, _ = hold.next_step(self.state.hold)
        if kind == "warn":
            self.do(rules.Happened(event=events.HoldWarned(at=self.now)))
        elif hold.has_left(self.state):
            for event in hold.end(self.state, "left", self.now):
                self.do(rules.Happened(event=event))
        else:
            self.number += 1
            reply = f"r-{self.number}"
            planned = ReplyPlanned(at=self.now, reply=reply, channel="chat", reply_kind="hold", text=".")
            self.do(rules.ComeBack(planned=planned))
            if arrives:
                self.arrive(reply)

    def run_until(self, moment: datetime, late_s: float = 0.0) -> None:
        """Time passes; timers fire up to `late_s` late."""
        while (due := self.due()) is not None and due + timedelta(seconds=late_s) <= moment:
            self.now = max(self.now, due + timedelta(seconds=late_s))
            self.step()
        self.now = max(self.now, moment)

    def kinds(self) -> list[str]:
        return [events.EVENT_KINDS[type(event)] for event in self.events]


def test_a_silent_representative_is_warned_and_the_customer_hears_apology_and_reason() -> None:
    desk = Desk()
    desk.hand_over()
    desk.run_until(START + timedelta(seconds=130))
    assert [(at - START).total_seconds() for at in desk.words] == [0, 55, 110]
    told = [event for event in desk.events if isinstance(event, events.HoldReturned)]
    assert [event.reason for event in told] == ["busy", "busy"]
    assert desk.kinds().count("hold-warned") == 2
    assert desk.kinds().count("supervisor-called") == 1
    assert desk.state is not None
    assert desk.state.supervisor == "hold"
    desk.say("Mina")
    (ended,) = [event for event in desk.events if isinstance(event, events.HoldEnded)]
    assert (ended.how, ended.seconds, ended.returns) == ("answered", 130, 2)
    assert desk.state.hold is None
    assert desk.state.supervisor == ""


def test_a_person_asks_for_a_moment_with_the_true_reason() -> None:
    desk = Desk()
    desk.hand_over()
    desk.say("Mina")
    desk.do(rules.Hold(actor="Mina", reason="stock"))
    desk.run_until(desk.now + timedelta(seconds=60))
    assert [event.reason for event in desk.events if isinstance(event, events.HoldReturned)] == ["stock"]
    with pytest.raises(rules.Refused, match="reason"):
        desk.do(rules.Hold(actor="Mina", reason=""))


def test_who_takes_the_case_is_looking_at_it() -> None:
    desk = Desk()
    desk.hand_over()
    desk.do(rules.Happened(event=events.Assigned(at=desk.now, actor="Mina", to="Mina")))
    desk.run_until(START + timedelta(seconds=60))
    assert [event.reason for event in desk.events if isinstance(event, events.HoldReturned)] == ["looking"]


def test_who_writes_to_a_person_waits_again() -> None:
    desk = Desk()
    desk.hand_over()
    desk.say("Mina")
    desk.run_until(START + timedelta(minutes=10))
    assert "hold-returned" not in desk.kinds(), "the customer's turn is no hold"
    desk.write()
    desk.run_until(desk.now + timedelta(seconds=60))
    assert desk.kinds().count("hold-returned") == 1


def test_after_the_last_return_the_customer_is_free() -> None:
    desk = Desk()
    desk.hand_over()
    desk.run_until(START + timedelta(minutes=30))
    assert desk.kinds().count("hold-returned") == hold.MOST_RETURNS + 1
    assert desk.due() is None
    assert desk.state is not None
    assert desk.state.awaits_person(), "the promise stands"


def test_words_change_with_each_return() -> None:
    waiting = model.Hold(channel="chat", reason="busy", since=START, heard=START)
    keys = [hold.words_of(model.Hold(**{**_fields(waiting), "returns": n})) for n in range(hold.MOST_RETURNS + 1)]
    assert keys == ["hold.first", "hold.again", "hold.offer", "hold.offer", "hold.let-go"]


def _fields(waiting: model.Hold) -> dict[str, object]:
    return {name: getattr(waiting, name) for name in waiting.__struct_fields__}


def test_nobody_is_spoken_to_behind_a_closed_window() -> None:
    desk = Desk()
    desk.hand_over()
    desk.now = START + timedelta(seconds=45)
    desk.step()
    desk.now = START + timedelta(seconds=55)
    desk.step(arrives=False)
    desk.run_until(START + timedelta(minutes=5))
    assert desk.kinds().count("hold-returned") == 1
    assert [event.how for event in desk.events if isinstance(event, events.HoldEnded)] == ["left"]


@pytest.mark.parametrize("channel", ["email", "post", "phone"])
def test_letters_wait_and_the_telephone_speaks_by_itself(channel: str) -> None:
    desk = Desk(channel)
    desk.do(rules.HandOver(reason="asked", until=desk.now + timedelta(hours=4)))
    assert desk.due() is None
    with pytest.raises(rules.Refused, match="channel"):
        desk.do(rules.Hold(actor="Mina", reason="stock"))


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["write", "person", "machine", "hold", "assign", "hand-over", "leave"]),
        st.floats(0, 240, allow_nan=False),
        st.floats(0, 1, allow_nan=False),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=400)
@given(acts=ACTS)
def test_no_gap_above_a_minute_whatever_happens(acts: list[tuple[str, float, float]]) -> None:
    """While the case is in a hold, from its beginning or our last words to our next ones pass 60 seconds at most."""
    desk = Desk()
    desk.hand_over()
    for act, wait_s, late_s in acts:
        desk.run_until(desk.now + timedelta(seconds=wait_s), late_s)
        if act == "write":
            desk.write()
        elif act in ("person", "machine"):
            desk.say("Mina" if act == "person" else model.MACHINE)
        elif act == "hold":
            desk.do(rules.Hold(actor="Mina", reason="colleague"))
        elif act == "assign":
            desk.do(rules.Happened(event=events.Assigned(at=desk.now, actor="Mina", to="Mina")))
        elif act == "hand-over":
            desk.do(rules.HandOver(reason="asked", until=desk.now + timedelta(minutes=10)))
        else:
            desk.write(request="ended")
    desk.run_until(desk.now + timedelta(minutes=10), 1.0)
    _judge(desk.events)
    assert desk.due() is None, "every hold comes to its end"


def _judge(told: list[events.CaseEvent]) -> None:
    heard: datetime | None = None
    for event in told:
        if isinstance(event, events.HoldStarted) and heard is None:
            heard = event.at
        if heard is not None and isinstance(event, ReplyPlanned | events.HoldEnded):
            assert event.at - heard <= hold.LIMIT
            heard = None if isinstance(event, events.HoldEnded) else event.at
    assert heard is None
