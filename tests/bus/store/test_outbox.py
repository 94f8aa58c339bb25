"""The outbox relay: everything arrives, in order per key, whoever dies in between."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import psycopg
import pytest

from bus.delivery.outcome import Outcome
from bus.errors import TransientError
from bus.log.port import Record
from bus.store.outbox import OutboxRelay, fair_share
from bus.store.port import Effect
from bus.store.postgres import PostgresStore
from bus.store.postgres_apply import SHARDS, shard_of
from bus.store.postgres_settings import PostgresSettings


class Topic:
    """What the relays published, as a log would hold it: appended in order, perhaps refused."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.refusing = False
        self.cut = 0
        self.held: asyncio.Event | None = None
        self.changed = asyncio.Condition()

    async def publish(self, records: Sequence[Record]) -> None:
        if self.held is not None:
            await self.held.wait()
        if self.refusing:
            raise TransientError("the broker is away")
        taken = records[: self.cut] if self.cut else records
        async with self.changed:
            self.records += taken
            self.changed.notify_all()
        if self.cut:
            self.cut = 0
            raise TransientError("the broker went away in the middle")

    @property
    def ids(self) -> list[str]:
        return [record.id for record in self.records]

    def first_of(self, key: str) -> list[str]:
        """Ids of a key in the order of their first appearance: what a reader with an inbox sees."""
        return list(dict.fromkeys(record.id for record in self.records if record.key == key))

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(true)


@contextlib.asynccontextmanager
async def relaying(store: PostgresStore, topic: Topic) -> AsyncIterator[OutboxRelay]:
    relay = OutboxRelay(store, topic.publish)
    store.on_emitted(relay.wake)
    running = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        await relay.close()
        await running


def emitting(*names: str, key: str = "k") -> Effect:
    records = tuple(Record(topic="t", key=key, value=b"", id=name, headers={"a": "ü"}) for name in names)
    return Effect(outcome=Outcome(emit=records))


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while True:
            found = true()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.01)


async def is_empty(store: PostgresStore) -> bool:
    return await store.backlog() == (0, 0.0)


async def test_records_are_published_as_they_were_and_forgotten(store: PostgresStore) -> None:
    topic = Topic()
    record = Record(topic="work", key="ø", value=b"\x00\xff", id="1", headers={"tenant": "shop", "x": "ü"})
    async with relaying(store, topic):
        await store.apply([Effect(outcome=Outcome(emit=(record,)))])
        await topic.until(lambda: len(topic.records) == 1)
        assert topic.records == [record]
        await until(lambda: is_empty(store))


async def test_a_relay_that_owns_the_shard_is_told_at_once(store: PostgresStore) -> None:
    topic = Topic()
    loop = asyncio.get_running_loop()
    async with relaying(store, topic) as relay:
        await until(lambda: len(relay.owned) == SHARDS)
        waited: list[float] = []
        for n in range(20):
            began = loop.time()
            await store.apply([emitting(f"{n}")])
            await topic.until(lambda n=n: len(topic.records) == n + 1)
            waited.append(loop.time() - began)
    # Commit, reading and publishing; being woken by the poll instead takes 125 ms on average.
    assert sorted(waited)[len(waited) // 2] < 0.1


async def test_keys_keep_their_order_over_many_batches(store: PostgresStore) -> None:
    topic = Topic()
    keys = [f"k{n}" for n in range(20)]
    async with relaying(store, topic):
        for n in range(30):
            await store.apply([emitting(f"{key}/{n}/a", f"{key}/{n}/b", key=key) for key in keys])
        await topic.until(lambda: len(topic.records) == 30 * 20 * 2)
        await until(lambda: is_empty(store))
    for key in keys:
        assert [record.id for record in topic.records if record.key == key] == [
            f"{key}/{n}/{half}" for n in range(30) for half in "ab"
        ]


async def test_what_waits_from_before_is_published_after_a_start(store: PostgresStore) -> None:
    topic = Topic()
    names = [f"{n}" for n in range(700)]
    await store.apply([emitting(*names)])
    assert (await store.backlog())[0] == 700
    async with relaying(store, topic):
        await topic.until(lambda: len(topic.records) == 700)
        await until(lambda: is_empty(store))
    assert topic.ids == names


async def test_a_number_that_is_committed_late_is_not_skipped(
    store: PostgresStore, postgres_settings: PostgresSettings
) -> None:
    topic = Topic()
    columns = "tenant, shard, at, topic, key, id, headers, value"
    insert = f"INSERT INTO outbox ({columns}) VALUES ('shop', {shard_of('k')}, 0, 't', 'other', 'late', '{{}}', '')"
    async with relaying(store, topic):
        async with await psycopg.AsyncConnection.connect(postgres_settings.owner_dsn) as slow:
            await slow.execute("SET contactbus.tenants = 'shop'")
            await slow.execute(insert)
            await store.apply([emitting("early")])
            await topic.until(lambda: topic.ids == ["early"])
            await until(lambda: is_empty(store))
            await slow.commit()
        await topic.until(lambda: topic.ids == ["early", "late"])


async def test_while_the_broker_is_away_records_rest_and_then_go_in_order(store: PostgresStore) -> None:
    topic = Topic()
    topic.refusing = True
    async with relaying(store, topic):
        for n in range(5):
            await store.apply([emitting(f"{n}")])
        await asyncio.sleep(0.3)
        assert (await store.backlog())[0] == 5
        topic.refusing = False
        await topic.until(lambda: len(topic.records) == 5)
    assert topic.ids == ["0", "1", "2", "3", "4"]


async def test_a_batch_that_broke_off_is_repeated_in_order(store: PostgresStore) -> None:
    topic = Topic()
    topic.cut = 3
    names = [f"{n}" for n in range(10)]
    await store.apply([emitting(*names)])
    async with relaying(store, topic):
        await topic.until(lambda: len(topic.records) >= 13)
        await until(lambda: is_empty(store))
    assert topic.ids == ["0", "1", "2", *names]
    assert topic.first_of("k") == names


async def test_one_shard_that_hangs_holds_up_no_other(store: PostgresStore) -> None:
    topic = Topic()
    other = next(key for key in (f"k{n}" for n in range(100)) if shard_of(key) != shard_of("k"))
    async with relaying(store, topic) as relay:
        await until(lambda: len(relay.owned) == SHARDS)
        topic.held = asyncio.Event()
        await store.apply([emitting("held")])
        await until(lambda: relay.publishing == {(shard_of("k"), "t")})
        held, topic.held = topic.held, None
        await store.apply([emitting("free", key=other)])
        await topic.until(lambda: topic.ids == ["free"])
        held.set()
        await topic.until(lambda: topic.ids == ["free", "held"])


async def test_one_topic_that_takes_nothing_holds_up_no_other(store: PostgresStore) -> None:
    topic = Topic()
    missing: list[str] = []

    async def publish(records: Sequence[Record]) -> None:
        if records[0].topic == "missing":
            missing.append(records[0].id)
            raise TransientError("there is no such topic")
        await topic.publish(records)

    def both(n: int) -> Effect:
        records = tuple(Record(topic=name, key="k", value=b"", id=f"{name}{n}") for name in ("missing", "t"))
        return Effect(outcome=Outcome(emit=records))

    relay = OutboxRelay(store, publish)
    store.on_emitted(relay.wake)
    running = asyncio.create_task(relay.run())
    # More than one reading of the shard finds of the topic that takes nothing.
    await store.apply([both(n) for n in range(300)])
    await topic.until(lambda: len(topic.records) == 300)
    await until(lambda: len(missing) > 3)
    await relay.close()
    await running
    assert topic.ids == [f"t{n}" for n in range(300)]
    assert set(missing) == {"missing0"}
    assert (await store.backlog())[0] == 300


@pytest.mark.parametrize(
    ("holdings", "fair"),
    [
        ({7: 0}, {7: 8}),
        ({7: 8, 8: 0}, {7: 4, 8: 4}),
        # Nobody is left without, whoever came last.
        ({1: 0, 2: 2, 3: 2, 4: 2, 5: 2}, {1: 1, 2: 2, 3: 2, 4: 2, 5: 1}),
        # What is even already stays as it is.
        ({1: 1, 2: 1, 3: 2, 4: 2, 5: 2}, {1: 1, 2: 1, 3: 2, 4: 2, 5: 2}),
        ({n: 1 if n > 1 else 0 for n in range(1, 10)}, {n: 1 if n > 1 else 0 for n in range(1, 10)}),
    ],
)
def test_shares_are_even_and_move_only_when_they_must(holdings: dict[int, int], fair: dict[int, int]) -> None:
    assert {relay: fair_share(holdings, relay) for relay in holdings} == fair
    assert sum(fair.values()) == SHARDS


async def test_the_last_to_come_gets_its_share_too(store: PostgresStore) -> None:
    async with contextlib.AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(relaying(store, Topic())) for _ in range(4)]
        await until(lambda: [len(relay.owned) for relay in relays] == [2, 2, 2, 2])
        relays.append(await stack.enter_async_context(relaying(store, Topic())))
        await until(lambda: sorted(len(relay.owned) for relay in relays) == [1, 1, 2, 2, 2])


async def test_processes_share_the_shards_and_take_over_from_one_another(
    store: PostgresStore, postgres_settings: PostgresSettings
) -> None:
    topic = Topic()
    second = await PostgresStore.open(postgres_settings, tenant="shop")
    third = await PostgresStore.open(postgres_settings, tenant="other")
    try:
        async with relaying(store, topic) as one:
            await until(lambda: len(one.owned) == SHARDS)
            async with relaying(second, topic) as two, relaying(third, Topic()) as foreign:
                await until(lambda: len(one.owned) == len(two.owned) == SHARDS // 2)
                assert not one.owned & two.owned
                # Another tenant's outbox is another: its relay has all of it.
                await until(lambda: len(foreign.owned) == SHARDS)
                keys = [f"k{n}" for n in range(40)]
                await store.apply([emitting(f"a{key}", key=key) for key in keys])
                await second.apply([emitting(f"b{key}", key=key) for key in keys])
                await topic.until(lambda: len(topic.records) == 80)
            await until(lambda: len(one.owned) == SHARDS)
    finally:
        await second.close()
        await third.close()
    for key in keys:
        assert topic.first_of(key) == [f"a{key}", f"b{key}"]


async def test_others_are_told_without_waiting_for_the_poll(
    store: PostgresStore, postgres_settings: PostgresSettings
) -> None:
    topic = Topic()
    loop = asyncio.get_running_loop()
    writer = await PostgresStore.open(postgres_settings, tenant="shop")
    try:
        async with relaying(store, topic) as relay:
            await until(lambda: len(relay.owned) == SHARDS)
            waited: list[float] = []
            for n in range(20):
                began = loop.time()
                await writer.apply([emitting(f"{n}")])
                await topic.until(lambda n=n: len(topic.records) == n + 1)
                waited.append(loop.time() - began)
        assert sorted(waited)[len(waited) // 2] < 0.1
    finally:
        await writer.close()


async def test_shards_of_a_session_that_ended_are_taken_over_and_nothing_is_lost(
    store: PostgresStore, postgres_settings: PostgresSettings
) -> None:
    topic = Topic()
    second = await PostgresStore.open(postgres_settings, tenant="shop")
    keys = [f"k{n}" for n in range(30)]
    stop = asyncio.Event()

    async def end_sessions() -> None:
        async with await psycopg.AsyncConnection.connect(postgres_settings.owner_dsn, autocommit=True) as connection:
            await connection.execute("GRANT contactbus_app TO CURRENT_USER")
            while not stop.is_set():
                await connection.execute(
                    "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                    " WHERE l.locktype = 'advisory' AND a.datname = current_database() ORDER BY random() LIMIT 3"
                )
                await asyncio.sleep(0.2)

    try:
        async with relaying(store, topic), relaying(second, topic):
            ending = asyncio.create_task(end_sessions())
            for n in range(40):
                await store.apply([emitting(f"{key}/{n}", key=key) for key in keys])
                await asyncio.sleep(0.02)
            stop.set()
            await ending
            await topic.until(lambda: len(set(topic.ids)) == 40 * 30)
            await until(lambda: is_empty(store))
    finally:
        await second.close()
    for key in keys:
        assert topic.first_of(key) == [f"{key}/{n}" for n in range(40)]


async def test_shards_of_a_process_that_stands_still_are_taken_over(
    store: PostgresStore, postgres_settings: PostgresSettings
) -> None:
    topic = Topic()
    stopped, go_on, late = threading.Event(), threading.Event(), list[str]()

    async def stand_still(records: Sequence[Record]) -> None:
        stopped.set()
        # Nothing of this process's loop runs, as after SIGSTOP.
        go_on.wait(20)
        late.extend(record.id for record in records)

    async def other_process() -> None:
        second = await PostgresStore.open(postgres_settings, tenant="shop")
        relay = OutboxRelay(second, stand_still, silence_s=1.0)
        running = asyncio.create_task(relay.run())
        await asyncio.to_thread(go_on.wait, 20)
        await relay.close()
        await running
        await second.close()

    other = asyncio.create_task(asyncio.to_thread(asyncio.run, other_process()))
    try:
        await store.apply([emitting("1", "2")])
        assert await asyncio.to_thread(stopped.wait, 20)
        await store.apply([emitting("3")])
        async with relaying(store, topic) as relay:
            await topic.until(lambda: len(topic.records) == 3)
            await until(lambda: len(relay.owned) == SHARDS)
            go_on.set()
            await other
            await until(lambda: is_empty(store))
    finally:
        go_on.set()
        await other
    # What it had in hand comes a second time, late: with ids that an inbox knows.
    assert (topic.ids, late) == (["1", "2", "3"], ["1", "2"])
