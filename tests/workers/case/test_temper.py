"""When a supervisor is told: abuse at once, anger from the company's level on, or when it rises for the second time."""

from datetime import UTC, datetime

import pytest

from workers.case import events, rules
from workers.case.evolving import evolve

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def calls(tones: list[str], level: str = "abusive") -> list[tuple[int, str]]:
    """At which contact (from 1) a supervisor is called, and why."""
    state = None
    found: list[tuple[int, str]] = []
    steps: list[rules.Command] = [rules.Open(id="k", tenant="shop", number="1", person="p", channel="email")]
    steps += [
        rules.Understand(understood=events.Understood(at=NOW, contact=f"c-{n}", tone=tone), supervisor_at=level)
        for n, tone in enumerate(tones, 1)
    ]
    for number, step in enumerate(steps):
        for event in rules.decide(state, step, NOW):
            state = evolve(state, event)
            if isinstance(event, events.SupervisorCalled):
                found.append((number, event.reason))
    return found


@pytest.mark.parametrize(
    ("tones", "level", "called"),
    [
        (["calm", "calm"], "abusive", []),
        (["angry"], "abusive", []),
        (["angry"], "angry", [(1, "angry")]),
        (["upset"], "upset", [(1, "angry")]),
        (["calm", "upset", "angry"], "abusive", [(3, "angry")]),
        (["angry", "calm", "angry"], "abusive", [(3, "angry")]),
        (["angry", "angry", "angry"], "abusive", []),
        (["abusive"], "abusive", [(1, "abuse")]),
        (["upset", "abusive", "abusive", "angry"], "abusive", [(2, "abuse")]),
        (["unheard-of", "calm"], "abusive", []),
    ],
)
def test_a_supervisor_is_told_once_and_with_the_reason(
    tones: list[str], level: str, called: list[tuple[int, str]]
) -> None:
    assert calls(tones, level) == called


def test_after_a_persons_answer_a_new_rise_is_told_again() -> None:
    state = evolve(
        None, rules.decide(None, rules.Open(id="k", tenant="t", number="1", person="p", channel="email"), NOW)[0]
    )
    for contact, tone in (("1", "abusive"), ("2", "calm")):
        understood = events.Understood(at=NOW, contact=contact, tone=tone)
        for event in rules.decide(state, rules.Understand(understood=understood, supervisor_at="abusive"), NOW):
            state = evolve(state, event)
    assert state.supervisor == "abuse"
    planned = events.ReplyPlanned(at=NOW, actor="Mina", reply="r", channel="email", reply_kind="answer", text=".")
    for event in rules.decide(state, rules.Reply(actor="Mina", planned=planned), NOW):
        state = evolve(state, event)
    assert state.supervisor == ""
    again = rules.Understand(understood=events.Understood(at=NOW, contact="3", tone="angry"), supervisor_at="abusive")
    assert [type(event) for event in rules.decide(state, again, NOW)] == [events.Understood, events.SupervisorCalled]
