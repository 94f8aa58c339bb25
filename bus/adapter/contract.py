"""What integrators build on: a manifest, four methods, and everything else done by the bus.

An adapter says what it can (`Manifest`), takes contacts in (`receive`), turns native input into the common message
(`normalise`, a pure function), sends replies (`send`) and reports its health (`probe`). Raw store, deduplication,
durability, retries, send ledger, loop guard, redaction, metrics and tracing belong to the bus.

Register a `ChannelPlugin` under the entry-point group `contactbus.adapters`; the built-in channels do the same.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from bus.adapter.tokens import Signer
from bus.clock import Clock
from bus.message.contact import Contact, Quality
from bus.message.reply import Reply, Status
from bus.opening_hours import OpeningHours
from bus.store.blobs import Blobs

if TYPE_CHECKING:
    # A command that only looks need not load a web server, a process that only reads letters no database.
    from aiohttp import web

    from bus.store.port import Store

__all__ = [
    "Acceptance",
    "Accepted",
    "ChannelAdapter",
    "ChannelPlugin",
    "Health",
    "Manifest",
    "Normalised",
    "Raw",
    "Refused",
    "RetryLater",
    "SendResult",
    "Services",
    "Unknown",
]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel is and can.

    `kind`: live-media (phone), live-text (chat, counter), deferred (email, post).
    `identity_kinds`: which kinds of Party its senders are. `capabilities`: words such as attachments, html, subject,
    threading, delivery-status, read-status, keys. `normalise_in_process`: hostile input is normalised in a limited
    process; `normalise_seconds` and `normalise_megabytes` are the limits there. `keep_raw`: store the native input as
    a blob (else it is small enough to lie in `Contact.native` or `Contact.body`).

    `resolve_unknown` says what may be done about a reply of which nobody knows whether it went out:

    - idempotent: `send` knows a reply again by its id, so an attempt that was cut off is simply repeated; when `send`
      itself answers `Unknown`, a person decides.
    - resend-same-id: the other side knows a message again by an id that is derived from the reply's; after a rest it
      is sent once more, and still in doubt a person decides.
    - person: nothing is ever repeated by itself.

    `final_status_h`: hours after which a reply that was accepted must have been reported as delivered or failed, else a
    person is shown it; 0 where the channel reports nothing more. `replies_per_minute` is the pace that the channel
    bears, or its purse.
    """

    name: str
    kind: str
    languages: tuple[str, ...] = ("de", "nb", "en")
    identity_kinds: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    max_text_characters: int = 100_000
    max_raw_bytes: int = 26_214_400
    normalise_in_process: bool = False
    normalise_seconds: float = 5.0
    normalise_megabytes: int = 512
    keep_raw: bool = True
    resolve_unknown: Literal["idempotent", "resend-same-id", "person"] = "person"
    final_status_h: float = 0.0
    replies_per_minute: int = 600


class Raw(msgspec.Struct, frozen=True, kw_only=True):
    """Native input as it came in, with what the channel knew about it.

    `data` are the bytes on the wire (a mail, a form body, a frame, a scan). `native` holds the rest: envelope, peer,
    session. `case_token` only if the adapter verified its signature.
    """

    tenant: str
    account: str
    media_type: str
    data: bytes
    received_at: datetime
    native: dict[str, Any] = {}


class Normalised(msgspec.Struct, frozen=True, kw_only=True):
    """A contact and the bytes of its attachments by digest (`sha256:<hex>`)."""

    contact: Contact
    blobs: dict[str, bytes] = {}


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """The contact is durable. `duplicate`: it had been accepted before; say yes again and do nothing else.

    `quality` is that of the contact: a channel may put aside for people what could not be read.
    """

    contact: str
    duplicate: bool = False
    quality: Quality = Quality()


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The provider took the reply. `delivered`: it is known to be with the customer already."""

    provider_id: str = ""
    delivered: bool = False


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The provider will not take it, now or later (wrong address, policy). The case goes back to work."""

    reason: str


class RetryLater(msgspec.Struct, frozen=True, kw_only=True):
    """Certainly not sent; try again after `after_s` seconds."""

    reason: str
    after_s: float = 60.0


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """It may or may not have been sent (a time-out after the last byte). Never raised for a certain failure."""

    reason: str


SendResult = Accepted | Refused | RetryLater | Unknown


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`ok`, a sentence about the state, and the fix when it is not ok."""

    ok: bool
    detail: str = ""
    fix: str = ""


Accept = Callable[[Raw], Awaitable[Acceptance]]
"""Take raw input in. Returns once the contact is durable: only then may the channel say yes.

Raises Overloaded or StorageFull (say "later", never "no"); whatever cannot be parsed is accepted all the same, as a
contact of quality `unreadable`.
"""


@dataclass(frozen=True)
class Services:
    """What the bus hands to an adapter. Nothing else is reached for."""

    clock: Clock
    store: "Store"
    """Each call ends within the deadline of a door, with TransientError when the store did not answer by then."""
    blobs: Blobs
    signer: Signer
    data_dir: Path
    public_url: str
    """Base of the addresses under which customers and providers reach this process, without a final slash."""
    tenant: str
    accept: Accept
    status: Callable[[Status], Awaitable[None]]
    """Report what became of a reply after `send` has returned (a receipt, a letter's acknowledgement file)."""
    background: Callable[[str, Awaitable[None]], None]
    """Run a task of the adapter under supervision: a crash is logged and restarted or ends the process visibly."""
    local: "Store | None" = None
    """State of this host alone (what became of the files in a folder here), kept while the shared store is away.
    None: there is one store for everything."""
    follow: Callable[[], AsyncIterator[Reply]] | None = None
    """Replies of this channel from now on, as they are planned, whichever process will send them. Only a hint for the
    process that holds the customer's socket or call: that it comes is not promised, and the truth lies in the store."""
    hours: OpeningHours | None = None
    """When people of the tenant work; a time that a channel names for them is counted in it. None: at any time."""
    bus_away: Callable[[], bool] = lambda: False
    """Whether what is accepted now waits for brokers that do not answer: no worker will hear of it for a while."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of the wiring: `languages`, `company` (name), `departments`, `hold_reasons`; read with defaults."""


class ChannelAdapter(Protocol):
    """One channel, running. Built by `ChannelPlugin.create`; called by the bus only, from one event loop."""

    manifest: Manifest

    def routes(self) -> "Sequence[web.RouteDef]":
        """HTTP routes, served by the one shared server. Empty for channels without HTTP."""
        ...

    async def receive(self) -> None:
        """Take contacts in until cancelled: for each, `await services.accept(raw)` and only then say yes.

        Called once. Channels that live on `routes()` alone return at once. On cancellation stop taking new input;
        what was accepted is durable already.
        """
        ...

    async def send(self, reply: Reply, attempt: int) -> SendResult:
        """Send one reply. `attempt` counts from 1. Raise nothing: a surprise counts as Unknown.

        Called after the ledger committed SENDING; at most one call per reply is under way at a time.
        """
        ...

    async def probe(self) -> Health:
        """Whether the channel works, within 5 s, without sending anything to a customer."""
        ...

    async def close(self) -> None:
        """Release sockets and files. Called once, after `receive` was cancelled."""
        ...


@dataclass(frozen=True)
class ChannelPlugin:
    """What an entry point of `contactbus.adapters` names.

    `normalise(raw, config)` must be a module-level pure function: it runs in another process when the manifest says
    so, and for `contactbus normalise`, without state and network.
    """

    manifest: Manifest
    config_type: type[Any]
    normalise: Callable[[Raw, Any], Normalised]
    create: Callable[[Any, Services], ChannelAdapter]
    raw_from_file: Callable[[bytes, str, Any], Raw]
    """(bytes, file name, config) -> Raw, for `contactbus normalise`; times come from the input or are those of 1970."""
    outline: Callable[[Raw, Any], Contact] | None = None
    """(raw, config) -> the contact without its content, for input that `normalise` could not read: from whom, about
    what, in which conversation, and whether a machine wrote it. Runs in this process, on what has just ended a limited
    one: so it reads few bytes, in one pass. None: such a contact is its raw object and nothing else."""
