"""One run of the proof: a house, its customers, disturbances by the seed, and the verdict."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from proof.asking import SETTLE_S, ask
from proof.customers import Doors, look_again
from proof.faults import Disturber, kinds_for
from proof.house import House
from proof.judge import Judgement, judge
from proof.ledger import Ledger
from proof.schedule import schedule
from proof.sink import Sink
from proof.town import Pace, Town, letters_for

__all__ = ["Breaker", "Peace", "Report", "opened", "prove"]

LINES = {"de": "+49301234567", "nb": "+4721234567", "en": "+442071234567"}
"""The demonstration lines of the product."""

_LONG_S = 300.0
_LOOK_S = 1.0
_QUIET_S = 5.0
"""Above the rest of a reply in doubt: a copy that still comes, comes in this time."""


@dataclass
class Report:
    """What a run was and how it ended."""

    seed: int
    bus: str
    seconds: float
    offered: int = 0
    acknowledged: int = 0
    kills: int = 0
    disturbances: Counter[str] = field(default_factory=Counter[str])
    by_channel: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    judgement: Judgement = field(default_factory=Judgement)

    @property
    def verdict(self) -> str:
        return "held" if self.judgement.held else "broken"

    def as_json(self) -> dict[str, Any]:
        """The contract of `contactbus chaos --json`, and more."""
        judgement = self.judgement
        return {
            "seed": self.seed,
            "bus": self.bus,
            "seconds": round(self.seconds, 1),
            "offered": self.offered,
            "acknowledged": self.acknowledged,
            "kills": self.kills,
            "lost": judgement.count("lost"),
            "doubled": judgement.count("doubled"),
            "out_of_order": judgement.count("out_of_order"),
            "other": sum(f.kind not in ("lost", "doubled", "out_of_order") for f in judgement.findings),
            "answered": judgement.answered,
            "with_a_person": judgement.with_a_person,
            "twins": judgement.twins,
            "longest_wait_s": round(max(judgement.waits, default=0.0), 1),
            "disturbances": dict(sorted(self.disturbances.items())),
            "channels": {
                name: {"offered": offered, "acknowledged": taken}
                for name, (offered, taken) in sorted(self.by_channel.items())
            },
            "findings": [
                {"kind": f.kind, "invariant": f.invariant, "customer": f.customer, "what": f.what}
                for f in judgement.findings
            ],
            "verdict": self.verdict,
        }


class Breaker(Protocol):
    """Breaks things until it has broken all that it means to, and leaves everything whole."""

    happened: Counter[str]

    async def run(self) -> None: ...


class Peace:
    """Breaks nothing."""

    def __init__(self) -> None:
        self.happened: Counter[str] = Counter()

    async def run(self) -> None:
        return


def _by_the_seed(seed: int, seconds: float) -> Callable[[House, Sink, Ledger], Breaker]:
    def breaking(house: House, sink: Sink, ledger: Ledger) -> Breaker:
        planned = schedule(seed, seconds, kinds_for(house, long=seconds >= _LONG_S))
        return Disturber(house, sink, ledger, planned)

    return breaking


@contextlib.asynccontextmanager
async def opened(
    house_of: Callable[[tuple[str, int]], House], ledger: Ledger, *, run: str = "000000", patience_s: float = 90.0
) -> AsyncIterator[tuple[House, Doors]]:
    """A house with everybody's mail servers, open for customers; closed with all that was started."""
    async with contextlib.AsyncExitStack() as stack:
        sink = Sink(ledger)
        await sink.start()
        stack.push_async_callback(sink.close)
        house = house_of(sink.address)
        stack.push_async_callback(house.close)
        await house.open()
        yield (
            house,
            Doors(
                chat_url=house.url("chat"),
                phone_url=house.url("phone"),
                smtp_port=house.lines["smtp"].port,
                drop_folder=house.drop_folder,
                twilio_token=house.twilio_token,
                lines=LINES,
                sink=sink,
                ledger=ledger,
                run=run,
                stopping=asyncio.Event(),
                patience_s=patience_s,
                calls=set(),
                windows={},
            ),
        )


async def prove(
    house_of: Callable[[tuple[str, int]], House],
    *,
    bus: str,
    seed: int,
    seconds: float,
    pace: Pace | None = None,
    say: Callable[[str], None] = lambda _: None,
    folder: Path | None = None,
    breaking: Callable[[House, Sink, Ledger], Breaker] | None = None,
    settle_s: float = SETTLE_S,
    patience_s: float = 90.0,
) -> Report:
    """Run and judge. `house_of(relay)` builds the house that sends its mail through that relay; it is closed here.

    `breaking` makes what breaks the house; by default that is what the seed says. Customers begin new conversations for
    `seconds`, and for as long as things are being broken. `settle_s` later nothing may be missing any more.
    """
    ledger = Ledger()
    pace = pace or Pace()
    say(f"seed {seed}, {seconds:.0f} s on {bus}: the house is being built")
    letters = await asyncio.to_thread(letters_for, seed, pace.letters_in(seconds))
    async with opened(house_of, ledger, run=f"{seed % 10**6:06d}", patience_s=patience_s) as (house, doors):
        town = Town(doors, house, seed, pace, letters)
        printer = asyncio.create_task(town.print_letters())
        living = asyncio.create_task(town.live())
        breaker = (breaking or _by_the_seed(seed, seconds))(house, doors.sink, ledger)
        report = Report(seed=seed, bus=bus, seconds=seconds)
        progress = asyncio.create_task(_progress(ledger, breaker, seconds, say))
        began = time.monotonic()
        try:
            await asyncio.gather(breaker.run(), asyncio.sleep(seconds))
            doors.stopping.set()
            say("everything is whole again; waiting for what is still under way")
            await living
            await _settle(doors, settle_s)
            asked = await ask(house, ledger, doors.calls, settle_s)
        finally:
            for task in (progress, printer, living):
                task.cancel()
            await asyncio.gather(progress, printer, living, return_exceptions=True)
            if folder is not None:
                ledger.write(folder / "ledger.jsonl")
        report.judgement = judge(ledger, asked)
        report.seconds = time.monotonic() - began
        _count(report, ledger, breaker)
    return report


def _count(report: Report, ledger: Ledger, breaker: Breaker) -> None:
    report.offered, report.acknowledged = len(ledger.offers), ledger.acknowledged
    report.disturbances = breaker.happened
    report.kills = sum(number for kind, number in breaker.happened.items() if kind in KILLS)
    for channel in sorted({offer.channel for offer in ledger.offers}):
        mine = [offer for offer in ledger.offers if offer.channel == channel]
        report.by_channel[channel] = (len(mine), sum(offer.acknowledged is not None for offer in mine))


KILLS = ("kill", "clock-skew", "kill-broker", "kill-database", "end-sessions")
"""Disturbances in which a process or a session died at once; what is stopped, held or cut is counted by its name."""


async def _progress(ledger: Ledger, breaker: Breaker, seconds: float, say: Callable[[str], None]) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(10.0)
        at = time.monotonic() - began
        say(
            f"{at:5.0f} of {seconds:.0f} s   offered {len(ledger.offers)}, acknowledged {ledger.acknowledged}, "
            f"received {len(ledger.receipts)}, disturbed {breaker.happened.total()} times"
        )


async def _settle(doors: Doors, within_s: float) -> None:
    """Until nothing is missing from outside, or the time is over; then a moment more for copies that still come.

    Visitors who left without an answer look into their conversation again: what came after they had gone is there.
    """
    ends = time.monotonic() + within_s
    while lost := [finding for finding in judge(doors.ledger).findings if finding.kind == "lost"]:
        for session in {finding.customer for finding in lost} & doors.windows.keys():
            await look_again(doors, session)
        if time.monotonic() > ends:
            break
        await asyncio.sleep(_LOOK_S)
    await asyncio.sleep(_QUIET_S)
