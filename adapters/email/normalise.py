"""A mail to a contact: pure, never raises, and whatever cannot be read is still a contact for a person."""

import hashlib
import re
from datetime import datetime
from email import message_from_bytes
from email.message import Message
from typing import Any

import msgspec

from adapters.email.body import CUT, Body, Leaf, read_mail_tree
from adapters.email.config import EmailConfig
from adapters.email.headers import Address, decode_words, message_ids, parse_addresses, parse_date, unfold
from adapters.email.prescan import MAX_HEADER_BLOCK, header_block, why_not_parsed
from adapters.email.quotes import label_ranges
from adapters.email.tokens import is_case_thread_id
from bus.adapter.contract import Normalised, Raw
from bus.adapter.loop_guard import why_automatic
from bus.message import (
    Attachment,
    BlobRef,
    Contact,
    Party,
    Quality,
    clean_text,
    derive_id,
    encode,
    number_is_valid,
)
from bus.store.blobs import digest_of

__all__ = ["MailBody", "case_number_in", "normalise_mail", "outline_mail", "raw_from_file"]

MAX_TEXT = 100_000
"""Characters; `Manifest.max_text_characters`. The whole mail stays in the blob store."""

MAX_SUBJECT = 500
MAX_ATTACHMENTS = 100
MAX_DECODED = 52_428_800
"""50 MiB of decoded attachments; a mail of 25 MiB holds less than 20."""

MAX_OUTLINE = 65_536
"""Bytes of the header of a mail that cannot be read; real headers, with every seal of every server, stay below half."""

_FUTURE_S = 86_400.0
"""A sender's clock may be a day ahead; further, and the time of receipt is the better guess."""


class MailBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="mail"):
    """`Contact.body` of a mail: what only mail has."""

    reply_to: str = ""
    from_html: bool = False
    automatic_because: str = ""
    list_id: str = ""
    hops: int = 0


def normalise_mail(raw: Raw, config: EmailConfig) -> Normalised:
    """The contact of a mail and the bytes of its attachments.

    Reads from `raw.native` what the receiver knew: mail_from, rcpt_to, peer, helo, case_token, case_token_by.
    """
    trouble = why_not_parsed(raw.data)
    if not trouble:
        try:
            return _contact(raw, config, *read_mail_tree(raw.data))
        except (RecursionError, MemoryError):
            trouble = "the mail is built in a way that cannot be read"
        except Exception:  # the standard library's tree raises many kinds; a mail is never lost for it
            trouble = "the mail could not be read"
    return Normalised(contact=outline_mail(raw, config, trouble))


def outline_mail(raw: Raw, config: EmailConfig, trouble: str = "could not be read") -> Contact:
    """What the header alone says of a mail that cannot be read, with `trouble` as the reason.

    Reads at most `MAX_OUTLINE` bytes of the header and builds no tree of parts: linear, some 20 ms at the most.
    """
    head = header_block(raw.data[:MAX_OUTLINE])
    root = message_from_bytes(head + b"\r\n\r\n")
    return _contact(raw, config, root, Body(text="", marks=(), attachments=[]), trouble).contact


def raw_from_file(data: bytes, _name: str, config: EmailConfig) -> Raw:
    """A mail in a file, as `contactbus normalise email FILE` reads it: without envelope, received when it was sent."""
    if data.startswith(b"From "):
        # mbox: the first line is the mailbox's, not the mail's.
        data = data.partition(b"\n")[2]
    head = message_from_bytes(header_block(data[:MAX_HEADER_BLOCK]) + b"\r\n\r\n")
    fields = _fields(head)
    sent = next((moment for value in fields.get("date", ()) if (moment := parse_date(unfold(value)))), None)
    return Raw(
        tenant="shop",
        account=config.address,
        media_type="message/rfc822",
        data=data,
        received_at=sent or datetime.fromisoformat("1970-01-01T00:00:00+00:00"),
    )


def _fields(root: Message) -> dict[str, list[str]]:
    """Raw values by lower-case name, in order."""
    fields: dict[str, list[str]] = {}
    for name, value in root.raw_items():
        fields.setdefault(name.lower(), []).append(str(value))
    return fields


def _contact(raw: Raw, config: EmailConfig, root: Message, body: Body, trouble: str = "") -> Normalised:
    fields = _fields(root)
    plain = {name: [unfold(value) for value in values] for name, values in fields.items() if name in _GUARD_FIELDS}
    reasons = list(body.reasons)
    envelope_from = raw.native.get("mail_from")
    return_path = envelope_from if isinstance(envelope_from, str) else next(iter(plain.get("return-path", ())), None)

    sender = _sender(fields, return_path or "", reasons)
    recipients = _recipients(fields, raw, config)
    subject = clean_text(decode_words(unfold(_first(fields, "subject"))))[:MAX_SUBJECT]
    text = _CONTROL.sub("", clean_text(body.text))
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT]
        reasons += () if CUT in reasons else (CUT,)
    forwarded = bool(_FORWARD_SUBJECT.match(subject))
    marks = body.marks[: text.count("\n") + 1] if body.marks else ()
    ranges = label_ranges(text, marks=marks, forwarded=forwarded)
    attachments, blobs = _attachments(body.attachments, reasons)
    if body.encrypted:
        reasons.append("the mail is encrypted or sealed; only its recipient's mail program can open it")

    ids = message_ids(unfold(_first(fields, "message-id")), 1)
    unread = b""
    if not (ids or text.strip() or attachments or subject):
        # Two mails that say nothing are told apart by all their bytes: taken for copies, one sender would be lost.
        unread = raw.data
    elif trouble:
        # Nothing was decoded: what follows the header stands for it.
        unread = raw.data[len(header_block(raw.data)) :]
    digest = _content_digest(text, attachments, unread, subject)
    date_field = unfold(_first(fields, "date"))
    sender_field = sender.address.lower()
    # Without an id of its own a mail gets one from what it says, so that the second copy is the same contact.
    message_id = ids[0] if ids else f"<{derive_id('m', sender_field, date_field, digest)}.generated@{config.domain}>"
    references = [one for value in fields.get("references", ())[:5] for one in message_ids(unfold(value))][:100]
    in_reply_to = next((one for value in fields.get("in-reply-to", ()) for one in message_ids(unfold(value), 1)), "")

    automatic = why_automatic(
        plain,
        sender=sender.address,
        return_path=return_path,
        own_addresses=config.addresses,
        ignored_lists=config.ignored_lists,
    )
    occurred = parse_date(date_field)
    if occurred is None or (occurred - raw.received_at).total_seconds() > _FUTURE_S:
        occurred = raw.received_at
    reply_to = next(iter(parse_addresses(unfold(_first(fields, "reply-to")))[0]), Address("", "")).address
    native: dict[str, Any] = {
        "message_id": message_id,
        "in_reply_to": in_reply_to,
        "references": references,
        "request": "",
    }
    case_token = str(raw.native.get("case_token") or "")
    if case_token:
        native["case_token_by"] = str(raw.native.get("case_token_by") or "")
    case_number = case_number_in(subject, text)
    if case_number:
        native["case_number"] = case_number
    for name in ("mail_from", "rcpt_to", "peer", "helo"):
        if raw.native.get(name):
            native[name] = raw.native[name]
    contact = Contact(
        id=derive_id("c", raw.tenant, "email", raw.account, message_id, sender_field, date_field, digest),
        tenant=raw.tenant,
        channel="email",
        account=raw.account,
        sender=sender,
        recipients=recipients,
        conversation=_conversation(references, in_reply_to, message_id),
        case_token=case_token,
        subject=subject,
        text=text,
        ranges=ranges,
        automatic=bool(automatic) or body.report,
        attachments=attachments,
        raw=BlobRef(digest=digest_of(raw.data), media_type="message/rfc822", size=len(raw.data)),
        quality=_quality(
            trouble, reasons, readable=bool(text.strip() or attachments or subject), sealed=body.encrypted
        ),
        occurred_at=occurred,
        received_at=raw.received_at,
        native=native,
        body=msgspec.Raw(
            encode(
                MailBody(
                    reply_to=reply_to if reply_to.lower() != sender_field else "",
                    from_html=body.from_html,
                    automatic_because=automatic or ("report" if body.report else ""),
                    list_id=clean_text(next(iter(plain.get("list-id", ())), ""))[:200],
                    hops=len(fields.get("received", ())),
                )
            )
        ),
    )
    return Normalised(contact=contact, blobs=blobs)


_CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Neither tab nor newline: what no reader sees and terminals act upon."""

_GUARD_FIELDS = frozenset({
    "auto-submitted", "precedence", "list-id", "list-unsubscribe", "list-post", "content-type",
    "x-auto-response-suppress", "x-loop", "received", "return-path", "x-autoreply", "x-autorespond",
    "x-autoresponder", "x-auto-reply-from", "x-autogenerated",
})  # fmt: skip
_FORWARD_SUBJECT = re.compile(r"\s*(?:WG|Fwd?|VS|VB|Weitergeleitet|Videresendt)\s*:", re.IGNORECASE)


def _first(fields: dict[str, list[str]], name: str) -> str:
    return next(iter(fields.get(name, ())), "")


def _sender(fields: dict[str, list[str]], return_path: str, reasons: list[str]) -> Party:
    candidates = [one for name in ("from", "sender") for value in fields.get(name, ())[:3] for one in _parsed(value)]
    for candidate in candidates:
        if candidate.address:
            return Party(kind="email", address=candidate.address, name=_readable_name(candidate))
    name = next((candidate.name for candidate in candidates if candidate.name), "")
    fallback = next((one.address for one in parse_addresses(unfold(return_path))[0] if one.address), "")
    reasons.append("no sender address could be read")
    return Party(kind="email", address=fallback or "unknown", name=name)


def _parsed(value: str) -> list[Address]:
    return parse_addresses(unfold(value))[0]


def _readable_name(address: Address) -> str:
    return "" if address.name.lower() == address.address.lower() else clean_text(address.name)


def _recipients(fields: dict[str, list[str]], raw: Raw, config: EmailConfig) -> tuple[Party, ...]:
    """To and Cc, signed details of our own addresses left out, at most 500; else the envelope's."""
    found: dict[str, Party] = {}
    for name in ("to", "cc"):
        for value in fields.get(name, ())[:10]:
            for one in _parsed(value):
                address = _without_detail(one.address, config)
                if address and len(found) < 500:
                    found.setdefault(address.lower(), Party(kind="email", address=address, name=_readable_name(one)))
    if not found:
        for address in list(raw.native.get("rcpt_to") or ())[:500]:
            address = _without_detail(str(address), config)
            found.setdefault(address.lower(), Party(kind="email", address=clean_text(address)))
    return tuple(found.values())


def _without_detail(address: str, config: EmailConfig) -> str:
    local, _, domain = address.rpartition("@")
    mailbox, plus, _ = local.partition("+")
    return f"{mailbox}@{domain}" if plus and f"{mailbox}@{domain}".lower() in config.addresses else address


def _conversation(references: list[str], in_reply_to: str, message_id: str) -> str:
    """The root of the thread. Our own id of the case stands first in what answers us, but is no mail of the thread."""
    roots = [*references, in_reply_to, message_id]
    root = next((one for one in roots if one and not is_case_thread_id(one)), message_id)
    return root if len(root) <= 250 else f"<{hashlib.sha256(root.encode()).hexdigest()}>"


def _content_digest(text: str, attachments: tuple[Attachment, ...], unread: bytes, subject: str) -> str:
    hasher = hashlib.sha256()
    for part in (subject, text, *(one.digest for one in attachments)):
        data = part.encode("utf-8")
        hasher.update(len(data).to_bytes(8, "big") + data)
    hasher.update(unread)
    return hasher.hexdigest()


def _quality(trouble: str, reasons: list[str], *, readable: bool, sealed: bool) -> Quality:
    if trouble:
        return Quality(status="unreadable", reasons=(trouble, *reasons))
    if sealed:
        return Quality(status="unreadable", reasons=tuple(reasons))
    if not readable:
        return Quality(status="degraded", reasons=("the mail is empty", *reasons))
    return Quality(status="degraded", reasons=tuple(reasons)) if reasons else Quality()


_NAME_NOISE = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def _attachments(leaves: list[Leaf], reasons: list[str]) -> tuple[tuple[Attachment, ...], dict[str, bytes]]:
    found: list[Attachment] = []
    blobs: dict[str, bytes] = {}
    taken: set[str] = set()
    total = 0
    for index, leaf in enumerate(leaves):
        if index >= MAX_ATTACHMENTS:
            reasons.append("the mail has more attachments than are kept one by one")
            break
        data = leaf.data()
        total += len(data)
        if total > MAX_DECODED:
            reasons.append("the attachments are larger than is unpacked")
            break
        if not data:
            continue
        digest = digest_of(data)
        blobs[digest] = data
        name = _unique(_clean_name(leaf.name), taken)
        found.append(Attachment(digest=digest, media_type=leaf.media_type, size=len(data), name=name))
        if leaf.media_type in ("application/ms-tnef", "application/vnd.ms-tnef") or name.lower() == "winmail.dat":
            reasons.append("part of the mail is a winmail.dat, which only Outlook opens")
    return tuple(found), blobs


def _clean_name(name: str) -> str:
    name = _NAME_NOISE.sub("", clean_text(name).replace("\\", "/")).strip()
    name = name.rstrip("/").rpartition("/")[2].strip(" .")
    if len(name) > 150:
        stem, dot, ending = name.rpartition(".")
        name = f"{stem[:140]}.{ending}" if dot and len(ending) <= 8 else name[:150]
    return name


def _unique(name: str, taken: set[str]) -> str:
    if not name:
        return ""
    stem, dot, ending = name.rpartition(".")
    candidate, number = name, 1
    while candidate.lower() in taken:
        number += 1
        candidate = f"{stem} ({number}).{ending}" if dot else f"{name} ({number})"
    taken.add(candidate.lower())
    return candidate


_CASE_NUMBER = re.compile(r"\d{4}[ \u00a0.-]?\d{4}[ \u00a0.-]?\d{4}[ \u00a0.-]?\d{2}(?![ \u00a0.-]?\d)", re.ASCII)


_RUNS_ON = re.compile(r"\d[ \u00a0.-]?$", re.ASCII)


def case_number_in(*texts: str) -> str:
    """The first case number with right check digits, digits only. It proves nothing: anybody may write it."""
    for text in texts:
        for match in _CASE_NUMBER.finditer(text):
            # Part of a longer number (an IBAN, a telephone number) is none.
            before = text[max(0, match.start() - 2) : match.start()]
            digits = re.sub(r"\D", "", match[0])
            if number_is_valid(digits) and not _RUNS_ON.search(before):
                return digits
    return ""
