"""Letters out: typeset, check, lay into the tray once, and report what became of them.

Paper cannot be called back, so the journal knows of a letter before the tray does. A letter whose hand-over was cut
short and that is no longer in the tray may have been printed: that is unknown, and a person looks.
"""

import asyncio
import contextlib
import hashlib
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import msgspec
import structlog

from adapters.post.config import PostConfig
from adapters.post.journal import Journal, LetterRow
from adapters.post.letter import window_lines
from adapters.post.render import Renderer, RendererDied, Unprintable
from adapters.post.tray import Ack, LetterTray, Sidecar
from bus.adapter.contract import Accepted, Refused, RetryLater, SendResult, Services, Unknown
from bus.clock import to_micros
from bus.errors import ContactbusError
from bus.message import Reply, Status

__all__ = ["LetterSending"]

log = structlog.get_logger()

_TRIES_OF_RENDERER = 3
"""A typesetting process that dies so often over one letter dies of the letter."""
_PLANNED = "planned"
"""The tray certainly does not have it."""
_STATES = {"printed": "accepted", "posted": "delivered", "failed": "failed"}
"""What an answer from the tray means for the reply. Posted counts as delivered: nobody learns more about a letter."""


class LetterSending:
    """The sending side of the channel."""

    def __init__(self, config: PostConfig, services: Services, tray: LetterTray, journal: Journal) -> None:
        self._config, self._services = config, services
        self._tray, self._journal = tray, journal
        self._renderer = Renderer(config)

    async def send(self, reply: Reply, attempt: int) -> SendResult:
        """Lay the letter of a reply into the tray. The same reply again changes nothing."""
        if reply.to.kind != "postal" or not self._tray.is_name(reply.id):
            return Refused(reason="the reply has no postal address")
        if not self._config.company.address or not self._config.company.name_in(reply.language):
            return RetryLater(reason="no return address is configured", after_s=600)
        try:
            await asyncio.to_thread(self._tray.create)
            known = await self._journal.letter(reply.id)
            if known is not None and known.state == "handing":
                return await self._settle(known)
            if known is not None and known.state != _PLANNED:
                return Accepted(provider_id=reply.id)
            pdf, pages = await self._renderer.render(reply, self._today())
            digest = await self._services.blobs.put(pdf)
            row = LetterRow(reply=reply.id, case=reply.case, digest=digest, state="handing", at=self._now())
            sidecar = self._sidecar(reply, pdf, pages)
        except Unprintable as error:
            return Refused(reason=str(error))
        except RendererDied as error:
            if attempt >= _TRIES_OF_RENDERER:
                return Refused(reason="the letter cannot be typeset within the limits")
            return RetryLater(reason=str(error), after_s=5)
        except (OSError, ContactbusError) as error:
            log.warning("letter could not be prepared", reply=reply.id, error=type(error).__name__)
            return RetryLater(reason="the letter tray or the store cannot be reached", after_s=30)
        return await self._hand_over(row, sidecar, pdf)

    async def _hand_over(self, row: LetterRow, sidecar: Sidecar, pdf: bytes) -> SendResult:
        try:
            await self._journal.put_letter(row)
        except ContactbusError:
            return RetryLater(reason="the store cannot be reached", after_s=30)
        try:
            await asyncio.to_thread(self._tray.put, sidecar, pdf)
        except OSError as error:
            log.warning("letter could not be laid into the tray", reply=row.reply, error=type(error).__name__)
            with contextlib.suppress(ContactbusError):
                await self._journal.put_letter(msgspec.structs.replace(row, state=_PLANNED))
            return RetryLater(reason="the letter tray cannot be written", after_s=30)
        # Not looked for in the tray: a fast printer has taken it by now.
        return await self._handed(row)

    async def _settle(self, row: LetterRow) -> SendResult:
        """A hand-over that was cut short: in the tray it is done; gone from it, nobody knows."""
        if await asyncio.to_thread(self._tray.holds, row.reply):
            return await self._handed(row)
        return Unknown(reason="the letter may have been taken from the tray; look before sending it again")

    async def _handed(self, row: LetterRow) -> SendResult:
        # The letter lies in the tray, whether or not this can be written down now: to say "later" would be untrue.
        with contextlib.suppress(ContactbusError):
            await self._journal.put_letter(msgspec.structs.replace(row, state="handed"))
        return Accepted(provider_id=row.reply)

    async def read_acks(self) -> int:
        """Report what the tray's answers say; returns how many were dealt with. Raises OSError, ContactbusError."""
        done = 0
        for reply, ack in await asyncio.to_thread(self._tray.acks):
            row = await self._journal.letter(reply)
            if ack is None or row is None:
                # Half written, or about a letter of somebody else: it stays where people can see it.
                continue
            state = _STATES.get(ack.state)
            if state is None:
                log.warning("answer from the tray with an unknown state", reply=reply)
            else:
                await self._services.status(self._status(row, state, ack))
                await self._journal.put_letter(msgspec.structs.replace(row, state=ack.state, at=self._now()))
            await asyncio.to_thread(self._tray.acknowledged, reply)
            done += 1
        return done

    async def close(self) -> None:
        """End the typesetting process."""
        await self._renderer.close()

    def _status(self, row: LetterRow, state: str, ack: Ack) -> Status:
        return Status(
            reply=row.reply,
            tenant=self._services.tenant,
            case=row.case,
            channel="post",
            state=state,
            at=_moment(ack.at) or self._services.clock.now(),
            provider_id=row.reply,
            permanent=state == "failed",
            reason=ack.reason[:200] or ack.state,
        )

    def _sidecar(self, reply: Reply, pdf: bytes, pages: int) -> Sidecar:
        return Sidecar(
            reply=reply.id,
            to=tuple(window_lines(reply)),
            pages=pages,
            colour=self._config.colour,
            duplex=self._config.duplex,
            case_number=reply.case_number,
            language=reply.language,
            sha256=hashlib.sha256(pdf).hexdigest(),
        )

    def _now(self) -> int:
        return to_micros(self._services.clock.now())

    def _today(self) -> date:
        return self._services.clock.now().astimezone(ZoneInfo(self._config.time_zone)).date()


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
