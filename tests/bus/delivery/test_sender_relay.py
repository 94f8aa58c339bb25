"""The sender with a real mail adapter and a real relay: lost answers, killed processes, trouble after success."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from adapters.email import EmailConfig, create_email
from adapters.email.mailbox import CUT, Mailbox
from bus.adapter.contract import Services
from bus.adapter.tokens import Signer
from bus.delivery import ledger
from bus.delivery.outcome import Outcome
from bus.delivery.sender import Sender
from bus.log.port import StoredRecord
from bus.message import Party, Reply
from bus.store.blobs import Blobs
from bus.store.port import Effect
from bus.telemetry import Metrics
from bus.testing.clock import FakeClock

GRETE = "grete.ohlsen@kunde.example"
REPLY = Reply(
    id="r-00000000000000000001",
    tenant="shop",
    case="k-00000000000000000002",
    channel="email",
    account="hilfe@shop.example",
    to=Party(kind="email", address=GRETE),
    text="Guten Tag",
    language="de",
)


class Relay:
    """A sender whose process can be killed, and the mailbox behind it."""

    def __init__(self, store: Any, clock: FakeClock, mailbox: Mailbox, services: Services) -> None:
        self.store, self.clock, self.mailbox = store, clock, mailbox
        host, port = mailbox.address
        self.adapter = create_email(
            EmailConfig(smtp_port=0, relay_host=host, relay_port=port, relay_timeout_s=5.0), services
        )

    async def plan(self, reply: Reply = REPLY) -> None:
        await self.store.apply([Effect(outcome=Outcome(writes=tuple(ledger.plan(reply, self.clock.now())[0])))])

    async def handle(self, *, killed: bool = False) -> Outcome:
        """One handling of the reply's record by a new process; killed before what it decided could be written."""
        sender = Sender(self.adapter, store=self.store, clock=self.clock, metrics=Metrics())
        (record,) = ledger.plan(REPLY, self.clock.now())[1]
        outcome = await sender.handle(
            StoredRecord(
                topic=record.topic,
                partition=0,
                offset=1,
                at=0,
                key=record.key,
                value=record.value,
                id=record.id,
                headers=dict(record.headers),
            )
        )
        if not killed:
            (result,) = await self.store.apply([Effect(outcome=outcome)])
            assert result.applied
        return outcome

    async def state(self) -> str:
        row = await self.store.one(ledger.reply_row, {"reply": REPLY.id})
        return row["state"]


@pytest_asyncio.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with Mailbox() as opened:
        yield opened


@pytest_asyncio.fixture
async def relay(engine: Any, clock: FakeClock, mailbox: Mailbox, tmp_path: Path) -> AsyncIterator[Relay]:
    unused: Any = None
    made = Relay(
        engine,
        clock,
        mailbox,
        Services(
            clock=clock,
            store=engine,
            blobs=Blobs(tmp_path / "blobs"),
            signer=Signer(b"a secret of the tests, 32 bytes!"),
            data_dir=tmp_path,
            public_url="http://localhost",
            tenant="shop",
            accept=unused,
            status=unused,
            background=unused,
        ),
    )
    yield made
    await made.adapter.close()


def once(stage: str, answer: str) -> Callable[[str, str], str | None]:
    """A relay that misbehaves the first time only."""
    left = [answer]
    return lambda at, _address: left.pop() if at == stage and left else None


@pytest.mark.parametrize(("stage", "mails"), [("end", 1), ("kept", 2)])
async def test_an_answer_lost_after_the_dot_gives_one_mail_under_one_id(
    relay: Relay, mailbox: Mailbox, clock: FakeClock, stage: str, mails: int
) -> None:
    mailbox.script = once(stage, CUT)
    await relay.plan()
    await relay.handle()
    assert await relay.state() == "unknown"
    await relay.handle()
    clock.advance(899)
    await relay.handle()
    assert len(mailbox.mails) == mails - 1
    clock.advance(1)
    await relay.handle()
    assert await relay.state() == "accepted"
    # Kept and then cut off is a twin that a mailbox knows by its id; any other loss would be a lost answer.
    assert len(mailbox.mails) == mails
    assert len({mail.message_id for mail in mailbox.mails}) == 1


async def test_a_process_killed_between_acceptance_and_ledger_sends_once_more_under_the_same_id(
    relay: Relay, mailbox: Mailbox, clock: FakeClock
) -> None:
    await relay.plan()
    await relay.handle(killed=True)
    assert await relay.state() == "sending"
    await relay.handle()
    assert await relay.state() == "unknown"
    for _ in range(3):
        clock.advance(900)
        await relay.handle()
    assert len(mailbox.mails) == 2
    assert len({mail.message_id for mail in mailbox.mails}) == 1


async def test_killed_at_every_attempt_it_ends_with_a_person(relay: Relay, mailbox: Mailbox, clock: FakeClock) -> None:
    await relay.plan()
    for _ in range(6):
        await relay.handle(killed=True)
        await relay.handle()
        clock.advance(900)
    assert await relay.state() == "failed"
    assert len(mailbox.mails) == 2


@pytest.mark.parametrize("answer", ["451 4.3.0 later", "421 4.3.2 shutting down", "450 4.7.1 greylisted"])
async def test_trouble_before_success_makes_no_twin(
    relay: Relay, mailbox: Mailbox, clock: FakeClock, answer: str
) -> None:
    mailbox.script = once("end", answer)
    await relay.plan()
    await relay.handle()
    assert await relay.state() == "planned"
    clock.advance(900)
    await relay.handle()
    assert await relay.state() == "accepted"
    assert len(mailbox.mails) == 1


async def test_a_reply_that_names_no_account_leaves_from_the_mailbox(relay: Relay, mailbox: Mailbox) -> None:
    await relay.plan(replace(REPLY, account=""))
    await relay.handle()
    (mail,) = mailbox.mails
    assert mail.sender == "hilfe@shop.example"
    assert mail.mail_from.startswith("hilfe+")
    assert mail.reply_to.startswith("hilfe+")
