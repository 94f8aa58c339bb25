"""What people do with a case. Each action is decided on the newest state and written under its version.

A reply is sent only when its writer has seen everything that matters: otherwise `Changed` says what is new.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from bus.clock import Clock
from bus.delivery.outcome import Outcome
from bus.errors import Conflict
from bus.log.topics import LIVE_CHANNELS
from bus.message import Reply, clean_text
from bus.store.port import Effect, Store
from workers.case import model, rules
from workers.case.changes import Draft, load_case, reply_id
from workers.case.model import CaseState
from workers.desk.reading import Reading, UnknownCase

__all__ = ["Actions", "Changed", "Unreachable", "Writing"]

ATTEMPTS = 8
"""A case changes a few times a second at most; eight decisions in a row that lose the race mean something is wrong."""

NEWS = frozenset({"received", "reply-planned", "acted", "reopened", "closed"})
"""Events that a writer must have seen. Progress of a delivery or a colleague's note makes no answer wrong."""


class Changed(Exception):
    """The case has news that the writer has not seen."""

    def __init__(self, events: Sequence[Mapping[str, Any]]) -> None:
        super().__init__("changed")
        self.events = events


class Unreachable(Exception):
    """The case has no address on this channel."""


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """A reply as written by a person. `key` is the page's own id of this sending: sent twice, it is one reply."""

    text: str
    channel: str
    language: str
    key: str
    seen: int
    anything_else: bool = False


class Actions:
    """Changes of cases by people. `tenant` and `person` come from the session, never from the request."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._reading = Reading(store=store, clock=clock)

    async def reply(self, tenant: str, case: str, person: str, writing: Writing) -> int:
        """Plan a reply by a person; the version after it. Raises Changed, Unreachable, UnknownCase."""

        async def decide(draft: Draft) -> None:
            state = draft.state
            planned = _reply_of(state, writing)
            if any(note.id == planned.id for note in state.replies):
                return
            events = await self._reading.events(tenant, case, after=writing.seen)
            news = [event for event in events if event["kind"] in NEWS and event["seq"] <= state.version]
            if news:
                raise Changed(news)
            if not state.assignee:
                draft.tell(model.Assigned(at=draft.now, actor=person, to=person))
            draft.reply(planned, actor=person)
            if writing.anything_else:
                draft.tell(model.AnythingElseAsked(at=draft.now, actor=person, channel=planned.channel))

        return await self._change(tenant, case, decide)

    async def note(self, tenant: str, case: str, person: str, text: str) -> int:
        """Write something down for colleagues."""
        return await self._tell(tenant, case, lambda now: model.Noted(at=now, actor=person, text=clean_text(text)))

    async def assign(self, tenant: str, case: str, person: str, to: str) -> int:
        """Give the case to somebody, or back to all with an empty name."""
        return await self._tell(tenant, case, lambda now: model.Assigned(at=now, actor=person, to=to))

    async def kept(self, tenant: str, case: str, person: str, promise: str) -> int:
        """A promise was kept."""
        return await self._tell(tenant, case, lambda now: model.PromiseKept(at=now, actor=person, id=promise))

    async def answered(self, tenant: str, case: str, person: str) -> int:
        """The customer said that there is nothing else."""
        return await self._tell(
            tenant, case, lambda now: model.AnythingElseAnswered(at=now, actor=person, answer="no")
        )

    async def close(self, tenant: str, case: str, person: str, outcome: str) -> int:
        """End the case. Raises `workers.case.rules.Refused` with what is missing."""

        async def decide(draft: Draft) -> None:
            draft.do(rules.Close(actor=person, outcome=outcome))

        return await self._change(tenant, case, decide)

    async def _tell(self, tenant: str, case: str, event: Callable[[datetime], model.CaseEvent]) -> int:
        async def decide(draft: Draft) -> None:
            draft.tell(event(draft.now))

        return await self._change(tenant, case, decide)

    async def _change(self, tenant: str, case: str, decide: Any) -> int:
        for _ in range(ATTEMPTS):
            state = await load_case(self._store, tenant, case)
            if state is None:
                raise UnknownCase(case)
            draft = Draft(state, self._clock.now())
            await decide(draft)
            outcome = draft.outcome()
            if outcome == Outcome():
                return state.version
            [result] = await self._store.apply([Effect(outcome=outcome)])
            if result.applied:
                return draft.state.version
        raise Conflict("the case changed faster than it could be written")


def _reply_of(state: CaseState, writing: Writing) -> Reply:
    route = state.routes.get(writing.channel)
    if route is None or writing.channel == "link":
        raise Unreachable(writing.channel)
    return Reply(
        id=reply_id(state, f"desk:{writing.key}", route.channel, route.address.address),
        tenant=state.tenant,
        case=state.id,
        channel=route.channel,
        account=route.account,
        to=route.address,
        text=clean_text(writing.text),
        language=writing.language,
        automatic=False,
        person=state.person,
        conversation=route.conversation,
        in_reply_to=route.in_reply_to,
        references=route.references,
        subject=route.subject or state.subject,
        case_number=state.number,
        listen=route.channel in LIVE_CHANNELS,
    )
