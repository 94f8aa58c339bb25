"""The page behind the confirmation link.

Scanners of mail hosts open every link, so opening it confirms nothing: only the button does.
"""

import html
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from adapters.link.normalise import MANIFEST
from adapters.link.words import LANGUAGES, WORDS
from bus.adapter.contract import Health, Raw, Refused, SendResult, Services
from bus.errors import TransientError
from bus.message import Reply
from bus.web import page_headers, static_files

__all__ = ["LinkAdapter"]

_WEB = Path(__file__).parent / "web"
_PAGE = (_WEB / "page.html").read_text(encoding="utf-8")


class LinkAdapter:
    """Takes confirmations in; says nothing by itself."""

    manifest = MANIFEST

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> Sequence[web.RouteDef]:
        """`/confirm/<token>` and its style."""
        return [
            web.get("/confirm/{token}", self._show),
            web.post("/confirm/{token}", self._confirm),
            *static_files("/confirm/assets", _WEB),
        ]

    async def receive(self) -> None:
        """Nothing to wait for: the routes are the door."""

    async def send(self, reply: Reply, attempt: int) -> SendResult:
        """A page that was closed cannot be written to."""
        return Refused(reason="a confirmation link carries no replies")

    async def probe(self) -> Health:
        """It works when the server does."""
        return Health(ok=True)

    async def close(self) -> None:
        """Nothing is held."""

    async def _show(self, request: web.Request) -> web.Response:
        known = self._value(request) is not None
        return self._page(request, "ask" if known else "unknown", 200 if known else 404)

    async def _confirm(self, request: web.Request) -> web.Response:
        value = self._value(request)
        if value is None:
            return self._page(request, "unknown", 404)
        raw = Raw(
            tenant=self._services.tenant,
            account="link",
            media_type="text/plain",
            data=value.encode(),
            received_at=self._services.clock.now(),
            native={"lang": _language(request)},
        )
        try:
            await self._services.accept(raw)
        except TransientError:
            return self._page(request, "later", 503)
        return self._page(request, "thanks", 200)

    def _value(self, request: web.Request) -> str | None:
        return self._services.signer.open("confirm", self._services.tenant, request.match_info["token"])

    def _page(self, request: web.Request, state: str, status: int) -> web.Response:
        language = _language(request)
        words = WORDS[language]
        _challenge, _case, number, yes = (*(self._value(request) or "").split("~"), "", "", "")[:4]
        asks = state in ("ask", "later")
        company = dict(self._services.options.get("company", {})).get(language, "")
        values = {
            "lang": language,
            "title": words[f"{state}_title"],
            "about": words["about"].format(number=_spaced(number)) if asks and number else "",
            "text": words[f"{state}_text"],
            "yes": words["yes"] if asks and yes else "",
            "button": words["button"],
            "form": "" if asks else "hidden",
            "company": company,
        }
        page = _PAGE
        for name, value in values.items():
            page = page.replace(f"{{{name}}}", html.escape(value))
        return web.Response(text=page, status=status, content_type="text/html", headers=page_headers())


def _spaced(number: str) -> str:
    """A case number in groups of four, as letters and mails print it."""
    return " ".join(number[place : place + 4] for place in range(0, len(number), 4))


def _language(request: web.Request) -> str:
    """The first of our languages that the browser prefers (RFC 9110 12.5.4); `no`, `nn` and `da` read bokmål best."""
    wishes: list[tuple[float, int, str]] = []
    for place, part in enumerate(request.headers.get("Accept-Language", "").split(",")[:20]):
        tag, _, weight = part.strip().partition(";q=")
        try:
            wishes.append((-float(weight or 1), place, tag[:2].lower()))
        except ValueError:
            continue
    for _, _, tag in sorted(wishes):
        language = "nb" if tag in ("no", "nn", "da") else tag
        if language in LANGUAGES:
            return language
    return "en"
