"""Keeps the long-running parts of a process alive, and makes it visible when one cannot be."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

__all__ = ["Supervisor"]

log = structlog.get_logger()

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0
"""A part that ran this long before it failed starts its pauses from the beginning again."""
_END_S = 3.0
"""For parts to end that were told to; one that does not is left behind, so that stopping keeps its own deadline."""


class Supervisor:
    """Runs parts; a part that fails is started again after a growing pause, for ever: a channel must come back."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.failing: dict[str, str] = {}
        """Parts that failed and are waiting to be started again, with the class of the error; for readiness."""

    def run(self, name: str, part: Callable[[], Awaitable[None]], *, restart: bool = True) -> None:
        """Start a part. `part()` is called anew for each start. Returning ends it quietly."""
        self._tasks[name] = asyncio.create_task(self._keep(name, part, restart), name=name)

    async def _keep(self, name: str, part: Callable[[], Awaitable[None]], restart: bool) -> None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_S
        while True:
            started = loop.time()
            try:
                await part()
                return
            except (Exception, asyncio.CancelledError) as error:
                if self._is_told_to_end(name, error):
                    return
                self.failing[name] = type(error).__name__
                log.error("a part of the process failed", name=name, exc_info=error)
                if not restart:
                    return
            if loop.time() - started > _STEADY_S:
                pause = _FIRST_PAUSE_S
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
            self.failing.pop(name, None)

    async def wait(self, name: str, seconds: float) -> bool:
        """Wait until a part has ended by itself; False when the time is over."""
        task = self._tasks.get(name)
        if task is None:
            return True
        done, _ = await asyncio.wait({task}, timeout=seconds)
        return bool(done)

    async def stop(self, *names: str) -> None:
        """Cancel parts (all without names) and wait for them, within seconds."""
        chosen = [self._tasks.pop(name) for name in (names or tuple(self._tasks)) if name in self._tasks]
        for task in chosen:
            task.cancel()
        if chosen:
            _, left = await asyncio.wait(chosen, timeout=_END_S)
            for task in left:
                log.warning("a part does not end", name=task.get_name())

    def _is_told_to_end(self, name: str, error: BaseException) -> bool:
        """Whether it was this task that somebody cancelled: then whatever the part says in answer is its end. A client
        that cancels a task of its own lets us see that as well, and a part that ended by it would be missed by nobody.
        """
        task = asyncio.current_task()
        by_stop = self._tasks.get(name) is not task
        return by_stop or (isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0)
