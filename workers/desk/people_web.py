"""The desk's interface for people: who somebody is, that two are one, and that they are not after all."""

from typing import TypeVar

import msgspec
from aiohttp import web

from bus.clock import Clock
from bus.delivery.outcome import Outcome
from bus.store.port import Effect, Store
from workers.case import merging
from workers.case.rules import Refused
from workers.desk.gate import Gate, answer, refuse
from workers.desk.login import Session

__all__ = ["PeoplePages"]

_MAX_BODY = 16 * 1024
"""Bytes of a request: two ids and a reason of a few sentences, with room to spare."""


T = TypeVar("T")


class _Find(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _Merge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    person: str
    into: str
    reason: str


class _Vouch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    identity: str
    reason: str


class _Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    person: str
    reason: str


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
            web.post(people + "/merge", self._gate.changing(self._merge)),
            web.post(people + "/split", self._gate.changing(self._split)),
            web.post(people + "/vouch", self._gate.changing(self._vouch)),
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

    async def _merge(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, _Merge)
        if body is None:
            return refuse(400, "form")
        try:
            outcome = await merging.merge(
                self._store, session.tenant, body.person, body.into, actor=session.person, reason=body.reason,
                now=self._clock.now(),
            )  # fmt: skip
        except Refused as refused:
            return _refused(refused)
        return await self._apply(session, body.person, outcome)

    async def _split(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, _Split)
        if body is None:
            return refuse(400, "form")
        try:
            outcome = await merging.split(
                self._store, session.tenant, body.person, actor=session.person, reason=body.reason,
                now=self._clock.now(),
            )  # fmt: skip
        except Refused as refused:
            return _refused(refused)
        return await self._apply(session, body.person, outcome)

    async def _vouch(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, _Vouch)
        if body is None:
            return refuse(400, "form")
        try:
            outcome = await merging.vouch(
                self._store, session.tenant, body.identity, actor=session.person, reason=body.reason,
                now=self._clock.now(),
            )  # fmt: skip
        except Refused as refused:
            return _refused(refused)
        person = await merging.find_person(self._store, session.tenant, body.identity)
        return await self._apply(session, person, outcome)

    async def _apply(self, session: Session, person: str, outcome: Outcome) -> web.StreamResponse:
        [result] = await self._store.apply([Effect(outcome=outcome)])
        if not result.applied:
            # Somebody else has just merged or split one of the two: look again before deciding.
            return refuse(409, "changed")
        return await self._view(session, person)

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
