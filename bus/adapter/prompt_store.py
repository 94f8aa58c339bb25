"""The store as a door sees it: it answers within a deadline, or it is away and the door says so in its own manner."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Executable

from bus.errors import TransientError
from bus.store.port import Effect, Result, Row, Store

__all__ = ["PromptStore", "deadline_of"]

T = TypeVar("T")

_DEADLINES_S = {"live-media": 0.7, "live-text": 2.0}
"""By kind of channel. A caller hears words within 1 s, of which the rest of the request needs some; a visitor looks at
"sending" for a moment."""

_DEFERRED_S = 5.0
"""Mail hosts and folders wait, but a statement that takes longer will not come to an end either."""


def deadline_of(kind: str) -> float:
    """Seconds that a channel of this kind (`Manifest.kind`) waits for its store."""
    return _DEADLINES_S.get(kind, _DEFERRED_S)


class PromptStore:
    """`Store` with a deadline around every call. A call that is late is left to end by itself: a driver that asks its
    server to cancel waits as long for that. What was applied late is in doubt, as after any broken connection.
    """

    def __init__(self, store: Store, limit_s: float) -> None:
        self._store = store
        self._limit_s = limit_s

    async def all(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Sequence[Row]:
        return await self._in_time(self._store.all(statement, params))

    async def one(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Row | None:
        return await self._in_time(self._store.one(statement, params))

    async def by_keys(
        self, statement: Any, column: Any, keys: Sequence[str], params: Mapping[str, Any] | None = None
    ) -> Sequence[Row]:
        return await self._in_time(self._store.by_keys(statement, column, keys, params))

    async def apply(self, effects: Sequence[Effect]) -> Sequence[Result]:
        return await self._in_time(self._store.apply(effects))

    async def _in_time(self, call: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(call)
        try:
            done, _ = await asyncio.wait({task}, timeout=self._limit_s)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if done:
            return task.result()
        task.add_done_callback(_forget)
        task.cancel()
        raise TransientError(f"the store did not answer within {self._limit_s:g} s")


def _forget(task: "asyncio.Task[Any]") -> None:
    """Nobody waits any more, so nobody is told."""
    if not task.cancelled():
        task.exception()
