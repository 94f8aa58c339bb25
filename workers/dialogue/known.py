"""What a turn knows: the contact, its case, the company, and the way of the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from bus.adapter.tokens import Signer
from bus.log.topics import LIVE_CHANNELS
from bus.message import Contact
from bus.store.port import Row, Store
from workers.case.changes import Draft
from workers.case.model import CaseState, Route
from workers.case.people import identity_key
from workers.case.praise import Colleagues
from workers.case.work import WorkItem
from workers.packs import Pack
from workers.records import Customer, Records

__all__ = ["House", "Known", "route_of"]


@dataclass(frozen=True)
class House:
    """What every turn may use."""

    store: Store
    records: Records
    pack: Pack
    signer: Signer | None
    """None where nothing may be asked to be confirmed (the desk's worker has no procedures)."""
    public_url: str
    colleagues: Colleagues | None = None
    """Who works here; None where that is not known."""


def route_of(contact: Contact) -> Route:
    """How to answer a contact through its own channel and thread."""
    message_id = str(contact.native.get("message_id", ""))
    references = contact.native.get("references", ())
    known = tuple(str(r) for r in references) if isinstance(references, list | tuple) else ()
    return Route(
        channel=contact.channel,
        account=contact.account,
        address=contact.sender,
        conversation=contact.conversation,
        in_reply_to=message_id,
        references=(*known, message_id) if message_id else known,
        subject=contact.subject,
        contact=contact.id,
        at=contact.received_at,
    )


class Known:
    """A contact and its case as decided so far. `facts`, `step`, `answer` and `choice` are for the procedures."""

    def __init__(self, *, house: House, item: WorkItem, draft: Draft, department: str) -> None:
        self.house = house
        self.item = item
        self.now = draft.now
        self.department = department
        self.draft = draft
        self.contact = item.contact
        self.understanding = item.understanding
        self.label = item.understanding.intent
        """The kind of request that is worked on: what triage was sure of, or what the customer chose."""
        self.step = ""
        self.choice = ""
        self.answer = item.understanding.answer
        self.facts: dict[str, str] = {}
        self.customer: Customer | None = None
        self.authorised = False
        """The confirmation of this turn was also the yes to what the customer had asked for."""
        self.writer = writer_key(self.contact)
        self.route: Route | None = route_of(self.contact) if self.contact.channel != "link" else draft.state.route()
        self.unsent: Sequence[Row] = ()
        """Ledger rows of earlier answers that have not left (`workers.dialogue.overtaken`), oldest first."""

    @property
    def state(self) -> CaseState:
        """The case as decided so far."""
        return self.draft.state

    @property
    def tenant(self) -> str:
        """Whose customer this is."""
        return self.state.tenant

    @property
    def pack(self) -> Pack:
        """The company pack."""
        return self.house.pack

    @property
    def records(self) -> Records:
        """The systems of record."""
        return self.house.records

    @property
    def channel(self) -> str:
        """The channel the reply goes through."""
        return self.route.channel if self.route is not None else self.contact.channel

    @property
    def live(self) -> bool:
        """Somebody waits for the answer this moment."""
        return self.channel in LIVE_CHANNELS

    @property
    def spoken(self) -> bool:
        """The answer is heard, not read."""
        return self.channel == "phone"

    @property
    def paper(self) -> bool:
        """The answer is printed: nobody answers to it by a click or a word."""
        return self.channel == "post"

    @property
    def language(self) -> str:
        """The language of the answer: the contact's, but for a pressed button, whose browser says nothing of it."""
        own = "" if self.contact.channel == "link" else self.understanding.language
        return self.pack.language(own or self.state.language)

    @property
    def country(self) -> str:
        """Whose law and holidays count: the customer's, else the one of the language."""
        if self.customer is not None:
            return self.customer.country
        return {"nb": "NO", "en": "GB"}.get(self.language, self.pack.file.home_country)

    @property
    def unseen(self) -> bool:
        """Whether the customer cannot have seen our last words, so that "yes" is no answer to them."""
        return bool(self.unsent)

    @property
    def proven(self) -> bool:
        """Whether the writer of this contact proved to be a customer, in this case and from this very address."""
        return self.state.proof == "confirmed" and self.writer in self.state.proven


def writer_key(contact: Contact) -> str:
    """Who writes, as far as the channel can tell. A caller's number is anybody's: it counts for one call only."""
    key = identity_key(contact.sender)
    return f"{key}#{contact.conversation}" if contact.sender.kind == "phone" else key
