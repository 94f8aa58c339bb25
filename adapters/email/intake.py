"""The SMTP door: a listener whose sessions hand each mail to `services.accept` before they say 250."""

import asyncio
import contextlib
import ssl
from typing import Any

from adapters.email.config import EmailConfig
from adapters.email.peers import Peers
from adapters.email.session import Delivery, SmtpSession, quiet_library_log
from adapters.email.tokens import find_case, find_own_reply
from bus.adapter.contract import Raw, Services
from bus.message import Status

__all__ = ["SmtpIntake"]

_BACKLOG = 256


class SmtpIntake:
    """Listens, admits sessions, turns deliveries into `Raw`."""

    def __init__(self, config: EmailConfig, services: Services) -> None:
        self._config = config
        self._services = services
        self._peers = Peers(
            total=config.connections, per_network=config.connections_per_peer, bytes_in_flight=config.bytes_in_flight
        )
        self._sessions: set[SmtpSession] = set()
        self._writing: set[asyncio.Task[str]] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it listens, once it does."""
        if self._server is None or not self._server.sockets:
            return None
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def start(self) -> None:
        """Open the door. Raises OSError when the address is taken or not ours."""
        quiet_library_log()
        tls = _tls(self._config)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: SmtpSession(
                self._config, self._peers, self._take, tls=tls, running=self._sessions, writing=self._writing
            ),
            self._config.smtp_host,
            self._config.smtp_port,
            backlog=_BACKLOG,
        )

    async def stop(self) -> None:
        """Close the door, let mails under way be finished, then end the sessions."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for session in tuple(self._sessions):
            session.dismiss()
        deadline = asyncio.get_running_loop().time() + self._config.drain_s
        while (self._sessions or self._writing) and asyncio.get_running_loop().time() < deadline:
            if self._writing:
                await asyncio.wait(self._writing, timeout=0.5)
            else:
                await asyncio.sleep(0.02)
        for session in tuple(self._sessions):
            if session.transport is not None:
                session.transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await server.wait_closed()

    async def _take(self, delivery: Delivery) -> str:
        """Make one mail durable: one contact, however many of its recipients are ours. Returns the contact's id."""
        services, config = self._services, self._config
        native: dict[str, Any] = {
            "mail_from": delivery.mail_from,
            "rcpt_to": list(delivery.rcpt_to),
            "peer": delivery.peer,
            "helo": delivery.helo,
        }
        found = find_case(delivery.data, delivery.rcpt_to, config.addresses, services.signer, services.tenant)
        if found is not None:
            native["case_token"], native["case_token_by"] = found.case, found.by
        acceptance = await services.accept(
            Raw(
                tenant=services.tenant,
                account=config.address,
                media_type="message/rfc822",
                data=delivery.data,
                received_at=services.clock.now(),
                native=native,
            )
        )
        if not delivery.mail_from:
            # Also of a copy: the first one may have been cut off between the contact and this. A status is kept once.
            await self._report_bounce(delivery, found.case if found else "")
        return acceptance.contact

    async def _report_bounce(self, delivery: Delivery, case: str) -> None:
        """A delivery report about a reply of ours: its status becomes failed, and its case goes back to work."""
        report = delivery_report(delivery.data)
        reply = find_own_reply(delivery.data, self._services.signer, self._services.tenant) if report and case else ""
        if report is None or not reply:
            return
        permanent, code = report
        await self._services.status(
            Status(
                reply=reply,
                tenant=self._services.tenant,
                case=case,
                channel="email",
                state="failed",
                at=self._services.clock.now(),
                permanent=permanent,
                reason=f"the customer's mail server reports {code}",
            )
        )


def delivery_report(data: bytes) -> tuple[bool, str] | None:
    """(permanent, status code) of the first failed recipient in a delivery report (RFC 3464), else None.

    A full mailbox (x.2.2) and trouble with our reputation (x.7.x) are no fault of the address, so not permanent.
    """
    head = data[:65_536].lower()
    if b"report-type=delivery-status" not in head.replace(b'"', b""):
        return None
    lower = data[:1_048_576].lower()
    action = lower.find(b"\naction:")
    status = lower.find(b"\nstatus:")
    if action < 0 or status < 0 or not lower[action + 8 : action + 40].strip().startswith(b"failed"):
        return None
    words = lower[status + 8 : status + 40].decode("ascii", "replace").split()
    code = words[0] if words else ""
    parts = code.split(".")
    if len(parts) != 3 or not all(part.isdigit() and len(part) <= 3 for part in parts):
        return None
    permanent = parts[0] == "5" and parts[1] != "7" and parts[1:] != ["2", "2"]
    return permanent, code


def _tls(config: EmailConfig) -> ssl.SSLContext | None:
    if not config.tls_certificate_file:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(config.tls_certificate_file, config.tls_key_file)
    return context
