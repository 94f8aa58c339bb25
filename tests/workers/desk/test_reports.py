"""Reports against an example that was computed by hand, and CSV that no spreadsheet takes for a program."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.message import Party
from bus.store.port import Effect
from workers.case import events, model, rules
from workers.case.changes import Draft
from workers.desk.report_csv import as_csv
from workers.desk.report_reading import MOST_DAYS, read_report
from workers.desk.reports import DIMENSIONS, measures, report

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 27, 9, 0, tzinfo=BERLIN)
"""A Friday; in the night to Sunday the clocks go forward."""


def at(minutes, seconds=0):
    return START + timedelta(minutes=minutes, seconds=seconds)


def route(channel, moment):
    address = Party(kind=channel, address="a@kunde.example", name="Grete")
    return model.Route(channel=channel, account="x", address=address, at=moment)


def opened(moment, channel, language=""):
    return events.Opened(
        at=moment, id="k", tenant="shop", number="1", person="p", channel=channel, language=language
    )  # fmt: skip


def received(moment, channel, **other):
    return events.Received(at=moment, actor="customer", contact="c", route=route(channel, moment), **other)


def planned(moment, actor="machine", kind="answer", **other):
    return events.ReplyPlanned(at=moment, actor=actor, reply="r", channel="x", reply_kind=kind, text="t", **other)


def promise(name, moment, until, by="machine"):
    return events.PromiseMade(at=moment, promise=model.Promise(id=name, what="answer", by=by, until=until))


MAIL = [
    opened(at(0), "email"),
    received(at(0), "email"),
    events.Understood(at=at(0, 5), contact="c", department="billing", language="de"),
    planned(at(0, 6), kind="acknowledgement"),
    events.HandedOver(at=at(0, 6), reason="asked"),
    promise("person", at(0, 6), at(240)),
    planned(at(1), kind="answer", to_person="address on file"),
    planned(at(30), actor="Mina"),
    events.Assigned(at=at(30), actor="Mina", to="Mina"),
    events.PromiseKept(at=at(30), actor="Mina", id="person"),
    promise("friday", at(30), at(60), by="Mina"),
    events.PromiseBroken(at=at(60), id="friday", what="answer", until=at(60)),
    events.PromiseKept(at=at(90), actor="Mina", id="friday"),
    events.OutcomeChosen(at=at(100), actor="Mina", outcome="refunded"),
    events.Closed(at=at(100), actor="Mina"),
    # Two days later (one hour of the night is missing) she writes again, and software answers.
    events.Reopened(at=at(2 * 1440)),
    received(at(2 * 1440), "email"),
    planned(at(2 * 1440 + 2)),
    events.OutcomeChosen(at=at(2 * 1440 + 2), outcome="explained"),
    events.Closed(at=at(2 * 1440 + 12)),
]
"""Grete, by mail: answered by Mina after 30 min, one promise kept and one broken, settled after 100 min; again, 2 min
and 12 min."""

CHAT = [
    opened(at(10), "chat", "nb"),
    received(at(10), "chat"),
    events.Understood(at=at(10), contact="c", department="returns", language="nb"),
    planned(at(10, 2), kind="question"),
    events.HandedOver(at=at(11), reason="asked"),
    events.HoldStarted(at=at(11), channel="chat", reason="busy"),
    events.Assigned(at=at(12), actor="Ole", to="Ole"),
    events.HoldEnded(at=at(13, 10), actor="Ole", how="answered", seconds=130, returns=2),
    planned(at(13, 10), actor="Ole"),
    received(at(14), "chat"),
    events.HandedOver(at=at(14), reason="asked"),
    events.HoldEnded(at=at(15), how="left", seconds=60, returns=1),
    received(at(15), "chat", request="ended"),
]
"""Kari, in the chat: a question after 2 s, held 130 s by Ole, then gone after 60 s: given up once, not twice."""

PHONE = [
    opened(at(20), "phone", "en"),
    received(at(20), "phone"),
    events.HandedOver(at=at(20), reason="asked"),
    received(at(21), "phone", request="ended"),
]
"""Tom, who hung up in the queue."""

CALLED = [
    opened(at(20), "phone", "en"),
    received(at(20), "phone"),
    events.HandedOver(at=at(20), reason="asked"),
    received(at(21), "phone", request="callback"),
    received(at(22), "phone", request="ended"),
]
"""Ann, who hung up as well, but wanted to be called."""

BOUNCE = [opened(at(1), "email"), received(at(1), "email", automatic=True), events.Closed(at=at(2))]
"""A machine."""

ABUSE = [
    opened(at(40), "chat", "en"),
    received(at(40), "chat"),
    events.HandedOver(at=at(40), reason="asked"),
    events.Assigned(at=at(41), actor="Ole", to="Ole"),
    planned(at(41), actor="Ole"),
    received(at(42), "chat"),
    events.HandedOver(at=at(42), reason="asked"),
    events.HoldEnded(at=at(44), actor="Ole", how="answered", seconds=900, returns=14),
    events.ConversationEnded(at=at(44), actor="Ole", channel="chat", reason="abuse", follow_up="email"),
    events.HoldEnded(at=at(44), how="left", seconds=901),
    received(at(44), "chat", request="ended"),
    events.Rated(at=at(45), actor="customer", contact="c", channel="chat", score=1),
    events.OutcomeChosen(at=at(50), actor="Ole", outcome="explained"),
    events.Closed(at=at(50), actor="Ole"),
    events.Reopened(at=at(60)),
    received(at(60), "chat"),
    planned(at(61), actor="Ole"),
    events.Rated(at=at(62), actor="customer", contact="c", channel="chat", score=4),
]
"""Somebody who was abusive, and came back with better manners: only what came then counts for Ole."""

PRAISE = [
    opened(at(5), "post", "nb"),
    received(at(5), "post"),
    planned(at(8), actor="Mina"),
    events.PraiseGiven(at=at(9), contact="c", words="Takk til Mina og Ole!", names=("Mina", "Ole")),
    events.Rated(at=at(9), actor="customer", contact="c", channel="post", score=5),
]
"""Two are praised, and the one who answered gets the score."""

TIMELINES = (MAIL, CHAT, PHONE, CALLED, BOUNCE)


def found():
    return [measure for timeline in TIMELINES for measure in measures(timeline)]


def whole(by=()):
    since, until = datetime(2026, 3, 27, tzinfo=BERLIN), datetime(2026, 3, 30, tzinfo=BERLIN)
    return report(found(), since=since, until=until, by=by, zone=BERLIN)


def rows(by):
    return {tuple(row.of.values()): row.figures for row in whole(by).rows}


def test_the_figures_of_the_example():
    total = whole().total
    assert total.cases == 5  # Grete twice (she came back with it), Kari, Tom, Ann; a bounce is nobody
    assert (total.first_answers, total.first_answer_median_s, total.first_answer_90_s) == (3, 120, 1800)
    assert (total.resolved, total.resolution_median_s, total.resolution_90_s) == (2, 720, 6000)
    assert (total.promises, total.promises_kept_percent) == (2, 50.0)
    assert (total.holds, total.longest_hold_s) == (2, 130)
    assert total.abandoned == 2
    assert (total.satisfaction_answers, total.satisfaction_mean) == (0, None)


def test_by_operator_everybody_has_his_own():
    people = rows(("operator",))
    assert people["Mina",].first_answer_median_s == 1800
    assert people["Mina",].resolution_median_s == 6000
    assert people["Mina",].promises_kept_percent == 0.0
    assert people["machine",].promises_kept_percent == 100.0
    assert people["machine",].first_answers == 2
    assert (people["Ole",].longest_hold_s, people["Ole",].abandoned) == (130, 1)


def test_by_day_and_channel_in_the_companys_time():
    days = rows(("day", "channel"))
    assert list(days) == [("2026-03-27", "chat"), ("2026-03-27", "email"), ("2026-03-27", "phone"),
                          ("2026-03-29", "email")]  # fmt: skip
    assert days["2026-03-27", "phone"].abandoned == 1
    assert days["2026-03-27", "phone"].cases == 2
    assert days["2026-03-29", "email"].first_answer_median_s == 120


def test_what_happened_before_it_was_understood_belongs_to_its_department():
    departments = rows(("department", "language"))
    assert departments["billing", "de"].cases == 2
    assert departments["returns", "nb"].first_answer_median_s == 2


@given(st.lists(st.sampled_from(DIMENSIONS), unique=True))
def test_rows_add_up_to_the_total(by):
    shown = whole(by)
    for name in ("cases", "first_answers", "resolved", "promises", "holds", "abandoned"):
        if by:
            assert sum(getattr(row.figures, name) for row in shown.rows) == getattr(shown.total, name)
    assert shown.total == whole().total


def test_a_conversation_that_was_ended_for_abuse_counts_against_nobody():
    shown = report(measures(ABUSE), since=at(0), until=at(99), by=("operator",), zone=BERLIN)
    figures = {row.of["operator"]: row.figures for row in shown.rows}
    assert shown.total.holds == shown.total.abandoned == 0
    assert (shown.total.satisfaction_answers, figures["Ole"].satisfaction_mean) == (1, 4.0)
    # The matter was worked on: the house answered and settled it, and nobody's name stands beside that.
    assert (figures[""].first_answers, figures[""].resolved) == (1, 1)
    assert (figures["Ole"].first_answers, figures["Ole"].resolved) == (1, 0)


def test_time_begins_at_the_door_and_not_when_a_worker_came():
    late = events.Received(at=at(5), actor="customer", contact="c", route=route("email", at(0)))
    [_, answered] = measures([opened(at(5), "email"), late, planned(at(6))])
    assert (answered.kind, answered.value) == ("first-answer", 360)


def test_praise_goes_to_everybody_who_is_named_and_a_score_to_whoever_answered():
    shown = report(measures(PRAISE), since=at(0), until=at(99), by=("operator",), zone=BERLIN)
    figures = {row.of["operator"]: row.figures for row in shown.rows}
    assert (figures["Mina"].praise, figures["Mina"].satisfaction_mean) == (1, 5.0)
    assert (figures["Ole"].praise, figures["Ole"].satisfaction_mean) == (1, None)


async def test_the_same_is_read_from_the_store_in_slices(engine, monkeypatch):
    monkeypatch.setattr("workers.desk.report_reading._CASES_AT_ONCE", 2)
    for tenant, number, timeline in [
        *(("shop", number, timeline) for number, timeline in enumerate(TIMELINES)),
        ("bank", 9, CHAT),
    ]:
        first = timeline[0]
        draft = Draft(None, first.at)
        draft.do(
            rules.Open(
                id=f"k-{number}", tenant=tenant, number=str(number), person="p", channel=first.channel,
                language=first.language,
            )
        )  # fmt: skip
        for event in timeline[1:]:
            draft.tell(event)
        [result] = await engine.apply([Effect(outcome=draft.outcome())])
        assert result.applied, result
    for by in ((), ("day", "channel"), ("operator",)):
        read = await read_report(
            engine, "shop", since=date(2026, 3, 27), until=date(2026, 3, 29), by=by, zone=BERLIN
        )  # fmt: skip
        assert read == whole(by)
    sunday = await read_report(engine, "shop", since=date(2026, 3, 29), until=date(2026, 3, 29), by=(), zone=BERLIN)
    assert (sunday.total.cases, sunday.total.first_answers, sunday.total.promises) == (1, 1, 0)
    assert (sunday.until - sunday.since).total_seconds() == 86400  # what the two say on the wall ...
    assert (sunday.until.astimezone(UTC) - sunday.since.astimezone(UTC)) == timedelta(hours=23)  # ... and what it is
    first = date(2026, 1, 1)
    for since, until in ((first, first - timedelta(1)), (first, first + timedelta(MOST_DAYS))):
        with pytest.raises(ValueError, match="span"):
            await read_report(engine, "shop", since=since, until=until, by=(), zone=BERLIN)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_the_csv_is_a_formula(start):
    name = f'{start}HYPERLINK("http://x.example","y")'
    replied = [opened(at(0), "email"), received(at(0), "email"), planned(at(1), actor=name)]
    shown = report(measures(replied), since=at(0), until=at(9), by=("operator", "channel"), zone=BERLIN)
    lines = list(csv.reader(io.StringIO(as_csv(shown), newline="")))
    assert lines[0][:3] == ["operator", "channel", "cases"]
    assert [line[0] for line in lines[1:]] == ["", f"'{name}", "total"]
    assert len({len(line) for line in lines}) == 1
    assert dict(zip(lines[0], lines[2], strict=True))["first_answer_median_s"] == "60"
    assert dict(zip(lines[0], lines[-1], strict=True))["cases"] == "1"
