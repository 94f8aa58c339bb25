"""Hands: the tasks in which a worker decides. As many as wait at once, and one where nobody waits.

A task and a time-out for every record would cost more than most decisions. A hand goes from record to record without
giving up the loop; only when it must wait, another one comes and goes on with the rest. One watch looks after all of
them and cuts off a decision that hangs.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

__all__ = ["Hand", "Hands"]

log = structlog.get_logger()

_SPARE = 8
"""Hands kept for the next rush; others go home when there is nothing to do."""

_SLICE_S = 0.005
"""A hand that has worked so long without waiting lets the loop look after everything else: a call must not stutter."""


_FAREWELL_S = 0.5
"""What a cancelled decision may take to clean up."""


class Hand:
    """One task. `begin` and `end` enclose a decision, whose time is limited."""

    __slots__ = ("_hands", "_loop", "_slice", "cut", "since", "task", "wake")

    def __init__(self, hands: "Hands", loop: asyncio.AbstractEventLoop) -> None:
        self._hands = hands
        self._loop = loop
        self._slice = 0.0
        self.task: asyncio.Task[None] | None = None
        self.wake: asyncio.Future[None] | None = None
        self.since = 0.0
        self.cut = False

    def begin(self) -> None:
        """A decision begins."""
        self.since = self._loop.time()
        if self._hands.latest is not self:
            # Another hand was at work since: the loop has had its turn.
            self._hands.latest = self
            self._slice = self.since

    def end(self) -> None:
        """The decision is made, or failed."""
        self.since = 0.0

    def tired(self) -> bool:
        """Whether this hand may have held the loop for long."""
        return self._hands.latest is self and self._loop.time() - self._slice > _SLICE_S

    async def breathe(self) -> None:
        """Give the loop up."""
        await asyncio.sleep(0)
        self._slice = self._loop.time()

    def was_cut_off(self) -> bool:
        """Whether the cancellation just caught was the watch's; then it is taken back and the hand goes on."""
        if not self.cut or self.task is None:
            return False
        self.cut = False
        return self.task.uncancel() == 0


class Hands:
    """Runs `work(hand)` in as many tasks as are called for; it returns when there is nothing left to do."""

    def __init__(self, work: Callable[[Hand], Awaitable[None]], *, name: str, limit_s: float) -> None:
        self._work = work
        self._name = name
        self._limit_s = limit_s
        self._hands: set[Hand] = set()
        self._idle: list[Hand] = []
        self._coming = False
        self.latest: Hand | None = None
        """Which one began a decision last."""
        self.failure: BaseException | None = None
        """Set when a hand failed outside of a decision: a fault of the house, and work is stuck in it."""

    def call(self) -> None:
        """There is work: a hand comes, unless one is on its way already."""
        if self._coming:
            return
        self._coming = True
        while self._idle:
            wake = self._idle.pop().wake
            if wake is not None and not wake.done():
                wake.set_result(None)
                return
        hand = Hand(self, asyncio.get_running_loop())
        hand.task = asyncio.create_task(self._run(hand), name=self._name)
        self._hands.add(hand)

    async def _run(self, hand: Hand) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._coming = False
                await self._work(hand)
                if len(self._idle) >= _SPARE:
                    return
                hand.wake = loop.create_future()
                self._idle.append(hand)
                await hand.wake
        except Exception as error:
            log.error("a hand failed", group=self._name, exc_info=error)
            self.failure = error
        finally:
            self._hands.discard(hand)

    async def watch(self) -> None:
        """Cut off decisions that take longer than the limit, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(1.0, self._limit_s / 4))
            late = loop.time() - self._limit_s
            for hand in self._hands:
                if hand.since and hand.since < late and not hand.cut and hand.task is not None:
                    hand.cut = True
                    hand.task.cancel()

    async def dismiss(self) -> None:
        """Cancel every hand, and wait a little for it to go: a decision that refuses to end is left behind."""
        tasks = [hand.task for hand in self._hands if hand.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_FAREWELL_S)
