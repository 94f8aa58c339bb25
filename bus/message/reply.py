"""What goes back to the customer, and what became of it."""

from datetime import datetime

import msgspec

from bus.message.contact import Attachment, Party

__all__ = ["Reply", "Status"]


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message to a customer through one channel.

    `kind`: answer, question, acknowledgement, hold, survey, notice, goodbye, or internal: to the company's own people.
    `purpose`: service (an answer), marketing, callback or survey; what is no answer is sent only with permission
    (`bus.delivery.consent`), checked in the transaction that starts the sending. `automatic` says that a machine wrote
    it, `signed_by` the representative's name when a person did. `person` is the customer's person id, by which consent
    is looked up; `country` (ISO 3166) that of the addressee, whose hours and holidays count. `conversation` and
    `in_reply_to` are the channel's own thread and message. `listen` tells a live channel that an answer is awaited;
    `handover` that the customer now waits for a person.

    `answers` are the contacts that this reply answers. `heard` is how many of the customer's contacts the decision
    knew: when there are more by the time of sending, the reply is overtaken and must not go out as it is; 0 for what
    stays true whatever the customer says meanwhile (an acknowledgement, a code, the words of a person). `core` are the
    first and last character of what `text` says, without greeting and footer: what another reply would repeat of it.
    """

    id: str
    tenant: str
    case: str
    channel: str
    account: str
    to: Party
    text: str
    language: str
    kind: str = "answer"
    purpose: str = "service"
    automatic: bool = True
    signed_by: str = ""
    person: str = ""
    country: str = ""
    conversation: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    subject: str = ""
    html: str = ""
    attachments: tuple[Attachment, ...] = ()
    case_number: str = ""
    listen: bool = False
    handover: bool = False
    expires_at: datetime | None = None
    answers: tuple[str, ...] = ()
    heard: int = 0
    core: tuple[int, int] = (0, 0)
    via: str = ""
    """Of a call-back: the telephone of the person who is called first, and then connected to `to`."""


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a reply. States are ranked and never go back.

    `state`: accepted < delivered < read, or failed, or unknown. `permanent` says whether a failure is final.
    """

    reply: str
    tenant: str
    case: str
    channel: str
    state: str
    at: datetime
    provider_id: str = ""
    permanent: bool = False
    reason: str = ""

    @property
    def rank(self) -> int:
        """A status replaces another of the same reply only when its rank is higher."""
        return STATE_RANK.get(self.state, 0)


STATE_RANK = {"unknown": 0, "accepted": 1, "delivered": 2, "read": 3, "failed": 4}
