"""Which conversations have sockets in this process, and who wakes them."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol

__all__ = ["Hub", "Room", "Visitor"]


class Visitor(Protocol):
    """One connected socket, as the hub sees it."""

    def wake(self) -> None:
        """There is something new to read from the table."""
        ...

    waits: bool
    """For a person."""

    def tell_queue(self, ahead: int) -> None:
        """So many chats wait before this one."""
        ...

    def drain(self) -> Awaitable[None]:
        """Say when to come back, then close."""
        ...


class Room:
    """A conversation with at least one socket here. `lock`: its messages are taken in one after another."""

    def __init__(self) -> None:
        self.visitors: set[Visitor] = set()
        self.lock = asyncio.Lock()
        self.head = 0
        """The newest place that was waked for, so that the follower wakes only for what is newer."""


class Hub:
    """Sockets by conversation. Only a signpost: what is said lies in the table."""

    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}

    def enter(self, session: str, visitor: Visitor) -> Room:
        """Register a socket. From now on it is waked, so reading the table after this misses nothing."""
        room = self._rooms.setdefault(session, Room())
        room.visitors.add(visitor)
        return room

    def leave(self, session: str, visitor: Visitor) -> None:
        """Forget a socket."""
        room = self._rooms.get(session)
        if room is not None:
            room.visitors.discard(visitor)
            if not room.visitors:
                del self._rooms[session]

    def head(self, session: str) -> int | None:
        """The newest place that the sockets of a conversation were waked for; None when it has none here."""
        room = self._rooms.get(session)
        return None if room is None else room.head

    def wake(self, session: str, head: int) -> None:
        """Wake the sockets of a conversation, if there are any here and they were not waked for this place."""
        room = self._rooms.get(session)
        if room is not None and head > room.head:
            room.head = head
            for visitor in room.visitors:
                visitor.wake()

    @property
    def sessions(self) -> Sequence[str]:
        """Conversations with sockets here."""
        return list(self._rooms)

    def visitors(self) -> Sequence[Visitor]:
        """Every socket here, as of now."""
        return [visitor for room in self._rooms.values() for visitor in room.visitors]

    def visitors_of(self, session: str) -> Sequence[Visitor]:
        """The sockets of one conversation here, as of now."""
        room = self._rooms.get(session)
        return list(room.visitors) if room else []
