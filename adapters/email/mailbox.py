"""The customers' mailbox: an SMTP server that keeps what it is sent, for the demonstration and for tests.

It plays the relay. `script` lets a test answer any stage with a status line of its own, or cut the connection.
"""

import asyncio
import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session

from adapters.email.body import field_of, read_mail_tree
from adapters.email.headers import decode_words, message_ids, parse_addresses
from adapters.email.session import quiet_library_log
from bus.message import clean_text

__all__ = ["CUT", "Mailbox", "ReceivedMail"]

MAX_MAILS = 2_000
"""Mails kept in memory; the oldest go first. Files, when there is a folder, are kept."""

MAX_BYTES = 36_700_160

CUT = "cut"
"""What a script returns to drop the connection without a word."""

Script = Callable[[str, str], str | None]
"""(stage, address) -> a status line, `CUT`, or None to go on. Stages: connect, mail, rcpt, data (at DATA, before the
mail), end (after the final dot, before it is kept), kept (after it was kept)."""


class ReceivedMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as its recipient sees it, and its bytes."""

    number: int
    mail_from: str
    rcpt_to: tuple[str, ...]
    sender: str
    sender_name: str
    to: tuple[str, ...]
    reply_to: str
    subject: str
    text: str
    html: str
    message_id: str
    in_reply_to: str
    references: tuple[str, ...]
    headers: dict[str, str]
    attachments: tuple[tuple[str, str, int], ...]
    """(name, media type, size)"""
    received_at: datetime
    raw: bytes


class Mailbox:
    """Listens on `host:port` (0: the system chooses, see `address`) and keeps what comes in.

    With `folder`, every mail is also a file `<number>-<digest>.eml` there, and what lies there is read at the start.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, folder: Path | None = None) -> None:
        self._host, self._port, self._folder = host, port, folder
        self._mails: deque[ReceivedMail] = deque(maxlen=MAX_MAILS)
        self._numbers = itertools.count(1)
        self._arrived = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._transports: set[asyncio.BaseTransport] = set()
        self.script: Script | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port once started."""
        if self._server is None:
            raise RuntimeError("the mailbox is not started")
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    @property
    def mails(self) -> Sequence[ReceivedMail]:
        """What is there, oldest first."""
        return tuple(self._mails)

    def sent_to(self, address: str) -> Sequence[ReceivedMail]:
        """The mails of one recipient, oldest first."""
        wanted = address.lower()
        return tuple(mail for mail in self._mails if wanted in (one.lower() for one in mail.rcpt_to))

    async def __aenter__(self) -> "Mailbox":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Open the door."""
        quiet_library_log()
        if self._folder is not None:
            await asyncio.to_thread(self._read_folder, self._folder)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _MailboxSession(self, loop), self._host, self._port)

    async def close(self) -> None:
        """Close the door and all sessions."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for transport in tuple(self._transports):
            transport.close()
        await asyncio.sleep(0)

    async def wait_for(
        self, predicate: Callable[[ReceivedMail], bool], timeout: float = 10.0, *, count: int = 1
    ) -> ReceivedMail:
        """The `count`-th mail for which `predicate` holds, as soon as it is there. Raises TimeoutError."""

        def found() -> ReceivedMail | None:
            matching = [mail for mail in self._mails if predicate(mail)]
            return matching[count - 1] if len(matching) >= count else None

        async with asyncio.timeout(timeout), self._arrived:
            while True:
                mail = found()
                if mail is not None:
                    return mail
                await self._arrived.wait()

    async def keep(self, mail_from: str, rcpt_to: Sequence[str], data: bytes) -> ReceivedMail:
        """Put a mail in; what a session does after the final dot."""
        mail = read_mail(next(self._numbers), mail_from, rcpt_to, data, datetime.now(UTC))
        if self._folder is not None:
            await asyncio.to_thread(self._write, self._folder, mail)
        async with self._arrived:
            self._mails.append(mail)
            self._arrived.notify_all()
        return mail

    def _write(self, folder: Path, mail: ReceivedMail) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        envelope = f"X-Envelope-From: {mail.mail_from}\r\nX-Envelope-To: {', '.join(mail.rcpt_to)}\r\n"
        name = f"{mail.number:06d}-{hashlib.sha256(mail.raw).hexdigest()[:12]}.eml"
        (folder / name).write_bytes(envelope.encode("utf-8", "replace") + mail.raw)

    def _read_folder(self, folder: Path) -> None:
        for path in sorted(folder.glob("*.eml"))[-MAX_MAILS:]:
            data = path.read_bytes()
            first, _, rest = data.partition(b"\r\n")
            second, _, rest = rest.partition(b"\r\n")
            number = path.name.partition("-")[0]
            if not (
                number.isdigit() and first.startswith(b"X-Envelope-From: ") and second.startswith(b"X-Envelope-To: ")
            ):
                continue
            recipients = second[15:].decode("utf-8", "replace").split(", ")
            at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            self._mails.append(read_mail(int(number), first[17:].decode("utf-8", "replace"), recipients, rest, at))
            self._numbers = itertools.count(int(number) + 1)


def read_mail(number: int, mail_from: str, rcpt_to: Sequence[str], data: bytes, at: datetime) -> ReceivedMail:
    """A mail as its reader sees it."""
    root, body = read_mail_tree(data)
    sender = next(iter(parse_addresses(field_of(root, "from"))[0]), None)
    reply_to = next(iter(parse_addresses(field_of(root, "reply-to"))[0]), None)
    html = ""
    for part in root.walk():
        if part.get_content_type() == "text/html":
            payload: Any = part.get_payload(decode=True)
            html = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
            break
    return ReceivedMail(
        number=number,
        mail_from=mail_from,
        rcpt_to=tuple(rcpt_to),
        sender=sender.address if sender else "",
        sender_name=sender.name if sender else "",
        to=tuple(one.address for one in parse_addresses(field_of(root, "to"))[0]),
        reply_to=reply_to.address if reply_to else "",
        subject=decode_words(field_of(root, "subject")),
        text=body.text,
        html=clean_text(html),
        message_id=next(iter(message_ids(field_of(root, "message-id"), 1)), ""),
        in_reply_to=next(iter(message_ids(field_of(root, "in-reply-to"), 1)), ""),
        references=tuple(message_ids(field_of(root, "references"))),
        headers={name.lower(): field_of(root, name.lower()) for name, _ in root.raw_items()},
        attachments=tuple((leaf.name, leaf.media_type, len(leaf.data())) for leaf in body.attachments),
        received_at=at,
        raw=data,
    )


class _MailboxSession(SMTP):
    """aiosmtpd as it is, with the mailbox's script in between."""

    line_length_limit = 65_536

    def __init__(self, mailbox: Mailbox, loop: asyncio.AbstractEventLoop) -> None:
        self._mailbox = mailbox
        super().__init__(self, data_size_limit=MAX_BYTES, hostname="mailbox.example", ident="ESMTP", loop=loop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        answer = self._scripted("connect", "")
        if answer is None:
            self._mailbox._transports.add(transport)
            super().connection_made(transport)
            return
        if answer != CUT and isinstance(transport, asyncio.Transport):
            transport.write(answer.encode() + b"\r\n")
        transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self.transport is not None:
            self._mailbox._transports.discard(self.transport)
        if self.session is not None:
            super().connection_lost(error)

    def eof_received(self) -> bool | None:
        return super().eof_received() if self.session is not None else False

    def _scripted(self, stage: str, address: str) -> str | None:
        return self._mailbox.script(stage, address) if self._mailbox.script else None

    async def push(self, status: Any) -> None:
        if status == CUT:
            if isinstance(self.transport, asyncio.Transport):
                self.transport.abort()
            return
        await super().push(status)

    async def handle_MAIL(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = self._scripted("mail", address)
        if answer is None:
            envelope.mail_from = address
        return answer or "250 2.1.0 Sender ok"

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = self._scripted("rcpt", address)
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 2.1.5 Recipient ok"

    async def smtp_DATA(self, arg: str) -> None:
        answer = self._scripted("data", "")
        if answer is None:
            await super().smtp_DATA(arg)
        else:
            await self.push(answer)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        answer = self._scripted("end", "")
        if answer is not None:
            return answer
        content = envelope.original_content or b""
        mail_from = "" if envelope.mail_from == "<>" else envelope.mail_from or ""
        mail = await self._mailbox.keep(mail_from, envelope.rcpt_tos, content)
        return self._scripted("kept", "") or f"250 2.0.0 queued as MB{mail.number:06d}"
