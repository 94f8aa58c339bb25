"""Normalising hostile input in a process of its own, under limits of memory and time.

A mail or a scan may make a parser loop, eat memory or abort the process (a 5 kB PDF does). Here that costs one child
process, never the channel. A child is used for many inputs and replaced after a while, so that a slow leak ends too.

Protocol on the pipe: 4 bytes length and msgpack of `Raw` one way; a status byte, a length and `WireAnswer` the other.
"""

import asyncio
import contextlib
import os
import signal
import sys
from typing import Any

import msgspec
import structlog

from bus.adapter.contract import ChannelPlugin, Normalised, Raw
from bus.adapter.sandbox_wire import WireAnswer
from bus.errors import TransientError
from bus.message import Contact, decode

__all__ = ["Sandbox", "SandboxFailure"]

log = structlog.get_logger()

_USES_PER_CHILD = 1000
"""Inputs before a child is replaced: memory that a library leaks is given back, at a cost of about 0.3 ms each."""

_START_S = 60.0
"""How long a child may take to import its libraries on a busy machine."""

_STOOD_STILL_S = 0.5
"""A timer that fires so much too late fires in a process that was stopped, starved or blocked in between."""

_ROUNDS = 3
"""How often the limit is counted at most: on a machine that is always late, too, hostile input comes to its end."""


class SandboxFailure(Exception):
    """The input could not be normalised: `reason` is time, memory or crash."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Sandbox:
    """A few child processes for one channel."""

    def __init__(self, plugin: ChannelPlugin, config: Any, *, children: int = 1) -> None:
        self._plugin = plugin
        self._config = msgspec.json.encode(config)
        self._idle: asyncio.Queue[_Child | None] = asyncio.Queue()
        for _ in range(children):
            self._idle.put_nowait(None)

    async def normalise(self, raw: Raw) -> Normalised:
        """Run the plugin's `normalise`. Raises SandboxFailure, or TransientError when no child can be started."""
        child = await self._idle.get()
        keep: _Child | None = None
        try:
            if child is not None and child.spent:
                await child.close()
                child = None
            if child is None:
                child = await _Child.start(self._plugin, self._config)
            answer = await child.ask(msgspec.msgpack.encode(raw), self._plugin.manifest.normalise_seconds)
            keep = child
        except SandboxFailure:
            if child is not None:
                await child.close()
            raise
        except BaseException:
            # Cancelled in the middle of an exchange: the pipe holds half an answer.
            if child is not None:
                child.kill()
            raise
        finally:
            self._idle.put_nowait(keep)
        wire = msgspec.msgpack.decode(answer, type=WireAnswer)
        return Normalised(contact=decode(wire.contact, Contact), blobs=wire.blobs)

    async def warm(self) -> None:
        """Start the children before the first input needs them: imports take seconds on a busy machine."""
        for _ in range(self._idle.qsize()):
            child = await self._idle.get()
            try:
                if child is None:
                    child = await _Child.start(self._plugin, self._config)
            finally:
                self._idle.put_nowait(child)

    async def close(self) -> None:
        """End the idle children."""
        while not self._idle.empty():
            child = self._idle.get_nowait()
            if child is not None:
                await child.close()


class _Child:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._uses = 0

    @classmethod
    async def start(cls, plugin: ChannelPlugin, config: bytes) -> "_Child":
        manifest = plugin.manifest
        function = plugin.normalise
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bus.adapter.sandbox_child",
                f"{function.__module__}:{function.__qualname__}",
                f"{plugin.config_type.__module__}:{plugin.config_type.__qualname__}",
                str(manifest.normalise_megabytes),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise TransientError("no process for normalising could be started") from error
        child = cls(process)
        try:
            await child._exchange(config, _START_S)
        except SandboxFailure as error:
            child.kill()
            raise TransientError("the process for normalising did not come up") from error
        return child

    @property
    def spent(self) -> bool:
        return self._uses >= _USES_PER_CHILD or self._process.returncode is not None

    async def ask(self, data: bytes, seconds: float) -> bytes:
        self._uses += 1
        return await self._exchange(data, seconds)

    async def _exchange(self, data: bytes, seconds: float) -> bytes:
        talk = asyncio.create_task(self._talk(data))
        loop = asyncio.get_running_loop()
        try:
            for _ in range(_ROUNDS):
                due = loop.time() + seconds
                done, _ = await asyncio.wait({talk}, timeout=seconds)
                late = loop.time() - due
                if done or late < _STOOD_STILL_S:
                    break
                # We stood still ourselves: the answer may have come long ago, and the time says nothing of the input.
                log.warning("a limit of time is counted anew after a standstill", seconds=round(late, 1))
            if not talk.done():
                raise SandboxFailure("time")
            status, body = talk.result()
        except (asyncio.IncompleteReadError, ConnectionError):
            raise SandboxFailure("crash") from None
        finally:
            talk.cancel()
        if status != 0:
            raise SandboxFailure(body.decode("ascii", "replace"))
        return body

    async def _talk(self, data: bytes) -> tuple[int, bytes]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise ConnectionError
        stdin.write(len(data).to_bytes(4, "big") + data)
        await stdin.drain()
        head = await stdout.readexactly(5)
        return head[0], await stdout.readexactly(int.from_bytes(head[1:], "big"))

    def kill(self) -> None:
        # The whole group: a recogniser that the child started dies with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def close(self) -> None:
        self.kill()
        await self._process.wait()
