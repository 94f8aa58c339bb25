"""What happens in a conversation: the visitor says something, a reply arrives, somebody has seen it."""

import msgspec
import structlog

from adapters.chat.config import MAX_TEXT_CHARACTERS, ChatConfig
from adapters.chat.events import PAGE, Events, StoredEvent
from adapters.chat.hub import Hub, Room
from adapters.chat.limits import Buckets, Turns
from adapters.chat.normalise import LANGUAGES, contact_id
from adapters.chat.protocol import Nack, Send, Sent, cursor_of
from adapters.chat.sessions import Session
from bus.adapter.contract import Accepted, Raw, Refused, RetryLater, SendResult, Services
from bus.adapter.redaction import redact
from bus.errors import TransientError
from bus.message import Reply, Status, clean_text
from bus.message.reply import STATE_RANK

__all__ = ["Conversations", "session_of"]

log = structlog.get_logger()

_LATER_S = 3.0
"""A full house is usually over this; the client comes back by itself."""
_LONGEST_CID = 64
_CID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_EVENT_KINDS = {"goodbye": "closed", "survey": "survey", "hold": "hold"}
"""Reply kinds that a client shows in their own way; all others are plain replies."""


class Conversations:
    """All conversations of one tenant, whoever is connected."""

    def __init__(self, config: ChatConfig, services: Services, events: Events, hub: Hub) -> None:
        self._config, self._services, self._events, self._hub = config, services, events, hub
        self._pace = Buckets(config.messages_per_second, config.message_burst, services.clock.monotonic)
        self._turns = Turns(services.clock.monotonic)

    async def say(self, session: Session, room: Room, frame: Send, language: str) -> Sent | Nack:
        """Take in what a visitor says. `Sent` only when it is durable as a contact and in the conversation.

        A message that was told to come again keeps its place: what was said after it is told so, too.
        """
        text = clean_text(frame.text).strip()
        if (problem := _problem(frame, text)) is not None:
            self._turns.settled(session.id, frame.cid)
            return Nack(cid=frame.cid[:_LONGEST_CID], code=problem, final=True)
        ahead, code = self._turns.ahead(session.id, frame.cid)
        if ahead:
            # Each of them takes a place of the pace; so does this one.
            return self._come_again(session, frame, code, (ahead + 1) / self._config.messages_per_second)
        if (wait := self._pace.take(session.id)) > 0:
            return self._come_again(session, frame, "rate", wait)
        frame = msgspec.structs.replace(frame, text=text, lang=frame.lang if frame.lang in LANGUAGES else language)
        try:
            async with room.lock:
                answer = await self._take_in(session, frame)
            self._turns.settled(session.id, frame.cid)
            return answer
        except TransientError as error:
            log.info("chat message refused for now", channel="chat", exc_info=error)
        except Exception as error:
            # Whatever it is, the visitor hears "later" and nothing of its text.
            log.error("chat message could not be taken in", channel="chat", exc_info=error)
        return self._come_again(session, frame, "later", _LATER_S)

    def _come_again(self, session: Session, frame: Send, code: str, after_s: float) -> Nack:
        self._turns.come_again(session.id, frame.cid, after_s, code)
        return Nack(cid=frame.cid, code=code, final=False, retry_after_s=round(after_s, 2))

    async def _take_in(self, session: Session, frame: Send) -> Sent | Nack:
        services, now = self._services, self._services.clock.now()
        shown, _ = redact(frame.text)
        # First into the conversation, then to the bus. So an answer can never stand before its question, and the text
        # under an id is known when the same id comes again. If the second step fails, the client has no "sent" and
        # repeats both, which changes nothing in the first.
        event, new = await self._events.append(
            session.id,
            event_id=contact_id(services.tenant, session.id, frame.cid),
            kind="message",
            speaker="visitor",
            data={"cid": frame.cid, "text": shown, "lang": frame.lang},
            at=now,
        )
        if not new and event.data.get("text") != shown:
            return Nack(cid=frame.cid, code="changed", final=True)
        native: dict[str, object] = {"session": session.id, "lang": frame.lang}
        if session.identity is not None:
            native["identity"] = msgspec.to_builtins(session.identity)
        await services.accept(
            Raw(
                tenant=services.tenant,
                account=self._config.site_key,
                media_type="application/json",
                data=msgspec.json.encode(frame),
                received_at=event.at,
                native=native,
            )
        )
        self._hub.wake(session.id, event.seq)
        return Sent(cid=frame.cid, id=event.id, cursor=cursor_of(event.seq))

    async def deliver(self, reply: Reply) -> SendResult:
        """Put a reply into its conversation; it reaches the visitor now or when they come back."""
        session = session_of(reply)
        if reply.attachments:
            return Refused(reason="the chat carries no attachments")
        try:
            if not await self._events.head(session):
                return Refused(reason="nobody has ever written in this chat")
            event, _ = await self._events.append(
                session,
                event_id=reply.id,
                kind="handover" if reply.handover else _EVENT_KINDS.get(reply.kind, "reply"),
                speaker="machine" if reply.automatic else "person",
                data=_reply_data(reply),
                at=self._services.clock.now(),
            )
        except TransientError:
            return RetryLater(reason="the conversation could not be written", after_s=1.0)
        self._hub.wake(session, event.seq)
        return Accepted(provider_id=cursor_of(event.seq))

    async def seen(self, session: str, upto: int, state: str) -> None:
        """Report `delivered` or `read` for every reply up to a place that it was not yet reported for."""
        rank = STATE_RANK[state]
        while True:
            events = await self._events.not_seen(session, upto, rank)
            for event in events:
                await self._services.status(self._status(event, state))
            if events:
                # After the reports: a crash between repeats a report, which is harmless, and never swallows one.
                await self._events.mark_seen(session, events[-1].seq, rank)
            if len(events) < PAGE:
                return

    def _status(self, event: StoredEvent, state: str) -> Status:
        return Status(
            reply=event.id,
            tenant=self._services.tenant,
            case=str(event.data.get("case", "")),
            channel="chat",
            state=state,
            at=self._services.clock.now(),
            provider_id=cursor_of(event.seq),
        )


def session_of(reply: Reply) -> str:
    """The conversation that a reply belongs to."""
    return reply.to.address if reply.to.kind == "chat" else reply.conversation


def _problem(frame: Send, text: str) -> str | None:
    if not 0 < len(frame.cid) <= _LONGEST_CID or not _CID_CHARACTERS.issuperset(frame.cid):
        return "bad_id"
    if frame.request not in ("", "person"):
        return "malformed"
    if not text:
        return "empty"
    return "too_long" if len(text) > MAX_TEXT_CHARACTERS else None


def _reply_data(reply: Reply) -> dict[str, object]:
    data: dict[str, object] = {"text": reply.text, "lang": reply.language, "case": reply.case}
    if reply.listen:
        data["asks"] = True
    if reply.answers:
        data["answers"] = reply.answers
    return data
