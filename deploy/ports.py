"""Ports of loopback for servers that must know theirs before they start."""

import random
import socket

__all__ = ["free_port", "free_ports"]

_LOWEST, _HIGHEST = 20_000, 32_767
"""Below what systems give to outgoing connections (Linux from 32,768, others from 49,152; RFC 6335 section 6).

A port from up there is free when it is asked for and, on a busy machine, somebody's when the server comes to take it.
"""
_TRIES = 1000
_given: set[int] = set()


def free_ports(count: int, *, chance: random.Random | None = None) -> list[int]:
    """Ports that nobody listens on at this moment, and that this process has not been given before.

    Raises:
        RuntimeError: none were found in a thousand tries.
    """
    chance = chance or random.SystemRandom()
    found: list[int] = []
    for _ in range(_TRIES):
        if len(found) == count:
            return found
        port = chance.randint(_LOWEST, _HIGHEST)
        if port not in _given and _is_free(port):
            _given.add(port)
            found.append(port)
    raise RuntimeError(f"no free port of loopback between {_LOWEST} and {_HIGHEST}")


def free_port() -> int:
    """One such port."""
    return free_ports(1)[0]


def _is_free(port: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False
