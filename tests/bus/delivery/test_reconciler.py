"""Replies of which nobody speaks any more: leases by looking, rules by channel, two at once, reports that stay out."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from bus.adapter.contract import Manifest
from bus.delivery import ledger
from bus.delivery.outcome import Outcome, Write
from bus.delivery.reconciler import Reconciler
from bus.delivery.reported import reported
from bus.delivery.sending_settings import SendingSettings
from bus.log.tables import timer
from bus.log.topics import REPLY_STATUS
from bus.message import Party, Reply, Status, decode
from bus.store.pace import Pace, pace, take_write
from bus.store.port import Effect
from bus.telemetry import Metrics
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
)


class Gateway:
    """A reconciler of one process, over the real engine."""

    def __init__(self, engine: Any, emitted: Any, clock: FakeClock, rule: str, **manifest: Any) -> None:
        self.engine, self.emitted, self.clock, self.metrics = engine, emitted, clock, Metrics()
        more: Any = {"name": "email", "kind": "deferred", "resolve_unknown": rule, **manifest}
        self.reconciler = Reconciler(
            [Manifest(**more)], store=engine, clock=clock, metrics=self.metrics, settings=SendingSettings(lease_s=180)
        )

    async def write(self, *writes: Write) -> None:
        (result,) = await self.engine.apply([Effect(outcome=Outcome(writes=writes))])
        assert result.applied

    async def plan(self, reply: Reply = REPLY) -> None:
        await self.write(*ledger.plan(reply, self.clock.now())[0])

    async def begin(self, reply: Reply = REPLY) -> None:
        await self.plan(reply)
        await self.write(ledger.begin_sending(reply.id, self.clock.now()))

    async def look_after(self, seconds: float) -> int:
        self.clock.advance(seconds)
        return await self.reconciler.look()

    async def row(self, reply: Reply = REPLY) -> Any:
        return await self.engine.one(ledger.reply_row, {"reply": reply.id})

    async def statuses(self) -> list[tuple[str, bool]]:
        found = [decode(value, Status) for value in await self.emitted(REPLY_STATUS)]
        return [(status.state, status.permanent) for status in found]

    async def timers(self) -> list[Any]:
        return list(await self.engine.all(timer.select()))


@pytest.fixture
def gateway(store: Any, emitted: Any, clock: FakeClock) -> Callable[..., Gateway]:
    return lambda rule="resend-same-id", **manifest: Gateway(store, emitted, clock, rule, **manifest)


async def test_a_sending_that_is_under_way_is_left_alone_until_its_lease_is_over(gateway: Any) -> None:
    house = gateway()
    await house.begin()
    assert await house.look_after(0) == 0
    assert await house.look_after(179) == 0
    assert (await house.row())["state"] == "sending"
    assert await house.look_after(1) == 1
    row = await house.row()
    assert (row["state"], row["doubts"]) == ("unknown", 1)


async def test_a_mail_in_doubt_comes_again_after_its_rest(gateway: Any, clock: FakeClock) -> None:
    house = gateway()
    await house.begin()
    await house.look_after(0)
    await house.look_after(180)
    (again,) = await house.timers()
    assert again["topic"] == "reply.email"
    assert decode(bytes(again["value"]), Reply).id == "r-1"
    assert again["due"] - (await house.row())["changed_at"] == 900_000_000
    assert await house.statuses() == []


async def test_a_channel_that_knows_the_reply_is_asked_again_at_once(gateway: Any) -> None:
    house = gateway("idempotent")
    await house.begin()
    await house.look_after(0)
    await house.look_after(180)
    (again,) = await house.timers()
    assert again["due"] - (await house.row())["changed_at"] == 5_000_000


async def test_where_nothing_may_be_repeated_a_person_is_told(gateway: Any) -> None:
    house = gateway("person")
    await house.begin()
    await house.look_after(0)
    assert await house.look_after(180) == 1
    assert await house.statuses() == [("failed", True)]
    assert await house.timers() == []
    assert (await house.row())["state"] == "failed"
    assert await house.look_after(3600) == 0


async def test_a_lease_counts_from_when_this_attempt_was_seen(gateway: Any, clock: FakeClock) -> None:
    house = gateway()
    await house.begin()
    await house.look_after(0)
    clock.advance(100)
    await house.write(ledger.settle("r-1", 1, "planned", clock.now(), reason="later"))
    await house.write(ledger.begin_sending("r-1", clock.now()))
    assert await house.look_after(100) == 0
    assert await house.look_after(180) == 1


async def test_clocks_that_disagree_take_nobodys_sending_away(gateway: Any) -> None:
    house = gateway()
    house.clock.advance(-7200)
    await house.begin()
    # The row looks two hours old to a process whose clock is right.
    house.clock.advance(7200)
    assert await house.look_after(0) == 0
    assert (await house.row())["state"] == "sending"


async def test_two_gateways_settle_a_reply_once(gateway: Any) -> None:
    one, two = gateway("person"), gateway("person")
    await one.begin()
    await asyncio.gather(one.look_after(0), two.look_after(0))
    one.clock.advance(180)
    settled = await asyncio.gather(one.reconciler.look(), two.reconciler.look())
    assert sorted(settled) == [0, 1]
    assert await one.statuses() == [("failed", True)]


async def test_whoever_answers_after_all_clears_the_doubt_up(gateway: Any, clock: FakeClock) -> None:
    house = gateway()
    await house.begin()
    await house.look_after(0)
    await house.look_after(180)
    await house.write(ledger.settle("r-1", 1, "accepted", clock.now(), provider_id="q1"))
    assert (await house.row())["state"] == "accepted"
    # An answer to an earlier attempt says nothing about a later one.
    await house.begin(replace(REPLY, id="r-2"))
    await house.write(ledger.settle("r-2", 1, "planned", clock.now()))
    await house.write(ledger.begin_sending("r-2", clock.now()))
    await house.write(ledger.settle("r-2", 1, "accepted", clock.now()))
    assert (await house.row(replace(REPLY, id="r-2")))["state"] == "sending"


async def test_other_channels_and_settled_replies_are_none_of_its_business(gateway: Any, clock: FakeClock) -> None:
    house = gateway("person")
    await house.begin(replace(REPLY, channel="post"))
    await house.begin(replace(REPLY, id="r-2"))
    await house.write(ledger.settle("r-2", 1, "accepted", clock.now()))
    await house.plan(replace(REPLY, id="r-3"))
    await house.look_after(0)
    assert await house.look_after(10**6) == 0


# Reports that never come


async def accepted(house: Gateway, name: str) -> None:
    reply = replace(REPLY, id=name)
    await house.begin(reply)
    await house.write(ledger.settle(name, 1, "accepted", house.clock.now()))


async def test_an_acceptance_that_nothing_follows_is_shown_to_a_person(gateway: Any, clock: FakeClock) -> None:
    house = gateway(final_status_h=72.0)
    for name in ("r-1", "r-2"):
        await accepted(house, name)
    await house.write(*await reported(house.engine, status("r-2", "delivered"), clock.now()))
    assert await house.look_after(72 * 3600) == 0
    assert await house.look_after(1) == 1
    assert await house.statuses() == [("failed", True)]
    assert (await house.row())["state"] == "failed"
    assert await house.look_after(3600) == 0


async def test_where_a_channel_never_reports_nothing_is_missing(gateway: Any) -> None:
    house = gateway(final_status_h=72.0)
    await accepted(house, "r-1")
    assert await house.look_after(100 * 3600) == 0


async def test_where_the_channel_promises_no_report_none_is_awaited(gateway: Any, clock: FakeClock) -> None:
    house = gateway()
    for name in ("r-1", "r-2"):
        await accepted(house, name)
    await house.write(*await reported(house.engine, status("r-2", "delivered"), clock.now()))
    assert await house.look_after(10**7) == 0


def status(reply: str, state: str, **more: Any) -> Status:
    return Status(
        reply=reply, tenant=more.pop("tenant", "shop"), case="k-1", channel="email", state=state,
        at=FakeClock().now(), permanent=state == "failed", **more,
    )  # fmt: skip


async def test_reports_lead_on_and_never_back(gateway: Any, clock: FakeClock) -> None:
    house = gateway()
    await accepted(house, "r-1")
    for state, expected in (("delivered", "delivered"), ("read", "read"), ("delivered", "read"), ("failed", "read")):
        await house.write(*await reported(house.engine, status("r-1", state), clock.now()))
        assert (await house.row())["state"] == expected


async def test_a_report_clears_a_doubt_up(gateway: Any, clock: FakeClock) -> None:
    house = gateway("person")
    await house.begin()
    await house.look_after(0)
    await house.look_after(180)
    await house.write(*await reported(house.engine, status("r-1", "delivered"), clock.now()))
    assert (await house.row())["state"] == "delivered"


@pytest.mark.parametrize("known", [True, False])
async def test_a_report_of_something_never_sent_is_an_alarm(gateway: Any, clock: FakeClock, known: bool) -> None:
    house = gateway()
    await accepted(house, "r-1")
    metrics = Metrics()
    told = status("r-1" if known else "r-9", "delivered")
    writes = await reported(house.engine, told, clock.now(), metrics)
    alarms = metrics.registry.get_sample_value("phantom_replies_total", {"channel": "email"})
    assert (bool(writes), alarms) == ((True, None) if known else (False, 1.0))
    foreign = await reported(house.engine, status("r-1", "delivered", tenant="bank"), clock.now(), metrics)
    assert foreign == ()


# Its rounds


async def test_a_store_that_is_away_ends_no_reconciler(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    house = gateway()
    looked = asyncio.Event()

    async def away() -> int:
        looked.set()
        raise OSError

    monkeypatch.setattr(house.reconciler, "look", away)
    task = asyncio.create_task(house.reconciler.run())
    await asyncio.wait_for(looked.wait(), 5)
    await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_open_replies_are_counted_and_unused_limits_forgotten(gateway: Any, clock: FakeClock) -> None:
    house = gateway()
    await house.plan()
    await house.begin(replace(REPLY, id="r-2"))
    await house.write(take_write(Pace(burst=1, every_s=1), clock.now(), tenant="shop", channel="email"))
    await house.look_after(timedelta(hours=2).total_seconds())
    value = house.metrics.registry.get_sample_value
    counts = {state: value("replies_open", {"channel": "email", "state": state}) for state in ("planned", "sending")}
    assert counts == {"planned": 1.0, "sending": 1.0}
    assert list(await house.engine.all(pace.select())) == []
