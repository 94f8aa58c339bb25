"""A house that breaks its promises on purpose: what does not find these faults would not find real ones.

`lose`: every third contact is said yes to and thrown away. `double`: every third reply is sent a second time under
another id. `reorder`: the log holds back what a customer says until the same customer says more, and hands it out
after that.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

__all__ = ["SABOTAGES", "spoil"]

SABOTAGES = ("lose", "double", "reorder")
_EVERY = 3
_REST_S = 5.0
"""Longer than the customers of this proof wait for an answer before they say the next thing."""


def spoil(name: str) -> None:
    """Spoil this process. Raises KeyError for what is none."""
    _WAYS[name]()


def _lose() -> None:
    from bus.adapter.hosting import Intake

    numbers = itertools.count(1)
    keep = Intake._accept

    async def accept(self: Any, raw: Any) -> Any:
        if next(numbers) % _EVERY:
            return await keep(self, raw)
        log = self._log

        class Hole:
            async def append(self, records: Sequence[Any], *, once: bool = False) -> Sequence[int | None]:
                return [1 for _ in records]

        self._log = Hole()
        try:
            return await keep(self, raw)
        finally:
            self._log = log

    Intake._accept = accept


def _double() -> None:
    from bus.delivery.sender import Sender

    numbers = itertools.count(1)
    begin = Sender.__init__

    def init(self: Any, adapter: Any, **rest: Any) -> None:
        begin(self, adapter, **rest)
        send = adapter.send

        async def twice(reply: Any, attempt: int) -> Any:
            result = await send(reply, attempt)
            if next(numbers) % _EVERY == 0:
                await send(msgspec.structs.replace(reply, id=reply.id[:-1] + "x"), attempt)
            return result

        adapter.send = twice

    Sender.__init__ = init


def _reorder() -> None:
    from bus.log.embedded_subscription import EmbeddedSubscription

    fetch = EmbeddedSubscription.fetch

    async def swapped(self: Any, limit: int, wait_s: float, **rest: Any) -> Sequence[Any]:
        resting: dict[str, tuple[float, Any]] = self.__dict__.setdefault("_resting", {})
        due: list[Any] = []
        for record in await fetch(self, limit, min(wait_s, 0.1), **rest):
            if record.topic != "contact.received":
                # Only what customers said: a reply that rests would be late, and not out of order.
                due.append(record)
            elif record.key in resting:
                due += [record, resting.pop(record.key)[1]]
            else:
                resting[record.key] = (time.monotonic() + _REST_S, record)
        for key, (until, record) in list(resting.items()):
            if until <= time.monotonic():
                due.append(record)
                del resting[key]
        return due

    EmbeddedSubscription.fetch = swapped


_WAYS: dict[str, Callable[[], None]] = {"lose": _lose, "double": _double, "reorder": _reorder}
