"""Who may connect: counts of open sessions per network and in all, and bytes of mail in memory."""

import ipaddress

__all__ = ["Peers", "network_of"]


def network_of(address: str) -> str:
    """The /24 or /64 that an address lies in: one attacker often owns all of it."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        else:
            return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(ipaddress.ip_network((parsed, 24), strict=False))


class Peers:
    """Counts shared by all sessions of a listener; used from one event loop."""

    def __init__(self, *, total: int, per_network: int, bytes_in_flight: int) -> None:
        self._total = total
        self._per_network = per_network
        self._bytes_limit = bytes_in_flight
        self._open: dict[str, int] = {}
        self._sessions = 0
        self._bytes = 0

    @property
    def sessions(self) -> int:
        """Open sessions."""
        return self._sessions

    def enter(self, network: str) -> bool:
        """Count a session in, unless a limit is reached."""
        if self._sessions >= self._total or self._open.get(network, 0) >= self._per_network:
            return False
        self._sessions += 1
        self._open[network] = self._open.get(network, 0) + 1
        return True

    def leave(self, network: str) -> None:
        """Count a session out."""
        self._sessions -= 1
        left = self._open[network] - 1
        if left:
            self._open[network] = left
        else:
            del self._open[network]

    def hold(self, count: int) -> bool:
        """Count bytes in, unless too many are in memory already."""
        if self._bytes + count > self._bytes_limit:
            return False
        self._bytes += count
        return True

    def release(self, count: int) -> None:
        """Count bytes out."""
        self._bytes -= count

    @property
    def full(self) -> bool:
        """Whether most of the memory for mail is taken: no new mail is begun."""
        return self._bytes * 10 > self._bytes_limit * 9
