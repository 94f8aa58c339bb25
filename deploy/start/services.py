"""What the start page needs to know and may use. Built by the wiring."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bus.clock import Clock
from bus.log.port import Log
from workers.packs import Pack

__all__ = ["StartServices"]


@dataclass(frozen=True)
class StartServices:
    """`demo`: customers are invented, so everything may be shown; without it the page shows counts and doors only."""

    log: Log
    clock: Clock
    pack: Pack
    tenant: str
    channels: Sequence[str]
    """Names of the channels that run."""
    base_url: str
    """Where this process is reached from this very machine: the call simulator goes there."""
    public_url: str = ""
    """What the product calls itself, if that is another address: it goes into the signatures of calls."""
    demo: bool = False
    smtp: str = ""
    """`host:port` of the mail door, empty when there is none."""
    mail_address: str = ""
    drop_folder: Path | None = None
    letter_tray: Path | None = None
    phone_numbers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Lines and the language that each speaks."""
    phone_token: Callable[[], str] | None = None
    """The secret that signs the telephone company's requests."""
    mailbox: Any = None
    """The customers' mailbox of the demo (`adapters.email.mailbox.Mailbox`)."""
    desk_link: Callable[[], str] | None = None
    """A fresh login link for the desk; used in the demo only."""
    customers: Sequence[Mapping[str, str]] = ()
    """Demo customers: name, language, email, phone, address."""
    missing: Sequence[str] = ()
    """What is not configured, by key of the catalogue (`missing.relay`)."""
