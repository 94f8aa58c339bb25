"""The spool: yes whatever the brokers do, everything published afterwards, nothing overtaken, nothing lost."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.adapter.spool import Spool, SpoolSettings
from bus.clock import SystemClock
from bus.delivery.dead_letters import list_dead_letters, retry
from bus.delivery.outcome import Outcome
from bus.delivery.supervisor import Supervisor
from bus.errors import PermanentError, StorageFull, TransientError
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record, StoredRecord
from bus.telemetry import Metrics
from bus.testing.clock import FakeClock

PATIENCE_S = 30.0
QUICK = SpoolSettings(publish_timeout_s=1.0, longest_pause_s=0.1)


class Brokers:
    """The far side: keeps what it took, and fails in every way that real ones do."""

    def __init__(self) -> None:
        self.taken: list[Record] = []
        self.tries = 0
        self.behave: Callable[[Sequence[Record]], Awaitable[None]] = self.up

    async def publish(self, records: Sequence[Record]) -> None:
        self.tries += 1
        await self.behave(records)

    async def up(self, records: Sequence[Record]) -> None:
        self.taken += records

    async def down(self, records: Sequence[Record]) -> None:
        raise TransientError("no broker answers")

    async def hang(self, records: Sequence[Record]) -> None:
        await asyncio.Event().wait()

    async def refuse_large(self, records: Sequence[Record]) -> None:
        """As real ones: what stands before the large one is written all the same."""
        for record in records:
            if len(record.value) > 1000:
                raise PermanentError("larger than the brokers take")
            self.taken.append(record)

    def moody(self, seed: int) -> Callable[[Sequence[Record]], Awaitable[None]]:
        """Up, down, and in doubt: written wholly or up to somewhere, with the answer lost; late copies of old tries."""
        dice = random.Random(seed)
        late: list[Sequence[Record]] = []

        async def behave(records: Sequence[Record]) -> None:
            await asyncio.sleep(dice.random() / 500)
            mood = dice.random()
            if late and dice.random() < 0.3:
                self.taken += late.pop(0)
            if mood < 0.4:
                self.taken += records
                return
            if mood < 0.7:
                written = records[: dice.randint(0, len(records))]
                self.taken += written
                late.append(written)
            raise TransientError("the answer was lost")

        return behave

    def first_seen(self) -> list[Record]:
        """What a reader that recognises copies by their id sees."""
        seen: dict[tuple[str, str], Record] = {}
        for record in self.taken:
            seen.setdefault((record.topic, record.id), record)
        return list(seen.values())


def contacts(count: int, *, keys: int = 7, topic: str = "contact.received", start: int = 0) -> list[Record]:
    return [
        Record(topic=topic, key=f"k{n % keys}", value=b"%d" % n, id=f"{topic}-{n}", headers={"tenant": "shop"})
        for n in range(start, start + count)
    ]


def in_order(records: Sequence[Record]) -> bool:
    last: dict[tuple[str, str], int] = {}
    for record in records:
        if int(record.value) <= last.get((record.topic, record.key), -1):
            return False
        last[record.topic, record.key] = int(record.value)
    return True


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


def no_case(record: StoredRecord, reason: str) -> Outcome:
    return Outcome()


@asynccontextmanager
async def spooling(
    folder: Path,
    brokers: Brokers,
    *,
    member: str = "one",
    clock: Any = None,
    desk_case: Any = no_case,
    settings: SpoolSettings = QUICK,
    **more: Any,
) -> AsyncIterator[Spool]:
    """A gateway's spool, running. Leaving stops it as a crash does not: with its last commit."""
    clock = clock or SystemClock()
    engine = await EmbeddedEngine.open(folder, clock=clock, **more)
    await engine.create_schema()
    spool = Spool(
        engine, brokers.publish, member=member, clock=clock, metrics=Metrics(), desk_case=desk_case, settings=settings,
        jitter=random.Random(1),
    )  # fmt: skip
    supervisor = Supervisor()
    supervisor.run("spool", spool.run)
    try:
        yield spool
    finally:
        await supervisor.stop()
        await engine.close()


async def test_while_the_brokers_are_well_a_yes_means_that_they_have_it(tmp_path: Path) -> None:
    brokers = Brokers()
    async with spooling(tmp_path, brokers) as spool:
        await spool.append(contacts(1))
        await until(lambda: len(brokers.taken) == 1)
        for start in range(1, 200):
            await spool.append(contacts(1, keys=1, start=start))
            assert len(brokers.taken) == start + 1
        # A copy is known without the brokers, also while the first of it is under way.
        both = await asyncio.gather(*(spool.append(contacts(1, keys=1, start=200), once=True) for _ in range(2)))
        assert sorted(both, key=str) == [[0], [None]]
        assert len(brokers.taken) == 201


async def test_slow_brokers_are_waited_for_once_until_they_take_something(tmp_path: Path) -> None:
    brokers = Brokers()
    loop = asyncio.get_running_loop()

    async def waited(start: int) -> float:
        began = loop.time()
        await spool.append(contacts(1, keys=1, start=start))
        return loop.time() - began

    settings = msgspec.structs.replace(QUICK, publish_timeout_s=30.0, hand_over_s=2.0)
    async with spooling(tmp_path, brokers, settings=settings) as spool:
        await waited(0)
        await until(lambda: len(brokers.taken) == 1)
        mended = asyncio.Event()

        async def slow(records: Sequence[Record]) -> None:
            await mended.wait()
            await brokers.up(records)

        brokers.behave = slow
        assert await waited(1) >= 2.0
        assert max([await waited(n) for n in range(2, 12)]) < 2.0
        assert len(brokers.taken) == 1
        mended.set()
        await until(lambda: len(brokers.taken) == 12)
        await waited(12)
        assert len(brokers.taken) == 13


async def test_what_was_spooled_arrives_unchanged_once_and_in_order(tmp_path: Path) -> None:
    brokers = Brokers()
    async with spooling(tmp_path, brokers) as spool:
        given = contacts(500) + contacts(20, topic="reply.status") + contacts(5, topic="reply.fax")
        for start in range(0, len(given), 50):
            assert await spool.append(given[start : start + 50]) == [0] * len(given[start : start + 50])
        await until(lambda: len(brokers.taken) >= len(given))
        assert await spool.drain(PATIENCE_S)
    assert sorted(brokers.taken, key=lambda r: (r.topic, int(r.value))) == sorted(
        given, key=lambda r: (r.topic, int(r.value))
    )
    assert in_order(brokers.taken)


async def test_a_known_id_is_told_apart_at_the_door(tmp_path: Path) -> None:
    brokers = Brokers()
    async with spooling(tmp_path, brokers) as spool:
        assert await spool.append(contacts(1), once=True) == [0]
        assert await spool.append(contacts(2), once=True) == [None, 0]
        assert await spool.drain(PATIENCE_S)
    assert len(brokers.taken) == 2


@pytest.mark.parametrize("trouble", ["down", "hang"])
async def test_the_yes_does_not_wait_for_brokers_that_are_away(tmp_path: Path, clock: FakeClock, trouble: str) -> None:
    brokers = Brokers()
    brokers.behave = getattr(brokers, trouble)
    async with spooling(tmp_path, brokers, clock=clock) as spool:
        loop = asyncio.get_running_loop()
        slowest = 0.0
        for minute in range(30):
            began = loop.time()
            await spool.append(contacts(10, start=minute * 10))
            slowest = max(slowest, loop.time() - began)
            clock.advance(60)
        # Whoever waited for the brokers would have waited for the deadline of a publish, 1 s here.
        assert slowest < 0.9
        await until(lambda: brokers.tries > 0)
        await until(lambda: spool.waiting == 300)
        assert 29 * 60 <= spool.oldest_s <= 30 * 60
        assert brokers.taken == []
        brokers.behave = brokers.up
        await until(lambda: len(brokers.first_seen()) == 300)
        assert await spool.drain(PATIENCE_S)
    assert in_order(brokers.first_seen())


@pytest.mark.parametrize("seed", range(6))
async def test_doubt_makes_copies_and_never_overtakes(tmp_path: Path, seed: int) -> None:
    brokers = Brokers()
    brokers.behave = brokers.moody(seed)
    async with spooling(tmp_path, brokers) as spool:
        for start in range(0, 400, 10):
            await spool.append(contacts(10, start=start))
            await asyncio.sleep(0)
        await until(lambda: len(brokers.first_seen()) == 400)
    assert len(brokers.taken) > 400
    assert in_order(brokers.first_seen())


async def test_one_record_that_no_broker_takes_holds_up_nobody_and_reaches_a_person(tmp_path: Path) -> None:
    brokers = Brokers()
    brokers.behave = brokers.refuse_large
    large = Record(topic="contact.received", key="k1", value=b"9" * 2000, id="c-large", headers={"tenant": "shop"})

    def at_the_desk(record: StoredRecord, reason: str) -> Outcome:
        assert record.value == b"", "what carries the refused bytes would be refused as well"
        case = Record(topic="work.desk.deferred", key="case", value=b"1", id=f"dead/{record.id}")
        return Outcome(emit=(case,))

    async with spooling(tmp_path, brokers, desk_case=at_the_desk) as spool:
        await spool.append([*contacts(40), large, *contacts(40, start=40)])
        await until(lambda: len(brokers.first_seen()) == 81)
        assert await spool.drain(PATIENCE_S)
        arrived = brokers.first_seen()
        assert in_order(arrived)
        assert [r.id for r in arrived if r.topic == "work.desk.deferred"] == ["dead/c-large"]
        (letter,) = await list_dead_letters(spool.engine)
        assert (letter["record_id"], letter["group_name"], bytes(letter["value"])) == ("c-large", "relay", large.value)

        # A limit was raised meanwhile: an operator sends it again.
        brokers.behave = brokers.up
        assert await retry(spool.engine, letter["id"], actor="operator", now=SystemClock().now())
        await until(lambda: any(r.value == large.value for r in brokers.taken))


async def test_a_relay_that_broke_begins_again_with_what_it_had_in_hand(tmp_path: Path) -> None:
    brokers = Brokers()
    brokers.behave = brokers.refuse_large
    large = Record(topic="contact.received", key="k1", value=b"9" * 2000, id="c-large", headers={"tenant": "shop"})
    asked: list[str] = []

    def unsure(record: StoredRecord, reason: str) -> Outcome:
        asked.append(record.id)
        if len(asked) == 1:
            raise ValueError("a fault of ours")
        return Outcome()

    async with spooling(tmp_path, brokers, desk_case=unsure) as spool:
        await spool.append([large, *contacts(40, keys=1), *contacts(40, start=40)])
        await until(lambda: len(brokers.first_seen()) == 80)
        assert await spool.drain(PATIENCE_S)
    assert asked == ["c-large", "c-large"]
    assert in_order(brokers.first_seen())


async def test_a_spool_that_could_not_look_for_a_moment_relays_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brokers = Brokers()
    async with spooling(tmp_path, brokers) as spool:
        await spool.append(contacts(5))
        await until(lambda: len(brokers.taken) == 5)
        lag = spool.engine.lag
        failed: list[bool] = []

        async def fails_once(*given: Any) -> Any:
            if not failed:
                failed.append(True)
                raise TransientError("the disk does not answer")
            return await lag(*given)

        monkeypatch.setattr(spool.engine, "lag", fails_once)
        await until(lambda: bool(failed))
        await spool.append(contacts(5, start=5))
        await until(lambda: len(brokers.first_seen()) == 10)


async def test_a_killed_gateway_is_relayed_by_the_next_start(tmp_path: Path) -> None:
    brokers = Brokers()
    brokers.behave = brokers.down
    async with spooling(tmp_path, brokers) as spool:
        await spool.append(contacts(100))
    assert brokers.taken == []
    brokers.behave = brokers.up
    async with spooling(tmp_path, brokers, member="two") as spool:
        await until(lambda: len(brokers.first_seen()) == 100)
        await spool.append(contacts(1, start=100))
        assert await spool.drain(PATIENCE_S)
    assert in_order(brokers.first_seen())


async def test_two_processes_of_a_host_relay_side_by_side(tmp_path: Path) -> None:
    brokers = Brokers()
    async with spooling(tmp_path, brokers) as first, spooling(tmp_path, brokers, member="two") as second:
        for start in range(0, 200, 20):
            await (first if start % 40 else second).append(contacts(20, start=start))
        # A channel that only one of them has.
        await second.append(contacts(3, topic="reply.fax"))
        await until(lambda: len(brokers.first_seen()) == 203)
    assert in_order(brokers.first_seen())


async def test_published_rows_go_after_their_time_and_waiting_ones_never(tmp_path: Path, clock: FakeClock) -> None:
    brokers = Brokers()
    async with spooling(tmp_path, brokers, clock=clock) as spool:
        await spool.append(contacts(50))
        assert await spool.drain(PATIENCE_S)
        brokers.behave = brokers.down
        await spool.append(contacts(5, start=50))
        clock.advance(QUICK.keep_hours * 3600 - 60)
        await until(lambda: spool.oldest_s > 3600)
        assert await stored(spool) == 55
        clock.advance(20 * 60)
        async with asyncio.timeout(PATIENCE_S):
            while await stored(spool) != 5:
                await asyncio.sleep(0.05)
        clock.advance(7 * 86_400)
        await until(lambda: spool.oldest_s > 7 * 86_400)
        assert await stored(spool) == 5
        # The door still knows what it took.
        assert await spool.append(contacts(1), once=True) == [0]
        assert await spool.append(contacts(1), once=True) == [None]


async def test_only_the_floor_of_the_disk_bounds_an_outage(tmp_path: Path) -> None:
    brokers = Brokers()
    async with spooling(tmp_path, brokers, floor_bytes=1 << 62) as spool:
        with pytest.raises(StorageFull):
            await spool.append(contacts(1))
    assert brokers.taken == []


async def test_what_it_does_can_be_seen(tmp_path: Path) -> None:
    brokers = Brokers()
    brokers.behave = brokers.down
    async with spooling(tmp_path, brokers) as spool:
        registry = spool._metrics.registry
        await spool.append(contacts(3))
        await until(lambda: registry.get_sample_value("spool_records_waiting") == 3)
        await until(lambda: (registry.get_sample_value("spool_publishes_total", {"result": "failed"}) or 0) > 1)
        brokers.behave = brokers.up
        await until(lambda: registry.get_sample_value("spool_records_waiting") == 0)
        assert (registry.get_sample_value("spool_publishes_total", {"result": "acknowledged"}) or 0) >= 1
        assert registry.get_sample_value("spool_oldest_seconds") == 0


async def stored(spool: Spool) -> int:
    return sum([len(await spool.engine.read("contact.received", partition)) for partition in range(8)])
