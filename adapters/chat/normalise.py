"""A visitor's frame becomes the common message. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from adapters.chat.config import ChatConfig
from adapters.chat.protocol import Send
from bus.adapter.contract import Manifest, Normalised, Raw
from bus.message import Contact, Party, Proof, Quality, clean_text, derive_id
from bus.store.blobs import digest_of

__all__ = ["LANGUAGES", "MANIFEST", "contact_id", "normalise", "raw_from_file"]

LANGUAGES = ("de", "nb", "en")

MANIFEST = Manifest(
    name="chat",
    kind="live-text",
    languages=LANGUAGES,
    identity_kinds=("chat", "email", "customer"),
    capabilities=("delivery-status", "read-status", "live"),
    max_text_characters=4_096,
    max_raw_bytes=65_536,
    # A frame is small and lies, redacted, in the conversation's own table.
    keep_raw=False,
    # A reply is an event of the conversation, unique by its id.
    resolve_unknown="idempotent",
    replies_per_minute=60_000,
)

_ANSWER_WITHIN = timedelta(seconds=60)
"""Nobody in a chat window waits longer than this without hearing from us."""

_PERSON = "person"


class _FileFrame(msgspec.Struct, frozen=True):
    """A frame in a file, with what its socket would have known."""

    session: str = ""
    lang: str = ""
    name: str = ""


def contact_id(tenant: str, session: str, cid: str) -> str:
    """The id of what a visitor said: the same for the same client message id in the same conversation."""
    return derive_id("c", tenant, "chat", session, cid)


def normalise(raw: Raw, config: ChatConfig) -> Normalised:
    """The contact of a `send` frame. Bytes that are no such frame give a contact of quality `unreadable`."""
    session = str(raw.native.get("session", ""))
    try:
        frame = msgspec.json.decode(raw.data, type=Send)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        frame = None
    cid = frame.cid if frame else digest_of(raw.data)
    text = clean_text(frame.text).strip() if frame else ""
    identity: dict[str, Any] | None = raw.native.get("identity")
    language = (frame.lang if frame else "") or str(raw.native.get("lang", ""))
    native: dict[str, Any] = {"cid": cid}
    if frame and frame.request == _PERSON:
        native["request"] = _PERSON
    if identity:
        native["identity"] = {key: identity[key] for key in ("kind", "address", "name") if identity.get(key)}
    return Normalised(
        contact=Contact(
            id=contact_id(raw.tenant, session, cid),
            tenant=raw.tenant,
            channel="chat",
            account=raw.account,
            conversation=session,
            sender=Party(kind="chat", address=session or "unknown", name=str((identity or {}).get("name", ""))),
            proof=Proof(level="session", by="host page") if identity else Proof(),
            text=text,
            language=language if language in LANGUAGES else "",
            quality=_quality(frame, text),
            occurred_at=raw.received_at,
            received_at=raw.received_at,
            deadline=raw.received_at + _ANSWER_WITHIN,
            native=native,
        )
    )


def raw_from_file(data: bytes, name: str, config: ChatConfig) -> Raw:
    """A frame from a file, for `contactbus normalise chat`. The file may add `session` and `lang` to the frame.

    Without a session the file's digest stands for one, so that two files are two conversations. Received in 1970: a
    frame carries no date, and the same file shall give the same contact.
    """
    try:
        known = msgspec.json.decode(data, type=_FileFrame)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        known = _FileFrame()
    return Raw(
        tenant="shop",
        account=config.site_key,
        media_type="application/json",
        data=data,
        received_at=datetime(1970, 1, 1, tzinfo=UTC),
        native={"session": known.session or "file-" + digest_of(data)[7:27], "lang": known.lang},
    )


def _quality(frame: Send | None, text: str) -> Quality:
    if frame is None:
        return Quality(status="unreadable", reasons=("not a frame of the chat protocol",))
    if not text and frame.request != _PERSON:
        return Quality(status="degraded", reasons=("the message has no text",))
    return Quality()
