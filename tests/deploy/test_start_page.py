"""The start page as a part of a process: what it follows, and how it goes on after a failure."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from bus.adapter.hosting import contact_record
from bus.errors import TransientError
from bus.log.embedded import EmbeddedEngine
from bus.log.port import StoredRecord, TopicPartition
from bus.message import Contact, Party
from bus.testing.clock import FakeClock
from deploy.start import StartPages, StartServices
from workers.packs import load


class Stumbling:
    """A log that cannot be followed at first."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine
        self._asked = 0

    def tail(
        self, topics: Sequence[str], *, after: Mapping[TopicPartition, int] | None = None
    ) -> AsyncIterator[StoredRecord]:
        self._asked += 1
        return self._broken() if self._asked == 1 else self._engine.tail(topics, after=after)

    async def _broken(self) -> AsyncIterator[StoredRecord]:
        raise TransientError("the brokers did not answer")
        yield


async def test_after_a_failure_the_log_is_followed_from_there_on(engine: EmbeddedEngine, clock: FakeClock) -> None:
    log: Any = Stumbling(engine)
    pages = StartPages(
        StartServices(log=log, clock=clock, pack=load("shop"), tenant="shop", channels=["email"], base_url="http://x")
    )
    with pytest.raises(TransientError):
        await pages.follow()
    following = asyncio.create_task(pages.follow())
    now = clock.now()
    contact = Contact(
        id="c-1", tenant="shop", channel="email", account="hilfe@shop.example", text="Hallo",
        sender=Party(kind="email", address="grete@kunde.example"), occurred_at=now, received_at=now,
    )  # fmt: skip
    await engine.append([contact_record(contact)])
    async with asyncio.timeout(10):
        while not pages._board.counts:
            await asyncio.sleep(0.01)
    assert pages._board.counts == {"email": {"heard": 1, "answered": 0}}
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
