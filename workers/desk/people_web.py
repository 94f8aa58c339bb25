"""The desk's interface for people: who somebody is, that two are one, and that they are not after all."""

from datetime import datetime
from typing import TypeVar

import msgspec
from aiohttp import web

from bus.clock import Clock
from bus.delivery.outcome import Outcome
from bus.store.port import Effect, Store
from workers.case import merging
from workers.case.rules import Refused
from workers.desk.gate import Gate, Handler, answer, refuse
from workers.desk.login import Session

__all__ = ["PeoplePages"]

_MAX_BODY = 16 * 1024
"""Bytes of a request: two ids and a reason of a few sentences, with room to spare."""


T = TypeVar("T")


class _Find(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody wants changed, and why."""

    reason: str

    async def decide(self, store: Store, session: Session, now: datetime) -> tuple[str, Outcome]:
        """Who is shown afterwards, and what is to be written. Raises Refused."""
        raise NotImplementedError


class _Merge(_Change, frozen=True, forbid_unknown_fields=True):
    person: str
    into: str

    async def decide(self, store: Store, session: Session, now: datetime) -> tuple[str, Outcome]:
        return self.person, await merging.merge(
            store, session.tenant, self.person, self.into, actor=session.person, reason=self.reason, now=now
        )


class _Split(_Change, frozen=True, forbid_unknown_fields=True):
    person: str

    async def decide(self, store: Store, session: Session, now: datetime) -> tuple[str, Outcome]:
        return self.person, await merging.split(
            store, session.tenant, self.person, actor=session.person, reason=self.reason, now=now
        )


class _Vouch(_Change, frozen=True, forbid_unknown_fields=True):
    identity: str

    async def decide(self, store: Store, session: Session, now: datetime) -> tuple[str, Outcome]:
        outcome = await merging.vouch(
            store, session.tenant, self.identity, actor=session.person, reason=self.reason, now=now
        )
        return await merging.find_person(store, session.tenant, self.identity), outcome


class PeoplePages:
    """Routes under `/desk/api/people`. A person of another tenant is one who does not exist."""

    def __init__(self, *, store: Store, clock: Clock, gate: Gate) -> None:
        self._store, self._clock, self._gate = store, clock, gate

    def routes(self) -> list[web.RouteDef]:
        """Looking somebody up, and the changes."""
        people = "/desk/api/people"
        return [
            web.get(people + "/{person}", self._gate.reading(self._show)),
            web.post(people + "/find", self._gate.changing(self._find)),
            web.post(people + "/merge", self._gate.changing(self._changing(_Merge))),
            web.post(people + "/split", self._gate.changing(self._changing(_Split))),
            web.post(people + "/vouch", self._gate.changing(self._changing(_Vouch))),
        ]

    async def _show(self, request: web.Request, session: Session) -> web.StreamResponse:
        return await self._view(session, request.match_info["person"])

    async def _find(self, request: web.Request, session: Session) -> web.StreamResponse:
        """By what people have at hand: an address, a number of a customer or of a case. It is asked for in the body,
        because addresses of requests are written down in more places than one."""
        body = await _body(request, _Find)
        if body is None:
            return refuse(400, "form")
        return await self._view(session, await merging.find_person(self._store, session.tenant, body.name.strip()))

    def _changing(self, kind: type[_Change]) -> Handler:
        """The handler of one kind of change."""

        async def handle(request: web.Request, session: Session) -> web.StreamResponse:
            change = await _body(request, kind)
            if change is None:
                return refuse(400, "form")
            try:
                person, outcome = await change.decide(self._store, session, self._clock.now())
            except Refused as refused:
                return _refused(refused)
            [result] = await self._store.apply([Effect(outcome=outcome)])
            if not result.applied:
                # Somebody else has just merged or split one of the two: look again before deciding.
                return refuse(409, "changed")
            return await self._view(session, person)

        return handle

    async def _view(self, session: Session, person: str) -> web.StreamResponse:
        found = await merging.show_person(self._store, session.tenant, person)
        return refuse(404, "gone") if found is None else answer(found)


def _refused(refused: Refused) -> web.Response:
    if refused.missing == ("person",):
        return refuse(404, "gone")
    return refuse(422, "missing", missing=refused.missing)


async def _body(request: web.Request, kind: type[T]) -> T | None:
    if request.content_length is None or request.content_length > _MAX_BODY:
        return None
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
