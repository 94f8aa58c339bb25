"""Figures in the browser: the wallboard, the reports, and the page of those who look after live cases."""

from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

from aiohttp import web

from bus.adapter.tokens import Signer
from bus.clock import Clock, to_micros
from bus.opening_hours import OpeningHours
from bus.store.port import Store
from bus.web import attachment_headers, page_file, page_headers
from workers.desk.gate import Gate, answer, refuse
from workers.desk.login import Session
from workers.desk.report_asked import asked_for, read_asked
from workers.desk.report_csv import as_csv
from workers.desk.reports import CHOSEN, DIMENSIONS
from workers.desk.roles import REPORTS, WALLBOARD, may
from workers.desk.wallboard import WallReading

__all__ = ["KEY_DAYS", "FigurePages"]

_PAGES = Path(__file__).parent / "page"

KEY_DAYS = 30
"""How long an address for a screen works: nobody signs in on a screen every morning, and a leaked one ends by itself.
It shows numbers and nothing else."""

_PURPOSE = "desk-wallboard"

_DAY_MICROS = 86_400_000_000


class FigurePages:
    """Routes of the wallboard and the reports."""

    def __init__(self, *, store: Store, signer: Signer, clock: Clock, hours: OpeningHours, gate: Gate) -> None:
        self._store, self._signer, self._clock, self._hours, self._gate = store, signer, clock, hours, gate
        self._wall = WallReading(store=store, clock=clock, zone=ZoneInfo(hours.zone))

    def routes(self) -> list[web.RouteDef]:
        """Pages and what they read."""
        read, change = self._gate.reading, self._gate.changing
        return [
            web.get("/desk/wallboard", self._wallboard_page),
            web.get("/desk/api/wallboard", self._wallboard),
            web.post("/desk/api/wallboard/link", change(self._link, right=WALLBOARD)),
            web.get("/desk/reports", self._page),
            web.get("/desk/live", self._page),
            web.get("/desk/api/reports", read(self._reports, right=REPORTS)),
        ]

    async def _page(self, request: web.Request) -> web.StreamResponse:
        if await self._gate.session(request) is None:
            return web.Response(status=303, headers={**page_headers(), "Location": "/desk/login"})
        return page_file(_PAGES / f"{request.path.rpartition('/')[2]}.html", page_headers())

    async def _wallboard_page(self, _request: web.Request) -> web.StreamResponse:
        return page_file(_PAGES / "wallboard.html", page_headers())

    async def _wallboard(self, request: web.Request) -> web.StreamResponse:
        """For whoever is signed in and may, or for a screen by its signed address."""
        key = request.query.get("key", "")
        if key:
            tenant = self._tenant_of(key)
            return refuse(401, "screen") if tenant is None else answer(await self._wall.wall(tenant))
        session = await self._gate.session(request)
        if session is None:
            return refuse(401, "session")
        if not may(session.role, WALLBOARD):
            return refuse(403, "role")
        return answer(await self._wall.wall(session.tenant))

    async def _link(self, _request: web.Request, session: Session) -> web.StreamResponse:
        expires = to_micros(self._clock.now()) + KEY_DAYS * _DAY_MICROS
        key = self._signer.token(_PURPOSE, "", f"{session.tenant}~{expires}")
        return answer({"path": f"/desk/wallboard?key={quote(key)}", "days": KEY_DAYS})

    def _tenant_of(self, key: str) -> str | None:
        tenant, _, expires = (self._signer.open(_PURPOSE, "", key) or "").rpartition("~")
        if not tenant or not expires.isdigit() or to_micros(self._clock.now()) >= int(expires):
            return None
        return tenant

    async def _reports(self, request: web.Request, session: Session) -> web.StreamResponse:
        """`since` and `until` as days, `by` separated by commas, one value of a dimension to count alone
        (`channel=email`), `form` json or csv."""
        query = request.query
        form = query.get("form", "json")
        if form not in ("json", "csv"):
            return refuse(400, "form")
        try:
            only = {name: query.get(name, "") for name in CHOSEN}
            asked = asked_for(query.get("since", ""), query.get("until", ""), query.get("by", "day"), only)
        except ValueError:
            return refuse(400, "form", dimensions=DIMENSIONS)
        report = await read_asked(
            self._store, session.tenant, asked, now=self._clock.now(), hours=self._hours
        )  # fmt: skip
        if report is None:
            return refuse(400, "span")
        if form == "csv":
            # Excel reads UTF-8 only behind its mark.
            body = as_csv(report).encode("utf-8-sig")
            headers = attachment_headers(f"report-{report.since:%Y-%m-%d}.csv")
            return web.Response(body=body, content_type="text/csv", charset="utf-8", headers=headers)
        return answer(report)
