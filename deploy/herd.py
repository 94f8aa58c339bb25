"""Several processes of one group under one parent: started together, kept alive, stopped together.

Python computes on one core per process, so work that computes (understanding texts) wants processes of its own. A child
that dies is started again; one that left in good order was told to, and stays away. The children end when the parent's
end of their standard input closes, so none is left behind, however the parent dies.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Sequence

import click
import msgspec
import structlog

from bus.errors import ConfigurationError
from bus.telemetry import configure_logging
from deploy.groups import Share
from deploy.process import DRAIN_S
from deploy.stopping import Stop

__all__ = ["run_herd"]

log = structlog.get_logger()

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0
"""A child that lived so long before it died is started again without growing pauses."""
_SLACK_S = 2.0
"""Children keep their own deadline; one that does not is killed this much later."""

_WRONG_USE = 2
"""Exit code of a process that refuses its configuration: starting it again would change nothing."""


class _Child:
    """One process, started as often as it dies."""

    def __init__(self, share: Share, command: Sequence[str]) -> None:
        self.share = share
        self.command = tuple(command)
        self.process: asyncio.subprocess.Process | None = None
        self.ready: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._released = False

    async def keep(self) -> None:
        """Run until it leaves in good order, or was released. Raises ConfigurationError when it refuses to start."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_S
        while not self._released:
            started = loop.time()
            code = await self._run()
            if code == 0 or self._released:
                return
            if code == _WRONG_USE:
                raise ConfigurationError(f"a process of the group {self.share.group} cannot start; it says why above")
            log.error("a process of the group died and is started again", group=self.share.group, exit_code=code)
            if loop.time() - started > _STEADY_S:
                pause = _FIRST_PAUSE_S
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _run(self) -> int:
        self.process = await asyncio.create_subprocess_exec(
            *self.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True
        )
        try:
            assert self.process.stdout is not None
            line = await self.process.stdout.readline()
            if line and not self.ready.done():
                self.ready.set_result(line)
            return await self.process.wait()
        finally:
            self.kill()

    def release(self) -> None:
        """Let it leave in good order. It is not started again, however it ends."""
        self._released = True
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()


async def run_herd(shares: Sequence[Share], command: Callable[[Share], Sequence[str]], *, as_json: bool) -> None:
    """One process per share until SIGTERM, or until all have left. `command` are the arguments of `contactbus`.

    Raises ConfigurationError when one of them refuses its configuration; the others are let go in good order.
    """
    configure_logging("WARNING")
    children = [_Child(share, (sys.executable, "-m", "deploy.cli", *command(share))) for share in shares]

    def kill_all() -> None:
        for child in children:
            child.kill()

    stop = Stop(last_words=kill_all)
    stop.in_hand()
    told = asyncio.create_task(stop.wait())
    said = asyncio.create_task(_say_when_ready(children, as_json))
    kept = [asyncio.create_task(child.keep()) for child in children]
    try:
        running = asyncio.gather(*kept)
        await asyncio.wait({told, running}, return_when=asyncio.FIRST_COMPLETED)
        for child in children:
            child.release()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S + _SLACK_S):
                await asyncio.gather(*(child.process.wait() for child in children if child.process is not None))
        if running.done():
            running.result()
    finally:
        for task in (told, said, *kept):
            task.cancel()
        await asyncio.gather(told, said, *kept, return_exceptions=True)


async def _say_when_ready(children: Sequence[_Child], as_json: bool) -> None:
    lines = await asyncio.gather(*(child.ready for child in children))
    group = children[0].share.group
    if as_json:
        members = [msgspec.Raw(line.strip()) for line in lines]
        click.echo(msgspec.json.encode({"ready": True, "group": group, "members": members}).decode())
    else:
        click.echo(f"running {group} in {len(children)} processes", err=True)
