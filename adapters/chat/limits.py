"""Who may come in, from where, and how fast. Decided before anything is allocated for a visitor."""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from aiohttp import web

from bus.errors import Overloaded

__all__ = ["Bucket", "Buckets", "Origins", "Peers", "Turns"]

_MOST_BUCKETS = 10_000
"""Buckets remembered at a time; the one that was idle longest is forgotten, and is full again anyway."""

_MOST_TURNS = 100
"""Messages of one conversation that were told to come again: more are a flood, and their order is not worth memory."""

_TURN_GRACE_S = 10.0
"""How long after its time a message that was told to come again is waited for: then its visitor has given it up."""

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Bucket:
    """A token bucket: `burst` at once, `rate` per second after that."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst, self._left, self._at = rate, burst, float(burst), now

    def take(self, now: float) -> float:
        """0 when it may go on, else the seconds to wait; nothing is taken then."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._rate


class Buckets:
    """A bucket per key, bounded in number. It outlives a connection: coming again does not refill it."""

    def __init__(self, rate: float, burst: float, now: Callable[[], float]) -> None:
        self._rate, self._burst, self._now = rate, burst, now
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, key: str) -> float:
        """As `Bucket.take`, for a key."""
        now = self._now()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._rate, self._burst, now)
            if len(self._buckets) > _MOST_BUCKETS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket.take(now)


class Turns:
    """Keeps the order of a visitor's messages when one of them was told to come again: those behind it wait for it.

    Bounded like `Buckets`; what is forgotten loses its place, not its message.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._sessions: OrderedDict[str, dict[str, tuple[float, str]]] = OrderedDict()

    def ahead(self, session: str, message: str) -> tuple[int, str]:
        """How many messages have to come before this one, and the code that the first of them was refused with."""
        waiting = self._sessions.get(session)
        if not waiting:
            return 0, ""
        now = self._now()
        for other in [other for other, (until, _) in waiting.items() if until <= now]:
            del waiting[other]
        order = list(waiting)
        place = order.index(message) if message in waiting else len(order)
        return place, waiting[order[0]][1] if place else ""

    def come_again(self, session: str, message: str, after_s: float, code: str) -> None:
        """This message was told to come again after a while; it keeps the place that it has."""
        waiting = self._sessions.setdefault(session, {})
        self._sessions.move_to_end(session)
        if message in waiting or len(waiting) < _MOST_TURNS:
            waiting[message] = (self._now() + after_s + _TURN_GRACE_S, code)
        if len(self._sessions) > _MOST_BUCKETS:
            self._sessions.popitem(last=False)

    def settled(self, session: str, message: str) -> None:
        """This message was taken, or finally refused: whoever waits for it may come."""
        waiting = self._sessions.get(session)
        if waiting is not None:
            waiting.pop(message, None)
            if not waiting:
                del self._sessions[session]


class Origins:
    """The allow list for browsers: our own origin and the configured sites.

    Browsers name the origin on every socket and POST; cross-origin rules do not cover sockets, so this check is what
    keeps foreign pages out. A program without a browser must name an allowed origin too: one rule for all.
    """

    def __init__(self, public_url: str, sites: Sequence[str]) -> None:
        own = urlsplit(public_url)
        self._allowed = {f"{own.scheme}://{own.netloc}", *sites}
        if own.hostname in ("localhost", "127.0.0.1", "::1"):
            # On one machine people type either name of it.
            port = f":{own.port}" if own.port else ""
            self._allowed |= {f"{own.scheme}://{name}{port}" for name in _LOOPBACK}

    def allows(self, origin: str | None) -> bool:
        """Whether a request with this Origin header may go on."""
        return origin is not None and origin in self._allowed


class Peers:
    """Addresses and how many sockets each has open."""

    def __init__(self, most: int, trusted: Sequence[str]) -> None:
        self._most = most
        self._trusted = [ipaddress.ip_network(network) for network in trusted]
        self._open: dict[str, int] = {}

    def of(self, request: web.Request) -> str:
        """The peer's address, for IPv6 its /64. `X-Forwarded-For` counts only as far as trusted proxies wrote it."""
        address = request.remote or ""
        # Some proxies put a field of their own behind the one that came: together they are one list.
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", ()))
        for hop in reversed(forwarded.split(",")):
            if not self._is_trusted(address):
                break
            if hop.strip():
                address = hop.strip()
        return _prefix(address)

    @contextmanager
    def place(self, peer: str) -> Iterator[None]:
        """Hold one of the peer's sockets. Raises Overloaded when all are taken."""
        if self._open.get(peer, 0) >= self._most:
            raise Overloaded("too many sockets of one peer")
        self._open[peer] = self._open.get(peer, 0) + 1
        try:
            yield
        finally:
            self._open[peer] -= 1
            if not self._open[peer]:
                del self._open[peer]

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)


def _prefix(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        # A proxy that writes nonsense gives all of its nonsense one place.
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
