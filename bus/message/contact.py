"""The common contact message: what every channel's native input becomes.

Frozen, keyword-only, JSON on the wire, null and empty fields left out. Unknown fields are ignored on reading and new
fields have defaults, so old and new versions read each other. `channel` is a plain string: a new channel needs no
edit here.
"""

from datetime import datetime
from typing import Any

import msgspec

__all__ = ["Attachment", "BlobRef", "Contact", "Party", "Proof", "Quality", "TextRange"]


class Party(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody at one end of a contact.

    `kind` is the identity kind: email, phone, chat, postal, link, customer. `address` is what the channel needs to
    reach them: an address, a number in E.164, a session id, or postal lines separated by newlines.
    """

    kind: str
    address: str
    name: str = ""


class Proof(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of the sender. A caller's number, a sender address or a signature on paper proves nothing.

    `level`: none, session (a signed chat session), confirmed (a one-time link or code through the address on file).
    """

    level: str = "none"
    by: str = ""
    detail: str = ""


class TextRange(msgspec.Struct, frozen=True, kw_only=True):
    """Characters `start` to `end` of `text` are a reply, quote, signature, disclaimer or forwarded part."""

    label: str
    start: int
    end: int


class BlobRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Bytes in the blob store, by `sha256:<hex>`."""

    digest: str
    media_type: str
    size: int


class Attachment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part that came with a contact. `name` is the sender's, cleaned, and is never used as a path."""

    digest: str
    media_type: str
    size: int
    name: str = ""


class Quality(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How well the input could be read.

    `status`: ok, degraded (read in part, `reasons` say why) or unreadable (only the raw object; a person looks).
    `confidence` 0..1 is that of OCR or speech recognition, where there is one.
    """

    status: str = "ok"
    reasons: tuple[str, ...] = ()
    confidence: float | None = None


class Contact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One contact on its way in (or, `direction` outbound, a record of one that we began).

    `conversation` is the channel's own thread. `case_token` is set only when its signature was verified.
    `native` carries the provider's own ids. `body` is the channel's own structure with its `kind`; it stays `Raw`
    until somebody who knows the kind asks for it (`bus.message.codec.decode_body`).
    """

    id: str
    tenant: str
    channel: str
    account: str
    sender: Party
    occurred_at: datetime
    received_at: datetime
    direction: str = "inbound"
    conversation: str = ""
    case_token: str = ""
    recipients: tuple[Party, ...] = ()
    proof: Proof = Proof()
    subject: str = ""
    text: str = ""
    ranges: tuple[TextRange, ...] = ()
    language: str = ""
    automatic: bool = False
    """Made by a machine (out of office, bounce, list): kept and shown, never answered."""
    attachments: tuple[Attachment, ...] = ()
    raw: BlobRef | None = None
    quality: Quality = Quality()
    deadline: datetime | None = None
    native: dict[str, Any] = {}
    body: msgspec.Raw = msgspec.Raw(b"")

    def own_text(self) -> str:
        """What the sender wrote this time: the text without quote, signature and disclaimer ranges."""
        if not self.ranges:
            return self.text
        left_out = sorted((r.start, r.end) for r in self.ranges if r.label in ("quote", "signature", "disclaimer"))
        kept: list[str] = []
        position = 0
        for start, end in left_out:
            kept.append(self.text[position:start])
            position = max(position, end)
        kept.append(self.text[position:])
        return "".join(kept).strip()
