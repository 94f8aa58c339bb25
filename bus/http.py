"""The one HTTP server of a process: health, metrics, and whatever routes adapters and pages bring."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog
from aiohttp import web
from prometheus_client import generate_latest

from bus.errors import Overloaded
from bus.telemetry import Metrics

__all__ = ["HttpServer", "Readiness"]

log = structlog.get_logger()

_MAX_BODY_BYTES = 26 * 1024 * 1024
"""The largest honest upload is a scan or a mail of 25 MB."""

Readiness = Callable[[], Awaitable[dict[str, str]]]
"""What is not ready, by name with a reason; empty when all is well."""


class HttpServer:
    """One aiohttp application on one address."""

    def __init__(
        self, host: str, port: int, *, metrics: Metrics, readiness: Readiness, shutdown_s: float = 10.0
    ) -> None:
        self._host, self._port = host, port
        self._metrics = metrics
        self._readiness = readiness
        self._shutdown_s = shutdown_s
        self._runner: web.AppRunner | None = None
        self._socket: socket.socket | None = None
        self.app = web.Application(middlewares=[_no_exception_text], client_max_size=_MAX_BODY_BYTES)
        self.app.add_routes(
            [web.get("/livez", self._live), web.get("/readyz", self._ready), web.get("/metrics", self._show_metrics)]
        )

    def add_routes(self, routes: Sequence[web.AbstractRouteDef]) -> None:
        """Before `start` only."""
        self.app.add_routes(routes)

    def bind(self) -> int:
        """Take the address, before anything needs to name it; the port (useful when 0 was asked for).

        Raises OSError when the address is taken.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._socket = socket.create_server((self._host, self._port), family=family, backlog=1024)
        return int(self._socket.getsockname()[1])

    async def start(self) -> None:
        """Serve on the bound address."""
        if self._socket is None:
            self.bind()
        assert self._socket is not None
        self._runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=self._shutdown_s)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    async def stop(self) -> None:
        """Finish what is open, within the shutdown time."""
        if self._runner is not None:
            with suppress(asyncio.CancelledError):
                await self._runner.cleanup()

    async def _live(self, _request: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def _ready(self, _request: web.Request) -> web.Response:
        missing = await self._readiness()
        return web.json_response({"ready": not missing, "missing": missing}, status=503 if missing else 200)

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._metrics.registry), content_type="text/plain", charset="utf-8")


@web.middleware
async def _no_exception_text(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A fault of ours is a number and a log line; its text stays here."""
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except asyncio.CancelledError:
        raise
    except Overloaded:
        return web.json_response({"error": "busy, please come back"}, status=503, headers={"Retry-After": "10"})
    except Exception as error:
        resource = request.match_info.route.resource
        log.error("request failed", path=resource.canonical if resource else "", exc_info=error)
        return web.json_response({"error": "something went wrong on our side"}, status=500)
