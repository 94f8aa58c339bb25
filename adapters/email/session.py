"""One SMTP session: aiosmtpd's state machine with our manners.

What is different, and why: our own trouble is always 4xx (a 5xx makes the sender's server give the customer's mail
back), no text of an exception leaves, data is read in chunks instead of lines (several times faster, lines of any
length), the durable write outlives a client that hangs up, and everything has a limit.
"""

import asyncio
import collections
import itertools
import logging
import re
import ssl
import unicodedata
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from adapters.email.config import EmailConfig
from adapters.email.peers import Peers, network_of
from adapters.email.tokens import address_detail
from adapters.email.wire import DataReader, has_bare_breaks, mend_breaks
from bus.errors import Overloaded

__all__ = ["Delivery", "SmtpSession", "quiet_library_log"]

log = structlog.get_logger()

_CHUNK = 262_144
"""What asyncio reads from a socket at most at once."""

_DRAIN_FACTOR = 2
"""A mail above the size limit is read on up to this many times the limit, so that its client hears 552."""

_COMMAND_LIMIT = 2048
"""Octets of a command line: 512 (RFC 5321 4.5.3.1.4) and room for the parameters of extensions."""

_NOOPS = 1000
_session_numbers = itertools.count(1)


def quiet_library_log() -> None:
    """aiosmtpd logs every command with addresses, and at DEBUG every line of mail."""
    library = logging.getLogger("mail.log")
    library.disabled = True
    library.propagate = False


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as the session took it: data with CR LF breaks and the envelope."""

    data: bytes
    mail_from: str
    rcpt_to: tuple[str, ...]
    peer: str
    helo: str


class SmtpSession(SMTP):
    """One connection. `deliver` makes a mail durable and returns its id; it raises Overloaded for "later"."""

    # Only the buffer of the stream reader: commands have their own limit, data is not read by lines.
    line_length_limit = 65_536
    command_size_limit = _COMMAND_LIMIT

    def __init__(
        self,
        config: EmailConfig,
        peers: Peers,
        deliver: Callable[[Delivery], Awaitable[str]],
        *,
        tls: ssl.SSLContext | None,
        running: "set[SmtpSession]",
        writing: set["asyncio.Task[str]"],
    ) -> None:
        # The library keeps these limits in one dictionary of the class and lets every session grow it.
        self.command_size_limits = collections.defaultdict(lambda: _COMMAND_LIMIT)
        calls = {"MAIL": config.messages_per_session, "RCPT": config.messages_per_session * (config.max_recipients + 1)}
        super().__init__(
            self,
            data_size_limit=config.max_message_bytes,
            enable_SMTPUTF8=True,
            hostname=config.hostname or config.domain,
            ident="ESMTP",
            tls_context=tls,
            timeout=config.command_s,
            command_call_limit={**calls, "DATA": config.messages_per_session, "*": _NOOPS},
            loop=asyncio.get_running_loop(),
        )
        for name in ("AUTH", "HELP", "EXPN"):
            self._smtp_methods.pop(name, None)
        self._config = config
        self._peers = peers
        self._deliver = deliver
        self._running = running
        self._writing = writing
        self._network = ""
        self._peer = ""
        self._refused = self._entered = self._leaving = self._in_data = self._plain = self._silent = False
        self._deadline: asyncio.TimerHandle | None = None
        self._number = next(_session_numbers)

    # Connection -----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._entered:
            # STARTTLS: the same session on an encrypted transport; counters stay.
            super().connection_made(transport)
            return
        name = transport.get_extra_info("peername")
        self._peer = str(name[0]) if isinstance(name, tuple) and name else ""
        self._network = network_of(self._peer)
        if not self._peers.enter(self._network):
            self._refused = True
            if isinstance(transport, asyncio.Transport):
                transport.write(f"421 4.7.0 {self.hostname} too many connections, try again later\r\n".encode())
            transport.close()
            return
        self._entered = True
        self._running.add(self)
        self._deadline = self.loop.call_later(self._config.session_s, self.dismiss)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        if self._refused:
            return False
        # The library cancels here. A client that has said everything and listens on still gets its answers.
        asyncio.StreamReaderProtocol.eof_received(self)
        return self._tls_protocol is None

    def connection_lost(self, error: Exception | None) -> None:
        if self._refused:
            return
        if self._deadline is not None:
            self._deadline.cancel()
        if self in self._running:
            self._running.discard(self)
            self._peers.leave(self._network)
        super().connection_lost(error)

    def dismiss(self) -> None:
        """End the session politely: at once when it is idle, after the answer when a mail is under way."""
        self._leaving = True
        transport = self.transport
        if not self._in_data and isinstance(transport, asyncio.Transport) and not transport.is_closing():
            transport.write(f"421 4.4.2 {self.hostname} closing this session, come back\r\n".encode())
            transport.close()

    # Replies --------------------------------------------------------------------------------------------------------

    async def push(self, status: Any) -> None:
        line = status.decode("utf-8", "replace") if isinstance(status, bytes) else str(status)
        if not self._silent:
            await super().push(line if self._plain else _with_enhanced_code(line))
        if self._leaving and self.transport is not None:
            self.transport.close()

    async def handle_exception(self, error: Exception) -> str:
        # Never a word of the exception: texts of ours do not leave the process.
        if isinstance(error, asyncio.IncompleteReadError | ConnectionError):
            # The client is gone. Only cancelling leaves the library's loop, which would read the end for ever.
            self._silent = True
            if self.transport is not None:
                self.transport.close()
            raise asyncio.CancelledError
        log.warning("mail session failed", channel="email", session=self._number, error=type(error).__name__)
        self._leaving = True
        return "451 4.3.0 Temporary trouble on our side, please try again later"

    async def smtp_HELO(self, hostname: str) -> None:
        await self._greet(super().smtp_HELO(hostname))

    async def smtp_EHLO(self, hostname: str) -> None:
        await self._greet(super().smtp_EHLO(hostname))

    async def _greet(self, command: Awaitable[None]) -> None:
        # RFC 2034 3: no enhanced codes in the answers to HELO and EHLO.
        self._plain = True
        try:
            await command
        finally:
            self._plain = False

    # Commands -------------------------------------------------------------------------------------------------------

    async def handle_HELO(self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str) -> str:
        session.host_name = _printable(hostname)
        return f"250 {self.hostname}"

    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, _responses: list[str]
    ) -> list[str]:
        session.host_name = _printable(hostname)
        lines = [self.hostname, f"SIZE {self._config.max_message_bytes}", "8BITMIME", "SMTPUTF8", "PIPELINING"]
        lines.append("ENHANCEDSTATUSCODES")
        if self.tls_context is not None and self._tls_protocol is None:
            lines.append("STARTTLS")
        return [f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"]

    async def handle_MAIL(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._peers.full:
            return "452 4.3.1 No room for more mail at the moment, please try again later"
        if not _is_clean(address, utf8=bool(envelope.smtp_utf8)):
            return "553 5.6.7 Address is not valid UTF-8, or SMTPUTF8 was not asked for"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender ok"

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= self._config.max_recipients:
            return "452 4.5.3 Too many recipients"
        if not _is_clean(address, utf8=bool(envelope.smtp_utf8)):
            return "553 5.6.7 Address is not valid UTF-8, or SMTPUTF8 was not asked for"
        if not self._is_ours(address):
            return "550 5.1.1 No such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Recipient ok"

    def _is_ours(self, address: str) -> bool:
        lower = address.lower()
        if lower in ("postmaster", f"postmaster@{self._config.domain}"):
            # RFC 5321 4.5.1: always there. It lands on the same desk.
            return True
        return address_detail(lower, self._config.addresses) is not None

    async def smtp_VRFY(self, arg: str) -> None:
        await self.push("252 2.5.2 Send the mail, we will see")

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """(address, rest); `<>` for the null path, None when it is no path. Linear, unlike the library's."""
        match = _PATH.match(arg)
        if match is None:
            return None, None
        address = match["angle"] if match["angle"] is not None else match["bare"]
        return (address or "<>"), arg[match.end() :]

    async def smtp_DATA(self, arg: str) -> None:
        if await self.check_helo_needed():
            return
        envelope = self.envelope
        if envelope is None or not envelope.rcpt_tos:
            # With pipelining DATA comes although every recipient was refused (RFC 2920 3.1).
            begun = envelope is not None and bool(envelope.mail_from)
            await self.push("503 5.5.1 No valid recipients" if begun else "503 5.5.1 MAIL first")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        reader = DataReader(self._config.max_message_bytes)
        held = 0
        self._in_data = True
        # The idle timer of commands must not fire while a mail comes in or is written.
        self._reset_timeout(self._config.data_s + self._config.accept_s + 5)
        try:
            await super().push("354 End data with <CR><LF>.<CR><LF>")
            status = ""
            try:
                async with asyncio.timeout(self._config.data_s):
                    rest: bytes | None = None
                    while rest is None:
                        chunk = await self._reader.read(_CHUNK)
                        if not chunk:
                            return
                        if not reader.too_large and not status:
                            if self._peers.hold(len(chunk)):
                                held += len(chunk)
                            else:
                                status = "452 4.3.1 No room for more mail at the moment, please try again later"
                                reader.discard()
                        rest = reader.feed(chunk)
                        if reader.received > _DRAIN_FACTOR * self._config.max_message_bytes:
                            self._leaving = True
                            break
            except TimeoutError:
                self._leaving = True
                await self.push(f"421 4.4.2 {self.hostname} the mail took too long to arrive")
                return
            if rest:
                # The next commands came in the same packet: put them back in front.
                self._reader._buffer[0:0] = rest  # type: ignore[attr-defined]
            if status:
                await self.push(status)
            elif reader.too_large:
                await self.push("552 5.3.4 Mail is larger than we take")
            else:
                await self.push(await self._take(reader.take(), envelope))
        finally:
            self._in_data = False
            self._peers.release(held)
            self._set_post_data_state()
            if self.transport is not None:
                self._reset_timeout()

    async def _take(self, data: bytes, envelope: Envelope) -> str:
        """The answer to a whole mail. The durable write goes on when the client leaves before it."""
        if has_bare_breaks(data):
            if self._config.bare_newlines == "refuse":
                return "550 5.6.0 Line breaks must be CR LF, and NUL is not allowed"
            data = mend_breaks(data)
        mail_from = envelope.mail_from or ""
        delivery = Delivery(
            data=data,
            mail_from="" if mail_from == "<>" else unicodedata.normalize("NFC", mail_from),
            rcpt_to=tuple(unicodedata.normalize("NFC", one) for one in envelope.rcpt_tos),
            peer=self._peer,
            helo=self.session.host_name or "" if self.session is not None else "",
        )
        task = asyncio.ensure_future(self._deliver(delivery))
        self._writing.add(task)
        task.add_done_callback(self._written)
        try:
            async with asyncio.timeout(self._config.accept_s):
                contact = await asyncio.shield(task)
        except TimeoutError:
            # Still being written, perhaps; the client's second copy is recognised by what it says.
            log.warning("mail was not durable in time", channel="email", session=self._number)
            return "451 4.3.0 Temporary trouble on our side, please try again later"
        except Overloaded:
            return "452 4.3.1 No room for more mail at the moment, please try again later"
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever it is, it is our trouble and never the sender's
            log.warning("mail could not be kept", channel="email", session=self._number, error=type(error).__name__)
            return "451 4.3.0 Temporary trouble on our side, please try again later"
        return f"250 2.0.0 Taken as {contact}"

    def _written(self, task: "asyncio.Task[str]") -> None:
        self._writing.discard(task)
        if not task.cancelled():
            task.exception()


_PATH = re.compile(
    r'\s*(?:<(?:@[^<>:]{1,255}:)?(?P<angle>(?:"[^"\\]*(?:\\.[^"\\]*)*"|[^<>\s"])*)>|(?P<bare>[^<>\s]+@[^<>\s]+))(?=\s|$)'
)
_CODE = re.compile(r"([245])\d\d (?!\d\.\d{1,3}\.\d)")
_ENHANCED = {
    "221": "2.0.0", "250": "2.0.0", "252": "2.5.2", "454": "4.7.0", "500": "5.5.2", "501": "5.5.4", "502": "5.5.1",
    "503": "5.5.1", "552": "5.3.4", "553": "5.1.3", "555": "5.5.4",
}  # fmt: skip


def _with_enhanced_code(line: str) -> str:
    """Add the code of RFC 2034 that the library's own answers lack; greeting and HELO answers have none."""
    code = line[:3]
    if code not in _ENHANCED or not _CODE.match(line):
        return line
    return f"{code} {_ENHANCED[code]} {line[4:]}"


def _is_clean(address: str, *, utf8: bool) -> bool:
    if address.isascii():
        return address.isprintable()
    try:
        address.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return utf8 and address.isprintable()


def _printable(value: str) -> str:
    return "".join(c for c in value.encode("utf-8", "replace").decode() if c.isprintable())[:255]
