"""What the demo's customers have received: their mailbox, and the letters that wait in the tray."""

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from bus.message import encode
from bus.web import attachment_headers
from deploy.start.services import StartServices
from workers.desk.picture import NoPicture, Pictures

__all__ = ["PostRoom"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
"""Letters are called after their reply."""

_SHOWN = 200


class PostRoom:
    """Routes under `/start/api` for the pages `/mailbox` and `/letters`."""

    def __init__(self, services: StartServices) -> None:
        self._services = services
        self._pictures = Pictures()

    def routes(self) -> list[web.RouteDef]:
        """Reads only."""
        return [
            web.get("/start/api/mailbox", self._mails),
            web.get("/start/api/letters", self._letters),
            web.get("/start/api/letters/{name}.pdf", self._letter),
            web.get("/start/api/letters/{name}.png", self._picture),
        ]

    async def _mails(self, _request: web.Request) -> web.StreamResponse:
        mailbox = self._services.mailbox
        mails = list(mailbox.mails)[-_SHOWN:] if mailbox is not None else []
        shown = [
            {
                "number": mail.number,
                "from": mail.sender_name or mail.sender,
                "to": ", ".join(mail.rcpt_to),
                "subject": mail.subject,
                "text": mail.text,
                "at": mail.received_at,
                "attachments": [name for name, _, _ in mail.attachments],
            }
            for mail in reversed(mails)
        ]
        return _json({"mails": shown})

    async def _letters(self, _request: web.Request) -> web.StreamResponse:
        return _json({"letters": await asyncio.to_thread(_list, self._services.letter_tray)})

    async def _letter(self, request: web.Request) -> web.StreamResponse:
        data = await self._read(request.match_info["name"])
        if data is None:
            return _json({"error": "gone"}, 404)
        name = f"{request.match_info['name']}.pdf"
        return web.Response(body=data, content_type="application/pdf", headers=attachment_headers(name))

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        page = request.query.get("page", "0")
        data = await self._read(request.match_info["name"])
        if data is None or not page.isdigit() or len(page) > 3:
            return _json({"error": "gone"}, 404)
        try:
            png = await self._pictures.draw(data, "application/pdf", int(page))
        except NoPicture:
            return _json({"error": "gone"}, 404)
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=3600"}
        return web.Response(body=png, content_type="image/png", headers=headers)

    async def _read(self, name: str) -> bytes | None:
        tray = self._services.letter_tray
        if tray is None or not _NAME.fullmatch(name):
            return None
        try:
            return await asyncio.to_thread((tray / f"{name}.pdf").read_bytes)
        except OSError:
            return None


def _list(tray: Path | None) -> list[dict[str, Any]]:
    if tray is None or not tray.is_dir():
        return []
    found: list[dict[str, Any]] = []
    for path in tray.glob("*.pdf"):
        if _NAME.fullmatch(path.stem):
            about = path.stat()
            at = datetime.fromtimestamp(about.st_mtime, UTC)
            found.append({"name": path.stem, "at": at, "size": about.st_size})
    return sorted(found, key=lambda letter: letter["at"], reverse=True)[:_SHOWN]


def _json(value: object, status: int = 200) -> web.Response:
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return web.Response(body=encode(value), status=status, content_type="application/json", headers=headers)
