"""How time passes in a simulated call."""

import asyncio
from typing import Protocol

__all__ = ["Pace", "RealPace", "VirtualPace"]


class Pace(Protocol):
    """The clock of one call, in seconds since some beginning."""

    def now(self) -> float:
        """The moment, rising."""
        ...

    async def speech(self, seconds: float) -> None:
        """Somebody speaks, or something is played."""
        ...

    async def silence(self, seconds: float) -> None:
        """Nobody speaks."""
        ...


class RealPace:
    """Everything lasts as long as it lasts."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def speech(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def silence(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class VirtualPace:
    """Speech and long silences take no time; requests, and pauses of up to `real_silence_s`, do.

    Short pauses are what a caller gives the product to think in: skipping them would give it less time than it has.
    """

    def __init__(self, real_silence_s: float = 3.0) -> None:
        self._skipped_s = 0.0
        self._real_silence_s = real_silence_s

    def now(self) -> float:
        return asyncio.get_running_loop().time() + self._skipped_s

    async def speech(self, seconds: float) -> None:
        self._skipped_s += seconds

    async def silence(self, seconds: float) -> None:
        if seconds <= self._real_silence_s:
            await asyncio.sleep(seconds)
        else:
            self._skipped_s += seconds
