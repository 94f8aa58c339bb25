"""The story of the dead brokers: load on all doors, every broker killed for a while, and what became of each contact.

    some load -> kill -9 -> load for as long as the outage lasts -> start -> some load -> drained -> judged

Judged from outside: what guests were told and how long that took, against what a reader of the topic finds there.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from adapters.post.samples import make_scan
from bus.log.kafka import KafkaLog
from bus.log.kafka_settings import KafkaSettings
from bus.log.topics import CONTACT_RECEIVED, REPLY_STATUS
from bus.message import Contact, decode
from deploy.kafka.brokers import AT_ONCE_S, Brokers
from deploy.kafka.topics import apply_plan
from gatehouse import guests
from gatehouse.guests import Told
from gatehouse.house import HOTLINE, Gatehouse, gatehouse

__all__ = ["Report", "story"]

PROMPT_S = 2.0
"""99 of 100 guests have their yes within this, with the brokers dead as with them alive: whoever waited for brokers
would wait for the deadline of a publish, 5 s here. Alone on a machine it is some 50 ms."""

_DRAIN_S = 600.0
_LETTER_EVERY = 40
"""One guest in so many is a letter: reading a page takes a processor more than a second."""
_CALL_EVERY = 7
_CHAT_EVERY = 3
_AT_ONCE = 48
"""Guests in the house at once: who is slow must not hide behind those that never came."""


class Phase(msgspec.Struct, kw_only=True):
    """Waiting times in one part of the story, in milliseconds by channel: half of the guests, 99 of 100, the worst."""

    name: str
    seconds: float
    guests: int
    waits_ms: dict[str, tuple[float, float, float]]


class Report(msgspec.Struct, kw_only=True):
    """What came of it."""

    outage_s: float
    told_yes: int
    refused: int
    arrived: int
    copies: int
    missing: list[str]
    doubled: list[str]
    out_of_order: list[str]
    most_waiting: int
    drained_s: float
    phases: list[Phase]
    slow: list[str]

    @property
    def held(self) -> bool:
        """Everybody was told yes at once; everything arrived, once, in order."""
        return not (self.missing or self.doubled or self.out_of_order or self.slow or self.refused)


async def story(
    folder: Path,
    *,
    outage_s: float,
    rate: float,
    around_s: float = 10.0,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Live through it with a broker of our own. `rate`: guests a second; `around_s`: load before and after."""
    brokers = Brokers(folder / "kafka")
    await asyncio.to_thread(brokers.start)
    settings = KafkaSettings(
        bootstrap=tuple(brokers.bootstrap.split(",")), topic_prefix="outage.", replication_floor=1,
        min_insync_replicas=1, publish_timeout_s=5.0,
    )  # fmt: skip
    scan = make_scan(
        "Guten Tag,\n\nwann haben Sie geöffnet?\n\nGrete Ohlsen", "de", ("Grete Ohlsen", "Birkenweg 3", "50667 Köln"),
        degrade="clean", fmt="pdf", seed=3,
    )  # fmt: skip
    log = KafkaLog(settings)
    try:
        await apply_plan(settings, [CONTACT_RECEIVED, REPLY_STATUS])
        async with gatehouse(folder, log.append) as house:
            crowd = _Crowd(house, rate, scan)
            phases = [await crowd.live("before", around_s)]
            say(_line(phases[-1]))
            await asyncio.to_thread(brokers.kill, 0)
            say("the broker is dead")
            phases.append(await crowd.live("outage", outage_s))
            most_waiting = house.spool.waiting
            say(f"{_line(phases[-1])}; {most_waiting} records wait")
            await asyncio.to_thread(brokers.restart, 0)
            say("the broker is back")
            drained = asyncio.create_task(_time_to_drain(house))
            phases.append(await crowd.live("after", around_s))
            await crowd.leave()
            drained_s = await drained
            assert await house.spool.drain(_DRAIN_S), "the spool was not empty in time"
            say(f"{_line(phases[-1])}; everything published {drained_s:.1f} s after the return")
            return await _judged(house, log, crowd, phases, outage_s, most_waiting, drained_s)
    finally:
        await log.close()
        await asyncio.to_thread(brokers.stop, within_s=AT_ONCE_S)


async def _time_to_drain(house: Gatehouse) -> float:
    began = time.monotonic()
    assert await house.spool.drain(_DRAIN_S), "the spool was not empty in time"
    return time.monotonic() - began


class _Crowd:
    """Guests that come at a rate, whatever the house does."""

    def __init__(self, house: Gatehouse, rate: float, scan: bytes) -> None:
        self._house, self._rate, self._scan = house, rate, scan
        self._number = 0
        self.letters = 0
        """Dropped into the folder so far."""
        self._inside: set[asyncio.Task[Any]] = set()
        self._room = asyncio.Semaphore(_AT_ONCE)
        self.told = Told()
        """Of everybody together."""

    async def live(self, name: str, seconds: float) -> Phase:
        """Let guests come for so long; what those heard who came in this time."""
        told = Told()
        began = time.monotonic()
        came = 0
        while time.monotonic() - began < seconds:
            await self._room.acquire()
            self._number += 1
            came += 1
            task = asyncio.create_task(self._guest(self._number)(told))
            self._inside.add(task)
            task.add_done_callback(self._left)
            await asyncio.sleep(max(0.0, began + came / self._rate - time.monotonic()))
        await self.leave()
        for channel, marks in told.yes.items():
            self.told.yes.setdefault(channel, []).extend(marks)
        self.told.no += told.no
        waits = {
            channel: tuple(
                round(seconds * 1000, 1) for seconds in (told.share(channel, 0.5), told.share(channel, 0.99), max(all_))
            )
            for channel, all_ in told.waits.items()
        }
        return Phase(name=name, seconds=round(time.monotonic() - began, 1), guests=came, waits_ms=waits)  # type: ignore[arg-type]

    async def leave(self) -> None:
        """Until everybody has gone."""
        if self._inside:
            await asyncio.gather(*self._inside)

    def _guest(self, number: int) -> Callable[[Told], Awaitable[Any]]:
        house, mark = self._house, f"g{number}"
        if number % _LETTER_EVERY == 1:
            self.letters += 1
            # No two letters are one: a remark before the end of the file is not printed, and counts for its digest.
            scan = self._scan.replace(b"%%EOF", f"% {mark}\n%%EOF".encode())
            return lambda told: guests.letter(house, f"{mark}.pdf", scan, told)
        if number % _CALL_EVERY == 2:
            return lambda told: guests.phone(house, mark, told, answering=[HOTLINE])
        if number % _CHAT_EVERY == 0:
            return lambda told: guests.chat(house, mark, told)
        return lambda told: guests.mail(house, mark, told)

    def _left(self, task: asyncio.Task[Any]) -> None:
        self._inside.discard(task)
        self._room.release()


async def _judged(
    house: Gatehouse, log: KafkaLog, crowd: _Crowd, phases: list[Phase], outage_s: float, most: int, drained_s: float
) -> Report:
    arrived: list[tuple[str, Contact]] = []
    for partition in range(8):
        start = 0
        while page := await log.read(CONTACT_RECEIVED, partition, start=start, limit=1000):
            arrived += [(record.key, decode(record.value, Contact)) for record in page]
            start = page[-1].offset + 1
    # A reader knows copies by the id of the record, which is that of the contact: what counts is the first of each.
    first: dict[str, tuple[str, Contact]] = {}
    for key, contact in arrived:
        first.setdefault(contact.id, (key, contact))
    marks = Counter(_mark(contact) for _, contact in first.values())
    wanted = {f"{channel}:{mark}" for channel, all_ in crowd.told.yes.items() if channel != "post" for mark in all_}
    missing = sorted(mark for mark in wanted if not marks[mark])
    letters = len(crowd.told.yes.get("post", []))
    if marks["post:"] < letters:
        missing.append(f"post: {letters} letters were taken, {marks['post:']} arrived")
    doubled = sorted(mark for mark in wanted if marks[mark] > 1)
    # Nobody waits at the folder for ever: a letter that was taken after its guest had gone is one letter all the same.
    if marks["post:"] > crowd.letters:
        doubled.append(f"post: {crowd.letters} letters were dropped, {marks['post:']} arrived")
    slow = [
        f"{phase.name}: {channel} {wait[1]:.0f} ms"
        for phase in phases
        for channel, wait in phase.waits_ms.items()
        if channel != "post" and wait[1] > PROMPT_S * 1000
    ]
    return Report(
        outage_s=outage_s,
        told_yes=crowd.told.count,
        refused=len(crowd.told.no),
        arrived=len(first),
        copies=len(arrived) - len(first),
        missing=missing,
        doubled=doubled,
        out_of_order=await _out_of_order(house, first),
        most_waiting=most,
        drained_s=round(drained_s, 1),
        phases=phases,
        slow=slow,
    )


def _mark(contact: Contact) -> str:
    """By what a guest would know the contact again."""
    if contact.channel == "post":
        return "post:"
    return f"{contact.channel}:{contact.subject if contact.channel == 'email' else contact.text}"


async def _out_of_order(house: Gatehouse, first: dict[str, tuple[str, Contact]]) -> list[str]:
    """Conversations whose contacts are first seen in another order than that in which they were accepted."""
    came: dict[str, list[str]] = {}
    for contact_id, (key, _) in first.items():
        came.setdefault(key, []).append(contact_id)
    accepted: dict[str, list[str]] = {}
    for contact in await house.accepted():
        if contact.id in first:
            accepted.setdefault(first[contact.id][0], []).append(contact.id)
    return sorted(key for key, order in came.items() if order != accepted.get(key))


def _line(phase: Phase) -> str:
    waits = ", ".join(f"{name} {wait[0]:.0f}/{wait[1]:.0f}" for name, wait in sorted(phase.waits_ms.items()))
    return f"{phase.name}: {phase.guests} guests in {phase.seconds:.0f} s; yes after (half/99 of 100, ms) {waits}"
