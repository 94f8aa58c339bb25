"""Figures for people who answer for the house: computed from the timelines, each counted where and when it happened.

Pure. A timeline gives measures, each with its moment and the channel, department, language and operator of that
moment; a report adds up the measures of a span of time. So what a report says can be traced to the lines of a case.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from bus.log.topics import LIVE_CHANNELS
from workers.case import events as happened
from workers.case.closing import AUTOMATIC
from workers.case.events import CaseEvent
from workers.case.model import MACHINE, Promise
from workers.case.service import ANSWERS

__all__ = ["CHOSEN", "DIMENSIONS", "MEASURED", "Figures", "Measure", "Report", "ReportRow", "measures", "report"]

DIMENSIONS = ("day", "channel", "department", "language", "operator")
"""What figures can be told apart by. A day is one of the company's zone; the operator is whoever answered, promised or
had the case, `machine` for software, and nobody (empty) where a figure shall count against nobody."""

CHOSEN = ("channel", "department", "language", "operator")
"""Dimensions of which one value can be chosen; days are chosen by the span."""

MEASURED = (
    "received", "reply-planned", "closed", "promise-kept", "promise-broken", "service-missed", "hold-ended",
    "praise-given", "rated",
)  # fmt: skip
"""Kinds of events at which something is measured: a timeline without one of them in a span adds nothing to it."""

_NO_SETTLEMENT = frozenset({AUTOMATIC, "joined"})
"""Outcomes of cases that nobody had to settle: only machines wrote, or the matter belongs to another case."""


_OF_CONVERSATIONS = frozenset({"hold", "abandoned", "satisfaction"})
"""What is measured of how a conversation went, and left out of one that was ended for abuse."""


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """Something measured. `kind`: case (came in, or came back), first-answer and resolution (seconds), promise (1 kept,
    0 broken), hold (seconds), satisfaction (1 to 5), praise (one for each person named), abandoned, missed (a service
    promise)."""

    kind: str
    at: datetime
    value: int = 1
    channel: str = ""
    department: str = ""
    language: str = ""
    operator: str = ""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a row; None where nothing was measured. Times are seconds of the clock on the wall.

    A median or a 90 of 100 is the smallest measured time that so many did not exceed (nearest rank).
    """

    cases: int
    first_answers: int
    first_answer_median_s: int | None
    first_answer_90_s: int | None
    resolved: int
    resolution_median_s: int | None
    resolution_90_s: int | None
    promises: int
    promises_kept_percent: float | None
    service_missed: int
    holds: int
    longest_hold_s: int | None
    satisfaction_answers: int
    satisfaction_mean: float | None
    praise: int
    abandoned: int


class ReportRow(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one combination; `of` is the value of each dimension asked for."""

    of: Mapping[str, str]
    figures: Figures


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Rows in the order of their values, and all of them together."""

    since: datetime
    until: datetime
    by: tuple[str, ...]
    only: Mapping[str, str]
    """The value that a dimension had to have to be counted."""
    values: Mapping[str, tuple[str, ...]]
    """What there was in this span to choose from, by dimension."""
    rows: tuple[ReportRow, ...]
    total: Figures


def report(
    found: Iterable[Measure], *, since: datetime, until: datetime, by: Sequence[str], zone: ZoneInfo,
    only: Mapping[str, str] | None = None,
) -> Report:  # fmt: skip
    """Add up the measures from `since` up to `until` (not included), told apart by dimensions; with `only` those alone
    whose dimensions have these values."""
    wanted = only or {}
    values: dict[str, set[str]] = {name: set() for name in CHOSEN}
    groups: dict[tuple[str, ...], dict[str, list[int]]] = {}
    total: dict[str, list[int]] = {}
    for measure in found:
        if not since <= measure.at < until:
            continue
        for name, known in values.items():
            known.add(_value(measure, name, zone))
        if any(_value(measure, name, zone) != value for name, value in wanted.items()):
            continue
        key = tuple(_value(measure, name, zone) for name in by)
        groups.setdefault(key, {}).setdefault(measure.kind, []).append(measure.value)
        total.setdefault(measure.kind, []).append(measure.value)
    rows = tuple(ReportRow(of=dict(zip(by, key, strict=True)), figures=_figures(groups[key])) for key in sorted(groups))
    return Report(
        since=since, until=until, by=tuple(by), only=wanted,
        values={name: tuple(sorted(known)) for name, known in values.items()},
        rows=rows if by else (), total=_figures(total),
    )  # fmt: skip


def measures(timeline: Sequence[CaseEvent]) -> list[Measure]:
    """Everything that the timeline of one case tells."""
    reader = _Reader()
    for event in timeline:
        reader.read(event)
    return reader.told()


class _Reader:
    """Walks along a timeline and knows what holds at each moment."""

    def __init__(self) -> None:
        self.found: list[Measure] = []
        self._channel = self._language = self._assignee = ""
        self._department = self._first_department = ""
        self._helper = ""
        self._episode = 0
        self._ended = False
        self._begun: datetime | None = None
        self._answered = False
        self._person_wanted = False
        self._promises: dict[str, Promise] = {}
        self._outcome = ""

    def told(self) -> list[Measure]:
        """All measures. What happened before the case was understood belongs to where it went and how it spoke."""
        return [
            replace(m, department=m.department or self._first_department, language=m.language or self._language)
            for m in self.found
        ]

    def read(self, event: CaseEvent) -> None:
        match event:
            case happened.Opened():
                self._channel, self._language = event.channel, event.language
            case happened.Received():
                self._received(event)
            case happened.Understood():
                self._goes_to(event.department)
                self._language = event.language or self._language
            case happened.Reopened():
                self._begun, self._answered, self._ended = None, False, False
                self._episode = len(self.found)
            case happened.CallBackAsked():
                self._person_wanted = False
            case happened.ConversationEnded():
                self._for_nobody()
            case happened.PraiseGiven():
                for name in event.names or (self._helper or MACHINE,):
                    self._tell("praise", event.at, 1, name)
            case happened.Rated():
                self._tell("satisfaction", event.at, event.score, self._helper or MACHINE)
            case happened.ReplyPlanned():
                self._replied(event)
            case happened.HandedOver():
                self._person_wanted = True
                self._goes_to(event.department)
            case happened.ProcedureMoved():
                self._department = ""
                self._goes_to(event.department)
            case happened.Assigned():
                self._assignee = event.to
            case happened.PromiseMade():
                self._promises[event.promise.id] = event.promise
            case happened.PromiseKept():
                self._promise(event.id, event.at, over=False)
            case happened.PromiseBroken():
                self._promise(event.id, event.at, over=True)
            case happened.TargetMissed():
                self._tell("missed", event.at, 1, self._assignee or MACHINE)
            case happened.HoldEnded():
                self._held(event)
            case happened.OutcomeChosen():
                self._outcome = event.outcome
            case happened.Closed():
                if self._begun is not None and self._outcome not in _NO_SETTLEMENT:
                    operator = event.actor if event.actor != MACHINE else self._assignee or MACHINE
                    self._tell("resolution", event.at, _seconds(self._begun, event.at), operator)
                self._begun, self._person_wanted, self._assignee = None, False, ""
            case _:
                pass

    def _goes_to(self, department: str) -> None:
        self._department = self._department or department
        self._first_department = self._first_department or department

    def _received(self, event: happened.Received) -> None:
        self._channel = event.route.channel
        if event.automatic:
            return
        if event.request == "ended":
            # Who hangs up while a person was to come has given up; chat tells the same by the end of the waiting.
            if self._person_wanted and self._channel in LIVE_CHANNELS:
                self._abandoned(event.at)
            return
        if event.request in ("callback", "voicemail"):
            self._person_wanted = False  # whoever chose to be called does not wait on the line
        if self._begun is None:
            # From the moment at which a door took it in: what lay in the log until a worker came is waiting too.
            self._begun = min(event.at, event.route.at)
            self._tell("case", event.at, 1, "")

    def _replied(self, event: happened.ReplyPlanned) -> None:
        if event.reply_kind not in ANSWERS or event.to_person:
            return  # what went to the address on file told the writer nothing
        if event.actor != MACHINE:
            self._person_wanted, self._helper = False, event.actor
        if self._begun is not None and not self._answered:
            self._answered = True
            self._tell("first-answer", event.at, _seconds(self._begun, event.at), event.actor)

    def _promise(self, promise_id: str, at: datetime, *, over: bool) -> None:
        promise = self._promises.pop(promise_id, None)
        if promise is not None:
            self._tell("promise", at, int(not over and at <= promise.until), promise.by)

    def _held(self, event: happened.HoldEnded) -> None:
        self._tell("hold", event.at, event.seconds, self._assignee or MACHINE)
        if event.how == "left":
            self._abandoned(event.at)

    def _abandoned(self, at: datetime) -> None:
        if self._person_wanted:
            self._person_wanted = False
            self._tell("abandoned", at, 1, self._assignee or MACHINE)

    def _for_nobody(self) -> None:
        """The conversation was ended because of how the customer spoke: it speaks against nobody, before and after."""
        self._ended, self._person_wanted = True, False
        since = self.found[self._episode :]
        self.found[self._episode :] = [replace(m, operator="") for m in since if m.kind not in _OF_CONVERSATIONS]

    def _tell(self, kind: str, at: datetime, value: int, operator: str) -> None:
        if self._ended and kind in _OF_CONVERSATIONS:
            return
        self.found.append(
            Measure(
                kind=kind, at=at, value=value, channel=self._channel, department=self._department,
                language=self._language, operator="" if self._ended else operator,
            )
        )  # fmt: skip


def _seconds(begun: datetime, end: datetime) -> int:
    return max(0, int((end - begun).total_seconds()))


def _value(measure: Measure, dimension: str, zone: ZoneInfo) -> str:
    if dimension == "day":
        return measure.at.astimezone(zone).date().isoformat()
    return getattr(measure, dimension)


def _figures(values: Mapping[str, list[int]]) -> Figures:
    first, resolved = values.get("first-answer", []), values.get("resolution", [])
    promises, holds = values.get("promise", []), values.get("hold", [])
    scores = values.get("satisfaction", [])
    return Figures(
        cases=len(values.get("case", [])),
        first_answers=len(first),
        first_answer_median_s=_rank(first, 50),
        first_answer_90_s=_rank(first, 90),
        resolved=len(resolved),
        resolution_median_s=_rank(resolved, 50),
        resolution_90_s=_rank(resolved, 90),
        promises=len(promises),
        service_missed=len(values.get("missed", [])),
        promises_kept_percent=round(100 * sum(promises) / len(promises), 1) if promises else None,
        holds=len(holds),
        longest_hold_s=max(holds, default=None),
        satisfaction_answers=len(scores),
        satisfaction_mean=round(sum(scores) / len(scores), 2) if scores else None,
        praise=len(values.get("praise", [])),
        abandoned=len(values.get("abandoned", [])),
    )


def _rank(values: Sequence[int], percent: int) -> int | None:
    """The smallest value that so many of a hundred do not exceed."""
    if not values:
        return None
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]
