"""Does to the house what the schedule says, and puts it right again."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from proof.house import House
from proof.ledger import Broken, Ledger
from proof.schedule import Disturbance
from proof.sink import Sink

__all__ = ["Disturber", "kinds_for"]

_DOORS = ("chat", "phone", "smtp")

Kinds = Mapping[str, tuple[float, Sequence[str], tuple[float, float]]]


def kinds_for(house: House, *, long: bool) -> Kinds:
    """What may happen to this house: name -> (weight, targets, duration).

    `long`: also what makes the product wait for minutes before it tries again (a mail host that says "later"), which a
    short run could not sit out.
    """
    parts = list(house.parts)
    kinds: dict[str, tuple[float, Sequence[str], tuple[float, float]]] = {
        "kill": (6.0, parts, (0.0, 2.0)),
        "stop": (2.5, parts, (0.5, 8.0)),
        "cut": (1.0, _DOORS, (0.0, 0.0)),
        "blackhole-in": (0.7, _DOORS, (0.5, 4.0)),
        "blackhole-out": (0.7, _DOORS, (0.5, 4.0)),
        "yes-hidden": (1.0, ("sink",), (0.5, 2.0)),
        "guest": (1.0, ("guest",), (0.5, 4.0)),
        "clock-skew": (0.8, [name for name in parts if name.startswith("worker")], (0.0, 1.0)),
        **house.extra_kinds(),
    }
    if long:
        kinds["later"] = (0.3, ("sink",), (0.5, 3.0))
        kinds["relay-gone"] = (0.3, ("relay",), (0.5, 3.0))
    return kinds


class Disturber:
    """Carries disturbances out. `happened` counts what really happened, by kind, and what was skipped."""

    def __init__(self, house: House, sink: Sink, ledger: Ledger, planned: Sequence[Disturbance]) -> None:
        self._house, self._sink, self._ledger, self._planned = house, sink, ledger, planned
        self._busy: dict[str, asyncio.Lock] = {}
        self.happened: Counter[str] = Counter()

    async def run(self) -> None:
        """All of it; returns when everything is whole again."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for disturbance in self._planned:
                await asyncio.sleep(max(0.0, began + disturbance.at - loop.time()))
                group.create_task(self._do(disturbance))

    async def _do(self, disturbance: Disturbance) -> None:
        # One thing at a time happens to one target: what is still being put right is left alone.
        lock = self._busy.setdefault(disturbance.target, asyncio.Lock())
        if lock.locked():
            self.happened["skipped"] += 1
            return
        async with lock:
            broken = Broken(disturbance.kind, disturbance.target, time.monotonic(), float("inf"))
            self._ledger.broken.append(broken)
            if await self._carry_out(disturbance):
                self.happened[disturbance.kind] += 1
            broken.until = time.monotonic()

    async def _carry_out(self, what: Disturbance) -> bool:
        house = self._house
        match what.kind:
            case "kill" | "clock-skew":
                killed = await house.kill(what.target)
                await asyncio.sleep(what.lasts)
                if what.kind == "clock-skew":
                    wrong_s = (2 * what.lasts - 1) * house.clocks_apart_s
                    house.parts[what.target].extra["CONTACTBUS_FAULT_CLOCK_S"] = str(wrong_s)
                await house.start(what.target)
                return killed
            case "stop":
                stopped = house.pause(what.target)
                await asyncio.sleep(what.lasts)
                house.go_on(what.target)
                return stopped
            case "guest":
                # A member that joins and leaves moves partitions twice.
                await house.visit(what.target, what.lasts)
            case "cut":
                house.lines[what.target].cut()
            case "blackhole-in" | "blackhole-out":
                line = house.lines[what.target]
                line.hold(what.kind.removeprefix("blackhole-"))
                await asyncio.sleep(what.lasts)
                line.let_go(cut=what.lasts > 2.0)
            case "yes-hidden":
                self._sink.hide_yes = True
                await asyncio.sleep(what.lasts)
                self._sink.hide_yes = False
            case "later":
                self._sink.slow_down = True
                await asyncio.sleep(what.lasts)
                self._sink.slow_down = False
            case "relay-gone":
                line = house.lines["relay"]
                line.refuse = True
                line.cut()
                await asyncio.sleep(what.lasts)
                line.refuse = False
            case _:
                return await house.disturb(what.kind, what.target, what.lasts)
        return True
