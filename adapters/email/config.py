"""Settings of the e-mail channel."""

from typing import Literal

import msgspec

__all__ = ["EmailConfig"]


_NAMES = {"de": "Nordlicht Handel", "nb": "Nordlys Handel", "en": "Northlight Store"}


class EmailConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tenant-facing mailbox: where its mail comes in and through which relay its replies leave.

    Every default is meant for a machine behind an edge relay or on a desk; a limit says in one line why it exists.
    """

    address: str = "hilfe@shop.example"
    aliases: tuple[str, ...] = ()
    """Further addresses that reach the same desk. All mail has `address` as its account."""
    names: dict[str, str] = msgspec.field(default_factory=lambda: dict(_NAMES))
    """The name beside the address in replies, by language; a language without one gets the first."""

    smtp_host: str = "127.0.0.1"
    smtp_port: int = 2525
    """0 lets the system choose; `EmailAdapter.smtp_address` then tells."""
    hostname: str = ""
    """What the listener calls itself in its greeting; empty: the domain of `address`."""
    tls_certificate_file: str = ""
    tls_key_file: str = ""
    """PEM files; with both, STARTTLS is offered."""
    bare_newlines: Literal["normalise", "refuse"] = "normalise"
    """Line breaks that are not CRLF, and NUL: mended, or answered 550 5.6.0. Neither ever ends a mail."""

    max_message_bytes: int = 26_214_400
    """25 MiB, what the large providers allow, transfer encoding included."""
    max_recipients: int = 100
    """RFC 5321 4.5.3.1.8 asks for at least 100."""
    connections: int = 500
    """Each costs a socket and some 30 kB."""
    connections_per_peer: int = 50
    """Per /24 or /64, so that one network cannot take all of them."""
    messages_per_session: int = 1000
    """After that many the client is asked to come back, so that no session is for ever."""
    bytes_in_flight: int = 268_435_456
    """Mail bytes in memory over all sessions; above it 452 4.3.1, long before the machine swaps."""
    command_s: float = 120.0
    """Idle between two commands."""
    data_s: float = 300.0
    """From 354 to the final dot; a client that drips bytes ends here."""
    accept_s: float = 30.0
    """For making a mail durable. Clients wait ten minutes, but a long wait makes duplicates (RFC 1047)."""
    session_s: float = 1800.0
    """A whole session."""
    drain_s: float = 10.0
    """For mails under way when the process leaves."""

    relay_host: str = ""
    """The SMTP server that takes our replies. Empty: replies stay planned."""
    relay_port: int = 25
    relay_tls: Literal["none", "starttls", "tls"] = "none"
    relay_user: str = ""
    relay_password_file: str = ""
    relay_timeout_s: float = 30.0
    relay_connections: int = 4
    """Threads and kept connections; one on loopback carries more than a thousand mails a second."""

    ignored_lists: tuple[str, ...] = ()
    """List-Ids that stand for people all the same, such as a group mailbox that forwards to `address`."""

    def __post_init__(self) -> None:
        for address in (self.address, *self.aliases):
            local, at, domain = address.rpartition("@")
            if not (local and at and domain) or any(c in address for c in " <>\r\n\t,;"):
                raise ValueError(f"{address!r} is not an e-mail address; write it like hilfe@shop.example")
        if len(self.address.rpartition("@")[0]) > 16:
            # local part + "+" + case id (22) + "." + signature (24) must stay within 64 (RFC 5321 4.5.3.1.1).
            raise ValueError(
                "the part of `address` before the @ is longer than 16; signed reply addresses need the room"
            )
        if not self.names:
            raise ValueError("`names` is empty; give at least one display name")
        limits = (
            "max_message_bytes max_recipients connections connections_per_peer messages_per_session bytes_in_flight "
            "command_s data_s accept_s session_s relay_timeout_s relay_connections"
        )
        for name in limits.split():
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be above 0")
        if self.bytes_in_flight < self.max_message_bytes:
            raise ValueError("`bytes_in_flight` is below `max_message_bytes`; no large mail could ever be taken")
        if bool(self.tls_certificate_file) != bool(self.tls_key_file):
            raise ValueError("`tls_certificate_file` and `tls_key_file` belong together")
        if bool(self.relay_user) != bool(self.relay_password_file):
            raise ValueError("`relay_user` and `relay_password_file` belong together")
        if self.relay_user and self.relay_tls == "none" and self.relay_host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("`relay_tls` is none: a password would travel in the clear; use starttls or tls")

    @property
    def domain(self) -> str:
        """The domain of `address`, lower case."""
        return self.address.rpartition("@")[2].lower()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address that is ours, lower case."""
        return tuple(address.lower() for address in (self.address, *self.aliases))

    def name(self, language: str) -> str:
        """The display name for a language."""
        return self.names.get(language) or next(iter(self.names.values()))
