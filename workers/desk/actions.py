"""What people do with a case: the commands of the case, decided on the newest state and written under its version.

A reply is sent only when its writer has seen everything that matters: otherwise `Changed` says what is new.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from bus.clock import Clock
from bus.delivery.outcome import NOTHING, Outcome
from bus.errors import Conflict
from bus.message import clean_text
from bus.store.port import Effect, Store
from workers.case import commands, supervising
from workers.case.changes import Draft, load_case
from workers.case.model import CaseState
from workers.case.promised import undertakings
from workers.case.protection import written_way
from workers.case.rules import Refused
from workers.desk.drafts import drop
from workers.desk.reading import Reading, UnknownCase
from workers.desk.staff import People
from workers.packs import Pack
from workers.packs.policy import Service

__all__ = ["Actions", "Changed", "Writing"]

ATTEMPTS = 8
"""A case changes a few times a second at most; eight decisions in a row that lose the race mean something is wrong."""

NEWS = frozenset({"received", "reply-planned", "acted", "reopened", "closed"})
"""Events that a writer must have seen. Progress of a delivery or a colleague's note makes no answer wrong."""

Decide = Callable[[CaseState, datetime], Outcome]


class Changed(Exception):
    """The case has news that the writer has not seen."""

    def __init__(self, events: Sequence[Mapping[str, Any]]) -> None:
        super().__init__("changed")
        self.events = events


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """A reply as written by a person. `seen` is the version of the case that lay before the writer's eyes."""

    text: str
    channel: str
    language: str
    seen: int
    anything_else: bool = False


class Actions:
    """Changes of cases by people. `tenant` and `person` come from the session, never from the request.

    Each raises UnknownCase, and Refused for what the case does not allow.
    """

    def __init__(self, *, store: Store, clock: Clock, service: Service) -> None:
        """`service` are the company's figures: "by Friday" ends when its people go home."""
        self._store, self._clock, self._service = store, clock, service
        self._reading = Reading(store=store, clock=clock)
        self._people = People(store=store, clock=clock)

    async def reply(self, tenant: str, case: str, person: str, writing: Writing) -> None:
        """Plan a reply by a person, whose case it becomes if it was nobody's. Raises Changed.

        The same text by the same person on the same version is one reply: a page that did not hear our answer may
        ask again.
        """
        text = clean_text(writing.text)
        staff = await self._people.one(tenant, person)
        for _ in range(ATTEMPTS):
            state = await self._state(tenant, case)
            events = await self._reading.events(tenant, case, after=writing.seen)
            news = [event for event in events if event["kind"] in NEWS]
            if any(e["kind"] == "reply-planned" and e["actor"] == person and e["text"] == text for e in news):
                return
            if news:
                raise Changed(news)
            now = self._clock.now()
            outcome = commands.reply(
                state, text=text, actor=person, now=now, channel=writing.channel, anything_else=writing.anything_else,
                undertaken=undertakings(text, writing.language, now, self._service.hours), service=self._service,
                signed_by="" if staff is None else staff.shown,
            )  # fmt: skip
            # The writer may answer in another language than the one that was recognised.
            replies = tuple(replace(reply, language=writing.language) for reply in outcome.replies)
            writes = (*outcome.writes, drop(tenant, case, person, "reply"))
            if await self._apply(replace(outcome, replies=replies, writes=writes)):
                return
        raise Conflict("the case changed faster than it could be written")

    async def note(self, tenant: str, case: str, person: str, text: str) -> None:
        """Write something down for colleagues."""

        def decide(state: CaseState, now: datetime) -> Outcome:
            outcome = commands.note(state, text=clean_text(text), actor=person, now=now)
            return replace(outcome, writes=(*outcome.writes, drop(tenant, case, person, "note")))

        await self.change(tenant, case, decide)

    async def assign(self, tenant: str, case: str, person: str, to: str) -> None:
        """Give the case to somebody who works here, or back to all with an empty name. Raises Refused with `colleague`:
        a case in the hands of nobody would be offered to nobody."""
        if to and not await self._people.role(tenant, to):
            raise Refused(("colleague",))
        await self.change(tenant, case, lambda state, now: commands.assign(state, to=to, actor=person, now=now))

    async def promise(self, tenant: str, case: str, person: str, what: str, until: datetime) -> None:
        """Promise the customer something by a time."""
        await self.change(
            tenant,
            case,
            lambda state, now: commands.promise(state, what=clean_text(what), until=until, actor=person, now=now),
        )

    async def give_back(self, tenant: str, case: str, person: str) -> None:
        """Let software answer again."""
        await self.change(tenant, case, lambda state, now: commands.give_back(state, actor=person, now=now))

    async def kept(self, tenant: str, case: str, person: str, promise: str) -> None:
        """A promise was kept."""
        await self.change(
            tenant, case, lambda state, now: commands.keep(state, promise_id=promise, actor=person, now=now)
        )

    async def answered(self, tenant: str, case: str, person: str) -> None:
        """The customer said that there is nothing else."""
        await self.change(
            tenant, case, lambda state, now: commands.answer_anything_else(state, answer="no", actor=person, now=now)
        )

    async def hold(self, tenant: str, case: str, person: str, reason: str) -> None:
        """Ask the customer, who waits on a live channel, for a moment."""
        await self.change(tenant, case, lambda state, now: commands.hold(state, reason=reason, actor=person, now=now))

    async def end(self, tenant: str, case: str, person: str, *, reason: str, pack: Pack) -> None:
        """End an abusive live conversation, with courtesy; the matter goes on in writing."""
        written = await written_way(self._store, await self._state(tenant, case))
        await self.change(
            tenant,
            case,
            lambda state, now: commands.end(state, pack=pack, reason=reason, written=written, actor=person, now=now),
        )

    async def escalate(self, tenant: str, case: str, person: str, reason: str) -> None:
        """Call a supervisor."""
        await self.change(
            tenant, case, lambda state, now: supervising.call(state, reason=reason, actor=person, now=now)
        )

    async def close(self, tenant: str, case: str, person: str, outcome: str) -> None:
        """End the case."""
        await self.change(
            tenant, case, lambda state, now: commands.close(state, outcome=outcome, actor=person, now=now)
        )

    async def draft(self, tenant: str, case: str, decide: Callable[[Draft], object]) -> None:
        """Change the case by what `decide` does with a draft of it; it may run more than once."""

        def outcome(state: CaseState, now: datetime) -> Outcome:
            draft = Draft(state, now, hours=self._service.hours)
            decide(draft)
            return draft.outcome()

        await self.change(tenant, case, outcome)

    async def change(self, tenant: str, case: str, decide: Decide) -> None:
        for _ in range(ATTEMPTS):
            state = await self._state(tenant, case)
            outcome = decide(state, self._clock.now())
            if outcome == NOTHING or await self._apply(outcome):
                return
        raise Conflict("the case changed faster than it could be written")

    async def _state(self, tenant: str, case: str) -> CaseState:
        state = await load_case(self._store, tenant, case)
        if state is None:
            raise UnknownCase(case)
        return state

    async def _apply(self, outcome: Outcome) -> bool:
        [result] = await self._store.apply([Effect(outcome=outcome)])
        return result.applied
