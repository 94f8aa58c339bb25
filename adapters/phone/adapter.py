"""The phone channel, running: routes for the provider, replies into calls, health."""

import asyncio
import re
from collections.abc import Mapping, Sequence

import structlog
from aiohttp import web

from adapters.phone.call import Event, Pending
from adapters.phone.calls import Calls, StoredCalls
from adapters.phone.config import PhoneConfig, load_tokens
from adapters.phone.dialling import STEPS, Dialling
from adapters.phone.door import Door
from adapters.phone.hold_music import hold_music
from adapters.phone.languages import LANGUAGES
from adapters.phone.machine import Machine
from adapters.phone.manifest import MANIFEST
from adapters.phone.normalise import mask_digits
from adapters.phone.phrases import load_phrases
from adapters.phone.provider import TwilioCalls
from adapters.phone.render import Renderer
from adapters.phone.signature import verified_form
from bus.adapter.contract import Health, Refused, RetryLater, SendResult, Services
from bus.clock import to_micros
from bus.errors import TransientError
from bus.message.reply import Reply

__all__ = ["PhoneAdapter"]

log = structlog.get_logger()

_MAX_BODY_BYTES = 64 * 1024
"""A request of the provider is about 1 kB; speech of 60 s adds a few."""

_SWEEP_S = 15.0

_CALL_SID = re.compile(r"CA[0-9a-f]{32}")
_STEP_ROUTES = "said|think|wait|key|left|dialled|recorded"
_FORBIDDEN = (403, b"")


class PhoneAdapter:
    """One tenant's lines. `calls` is the table of calls; another one may be given for tests."""

    manifest = MANIFEST

    def __init__(self, config: PhoneConfig, services: Services, calls: Calls | None = None) -> None:
        self._config = config
        self._services = services
        self._public_url = (config.public_url or services.public_url).rstrip("/")
        self._prefix = f"/phone/{services.tenant}"
        self._tokens = load_tokens(config, services.data_dir)
        self._renderer = Renderer(config, self._public_url + self._prefix)
        machine = Machine(config, load_phrases(), _company(config, services.options), services.hours)
        table = calls or StoredCalls(services.store, services.tenant)
        self._door = Door(services, config, machine, self._renderer, table)
        provider = None
        if config.account_sid:
            provider = TwilioCalls(api_url=config.api_url, account_sid=config.account_sid, auth_token=self._tokens[0])
        self._dialling = Dialling(services, config, self._renderer, self._public_url + self._prefix, provider)
        self._bridge = re.compile(rf"{re.escape(self._prefix)}/bridge/([A-Za-z0-9_-]{{1,80}})/({'|'.join(STEPS)})")
        self._path = re.compile(
            rf"{re.escape(self._prefix)}/(?:(?P<plain>voice|status|fallback)"
            rf"|(?P<sid>{_CALL_SID.pattern})/(?P<route>{_STEP_ROUTES})/(?P<step>[0-9]{{1,6}}))"
        )

    def routes(self) -> Sequence[web.RouteDef]:
        return [
            web.get(self._prefix + "/hold.wav", self._hold_music),
            web.post(self._prefix + "/{rest:.*}", self._webhook),
        ]

    async def receive(self) -> None:
        """Calls come in by `routes`; this keeps watch over those of which nothing more is heard, and wakes requests
        that are held here when another process gives their call something to say."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            if self._services.follow is not None:
                async for reply in self._services.follow():
                    self._door.expect(reply.conversation)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            try:
                await self._door.sweep()
            except TransientError as error:
                log.warning("calls could not be looked after", channel="phone", reason=type(error).__name__)

    async def send(self, reply: Reply, attempt: int) -> SendResult:
        if reply.expires_at is not None and reply.expires_at <= self._services.clock.now():
            return Refused(reason="the reply has expired")
        if reply.kind == "callback":
            return await self._dialling.dial(reply)
        pending = Pending(
            reply=reply.id, case=reply.case, text=reply.text, listen=reply.listen, handover=reply.handover,
            language=reply.language if reply.language in LANGUAGES else self._config.language_of(reply.account),
            kind=reply.kind, by_person=not reply.automatic,
        )  # fmt: skip
        try:
            return await self._door.take(pending, reply.conversation)
        except TransientError as error:
            log.warning("a reply could not be given to its call", reply=reply.id, reason=type(error).__name__)
            return RetryLater(reason="the state of the call is out of reach", after_s=1.0)

    async def probe(self) -> Health:
        if not self._public_url.startswith("https://"):
            return Health(
                ok=True,
                detail=f"{len(self._config.numbers)} lines; only the simulator can call {self._public_url}",
                fix="for real calls set phone.public_url to an https:// address that the provider reaches",
            )
        return Health(ok=True, detail=f"{len(self._config.numbers)} lines at {self._public_url}{self._prefix}/voice")

    async def close(self) -> None:
        """Nothing is kept open."""

    async def sweep(self) -> None:
        """One round of what `receive` does."""
        await self._door.sweep()

    async def handle(self, raw_path: str, body: bytes, *, signature: str, content_type: str) -> tuple[int, bytes]:
        """Status and document for one POST of the provider. `raw_path`: path and query as received."""
        form = verified_form(
            url=self._public_url + raw_path, content_type=content_type, body=body, signature=signature,
            tokens=self._tokens,
        )  # fmt: skip
        if form is None:
            return _FORBIDDEN
        bridge = self._bridge.fullmatch(raw_path.partition("?")[0])
        if bridge is not None:
            return 200, await self._dialling.answer(bridge[1], bridge[2], form)
        match = self._path.fullmatch(raw_path.partition("?")[0])
        if match is None:
            return 404, b""
        plain, sid = match["plain"], form.get("CallSid", "")
        if plain == "fallback":
            return 200, self._renderer.fallback(form.get("To", ""))
        # Each request names its call twice; a signed address of one call must not be used for another.
        if not _CALL_SID.fullmatch(sid) or (plain is None and match["sid"] != sid):
            return _FORBIDDEN
        route = {"voice": "arrive", "status": "status"}[plain] if plain else match["route"]
        event = Event(
            route=route, step=int(match["step"] or 0), at=to_micros(self._services.clock.now()),
            form=form | ({"Digits": mask_digits(form["Digits"])} if "Digits" in form else {}),
        )  # fmt: skip
        return 200, await self._door.answer(event, sid)

    async def _hold_music(self, request: web.Request) -> web.Response:
        music = await asyncio.to_thread(hold_music)
        return web.Response(body=music, content_type="audio/wav", headers={"Cache-Control": "public, max-age=604800"})

    async def _webhook(self, request: web.Request) -> web.Response:
        signatures = request.headers.getall("X-Twilio-Signature", ())
        # Requests signed under shared keys announce it; they are another scheme, which nobody has configured.
        other_scheme = "X-Twilio-Webhooks-Signature-Settings" in request.headers
        body = b""
        async for piece in request.content.iter_chunked(_MAX_BODY_BYTES):
            body += piece
            if len(body) > _MAX_BODY_BYTES:
                return web.Response(status=413)
        if len(signatures) != 1 or other_scheme:
            log.warning("a request without a proper signature was refused", channel="phone")
            return web.Response(status=403)
        status, answer = await self.handle(
            request.raw_path, body, signature=signatures[0], content_type=request.headers.get("Content-Type", "")
        )
        if status == 403:
            log.warning("a request with a wrong signature was refused", channel="phone")
        return web.Response(status=status, body=answer, content_type="text/xml", charset="utf-8")


def _company(config: PhoneConfig, options: Mapping[str, object]) -> Mapping[str, str]:
    """The spoken name per language: the setting's, else the wiring's (one name, or one per language)."""
    given = options.get("company", "")
    names: dict[str, str] = {}
    for language in LANGUAGES:
        name = given.get(language, "") if isinstance(given, Mapping) else given
        names[language] = config.company.get(language) or str(name)
    return names
