"""Which case a contact belongs to: a pure decision on what is known. Never by subject, never by guess."""

import re

import msgspec

from bus.message import Contact, number_is_valid
from workers.case.model import CaseState
from workers.case.people import identity_key

__all__ = ["Known", "Link", "choose_case", "number_in"]

_FOURTEEN = re.compile(r"(?<!\d)(?:\d[ \t.-]?){13}\d(?!\d)")


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the tables say about a contact.

    `by_token`, `by_thread`, `by_number` are cases of the contact's tenant; `thread_sender` is who began the thread.
    `person` is whose identity the sender's address is, `identity_proven` whether somebody ever proved to have it.
    """

    person: str
    identity_proven: bool = False
    by_token: CaseState | None = None
    by_thread: CaseState | None = None
    thread_sender: str = ""
    by_number: CaseState | None = None


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """`case` is empty for a new one. `link` and `claims` as in `Identified`."""

    case: str = ""
    link: str = "new"
    claims: str = ""


def choose_case(contact: Contact, known: Known) -> Link:
    """The case of a contact.

    A token was signed by us and verified by the adapter: whoever has it got our reply. A thread counts for the sender
    who began it. A case number is printed on paper and proves nothing: it counts from an address that was proven to be
    its person's, and otherwise the contact only claims to belong there.
    """
    if known.by_token is not None:
        return Link(case=known.by_token.id, link="token")
    if known.by_thread is not None and known.thread_sender == identity_key(contact.sender):
        return Link(case=known.by_thread.id, link="thread")
    if known.by_number is not None:
        same_person = bool(known.person) and known.person == known.by_number.person
        # A caller's number is anybody's: it is never proven beyond one call.
        if same_person and known.identity_proven and contact.sender.kind != "phone":
            return Link(case=known.by_number.id, link="number")
        return Link(link="claimed", claims=known.by_number.id)
    return Link()


def number_in(contact: Contact) -> str:
    """A case number that the contact names: read by the adapter (a QR code), or 14 digits with the right check."""
    native = str(contact.native.get("case_number", ""))
    if number_is_valid(native):
        return native
    for text in (contact.own_text(), contact.subject):
        for match in _FOURTEEN.finditer(text):
            digits = "".join(c for c in match[0] if c.isdigit())
            if number_is_valid(digits):
                return digits
    return ""
