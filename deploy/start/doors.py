"""The doors that the start page opens for a newcomer: each a real one, used as a customer's machine would use it."""

import asyncio
import re
import secrets
import smtplib
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, make_msgid
from pathlib import Path
from typing import Any

from deploy.start.services import StartServices

__all__ = ["ENDINGS", "Closed", "Doors"]

ENDINGS = (".pdf", ".tif", ".tiff", ".jpg", ".jpeg", ".png")
"""What a scanner writes, and the post adapter reads."""

SMTP_S = 20.0
CALL_S = 90.0
"""A simulated call runs on virtual time; each real second of it is an answer being worked out."""

MAX_TURNS = 20
"""Sentences of one call: more is a novel."""

_LINE = re.compile(r"[\r\n\x00]")


class Closed(Exception):
    """This door is not there in this process, or did not take it. `word` is a key of the catalogue."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class Doors:
    """One method per door."""

    def __init__(self, services: StartServices) -> None:
        self._services = services

    async def mail(self, *, name: str, address: str, subject: str, text: str) -> str:
        """Send a mail to the company's address through its SMTP door; the Message-ID. Raises Closed."""
        services = self._services
        if not services.smtp or not services.mail_address:
            raise Closed("door.mail.closed")
        mail = EmailMessage()
        try:
            mail["From"] = formataddr((_LINE.sub(" ", name), _LINE.sub("", address)))
            mail["To"] = services.mail_address
            mail["Subject"] = _LINE.sub(" ", subject)
            mail["Date"] = format_datetime(services.clock.now())
            mail["Message-ID"] = make_msgid(domain=address.rpartition("@")[2] or "customer.example")
            mail.set_content(text + "\n")
            await asyncio.to_thread(_post, services.smtp, mail)
        except (OSError, smtplib.SMTPException, ValueError, UnicodeError):
            raise Closed("door.mail.refused") from None
        return str(mail["Message-ID"])

    async def letter(self, data: bytes, ending: str) -> str:
        """Lay a scan into the drop folder; its file name. Raises Closed."""
        folder = self._services.drop_folder
        if folder is None:
            raise Closed("door.letter.closed")
        if ending.lower() not in ENDINGS or not data:
            raise Closed("door.letter.kind")
        name = f"start-{self._services.clock.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}{ending.lower()}"
        try:
            await asyncio.to_thread(_drop, folder, name, data)
        except OSError:
            raise Closed("door.letter.refused") from None
        return name

    async def written_letter(self, *, text: str, language: str, sender: Sequence[str]) -> str:
        """Print and scan a letter, then lay it into the drop folder. Raises Closed."""
        from adapters.post.samples import make_scan

        if self._services.drop_folder is None:
            raise Closed("door.letter.closed")
        seed = secrets.randbelow(1_000_000)
        scan = await asyncio.to_thread(
            make_scan, text, language=language, sender=tuple(sender), degrade="office", fmt="pdf", seed=seed
        )
        return await self.letter(scan, ".pdf")

    async def call(self, *, number: str, caller: str, says: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        """Ring a line and say something, one turn per sentence; digits alone are keys. What is heard, and when.

        Raises Closed.
        """
        from adapters.phone.simulator import CallFailed, Keys, Say, simulate_call

        services = self._services
        if len(says) > MAX_TURNS:
            raise Closed("door.call.refused")
        if services.phone_token is None or number not in services.phone_numbers:
            raise Closed("door.call.closed")
        turns = [Keys(line) if line.strip("0123456789*#") == "" else Say(line) for line in says]
        try:
            async with asyncio.timeout(CALL_S):
                call = await simulate_call(
                    services.base_url,
                    from_=caller,
                    to=number,
                    turns=turns,
                    clock="virtual",
                    auth_token=services.phone_token(),
                    tenant=services.tenant,
                    public_url=services.public_url,
                )
        except (TimeoutError, OSError, CallFailed):
            raise Closed("door.call.refused") from None
        return [{"at": line.at, "say": line.say} for line in call.heard if line.say]


def _post(address: str, mail: EmailMessage) -> None:
    host, _, port = address.rpartition(":")
    with smtplib.SMTP(host.strip("[]"), int(port), timeout=SMTP_S) as server:
        server.send_message(mail)


def _drop(folder: Path, name: str, data: bytes) -> None:
    # Under a name that no scanner has, then renamed: the folder's watcher sees a whole letter or none.
    partial = folder / f".{name}.part"
    partial.write_bytes(data)
    partial.rename(folder / name)
