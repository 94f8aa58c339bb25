"""Our marks in addresses and Message-IDs: how a mail finds its case again without anybody being believed.

Written by `render`, read by the adapter before a mail is accepted. Normalising itself knows no secret: it gets the
verified case in `Raw.native`, and none from a file on the command line.

    hilfe+<case>.<signature>@domain            Reply-To and envelope sender: customers' answers and bounces
    <<reply>.<signature>@domain>               Message-ID of a reply: short enough for one line of 76
    <<case>.<signature>@domain>                first in References, the same for all mails of a case: survives relays
                                               that replace the Message-ID
"""

import re
from collections.abc import Iterable

import msgspec

from adapters.email.headers import message_ids, unfold
from bus.adapter.tokens import Signer

__all__ = [
    "FoundCase",
    "address_detail",
    "case_address",
    "case_thread_id",
    "find_case",
    "find_own_reply",
    "is_case_thread_id",
    "own_message_id",
]

_CASE, _THREAD, _MESSAGE = "case", "mail-thread", "mail-message"
_THREAD_ID = re.compile(r"<(k-[0-9a-z_-]{1,40})\.([a-z2-7]{24})@[^<>\s@]+>", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"<(r-[0-9a-z_-]{1,40})\.([a-z2-7]{24})@[^<>\s@]{1,255}>", re.IGNORECASE)

_HEADER_LIMIT = 262_144
"""Bytes of a mail's header block that are looked at."""


class FoundCase(msgspec.Struct, frozen=True):
    """A case whose signature was verified. `by`: recipient, in-reply-to or references."""

    case: str
    by: str


def case_address(address: str, case: str, signer: Signer, tenant: str) -> str:
    """The mailbox address that brings an answer back to its case."""
    local, _, domain = address.rpartition("@")
    return f"{local}+{signer.token(_CASE, tenant, case)}@{domain}"


def own_message_id(reply: str, domain: str, signer: Signer, tenant: str) -> str:
    """The Message-ID of a reply: the same at every attempt."""
    return f"<{signer.token(_MESSAGE, tenant, reply)}@{domain}>"


def case_thread_id(case: str, domain: str, signer: Signer, tenant: str) -> str:
    """The id that stands for the whole case in References."""
    return f"<{signer.token(_THREAD, tenant, case)}@{domain}>"


def is_case_thread_id(message_id: str) -> bool:
    """Whether an id has the form of `case_thread_id`; says nothing about its signature."""
    return _THREAD_ID.fullmatch(message_id) is not None


def address_detail(address: str, own_addresses: Iterable[str]) -> str | None:
    """What stands after the `+` of an address of ours, empty without one, None when the address is not ours."""
    local, _, domain = address.strip().lower().rpartition("@")
    mailbox, _, detail = local.partition("+")
    return detail if f"{mailbox}@{domain}" in own_addresses else None


def find_case(
    data: bytes, recipients: Iterable[str], own_addresses: Iterable[str], signer: Signer, tenant: str
) -> FoundCase | None:
    """The case that a mail belongs to by our own signature, the strongest key first.

    Envelope recipient, Delivered-To, To and Cc, then In-Reply-To, then References from right to left.
    """
    ours = frozenset(own_addresses)
    fields = _fields(data)
    addresses = [*recipients]
    for name in ("delivered-to", "x-original-to", "to", "cc"):
        for value in fields.get(name, ()):
            addresses += (word for word in _WORD.findall(value) if "@" in word)
    for address in addresses[:1000]:
        detail = address_detail(address, ours)
        case = signer.open(_CASE, tenant, detail) if detail else None
        if case:
            return FoundCase(case, "recipient")
    for name in ("in-reply-to", "references"):
        for value in fields.get(name, ()):
            for message_id in reversed(message_ids(value)):
                case = _case_of(message_id, signer, tenant)
                if case:
                    return FoundCase(case, name)
    return None


def find_own_reply(data: bytes, signer: Signer, tenant: str) -> str:
    """The id of a reply of ours whose Message-ID stands in a delivery report (servers return at least the header)."""
    for match in _MESSAGE_ID_BYTES.finditer(data, 0, 4 * _HEADER_LIMIT):
        found = _MESSAGE_ID.fullmatch(match[0].decode("ascii"))
        if found and signer.verify(_MESSAGE, tenant, found[1].lower(), found[2]):
            return found[1].lower()
    return ""


_MESSAGE_ID_BYTES = re.compile(_MESSAGE_ID.pattern.encode(), re.IGNORECASE)
_WORD = re.compile(r"[^\s<>,;:\"()]++")
"""An address, or another word of the field. Possessive: a long word without an @ costs its length, not its square."""


def _case_of(message_id: str, signer: Signer, tenant: str) -> str:
    thread = _THREAD_ID.fullmatch(message_id)
    if thread and signer.verify(_THREAD, tenant, thread[1].lower(), thread[2]):
        return thread[1].lower()
    return ""


_WANTED = frozenset({"delivered-to", "x-original-to", "to", "cc", "in-reply-to", "references"})
_FIELD = re.compile(rb"^([A-Za-z-]{2,20}):([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)", re.MULTILINE)


def _fields(data: bytes) -> dict[str, list[str]]:
    """The header fields that may carry a token, without building a tree."""
    ends = [end for end in (data.find(b"\r\n\r\n", 0, _HEADER_LIMIT), data.find(b"\n\n", 0, _HEADER_LIMIT)) if end >= 0]
    head = data[: min(ends) if ends else _HEADER_LIMIT]
    fields: dict[str, list[str]] = {}
    for match in _FIELD.finditer(head):
        name = match[1].decode("ascii").lower()
        if name in _WANTED:
            fields.setdefault(name, []).append(unfold(match[2].decode("ascii", "surrogateescape")))
    return fields
