"""What the client of the brokers does to whoever waits for it."""

import asyncio

import pytest

from bus.errors import TransientError
from bus.log.kafka_client import within


async def test_a_call_gives_back_what_it_found_or_its_error() -> None:
    async def found() -> int:
        return 3

    async def fails() -> int:
        raise ValueError("no")

    assert await within(1.0, found()) == 3
    with pytest.raises(ValueError, match="no"):
        await within(1.0, fails())


async def test_a_call_that_the_client_cuts_off_inside_is_no_cancellation_of_ours() -> None:
    inner = asyncio.ensure_future(asyncio.Event().wait())

    async def call() -> None:
        await inner

    waiting = asyncio.create_task(within(30.0, call()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    inner.cancel()
    with pytest.raises(TransientError):
        await waiting
    assert not waiting.cancelled()


async def test_a_call_that_is_late_is_ended() -> None:
    ended = asyncio.Event()

    async def call() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        await within(0.01, call())
    assert ended.is_set()


async def test_whoever_gives_up_waiting_ends_the_call() -> None:
    ended, begun = asyncio.Event(), asyncio.Event()

    async def call() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(within(30.0, call()))
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()
