"""The desk under `/desk`: the page, what it reads, what people do with it, and the feed of changes."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web

from bus.adapter.tokens import Signer
from bus.clock import Clock
from bus.errors import Conflict
from bus.log.port import Log
from bus.message import clean_text
from bus.store.blobs import Blobs
from bus.store.port import Store
from bus.web import attachment_headers, page_file, page_headers, static_files
from workers.case.closing import REASONS, what_is_missing
from workers.case.hold import REASONS as REASONS_TO_WAIT
from workers.case.protection import REASONS as REASONS_TO_END
from workers.case.protection import may_end
from workers.case.rules import Refused
from workers.case.supervising import REASONS as REASONS_TO_CALL
from workers.desk.actions import Actions, Changed, Writing
from workers.desk.drafts import MODES, Drafts
from workers.desk.facts import Facts
from workers.desk.feed import DeskFeed, is_page_name
from workers.desk.gate import Gate, Handler, answer, refuse
from workers.desk.goodwill import Gift, Gifts
from workers.desk.login import Session, Sessions
from workers.desk.offer_web import OfferPages
from workers.desk.people_web import PeoplePages
from workers.desk.picture import NoPicture, Pictures
from workers.desk.praising import Praising
from workers.desk.presence import Presence
from workers.desk.reading import PICTURES, VIEWS, Reading, UnknownCase
from workers.desk.report_web import FigurePages
from workers.desk.roles import ROLES
from workers.desk.staff import People
from workers.packs import Pack

__all__ = ["DeskPages"]

_PAGES = Path(__file__).parent / "page"

_MAX_TEXT = 20_000
"""Characters of a reply or note: five pages of a letter."""

_MAX_BODY = 256 * 1024
"""Bytes of a request: the longest text in any encoding with room to spare."""

_MAX_ID = 100
"""Characters of a case's id, with room to spare."""

_MAX_PROMISE = 200
"""Characters of what is promised: a line of the timeline."""

T = TypeVar("T")


class _Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str


class _Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    channel: str
    language: str
    seen: int
    anything_else: bool = False


class _Promise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    what: str
    until: Annotated[datetime, msgspec.Meta(tz=True)]


class _Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mode: str
    text: str


class _Here(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    page: str
    case: str
    writing: bool = False


class _Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    outcome: str = ""
    promise: str = ""
    to: str = ""
    reason: str = ""


class DeskPages:
    """Routes of the desk. One object per process; `close` ends the feeds so that the server can stop."""

    def __init__(
        self, *, log: Log, store: Store, blobs: Blobs, signer: Signer, clock: Clock, pack: Pack, notice: str = "",
        dials: bool = False,
    ) -> None:  # fmt: skip
        """`notice` is a key of the catalogue that the desk shows to everybody (`notice.no-relay`), or nothing. `dials`:
        the phone channel can ring the telephones of people for a call-back."""
        self._blobs, self._clock, self._pack, self._notice = blobs, clock, pack, notice
        self._reading = Reading(store=store, clock=clock)
        self._actions = Actions(store=store, clock=clock, service=pack.policy.service)
        self._facts = Facts(store=store)
        self._sessions = Sessions(store=store, signer=signer, clock=clock)
        self._staff = People(store=store, clock=clock)
        self._gate = Gate(self._sessions, self._staff)
        self._offers = OfferPages(
            store=store, clock=clock, gate=self._gate, actions=self._actions, pack=pack, dials=dials
        )
        self._people = PeoplePages(store=store, clock=clock, gate=self._gate)
        self._pictures = Pictures()
        self._figures = FigurePages(
            store=store, signer=signer, clock=clock, hours=pack.policy.service.hours, gate=self._gate
        )
        self._praising = Praising(store=store, clock=clock, pack=pack, actions=self._actions)
        self._gifts = Gifts(store=store, clock=clock, pack=pack, actions=self._actions)
        self._drafts = Drafts(store=store, clock=clock)
        self._presence = Presence(store=store, clock=clock)
        self._feed = DeskFeed(log=log, clock=clock, reading=self._reading, presence=self._presence)

    def routes(self) -> list[web.RouteDef]:
        """Everything under `/desk`."""
        read, change = self._gate.reading, self._gate.changing
        case = "/desk/api/cases/{case}"
        return [
            *static_files("/desk/static", _PAGES),
            *self._figures.routes(),
            *self._offers.routes(),
            *self._people.routes(),
            web.get("/desk", self._page),
            web.get("/desk/", self._page),
            web.get("/desk/login", self._login),
            web.post("/desk/login", self._gate.sign_in),
            web.post("/desk/api/signout", change(self._gate.sign_out, right="")),
            web.get("/desk/api/me", read(self._me, right="")),
            web.get("/desk/api/queue", read(self._queue)),
            web.get("/desk/api/feed", read(self._offers.keeping(self._feed.serve))),
            web.post("/desk/api/here", change(self._here)),
            web.get(case, read(_known(self._case))),
            web.get(case + "/files/{digest}", read(_known(self._file))),
            web.get(case + "/files/{digest}/picture", read(_known(self._picture))),
            web.get(case + "/files/{digest}/pages", read(_known(self._pages))),
            web.post(case + "/reply", change(_known(self._reply))),
            web.post(case + "/note", change(_known(self._note))),
            web.post(case + "/praise", change(_known(self._praise))),
            web.post(case + "/goodwill", change(_known(self._goodwill))),
            web.post(case + "/promise", change(_known(self._promise))),
            web.post(case + "/draft", change(_known(self._draft))),
            web.post(
                case + "/{action:take|release|assign|give-back|kept|answered|hold|end|escalate|close}",
                change(_known(self._act)),
            ),
        ]

    async def close(self) -> None:
        """End all feeds."""
        self._feed.close()

    async def _page(self, request: web.Request) -> web.StreamResponse:
        if await self._gate.session(request) is None:
            return web.Response(status=303, headers={**page_headers(), "Location": "/desk/login"})
        return page_file(_PAGES / "index.html", page_headers())

    async def _login(self, _request: web.Request) -> web.StreamResponse:
        return page_file(_PAGES / "login.html", page_headers())

    async def _me(self, _request: web.Request, session: Session) -> web.StreamResponse:
        pack = self._pack
        return answer(
            {
                "person": session.person,
                "names": await self._staff.shown(session.tenant),
                "role": session.role,
                "rights": sorted(ROLES[session.role]),
                "goodwill": pack.policy.goodwill.by_role.get(session.role, {}),
                "tenant": session.tenant,
                "company": {language: pack.company(language) for language in pack.languages},
                "issues": {label: issue.names for label, issue in pack.issues.items()},
                "departments": {key: department.names for key, department in pack.file.departments.items()},
                "notice": self._notice,
                "server_time": self._clock.now(),
            }
        )

    async def _queue(self, request: web.Request, session: Session) -> web.StreamResponse:
        view = request.query.get("view", "waiting")
        if view not in VIEWS:
            return refuse(400, "form")
        rows = await self._reading.queue(session.tenant, view)
        people = await self._sessions.people(session.tenant)
        return answer({"rows": rows, "people": people, "server_time": self._clock.now()})

    async def _case(self, request: web.Request, session: Session) -> web.StreamResponse:
        case = request.match_info["case"]
        view = await self._reading.case(session.tenant, case)
        state = await self._reading.state(session.tenant, case)
        missing = set(what_is_missing(state, self._clock.now(), by_person=True))
        if "anything-else" in missing:
            missing.add("answer")  # what was not asked cannot have been answered
        return answer(
            {
                **msgspec.structs.asdict(view),
                "drafts": await self._drafts.of(session.tenant, case, session.person),
                "facts": await self._facts.of(state),
                "asked": state.anything_else_asked is not None,
                "hold_reasons": REASONS_TO_WAIT,
                "may_end": may_end(state),
                "end_reasons": REASONS_TO_END,
                "escalate_reasons": REASONS_TO_CALL,
                "to_close": [{"rule": rule, "ok": rule not in missing} for rule in REASONS],
            }
        )

    async def _reply(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, _Reply)
        if body is None or not body.text.strip() or len(body.text) > _MAX_TEXT:
            return refuse(400, "form")
        if body.language not in self._pack.languages:
            return refuse(400, "form")
        writing = Writing(**{name: getattr(body, name) for name in body.__struct_fields__})
        try:
            await self._actions.reply(session.tenant, request.match_info["case"], session.person, writing)
        except Changed as changed:
            by_customer = any(event["kind"] == "received" for event in changed.events)
            return refuse(409, "changed", events=changed.events, by_customer=by_customer)
        return answer({})

    async def _note(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, _Text)
        if body is None or not body.text.strip() or len(body.text) > _MAX_TEXT:
            return refuse(400, "form")
        await self._actions.note(session.tenant, request.match_info["case"], session.person, body.text)
        return answer({})

    async def _praise(self, request: web.Request, session: Session) -> web.StreamResponse:
        await self._praising.pass_on(session.tenant, request.match_info["case"], session.person)
        return answer({})

    async def _goodwill(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, Gift)
        if body is None:
            return refuse(400, "form")
        await self._gifts.book(session.tenant, request.match_info["case"], session.person, session.role, body)
        return answer({})

    async def _promise(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, _Promise)
        if body is None or len(body.what) > _MAX_PROMISE:
            return refuse(400, "form")
        case = request.match_info["case"]
        await self._actions.promise(session.tenant, case, session.person, body.what, body.until)
        return answer({})

    async def _draft(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, _Draft)
        if body is None or body.mode not in MODES or len(body.text) > _MAX_TEXT:
            return refuse(400, "form")
        case = request.match_info["case"]
        await self._reading.state(session.tenant, case)
        await self._drafts.keep(session.tenant, case, session.person, body.mode, clean_text(body.text))
        return answer({})

    async def _here(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, _Here)
        if body is None or not is_page_name(body.page) or len(body.case) > _MAX_ID:
            return refuse(400, "form")
        await self._presence.show(session.tenant, body.page, session.person, body.case, writing=body.writing)
        return answer({})

    async def _act(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await _body(request, _Act)
        if body is None or max(len(body.outcome), len(body.promise), len(body.to), len(body.reason)) > 200:
            return refuse(400, "form")
        who = (session.tenant, request.match_info["case"], session.person)
        match request.match_info["action"]:
            case "take":
                await self._actions.assign(*who, to=session.person)
            case "release":
                await self._actions.assign(*who, to="")
            case "assign":
                await self._actions.assign(*who, to=body.to)
            case "give-back":
                await self._actions.give_back(*who)
            case "kept":
                await self._actions.kept(*who, promise=body.promise)
            case "answered":
                await self._actions.answered(*who)
            case "hold":
                await self._actions.hold(*who, reason=body.reason)
            case "end":
                await self._actions.end(*who, reason=body.reason, pack=self._pack)
            case "escalate":
                await self._actions.escalate(*who, reason=body.reason)
            case _:
                await self._actions.close(*who, outcome=body.outcome)
        return answer({})

    async def _file(self, request: web.Request, session: Session) -> web.StreamResponse:
        found = await self._found(request, session)
        if found is None:
            return refuse(404, "gone")
        row, data = found
        name = row["name"] or f"{row['contact']}{_ENDINGS.get(row['media_type'], '')}"
        # The type is ours to choose: bytes to be saved, whatever the sender called them.
        return web.Response(body=data, content_type="application/octet-stream", headers=attachment_headers(name))

    async def _picture(self, request: web.Request, session: Session) -> web.StreamResponse:
        found = await self._found(request, session)
        page = request.query.get("page", "0")
        if found is None or not page.isdigit() or len(page) > 4 or found[0]["media_type"] not in PICTURES:
            return refuse(404, "gone")
        try:
            png = await self._pictures.draw(found[1], found[0]["media_type"], int(page))
        except NoPicture:
            return refuse(404, "gone")
        headers = {
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cache-Control": "private, max-age=3600",
        }
        return web.Response(body=png, content_type="image/png", headers=headers)

    async def _pages(self, request: web.Request, session: Session) -> web.StreamResponse:
        found = await self._found(request, session)
        if found is None or found[0]["media_type"] not in PICTURES:
            return refuse(404, "gone")
        try:
            return answer({"pages": await self._pictures.count(found[1], found[0]["media_type"])})
        except NoPicture:
            return refuse(404, "gone")

    async def _found(self, request: web.Request, session: Session) -> tuple[Mapping[str, Any], bytes] | None:
        """A file that came with this case of this tenant, and its bytes: knowing a digest opens nothing."""
        files = await self._reading.files(session.tenant, request.match_info["case"])
        row = next((row for row in files if row["digest"] == request.match_info["digest"]), None)
        if row is None:
            return None
        try:
            return row, await self._blobs.get(row["digest"])
        except FileNotFoundError:
            return None


_ENDINGS = {"message/rfc822": ".eml", "application/pdf": ".pdf", "image/tiff": ".tif", "image/png": ".png"}


def _known(handler: Handler) -> Handler:
    """A case of another tenant is a case that does not exist."""

    async def guarded(request: web.Request, session: Session) -> web.StreamResponse:
        try:
            return await handler(request, session)
        except UnknownCase:
            return refuse(404, "gone")
        except Refused as refused:
            if "channel" in refused.missing:
                return refuse(422, "unreachable")
            return refuse(422, "missing", missing=refused.missing)
        except Conflict:
            return refuse(503, "busy")

    return guarded


async def _body(request: web.Request, kind: type[T]) -> T | None:
    """The request as a struct; None when it is not one or is too large."""
    if request.content_length is None or request.content_length > _MAX_BODY:
        return None
    data = await request.read()
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
