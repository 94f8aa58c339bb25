"""Settings of the chat channel. Every limit says why it is what it is."""

import ipaddress
from urllib.parse import urlsplit

import msgspec

__all__ = ["MAX_FRAME_BYTES", "MAX_TEXT_CHARACTERS", "ChatConfig"]

MAX_FRAME_BYTES = 65_536
"""A frame holds one message of a person; attachments never travel through the socket."""

MAX_TEXT_CHARACTERS = 4_096
"""About two printed pages. Longer texts are letters and have better doors."""

_SHORTEST_SECRET = 32
"""Bytes of an HS256 key (RFC 7518 3.2: at least the size of the hash)."""


class ChatConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`sites` are the origins (`https://shop.example`) that may embed the widget or speak the protocol themselves; the
    server's own origin always may. `trusted_proxies` are networks whose `X-Forwarded-For` is believed.
    `identity_secrets` are the HS256 keys with which the host site signs who is logged in; the first is the newest.
    """

    site_key: str = "web"
    """Names the widget: the account of its contacts and the audience of identity tokens."""
    sites: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    identity_secrets: tuple[str, ...] = ()
    token_minutes: int = 15
    """Life of an access token: a copied one is soon worthless; the widget renews its own without being seen."""
    resume_hours: int = 72
    """How long after its token a conversation may be resumed. Below the log's seven days, within which a message that
    is sent again is recognised."""
    sockets_per_peer: int = 20
    """Open sockets per address (IPv6: /64): an office behind one address, not a flood."""
    sessions_per_peer_per_minute: int = 30
    messages_per_second: float = 1.0
    message_burst: int = 10
    """Faster than anybody types for long."""
    hello_timeout_s: float = 5.0
    ping_every_s: float = 25.0
    """Below the 30 s after which common proxies cut an idle line."""
    send_timeout_s: float = 10.0
    """A reader that takes nothing for so long is closed; it resumes later and misses nothing."""
    follow_every_s: float = 0.5
    """How soon what another process wrote is noticed where no hint of it came; with one it takes some 30 ms."""
    keep_days: int = 14
    """What was said stays here so long after the last word of its conversation: twice the time within which it can be
    resumed. What matters of it lies in the case; here it would only be one more copy of personal data."""
    restart_spread_s: float = 20.0
    """Visitors come back spread over this time after a restart: a handshake costs 0.2 ms of one core."""

    def __post_init__(self) -> None:
        for site in self.sites:
            parts = urlsplit(site)
            if parts.scheme not in ("http", "https") or not parts.netloc or site != f"{parts.scheme}://{parts.netloc}":
                raise ValueError(f"sites: {site!r} is not an origin such as https://shop.example")
        for network in self.trusted_proxies:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ValueError(f"trusted_proxies: {network!r} is not a network such as 10.0.0.0/8") from None
        if any(len(secret.encode()) < _SHORTEST_SECRET for secret in self.identity_secrets):
            raise ValueError(f"identity_secrets: a secret needs at least {_SHORTEST_SECRET} bytes")
        if not 1 <= self.token_minutes <= 60:
            raise ValueError("token_minutes: 1 to 60")
        if not 1 <= self.resume_hours <= 160:
            raise ValueError("resume_hours: 1 to 160; later than seven days a repeated message is not recognised")
        if min(self.sockets_per_peer, self.sessions_per_peer_per_minute, self.message_burst) < 1:
            raise ValueError("sockets_per_peer, sessions_per_peer_per_minute and message_burst: at least 1")
        if not 8 <= self.keep_days <= 3650:
            raise ValueError("keep_days: 8 to 3650; below, a conversation would be forgotten that may be resumed")
        if self.messages_per_second <= 0 or self.follow_every_s <= 0:
            raise ValueError("messages_per_second and follow_every_s: above 0")
