"""Waking readers: an event inside the process, a datagram between processes, a slow poll for whatever got lost.

A datagram is only a hint, so losing one costs a quarter of a second and never a record.
"""

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["Signal", "WakeSocket"]

_FOLDER = "wake"

_HINT_BYTES = 4_096
"""Room for the names of some hundred topics; a commit to more says "everything"."""


class Signal:
    """An event for one waiting task that can be waited for with a time-out, at the cost of one timer."""

    def __init__(self) -> None:
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def wake(self, heads: Mapping[int, int]) -> None:
        """Let the waiting task, or the next one to wait, go on. `heads` is for readers that keep them."""
        self._set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        """Whatever was signalled so far is known."""
        self._set = False

    async def wait(self, timeout_s: float) -> None:
        """Until `wake`, at most `timeout_s`."""
        if self._set:
            return
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = loop.call_later(timeout_s, lambda: None if waiter.done() else waiter.set_result(None))
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None


class WakeSocket:
    """A Unix datagram socket in the data folder: each process has one, and writes to those of the others.

    A datagram holds the topics that were appended to, or nothing for "look at everything".
    """

    def __init__(self, folder: Path, woken: Callable[[frozenset[str]], None]) -> None:
        (folder / _FOLDER).mkdir(mode=0o700, exist_ok=True)
        self._folder = os.open(folder / _FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._woken = woken
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.bind(self._path(self._name))
        self._loop.add_reader(self._socket, self._drain)
        self._others: list[str] = []
        self._seen = -1

    def wake_others(self, topics: frozenset[str]) -> None:
        """Tell every other process that something was committed to these topics.

        Called in the writer's thread; never blocks.
        """
        changed = os.fstat(self._folder).st_mtime_ns
        if changed != self._seen:
            self._seen = changed
            self._others = [name for name in os.listdir(self._folder) if name != self._name]
        hint = "\n".join(topics).encode()
        hint = hint if len(hint) <= _HINT_BYTES else b""
        for name in self._others:
            try:
                self._socket.sendto(hint, self._path(name))
            except (ConnectionRefusedError, FileNotFoundError):
                # Its process died without taking the socket along.
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self._folder)
            except OSError:
                # Its queue is full: hints enough are waiting there.
                continue

    def close(self) -> None:
        """Stop listening. Called on the event loop, after the writer has ended."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        with contextlib.suppress(OSError):
            os.unlink(self._name, dir_fd=self._folder)
        os.close(self._folder)

    def _path(self, name: str) -> str:
        # By the folder's descriptor: the address of a Unix socket holds 107 bytes, paths may be longer.
        return f"/proc/self/fd/{self._folder}/{name}"

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            while True:
                hint = self._socket.recv(_HINT_BYTES)
                self._woken(frozenset(hint.decode().split("\n")) if hint else frozenset())
