"""A line that can be broken: a TCP proxy that holds bytes back in one direction or both, cuts, or refuses.

It is also the house's front door: with several targets every connection goes to the next one that answers, as a load
balancer does it.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Sequence

__all__ = ["Direction", "Proxy"]

Direction = str
"""`in`: from the clients to the target. `out`: from the target to the clients."""

_CHUNK = 65_536
_CONNECT_S = 2.0
"""A target that does not even take the connection within this is passed over."""


class Proxy:
    """Listens on loopback (`port`). A held direction delivers nothing and loses nothing until it is let go."""

    def __init__(self, targets: Callable[[], Sequence[tuple[str, int]]], *, port: int = 0) -> None:
        self._targets = targets
        self._wanted_port = port
        self._turn = itertools.count()
        self._open = {"in": asyncio.Event(), "out": asyncio.Event()}
        for gate in self._open.values():
            gate.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.refuse = False

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._wanted_port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold(self, *directions: Direction) -> None:
        """Deliver nothing more in these directions; connections stay open, as behind a dead switch."""
        for direction in directions:
            self._open[direction].clear()

    def let_go(self, *, cut: bool) -> None:
        """Deliver again. `cut`: connections of before are gone, with what was on the way in them."""
        if cut:
            self.cut()
        for gate in self._open.values():
            gate.set()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            if self.refuse:
                return
            onward = await self._connect()
            if onward is None:
                return
            target_reader, target_writer = onward
            self._writers.add(target_writer)
            try:
                await asyncio.gather(
                    self._carry("in", reader, target_writer), self._carry("out", target_reader, writer)
                )
            finally:
                self._writers.discard(target_writer)
                target_writer.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        targets = list(self._targets())
        start = next(self._turn)
        for step in range(len(targets)):
            host, port = targets[(start + step) % len(targets)]
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CONNECT_S):
                    return await asyncio.open_connection(host, port)
        return None

    async def _carry(self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            data = await reader.read(_CHUNK)
            await self._open[direction].wait()
            if not data:
                with contextlib.suppress(OSError):
                    if writer.can_write_eof():
                        writer.write_eof()
                return
            writer.write(data)
            await writer.drain()
