"""The e-mail channel, running: the SMTP door, the sender, and their health."""

import asyncio
from collections.abc import Sequence

import structlog
from aiohttp import web

from adapters.email.config import EmailConfig
from adapters.email.intake import SmtpIntake
from adapters.email.render import render
from adapters.email.sender import RelaySender
from bus.adapter.contract import Health, Manifest, Refused, RetryLater, SendResult, Services, Unknown
from bus.errors import ConfigurationError, UnsupportedFeature
from bus.message import Reply

__all__ = ["EmailAdapter"]

log = structlog.get_logger()

_NO_RELAY_S = 300.0
_NO_RELAY = "no relay configured"
_PROBE_S = 4.0


class EmailAdapter:
    """One mailbox. `smtp_address` tells where the door is, once `listening` has returned."""

    def __init__(self, config: EmailConfig, services: Services, manifest: Manifest) -> None:
        self.manifest = manifest
        self._config = config
        self._services = services
        self._intake = SmtpIntake(config, services)
        self._sender = RelaySender(config) if config.relay_host else None
        self._listening = asyncio.Event()

    @property
    def smtp_address(self) -> tuple[str, int] | None:
        """Host and port of the listener, None while it is closed."""
        return self._intake.address

    async def listening(self) -> tuple[str, int]:
        """Wait until the door is open; where it is. Raises ConfigurationError when it could not be opened."""
        await self._listening.wait()
        address = self._intake.address
        if address is None:
            where = f"{self._config.smtp_host}:{self._config.smtp_port}"
            raise ConfigurationError(
                f"[adapters.email] no mail can be taken at {where}, as the log says; choose another with --smtp"
            )
        return address

    def routes(self) -> Sequence[web.RouteDef]:
        """None: mail does not come by HTTP."""
        return ()

    async def receive(self) -> None:
        """Open the door until cancelled; then let mails under way be finished."""
        try:
            await self._intake.start()
        finally:
            # Also when the address is taken: whoever waits for the door must not wait for ever.
            self._listening.set()
        try:
            await asyncio.Event().wait()
        finally:
            await self._intake.stop()

    async def send(self, reply: Reply, attempt: int) -> SendResult:
        """Render and hand to the relay. Without a relay the reply stays planned."""
        if self._sender is None:
            return RetryLater(reason=_NO_RELAY, after_s=_NO_RELAY_S)
        try:
            attachments = [(one, await self._services.blobs.get(one.digest)) for one in reply.attachments]
            mail = render(reply, self._config, self._services.signer, self._services.clock.now(), attachments)
        except UnsupportedFeature as error:
            return Refused(reason=str(error))
        except (FileNotFoundError, ValueError) as error:
            log.warning("attachment of a reply is missing", channel="email", reply=reply.id, error=type(error).__name__)
            return Refused(reason="an attachment of the reply is missing")
        except OSError as error:
            log.warning("attachment of a reply is out of reach", reply=reply.id, error=type(error).__name__)
            return RetryLater(reason="an attachment of the reply cannot be read now")
        try:
            return await self._sender.send(mail, attempt)
        except Exception as error:  # a surprise may have come after the last byte
            log.warning("sending ended in a surprise", channel="email", reply=reply.id, error=type(error).__name__)
            return Unknown(reason="the result of the sending is not known")

    async def probe(self) -> Health:
        """Listener up, relay answering."""
        address = self._intake.address
        if address is None:
            return Health(
                ok=False,
                detail=f"no mail comes in: nothing listens on {self._config.smtp_host}:{self._config.smtp_port}",
                fix="see the log for why the listener did not start; another program may use the port",
            )
        door = f"mail comes in on {address[0]}:{address[1]}"
        if self._sender is None:
            return Health(
                ok=False,
                detail=f"{door}; replies stay planned: {_NO_RELAY}",
                fix="set `relay_host` (and `relay_port`) of the e-mail channel, or start with --relay HOST:PORT",
            )
        relay = f"{self._config.relay_host}:{self._config.relay_port}"
        try:
            async with asyncio.timeout(_PROBE_S):
                trouble = await self._sender.probe()
        except TimeoutError:
            trouble = "the relay did not answer in time"
        if trouble:
            return Health(
                ok=False, detail=f"{door}; {trouble} ({relay})", fix="check the `relay_...` settings and the relay"
            )
        return Health(ok=True, detail=f"{door}; replies leave through {relay}")

    async def close(self) -> None:
        """Release the door and the connections to the relay."""
        await self._intake.stop()
        if self._sender is not None:
            await self._sender.close()
