"""Who may ask the desk for something: session, role, origin, and a header that foreign pages cannot set."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from bus.web import own_origin, page_headers
from workers.desk.login import COOKIE, SESSION_HOURS, Session, Sessions
from workers.desk.roles import WORK, may
from workers.desk.staff import People

__all__ = ["Gate", "Handler", "answer", "refuse"]

Handler = Callable[[web.Request, Session], Awaitable[web.StreamResponse]]

HEADER = "X-Contactbus-Desk"

_API_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


def answer(value: object, status: int = 200) -> web.Response:
    """JSON that no browser takes for a page."""
    body = msgspec.json.encode(value)
    return web.Response(body=body, status=status, content_type="application/json", headers=_API_HEADERS)


def refuse(status: int, error: str, **detail: object) -> web.Response:
    """A refusal: a word that the page has a sentence for, never the text of an exception."""
    return answer({"error": error, **detail}, status)


class Gate:
    """Wraps handlers: reading needs a session with the right, changing our own page besides.

    `right` is one of `workers.desk.roles`; with an empty one a session is enough.
    """

    def __init__(self, sessions: Sessions, people: People) -> None:
        self._sessions, self._people = sessions, people

    def reading(self, handler: Handler, right: str = WORK) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Only for people who are signed in and whose role has the right."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            return await self._permitted(request, handler, right)

        return guarded

    def changing(self, handler: Handler, right: str = WORK) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Only for people who are signed in and whose role has the right, and only from our own page.

        The cookie is SameSite=Strict; origin and header are asked for all the same, because each alone has been got
        around somewhere. A form cannot set the header, a foreign script may not, and its origin is not ours.
        """

        async def guarded(request: web.Request) -> web.StreamResponse:
            if request.headers.get(HEADER) != "1" or not own_origin(request):
                return refuse(403, "foreign")
            if request.content_type != "application/json":
                return refuse(415, "form")
            return await self._permitted(request, handler, right)

        return guarded

    async def _permitted(self, request: web.Request, handler: Handler, right: str) -> web.StreamResponse:
        session = await self.session(request)
        if session is None:
            return refuse(401, "session")
        if not may(session.role, right):
            return refuse(403, "role", needs=right, role=session.role)
        return await handler(request, session)

    async def session(self, request: web.Request) -> Session | None:
        """The session of the request's cookie with the role of today; None for somebody who works here no more."""
        session = await self._sessions.find(request.cookies.get(COOKIE, ""))
        if session is None:
            return None
        role = await self._people.role(session.tenant, session.person)
        return msgspec.structs.replace(session, role=role) if role else None

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        """Use a login link up: a cookie and the way to the desk, or the page that says how to get a new link."""
        if not own_origin(request):
            return refuse(403, "foreign")
        form = await request.post()
        token = form.get("token", "")
        secret = await self._sessions.open(token if isinstance(token, str) else "")
        if secret is None:
            return web.Response(status=303, headers={**page_headers(), "Location": "/desk/login?problem=used"})
        response = web.Response(status=303, headers={**page_headers(), "Location": "/desk"})
        response.set_cookie(
            COOKIE,
            secret,
            max_age=SESSION_HOURS * 3600,
            path="/desk",
            httponly=True,
            samesite="Strict",
            secure=_scheme(request) == "https",
        )
        return response

    async def sign_out(self, _request: web.Request, session: Session) -> web.StreamResponse:
        """End the session."""
        await self._sessions.close(session)
        response = answer({})
        response.del_cookie(COOKIE, path="/desk")
        return response


def _scheme(request: web.Request) -> str:
    """Browsers name the scheme that they see, also behind a proxy that ends TLS."""
    return urlsplit(request.headers.get("Origin", "")).scheme
