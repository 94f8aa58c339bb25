"""The crash-point matrix: every named moment between two steps, on every channel, in every way of breaking.

Every channel has a gateway of its own and every worker a process of its own, so that a fault strikes exactly one of
them. Contacts of all channels flow until every armed fault has struck.

- kill: each life of each process ends at the next point of its list; it is started again with the next one armed.
- raise: all points of a process are armed in one life; each fails once.
- hang: the same; each point stands still for longer than a lease lasts, while a spare gateway takes over what the
  silent process held. Then it goes on with work that is no longer its own.

A spare worker takes over from silent and dead workers in every mode. On Kafka the relay of the spool, the outbox and
the commit of positions are steps of the way too.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Sequence

from proof.house import CHANNELS, House, Layout
from proof.ledger import Broken, Ledger

__all__ = ["MODES", "Striker", "first_lives", "layout_of", "points_of"]

MODES = ("kill", "raise", "hang")
_HANG_S = {"embedded": 6.0, "kafka": 9.0}
"""Above the five seconds of a lease, and the six of a session in this proof."""

_ALL_STRUCK_S = {"embedded": 240.0, "kafka": 600.0}
"""Of Kafka's longer ways, with every death a rebalance of half a dozen seconds."""
_LOOK_S = 0.1

_ACCEPTING = ("accept.begun", "accept.stored", "accept.durable", "status.durable")
_SENDING = ("consume.fetched", "outcome.decided", "send.begun", "send.sent", "outcome.applied")
_DECIDING = ("consume.fetched", "outcome.decided", "outcome.applied")
_CHANNELS = ("email", "chat", "phone", "post")
_GROUPS = ("intake", "triage", "support", "case")
"""The workers that every contact of the proof passes."""

_NEVER = {"status.durable/email"}
"""A mail server tells nothing afterwards but that a mail could not be delivered, which the sinks here never do."""


def layout_of(mode: str) -> Layout:
    """The processes of a run."""
    layout: dict[str, Sequence[str]] = {f"gateway-{channel}": ("serve", channel) for channel in _CHANNELS}
    layout |= {f"worker-{group}": ("workers", "run", group) for group in _GROUPS}
    # The spare worker also runs the groups that have no process of their own.
    layout["spare-worker"] = ("workers", "run", "all")
    if mode == "hang":
        layout["spare-gateway"] = ("serve", *CHANNELS)
    return layout


def points_of(bus: str, name: str) -> list[str]:
    """The points of a process, in the order in which a contact passes them."""
    role, _, what = name.partition("-")
    travels = bus == "kafka"
    if role == "worker":
        deciding = [f"{point}/{what}" for point in _DECIDING]
        # Any topic's: which keys a process relays is a matter of its shards.
        return [*deciding, "outbox.published", f"commit.before/{what}"] if travels else deciding
    if role != "gateway":
        return []
    accepting = [f"{point}/{what}" for point in _ACCEPTING]
    if travels:
        accepting.append("relay.published/contact.received")
    sending = [f"{point}/{what if point.startswith('send') else f'send-{what}'}" for point in _SENDING]
    if travels:
        sending.append(f"commit.before/send-{what}")
    return [point for point in (*accepting, *sending) if point not in _NEVER]


def arming(bus: str, mode: str, points: Sequence[str]) -> dict[str, str]:
    """The environment of a life in which these points strike."""
    faults = ",".join(f"{point}:{mode}:1" for point in points)
    return {"CONTACTBUS_FAULT": faults, "CONTACTBUS_FAULT_HANG_S": str(_HANG_S[bus])}


def first_lives(bus: str, mode: str) -> dict[str, dict[str, str]]:
    """What is armed when the house is opened: the first point of each process, or all of them."""
    points = {name: points_of(bus, name) for name in layout_of(mode)}
    return {name: arming(bus, mode, all_[:1] if mode == "kill" else all_) for name, all_ in points.items() if all_}


class Striker:
    """Arms, waits until everything has struck, and starts again what died. `struck`: (process, point) that did."""

    def __init__(self, house: House, ledger: Ledger, bus: str, mode: str) -> None:
        self._house, self._ledger, self._bus, self._mode = house, ledger, bus, mode
        self.happened: Counter[str] = Counter()
        self.struck: set[tuple[str, str]] = set()
        self.wanted = {(name, point) for name in house.parts for point in points_of(bus, name)}

    async def run(self) -> None:
        """Raises TimeoutError, naming what never struck: a point that is not passed proves nothing."""
        try:
            async with asyncio.timeout(_ALL_STRUCK_S[self._bus]), asyncio.TaskGroup() as group:
                for name in self._house.parts:
                    if points_of(self._bus, name):
                        group.create_task(self._one_by_one(name) if self._mode == "kill" else self._all_at_once(name))
        except TimeoutError:
            missing = sorted(f"{point} of {name}" for name, point in self.wanted - self.struck)
            raise TimeoutError(f"{self._mode}: never struck: {', '.join(missing)}") from None

    async def _one_by_one(self, name: str) -> None:
        waiting = deque(points_of(self._bus, name))
        while waiting:
            process = self._house.parts[name].process
            assert process is not None
            await process.wait()
            if not self._note(name, waiting[0]):
                raise RuntimeError(f"{name} ended with {process.returncode} before {waiting[0]}")
            broken = self._broken(name)
            waiting.popleft()
            self._house.parts[name].extra = arming(self._bus, self._mode, list(waiting)[:1])
            await self._house.launch(name)
            broken.until = time.monotonic()

    async def _all_at_once(self, name: str) -> None:
        points = points_of(self._bus, name)
        while waiting := [point for point in points if (name, point) not in self.struck]:
            for point in waiting:
                if self._note(name, point):
                    self._broken(name).until = time.monotonic() + _HANG_S[self._bus]
            await asyncio.sleep(_LOOK_S)

    def _note(self, name: str, point: str) -> bool:
        if f"fault {point}:{self._mode}\n" not in self._house.said(name):
            return False
        self.struck.add((name, point))
        self.happened[self._mode] += 1
        return True

    def _broken(self, name: str) -> Broken:
        broken = Broken(self._mode, name, time.monotonic(), float("inf"))
        self._ledger.broken.append(broken)
        return broken
