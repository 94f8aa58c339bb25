"""The ledger under two processes at once, on both stores: whatever is decided at the same moment, one of them wins."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from bus.clock import to_micros
from bus.delivery import ledger
from bus.delivery.outcome import Outcome, Write
from bus.log.embedded import EmbeddedEngine
from bus.message import Party, Reply
from bus.store.conversation import head_of, heard_write
from bus.store.pace import Pace, book_write, take_write
from bus.store.port import Effect
from bus.store.postgres import PostgresStore
from bus.testing.clock import FakeClock

REPLY = Reply(
    id="r-1",
    tenant="shop",
    case="k-1",
    channel="email",
    account="",
    to=Party(kind="email", address="g@x.example"),
    text="Guten Tag",
    language="de",
    heard=1,
)
ROUNDS = 30


@pytest_asyncio.fixture(params=["embedded", "postgresql"])
async def stores(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[list[Any]]:
    """Two processes' views of one store."""
    opened: list[Any] = []
    for _ in range(2):
        if request.param == "embedded":
            opened.append(await EmbeddedEngine.open(request.getfixturevalue("tmp_path") / "data", clock=clock))
        else:
            settings = request.getfixturevalue("postgres_settings")
            opened.append(await PostgresStore.open(settings, tenant="shop", clock=clock))
    if request.param == "embedded":
        await opened[0].create_schema()
    yield opened
    for one in opened:
        await one.close()


async def write(store: Any, *writes: Write) -> bool:
    (result,) = await store.apply([Effect(outcome=Outcome(writes=writes))])
    assert result.applied or result.reason == "conflict", result
    return result.applied


async def state_of(store: Any, reply: Reply) -> str:
    row = await store.one(ledger.reply_row, {"reply": reply.id})
    return row["state"]


async def test_a_sending_and_its_taking_back_never_both_happen(stores: list[Any], clock: FakeClock) -> None:
    one, two = stores
    for number in range(ROUNDS):
        reply = replace(REPLY, id=f"r-{number}", case=f"k-{number}")
        await write(one, *ledger.plan(reply, clock.now())[0], heard_write("shop", reply.case))
        row = await one.one(ledger.reply_row, {"reply": reply.id})
        race = [
            write(one, ledger.begin_sending(reply.id, clock.now())),
            write(two, ledger.withdraw(row, clock.now()), heard_write("shop", reply.case)),
        ]
        begun, withdrawn = await asyncio.gather(*(race if number % 2 else reversed(race)))
        if number % 2 == 0:
            begun, withdrawn = withdrawn, begun
        assert begun is not withdrawn
        assert await state_of(one, reply) == ("sending" if begun else "blocked")


async def test_two_senders_never_begin_the_same_attempt(stores: list[Any], clock: FakeClock) -> None:
    for number in range(ROUNDS):
        reply = replace(REPLY, id=f"r-{number}", heard=0)
        await write(stores[0], *ledger.plan(reply, clock.now())[0])
        begun = await asyncio.gather(*(write(store, ledger.begin_sending(reply.id, clock.now())) for store in stores))
        assert sorted(begun) == [False, True]


async def test_words_that_are_linked_at_once_are_all_counted(stores: list[Any]) -> None:
    linked = [write(store, heard_write("shop", f"k-{number % 3}")) for number in range(ROUNDS) for store in stores]
    assert all(await asyncio.gather(*linked))
    heads = [await stores[0].one(head_of, {"tenant": "shop", "case_id": f"k-{number}"}) for number in range(3)]
    assert sum(head["heard"] for head in heads) == 2 * ROUNDS


async def test_a_sending_that_comes_after_newer_words_never_begins(stores: list[Any], clock: FakeClock) -> None:
    one, two = stores
    for number in range(ROUNDS):
        reply = replace(REPLY, id=f"r-{number}", case=f"k-{number}")
        await write(one, *ledger.plan(reply, clock.now())[0], heard_write("shop", reply.case))
        begun, _ = await asyncio.gather(
            write(one, ledger.begin_sending(reply.id, clock.now())), write(two, heard_write("shop", reply.case))
        )
        # Both orders are right; after both, a reply that has not begun cannot begin any more.
        assert await write(two, ledger.begin_sending(reply.id, clock.now())) is False
        assert await state_of(one, reply) == ("sending" if begun else "planned")


async def test_a_limit_holds_exactly_however_many_send(stores: list[Any], clock: FakeClock) -> None:
    limit = Pace(burst=7, every_s=60)
    taken = [
        write(store, take_write(limit, clock.now(), tenant="shop", channel="email", recipient="a-1"))
        for _ in range(ROUNDS)
        for store in stores
    ]
    assert sum(await asyncio.gather(*taken)) == 7
    clock.advance(120)
    taken = [
        write(store, take_write(limit, clock.now(), tenant="shop", channel="email", recipient="a-1"))
        for store in (*stores, *stores)
    ]
    assert sum(await asyncio.gather(*taken)) == 2


async def test_turns_that_are_booked_at_once_are_all_different(stores: list[Any], clock: FakeClock) -> None:
    limit = Pace(burst=1, every_s=60)
    replies = [replace(REPLY, id=f"r-{number}", case=f"k-{number}", heard=0) for number in range(ROUNDS)]
    for reply in replies:
        await write(stores[0], *ledger.plan(reply, clock.now())[0])

    def book(recipient: str) -> Write:
        return book_write(limit, clock.now(), tenant="shop", channel="email", recipient=recipient)

    booked = [
        write(stores[place % 2], book(ledger.recipient_of(reply)), book(""), ledger.wait_turn(reply.id))
        for place, reply in enumerate(replies)
    ]
    assert all(await asyncio.gather(*booked))
    rows = [await stores[0].one(ledger.reply_row, {"reply": reply.id}) for reply in replies]
    turns = sorted(row["not_before"] - to_micros(clock.now()) for row in rows)
    assert turns == [number * 60_000_000 for number in range(ROUNDS)]
