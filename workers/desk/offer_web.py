"""The desk's interface for people and their work: offers, presence, call-backs, colleagues, supervision, staff.

Everything is JSON under `/desk/api`; what a page needs to know when is told by the feed (`case`): an offer is an event
of its case, so pages ask `mine` again when one of those arrives.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from aiohttp import web

from bus.clock import Clock, from_micros
from bus.errors import Conflict
from bus.store.port import Store
from workers.case import supervising
from workers.case.rules import Refused
from workers.desk.actions import Actions
from workers.desk.answering import Answering
from workers.desk.callback import CallBacks
from workers.desk.gate import Gate, Handler, answer, refuse
from workers.desk.live import LiveReading
from workers.desk.login import Session
from workers.desk.reading import UnknownCase
from workers.desk.roles import STAFF, SUPERVISE
from workers.desk.roster import Roster
from workers.desk.staff import People, Staff
from workers.packs import Pack

__all__ = ["OfferPages"]

_MAX_BODY = 64 * 1024
"""Bytes of a request: the longest note with room to spare."""

_MAX_TEXT = 4_000
"""Characters of a note to a colleague in the middle of a conversation."""

_BREAK_MINUTES = 15
"""A break after abuse, when nobody says how long: a walk around the house."""

T = TypeVar("T")


class _Presence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    state: str
    minutes: int = 0


class _Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    outcome: str = ""


class _Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str = ""
    minutes: int = 0


class _Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: Annotated[str, msgspec.Meta(pattern=r"^$|^\+[0-9]{6,15}$")] = ""


class _Called(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    result: Literal["talked", "customer"]


class _Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str


class OfferPages:
    """Routes of people and their work."""

    def __init__(self, *, store: Store, clock: Clock, gate: Gate, actions: Actions, pack: Pack, dials: bool) -> None:
        self._gate, self._actions, self._clock = gate, actions, clock
        self._people = People(store=store, clock=clock)
        self._answering = Answering(store=store, clock=clock)
        self._calls = CallBacks(actions=actions, people=self._people, pack=pack, dials=dials)
        self._live = LiveReading(store=store, clock=clock)
        self.roster = Roster(store=store, clock=clock)

    def routes(self) -> list[web.RouteDef]:
        """Everything about people and their work."""
        case = "/desk/api/cases/{case}"
        return [
            self._read("/desk/api/mine", self._mine),
            self._change("/desk/api/presence", self._say),
            self._change("/desk/api/wrap-up", self._wrap_up),
            self._change(case + "/offer/{answer:accept|decline}", self._answer),
            self._change(case + "/call", self._call),
            self._change(case + "/called", self._called),
            self._read("/desk/api/supervisor", self._supervisor, SUPERVISE),
            self._read("/desk/api/colleagues", self._colleagues, SUPERVISE),
            self._change("/desk/api/colleagues/{name}/break", self._break, SUPERVISE),
            self._change(case + "/step-in", self._step_in, SUPERVISE),
            self._change(case + "/take-over", self._take_over, SUPERVISE),
            self._change(case + "/advise", self._advise, SUPERVISE),
            self._read("/desk/api/staff", self._staff, STAFF),
            self._change("/desk/api/staff", self._keep, STAFF),
            self._change("/desk/api/staff/{name}/remove", self._remove, STAFF),
        ]

    def keeping(self, handler: Handler) -> Handler:
        """A live connection, during which heartbeats of its person are sent."""

        async def kept(request: web.Request, session: Session) -> web.StreamResponse:
            async with self.roster.connected(session.tenant, session.person):
                return await handler(request, session)

        return kept

    def _read(self, path: str, handler: Handler, *right: str) -> web.RouteDef:
        return web.get(path, self._gate.reading(_told(handler), *right))

    def _change(self, path: str, handler: Handler, *right: str) -> web.RouteDef:
        return web.post(path, self._gate.changing(_told(handler), *right))

    async def _mine(self, _request: web.Request, session: Session) -> web.StreamResponse:
        row = await self.roster.one(session.tenant, session.person)
        presence: Mapping[str, Any] = {"state": "away", "reason": "", "since": None, "until": None, "wrap_up": None}
        if row is not None:
            presence = {
                "state": row["state"], "reason": row["reason"], "since": from_micros(row["since"]),
                "until": from_micros(row["until"]) if row["until"] else None,
                "wrap_up": await self._live.named(session.tenant, row["case_id"]),
            }  # fmt: skip
        offers = await self._live.offers(session.tenant, session.person)
        return answer({"presence": presence, "offers": offers, "server_time": self._clock.now()})

    async def _say(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, _Presence)
        await self.roster.say(session.tenant, session.person, body.state, minutes=max(0, body.minutes))
        return answer({})

    async def _wrap_up(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, _Outcome)
        await self.roster.wrapped_up(session.tenant, session.person, body.outcome[:200])
        return answer({})

    async def _answer(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, _Reason)
        who = (session.tenant, request.match_info["case"], session.person)
        if request.match_info["answer"] == "accept":
            await self._answering.accept(*who)
            return answer(await self._rung(*who))
        else:
            await self._answering.decline(*who, reason=body.reason[:200])
        return answer({})

    async def _rung(self, tenant: str, case: str, person: str) -> Mapping[str, Any]:
        """Whoever accepts a call-back and has a telephone is called at once; what hinders that keeps nobody from the
        case."""
        if not await self._live.is_call_back(tenant, case):
            return {}
        try:
            asked, rings = await self._calls.call(tenant, case, person)
        except Refused as refused:
            return {"rings": False, "missing": refused.missing}
        return {"rings": rings, "number": asked.number}

    async def _call(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, _Call)
        case = request.match_info["case"]
        asked, rings = await self._calls.call(session.tenant, case, session.person, body.number)
        return answer({"rings": rings, "number": asked.number})

    async def _called(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, _Called)
        await self._calls.called(session.tenant, request.match_info["case"], session.person, body.result)
        return answer({})

    async def _supervisor(self, _request: web.Request, session: Session) -> web.StreamResponse:
        rows = await self._live.by_risk(session.tenant)
        unseen = await self._live.unseen(session.tenant)
        return answer({"rows": rows, "unseen": unseen, "server_time": self._clock.now()})

    async def _colleagues(self, _request: web.Request, session: Session) -> web.StreamResponse:
        _, present = await self.roster.present(session.tenant)
        rows: Sequence[Mapping[str, Any]] = [
            {
                "name": person.staff.name, "shown": person.staff.shown, "role": person.staff.role,
                "state": person.state, "reason": person.reason, "since": person.since, "wrap_up": person.case,
                "languages": person.staff.languages, "departments": person.staff.departments,
            }
            for person in present
        ]  # fmt: skip
        return answer({"rows": rows, "server_time": self._clock.now()})

    async def _break(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, _Reason)
        name = request.match_info["name"]
        if await self.roster.one(session.tenant, name) is None:
            return refuse(404, "gone")
        await self.roster.say(
            session.tenant, name, "break", minutes=max(0, body.minutes) or _BREAK_MINUTES, reason=body.reason[:200]
        )
        return answer({})

    async def _step_in(self, request: web.Request, session: Session) -> web.StreamResponse:
        await self._actions.change(
            session.tenant, request.match_info["case"],
            lambda state, now: supervising.step_in(state, actor=session.person, now=now),
        )  # fmt: skip
        return answer({})

    async def _take_over(self, request: web.Request, session: Session) -> web.StreamResponse:
        await self._actions.change(
            session.tenant, request.match_info["case"],
            lambda state, now: supervising.take_over(state, actor=session.person, now=now),
        )  # fmt: skip
        return answer({})

    async def _advise(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, _Note)
        if len(body.text) > _MAX_TEXT:
            return refuse(400, "form")
        await self._actions.change(
            session.tenant, request.match_info["case"],
            lambda state, now: supervising.advise(state, text=body.text, actor=session.person, now=now),
        )  # fmt: skip
        return answer({})

    async def _staff(self, _request: web.Request, session: Session) -> web.StreamResponse:
        return answer({"rows": await self._people.all(session.tenant)})

    async def _keep(self, request: web.Request, session: Session) -> web.StreamResponse:
        await self._people.keep(session.tenant, await _body(request, Staff))
        return answer({})

    async def _remove(self, request: web.Request, session: Session) -> web.StreamResponse:
        if not await self._people.remove(session.tenant, request.match_info["name"]):
            return refuse(404, "gone")
        return answer({})


class _Form(Exception):
    """The request is not what was expected."""


def _told(handler: Handler) -> Handler:
    """Refusals in the words that pages know. A case of another tenant is a case that does not exist."""

    async def guarded(request: web.Request, session: Session) -> web.StreamResponse:
        try:
            return await handler(request, session)
        except _Form:
            return refuse(400, "form")
        except UnknownCase:
            return refuse(404, "gone")
        except Refused as refused:
            return refuse(422, "missing", missing=refused.missing)
        except Conflict:
            return refuse(503, "busy")

    return guarded


async def _body(request: web.Request, kind: type[T]) -> T:
    if request.content_length is None or request.content_length > _MAX_BODY:
        raise _Form
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise _Form from None
