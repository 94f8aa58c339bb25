"""What the store on PostgreSQL adds to the common promises: the inbox, the outbox, transactions that are shared."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from sqlalchemy import bindparam, func, select

from bus.errors import ConfigurationError
from bus.log.tables import timer
from bus.store.postgres import PostgresStore
from bus.store.postgres_retention import slots_to_empty
from bus.store.postgres_settings import PostgresSettings
from bus.store.postgres_tables import INBOX_KEEP_DAYS, SLOTS, inbox, outbox
from bus.testing.clock import FakeClock
from bus.testing.store_rows import bumped, delivery, effect, ignored, lengthened, new, put, record, removed

rows = select(timer.c.id, timer.c.due, timer.c.key).order_by(timer.c.id)
total = select(func.sum(timer.c.due).label("sum"))
emitted = select(outbox.c.seq, outbox.c.shard, outbox.c.key, outbox.c.id, outbox.c.value).order_by(outbox.c.seq)
finished = select(inbox.c.slot, inbox.c.digest, inbox.c.day)


# The inbox.


async def test_a_delivery_has_effects_once_whatever_its_offset_and_generation(store: PostgresStore) -> None:
    first = delivery("a")
    copy = replace(first, offset=99, generation=7)
    other_group = delivery("a", group="h")
    results = await store.apply([effect(new("1"), source=first), effect(new("2"), source=other_group)])
    again = await store.apply([effect(new("3"), source=copy), effect(new("4"), source=delivery("b"))])
    assert [result.reason for result in (*results, *again)] == ["", "", "duplicate", ""]
    assert [found["id"] for found in await store.all(rows)] == ["1", "2", "4"]


async def test_what_did_not_apply_may_be_tried_again(store: PostgresStore) -> None:
    await store.apply([effect(new("a"))])
    (failed,) = await store.apply([effect(new("a"), source=delivery("x"))])
    (then,) = await store.apply([effect(new("b"), source=delivery("x"))])
    assert (failed.reason, then.applied) == ("conflict", True)


async def test_a_delivery_named_twice_in_a_batch_fails_twice_when_it_fails(store: PostgresStore) -> None:
    await store.apply([effect(new("a"))])
    twice = effect(new("a"), source=delivery("x"))
    assert [result.reason for result in await store.apply([twice, twice])] == ["conflict", "conflict"]


async def test_many_duplicates_among_new_ones(store: PostgresStore) -> None:
    await store.apply([effect(new(f"a{n}"), source=delivery(f"d{n}")) for n in range(0, 60, 2)])
    results = await store.apply([effect(new(f"b{n}"), source=delivery(f"d{n}")) for n in range(60)])
    assert [result.reason for result in results] == ["" if n % 2 else "duplicate" for n in range(60)]


async def test_days_of_the_inbox_are_forgotten_and_those_in_use_are_not(store: PostgresStore, clock: FakeClock) -> None:
    today = (clock.now() - datetime(1970, 1, 1, tzinfo=UTC)).days
    days = [today - INBOX_KEEP_DAYS - 1, today - INBOX_KEEP_DAYS, today, today + 1, 0]
    await store.apply([effect(source=delivery(f"d{day}", day)) for day in days])
    assert await store.retain(clock.now()) == 1
    again = await store.apply([effect(source=delivery(f"d{day}", day)) for day in days])
    assert [result.reason for result in again] == ["", *["duplicate"] * 4]
    gone = [await store.retain(clock.now() + timedelta(days=n + 1)) for n in range(INBOX_KEEP_DAYS)]
    # The two oldest days at once; today's and the undated one only after all their days.
    assert (gone[0], sum(gone)) == (2, 2)
    assert await store.retain(clock.now() + timedelta(days=INBOX_KEEP_DAYS + 1)) == 2
    assert [(found["slot"]) for found in await store.all(finished)] == [(today + 1) % SLOTS]


def test_slots_of_days_that_are_kept_are_never_emptied() -> None:
    for today in range(20_000, 20_000 + SLOTS):
        emptied = slots_to_empty(today)
        assert not {day % SLOTS for day in range(today - INBOX_KEEP_DAYS, today + 8)} & set(emptied)
        assert len(emptied) >= 7


# One transaction, in order.


async def test_rows_of_many_effects_are_gathered_and_keep_their_order(store: PostgresStore) -> None:
    results = await store.apply(
        [
            effect(put("a", 1), lengthened("a", "1")),
            effect(put("b", 2), lengthened("b", "2")),
            effect(removed("a"), put("a", 3)),
            effect(lengthened("b", "3"), lengthened("b", "4"), lengthened("a", "5")),
        ]
    )
    assert all(result.applied for result in results)
    assert [tuple(found.values()) for found in await store.all(rows)] == [("a", 3, "k5"), ("b", 2, "k234")]


async def test_rows_that_meet_one_row_together_are_told_apart(store: PostgresStore) -> None:
    await store.apply([effect(new("a")), effect(new("b"))])
    results = await store.apply([effect(bumped("a", 0)), effect(bumped("b", 0)), effect(bumped("a", 0))])
    assert [result.reason for result in results] == ["", "", "conflict"]
    chain = await store.apply([effect(bumped("a", n)) for n in range(1, 40)])
    assert all(result.applied for result in chain)
    assert (await store.one(total)) == {"sum": 41}


async def test_a_row_changed_by_many_effects_of_a_batch_takes_one_transaction(
    store: PostgresStore, owner: psycopg.Connection[Any]
) -> None:
    await store.apply([effect(new("a"))])
    before = _undone(owner)
    chain = [effect(bumped("a", n), put("b", n)) for n in range(60)]
    assert all(result.applied for result in await store.apply(chain))
    assert [found["due"] for found in await store.all(rows)] == [60, 59]
    assert _undone(owner) == before


def _undone(connection: psycopg.Connection[Any]) -> int:
    connection.execute("SELECT pg_stat_clear_snapshot()")
    found = connection.execute("SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()")
    return (found.fetchone() or (0,))[0]


async def test_guards_of_ignored_inserts_find_the_guilty_one(store: PostgresStore) -> None:
    await store.apply([effect(new("n7"))])
    guarded = [effect(ignored(f"n{n}", expect=1)) for n in range(40)]
    results = await store.apply(guarded)
    assert [n for n, result in enumerate(results) if result.reason == "conflict"] == [7]
    assert len(await store.all(rows)) == 40


async def test_a_wrong_value_among_many_is_invalid_alone(store: PostgresStore) -> None:
    wrong: list[Any] = ["NUL \0", "\ud800", 2**70, object(), None]
    effects = [effect(new(f"n{n}")) for n in range(30)]
    effects[3] = effect(new("x", key=wrong[0]))
    effects[9] = effect(new("x", key=wrong[1]))
    effects[14] = effect(new("x", due=wrong[2]))
    effects[20] = effect(new("x", due=wrong[3]))
    effects[29] = effect(new("x", key=wrong[4]), emit=(record("never"),))
    results = await store.apply(effects)
    assert [n for n, result in enumerate(results) if result.reason == "invalid"] == [3, 9, 14, 20, 29]
    assert len(await store.all(rows)) == 25
    assert await store.all(emitted) == []


async def test_a_record_that_the_outbox_cannot_take_is_invalid_alone(store: PostgresStore) -> None:
    results = await store.apply([effect(emit=(record(name),)) for name in ("a", "NUL \0", "b")])
    assert [result.reason for result in results] == ["", "invalid", ""]
    assert [found["id"] for found in await store.all(emitted)] == ["a", "b"]


async def test_calls_at_the_same_time_share_transactions(store: PostgresStore, owner: psycopg.Connection[Any]) -> None:
    (before,) = owner.execute("SELECT pg_current_xact_id()::text::bigint").fetchone() or (0,)
    results = await asyncio.gather(*(store.apply([effect(new(f"n{n}"))]) for n in range(300)))
    (after,) = owner.execute("SELECT pg_current_xact_id()::text::bigint").fetchone() or (0,)
    assert all(result.applied for (result,) in results)
    assert after - before < 30


async def test_transactions_that_wait_for_each_other_are_both_done(
    postgres_settings: PostgresSettings, clock: FakeClock
) -> None:
    one = await PostgresStore.open(postgres_settings, tenant="shop", clock=clock)
    two = await PostgresStore.open(postgres_settings, tenant="shop", clock=clock)
    try:
        await one.apply([effect(*(new(f"n{n}") for n in range(20)))])

        async def count_up(store: PostgresStore, names: list[str]) -> None:
            for _ in range(25):
                grow = [lengthened(name, ".") for name in names]
                assert [result.reason for result in await store.apply([effect(*grow)])] == [""]

        names = [f"n{n}" for n in range(20)]
        await asyncio.gather(count_up(one, names), count_up(two, names[::-1]))
        assert {found["key"] for found in await one.all(rows)} == {"k" + "." * 50}
    finally:
        await one.close()
        await two.close()


# The outbox and ids appended once.


async def test_records_are_in_the_outbox_with_the_state_and_in_order(store: PostgresStore) -> None:
    heard: list[frozenset[int]] = []
    store.on_emitted(lambda shards: heard.append(shards) or frozenset())
    results = await store.apply(
        [
            effect(new("a"), emit=(record("1", "x"), record("2", "y"))),
            effect(bumped("none", 0), emit=(record("never", "z"),)),
            effect(new("b"), emit=(record("3", "x"),)),
        ]
    )
    assert [result.applied for result in results] == [True, False, True]
    found = await store.all(emitted)
    assert [(line["id"], line["key"], line["value"]) for line in found] == [
        ("1", "x", b"1"),
        ("2", "y", b"2"),
        ("3", "x", b"3"),
    ]
    assert heard == [frozenset(line["shard"] for line in found)]


async def test_ids_are_appended_once_until_their_days_are_over(store: PostgresStore, clock: FakeClock) -> None:
    assert await store.append_once([record("a"), record("b"), record("a")]) == [True, True, False]
    assert await store.append_once([record("b"), record("c")]) == [False, True]
    assert [line["id"] for line in await store.all(emitted)] == ["a", "b", "c"]
    together = await asyncio.gather(*(store.append_once([record("d")]) for _ in range(10)))
    assert sorted(together) == [[False]] * 9 + [[True]]
    assert await store.retain(clock.now() + timedelta(days=36)) == 4
    assert await store.append_once([record("a")]) == [True]


# Reading.


async def test_reads_at_the_same_time_share_few_connections(
    store: PostgresStore, postgres_settings: PostgresSettings, owner: psycopg.Connection[Any]
) -> None:
    await store.apply([effect(*(new(f"n{n}", due=n) for n in range(500)))])
    one = select(timer.c.due).where(timer.c.id == bindparam("id"))
    found = await asyncio.gather(*(store.one(one, {"id": f"n{n}"}) for n in range(500)))
    assert [line and line["due"] for line in found] == list(range(500))
    (connections,) = owner.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'contactbus_app' AND datname = current_database()"
    ).fetchone() or (0,)
    assert 0 < connections <= postgres_settings.pool_connections


async def test_sums_are_whole_numbers_and_keys_may_hold_anything(store: PostgresStore) -> None:
    names = ['"', "\\", "a,b", "{}", "NULL", "", "ø 😀"]
    await store.apply([effect(*(new(name, due=2**40) for name in names))])
    summed = await store.one(total)
    assert summed == {"sum": 7 * 2**40}
    assert type(summed["sum"]) is int
    found = await store.by_keys(select(timer.c.id), timer.c.id, [*names, "other"])
    assert sorted(line["id"] for line in found) == sorted(names)


# Callers, tenants and settings.


async def test_a_caller_that_gives_up_does_not_stop_what_it_asked_for(store: PostgresStore) -> None:
    asked = asyncio.create_task(store.apply([effect(new("a"))]))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await store.close()
    assert asked.cancelled()


@pytest.mark.parametrize("tenant", ["", "a,b", "a b", "a\\b", "a\n"])
async def test_a_tenant_that_would_be_read_as_several_is_refused(tenant: str) -> None:
    with pytest.raises(ConfigurationError):
        await PostgresStore.open(PostgresSettings(dsn="dbname=x"), tenant=tenant)


async def test_operators_options_are_kept_beside_ours(postgres_settings: PostgresSettings) -> None:
    more = " options='-c work_mem=7MB' application_name=mine"
    named = replace(postgres_settings, dsn=postgres_settings.dsn + more)
    store = await PostgresStore.open(named, tenant="shop")
    setting = func.current_setting
    found = await store.one(
        select(
            setting("work_mem").label("a"),
            setting("application_name").label("b"),
            setting("lock_timeout").label("c"),
            setting("contactbus.tenants").label("d"),
        )
    )
    await store.close()
    assert found == {"a": "7MB", "b": "mine", "c": "2s", "d": "shop"}
