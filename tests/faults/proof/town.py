"""All customers of a run together: who begins when, and the machine that empties the letter tray."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from adapters.post.samples import make_scan
from proof import customers
from proof.customers import Doors
from proof.house import House
from proof.ledger import Receipt
from proof.questions import spoken

__all__ = ["Pace", "Town", "letters_for"]

_FIRST = ("Anna", "Bernd", "Clara", "Dieter", "Emma", "Frank", "Greta", "Heinz", "Ines", "Karl", "Laura", "Martin",
          "Nora", "Oskar", "Paula", "Robert", "Sabine", "Thomas", "Ulrike", "Werner")  # fmt: skip
_LAST = ("Berger", "Dorn", "Engel", "Fischer", "Graf", "Hoffmann", "Keller", "Lorenz", "Maurer", "Neumann", "Otto",
         "Peters", "Richter", "Schuster", "Thaler", "Vogel", "Wagner", "Ziegler")  # fmt: skip
_TRAY_S = 0.3
_PATIENCE_S = 150.0
"""After the last disturbance everybody has ended a conversation or given it up."""


@dataclass(frozen=True)
class Pace:
    """How many of each are under way at once; letters and oddities begin so many seconds apart."""

    writers: int = 6
    visitors: int = 5
    callers: int = 2
    letter_every_s: float = 12.0
    odd_every_s: float = 6.0
    letters: int = 2
    """At least so many are typeset."""

    def letters_in(self, seconds: float) -> int:
        """How many letters a run may need; more people than this have no name here."""
        return min(300, self.letters + int(seconds / self.letter_every_s))


def letters_for(seed: int, count: int) -> list[tuple[str, bytes]]:
    """(sender, scan) of so many letters, each from somebody else. Typeset ahead: that takes half a second each."""
    chance = random.Random(seed)
    names = chance.sample([f"{first} {last}" for first in _FIRST for last in _LAST], count)
    scans: list[tuple[str, bytes]] = []
    for number, name in enumerate(names):
        text = f"Guten Tag,\n\n{spoken('hours', 'de')}\n\nMit freundlichen Grüßen\n{name}"
        sender = (name, f"Birkenweg {number % 80 + 1}", "50667 Köln")
        scans.append((name, make_scan(text, "de", sender, degrade="clean", fmt="pdf", seed=seed + number)))
    return scans


class Town:
    """Runs customers until told to stop, and then until the last of them has finished."""

    def __init__(self, doors: Doors, house: House, seed: int, pace: Pace, letters: Sequence[tuple[str, bytes]]) -> None:
        self._doors, self._house, self._seed, self._pace = doors, house, seed, pace
        self._letters = list(letters)
        self._numbers = iter(range(1, 10**6))
        self._living: set[asyncio.Task[None]] = set()
        self._printed: set[str] = set()

    async def live(self) -> None:
        """Until `doors.stopping` is set and everybody has finished, or has lost patience."""
        loops = [
            *(self._one_after_another(customers.correspond) for _ in range(self._pace.writers)),
            *(self._one_after_another(customers.chat) for _ in range(self._pace.visitors)),
            *(self._one_after_another(customers.call) for _ in range(self._pace.callers)),
            self._every(self._pace.odd_every_s, self._somebody_odd),
            self._every(self._pace.letter_every_s, self._somebody_posts),
        ]
        tasks = [asyncio.create_task(loop) for loop in loops]
        await self._doors.stopping.wait()
        _, late = await asyncio.wait({*tasks, *self._living}, timeout=_PATIENCE_S)
        for task in late:
            task.cancel()
        for result in await asyncio.gather(*tasks, *self._living, return_exceptions=True):
            if isinstance(result, asyncio.CancelledError):
                self._doors.ledger.problems.append("a customer was still waiting at the end")
            elif isinstance(result, BaseException):
                raise result

    async def _one_after_another(self, customer: Callable[[Doors, int, random.Random], Awaitable[None]]) -> None:
        while not self._doors.stopping.is_set():
            number = next(self._numbers)
            await customer(self._doors, number, self._chance(number))

    def _chance(self, number: int) -> random.Random:
        return random.Random(f"{self._seed}/{number}")

    async def _every(self, seconds: float, begin: Callable[[], None]) -> None:
        while not self._doors.stopping.is_set():
            begin()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._doors.stopping.wait()

    def _somebody_odd(self) -> None:
        number = next(self._numbers)
        odd = customers.send_automatic if number % 2 else customers.complain_once
        self._begin(odd(self._doors, number, self._chance(number)))

    def _somebody_posts(self) -> None:
        if self._letters:
            number = next(self._numbers)
            name, scan = self._letters.pop()
            self._begin(customers.letter(self._doors, number, self._chance(number), name, scan))

    def _begin(self, customer: Awaitable[None]) -> None:
        self._living.add(asyncio.ensure_future(customer))

    async def print_letters(self) -> None:
        """The printing machine: takes each letter out of the tray, and says afterwards that it is in the post."""
        tray = self._house.tray
        while True:
            for path in sorted(tray.glob("*.pdf")):
                sidecar = json.loads(path.with_suffix(".json").read_text("utf-8"))
                self._doors.ledger.receive(
                    Receipt(
                        "post", sidecar["to"][0], "answer", time.monotonic(), reply=sidecar["reply"], matters=("hours",)
                    )
                )
                ack = path.with_name(f"{path.stem}.ack.json")
                temporary = ack.with_name(f".{ack.name}.part")
                temporary.write_text(json.dumps({"state": "posted"}), "utf-8")
                temporary.rename(ack)
                path.unlink()
            await asyncio.sleep(_TRAY_S)
