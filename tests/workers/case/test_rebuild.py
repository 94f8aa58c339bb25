"""The timeline is what happened: a case is rebuilt from it, and today's rules are asked about last week."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import bindparam, delete, func, update

from bus.delivery.outcome import Outcome, Write
from bus.message import Party, encode
from bus.store.port import Effect
from workers.case import closing, commands, events, hold
from workers.case.changes import Draft
from workers.case.comparing import compare, compare_cases
from workers.case.rebuild import rebuild, rebuild_cases, timeline_of
from workers.case.schema import case_event, cases

ANNA = Party(kind="email", address="anna.becker@kunde.example", name="Anna Becker")
EVER = {"since": datetime(2020, 1, 1, tzinfo=UTC), "until": datetime(2030, 1, 1, tzinfo=UTC)}
_spoil = update(cases).where(cases.c.id == bindparam("b_id")).values(snapshot=bindparam("b_snapshot"))
_change = (
    update(case_event)
    .where(case_event.c.case_id == bindparam("b_id"), case_event.c.seq == 2)
    .values(data=func.replace(case_event.c.data, '"kind":', '"kind": '))
)
_lose = delete(case_event).where(case_event.c.case_id == bindparam("b_id"), case_event.c.seq == 3)


def chat(shop: Any, text: str, **more: Any) -> Any:
    return shop.contact(text, channel="chat", sender=Party(kind="chat", address="s1"), conversation="s1", **more)


async def a_week(shop: Any, understand: Any) -> dict[str, str]:
    """A mail that is answered and closed by its notice, an upset chat that a person answers after a hold, a reply that
    fails."""
    hours = understand("info.opening_hours", department="support")
    mail = await shop.hear(shop.contact("Wann offen?", sender=ANNA, conversation="<a@x>"), hours)
    upset = understand("", department="desk", decision="person", request_person=True, tone="upset")
    waits = await shop.hear(chat(shop, "Mensch!"), upset)
    await shop.pass_time(seconds=46)
    await shop.pass_time(seconds=10)
    await shop.apply(
        answered := commands.reply(
            await shop.case(waits.case), text="Da bin ich. Sonst noch etwas?", actor="mia", now=shop.clock.now(),
            anything_else=True,
        )
    )  # fmt: skip
    await shop.deliver(answered.replies)
    await shop.hear(chat(shop, "Nein danke"), understand("talk.thanks_done", department="desk", done=True))
    await shop.apply(commands.close(await shop.case(waits.case), outcome="solved", actor="mia", now=shop.clock.now()))
    lost = await shop.hear(shop.contact("Wann offen?", sender=ANNA, conversation="<b@x>"), hours)
    await shop.deliver(lost.replies, "failed", permanent=True)
    await shop.pass_time(days=8)
    return {"mail": mail.case, "chat": waits.case, "lost": lost.case}


async def test_every_case_is_what_its_events_say(shop: Any, understand: Any) -> None:
    await a_week(shop, understand)
    found = [rebuilt async for rebuilt, _ in rebuild_cases(shop.engine, "shop")]
    assert len(found) == 3
    assert all(rebuilt.same and rebuilt.events > 5 for rebuilt in found)


async def test_a_spoilt_snapshot_is_seen_and_put_right(shop: Any, understand: Any) -> None:
    case = (await a_week(shop, understand))["mail"]
    good = await shop.case(case)
    bad = encode(replace(good, language="nb", outcome="lost")).decode()
    spoil = Write(statement=_spoil, params={"b_id": case, "b_snapshot": bad})
    await shop.engine.apply([Effect(outcome=Outcome(writes=(spoil,)))])
    [(rebuilt, right)] = [each async for each in rebuild_cases(shop.engine, "shop", good.number)]
    assert set(rebuilt.differs) == {"language", "outcome"}
    assert right is not None
    assert (await shop.apply(right)).applied
    assert await shop.case(case) == good


async def test_an_event_that_is_missing_is_told_and_nothing_is_guessed(shop: Any, understand: Any) -> None:
    case = (await a_week(shop, understand))["mail"]
    lose = Write(statement=_lose, params={"b_id": case})
    await shop.engine.apply([Effect(outcome=Outcome(writes=(lose,)))])
    [(rebuilt, right)] = [each async for each in rebuild_cases(shop.engine, "shop", case)]
    assert rebuilt.missing == (3,)
    assert not rebuilt.same
    assert right is None


async def test_an_entry_that_was_changed_afterwards_is_told_by_its_number(shop: Any, understand: Any) -> None:
    case = (await a_week(shop, understand))["mail"]
    change = Write(statement=_change, params={"b_id": case})
    await shop.engine.apply([Effect(outcome=Outcome(writes=(change,)))])
    [(rebuilt, right)] = [each async for each in rebuild_cases(shop.engine, "shop", case)]
    assert rebuilt.broken == 2
    assert not rebuilt.same
    assert right is None


async def compared(shop: Any, supervisor_at: str = "angry") -> list[Any]:
    found = compare_cases(shop.engine, "shop", **EVER, supervisor_at=supervisor_at)
    return [each async for each in found]


async def test_the_same_rules_decide_the_same(shop: Any, understand: Any) -> None:
    await a_week(shop, understand)
    found = await compared(shop)
    assert sum(each.decisions for each in found) > 15
    assert [difference for each in found for difference in each.differences] == []


async def test_who_is_followed_up_after_a_low_score_waits_for_nobody_by_the_rules_either(
    shop: Any, understand: Any
) -> None:
    bye = await shop.hear(chat(shop, "Danke!"), understand("feedback.praise", department="desk", praise=True))
    done = understand("talk.thanks_done", department="desk", answer="no", done=True)
    await shop.hear(chat(shop, "Nein danke"), done)
    await shop.hear(chat(shop, "1"), understand("", department="desk", decision="person"))
    assert (await shop.case(bye.case)).supervisor == "satisfaction"
    [found] = await compared(shop)
    assert found.decisions > 5
    assert found.differences == ()


async def test_a_corrected_setting_says_whom_it_would_have_called(shop: Any, understand: Any) -> None:
    names = await a_week(shop, understand)
    before = len(shop.sent)
    (difference,) = [difference for each in await compared(shop, "upset") for difference in each.differences]
    assert (difference.case, difference.kind) == (names["chat"], "understood")
    assert (difference.then, difference.now) == ((), ("supervisor-called (angry)",))
    assert len(shop.sent) == before


async def test_a_corrected_rule_of_closing_names_every_case_it_would_have_kept_open(
    shop: Any, understand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = await a_week(shop, understand)
    missing = closing.what_is_missing

    def stricter(state: Any, now: datetime, **more: Any) -> tuple[str, ...]:
        return (*missing(state, now, **more), "promise") if state.channel == "chat" else missing(state, now, **more)

    monkeypatch.setattr("workers.case.rules.what_is_missing", stricter)
    (difference,) = [difference for each in await compared(shop) for difference in each.differences]
    assert (difference.case, difference.kind) == (names["chat"], "closed")
    assert difference.now == ("refused: promise",)
    assert "closed" in difference.then


async def test_a_corrected_hold_says_when_it_would_have_warned(
    shop: Any, understand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_week(shop, understand)
    monkeypatch.setattr(hold, "WARN_AFTER", timedelta(seconds=20))
    (difference,) = [difference for each in await compared(shop) for difference in each.differences]
    assert (difference.kind, difference.now) == ("hold-warned", ("warn after 20 s",))


async def test_only_the_time_that_was_asked_for_is_compared(shop: Any, understand: Any) -> None:
    names = await a_week(shop, understand)
    told = await timeline_of(shop.engine, "shop", names["chat"])
    assert rebuild(told) == await shop.case(names["chat"])
    first = next(event for event in told if isinstance(event, events.Received))
    found = compare(names["chat"], told, since=first.at, until=first.at + timedelta(seconds=1), supervisor_at="upset")
    assert 0 < found.decisions < 6
    later = compare(names["chat"], told, since=EVER["until"], until=EVER["until"], supervisor_at="upset")
    assert (later.decisions, later.differences) == (0, ())


def test_a_case_that_went_into_another_is_asked_for_no_rule_of_closing() -> None:
    at = EVER["since"]
    told = (
        events.Opened(at=at, id="k", tenant="shop", number="1", person="p", channel="chat"),
        events.Joined(at=at, other="k-2", into="k-2"),
        events.OutcomeChosen(at=at, outcome="joined"),
        events.Closed(at=at),
    )
    assert compare("k", told, **EVER, supervisor_at="angry").differences == ()
    unasked = (told[0], events.OutcomeChosen(at=at, outcome="solved"), told[3])
    [difference] = compare("k", unasked, **EVER, supervisor_at="angry").differences
    assert difference.now == ("refused: anything-else",)


def test_nothing_is_rebuilt_from_nothing() -> None:
    assert rebuild(()) is None
    with pytest.raises(ValueError, match="first event"):
        rebuild((events.Closed(at=EVER["since"]),))
    with pytest.raises(ValueError, match="not opened"):
        _ = Draft(None, EVER["since"]).state
