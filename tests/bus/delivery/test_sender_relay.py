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
from bus.message import Party, Reply
from bus.store.blobs import Blobs
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


@pytest_asyncio.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with Mailbox() as opened:
        yield opened


@pytest_asyncio.fixture
async def relay(dispatch: Any, engine: Any, clock: FakeClock, mailbox: Mailbox, tmp_path: Path) -> AsyncIterator[Any]:
    """A sender of mail through a relay. What is decided and not applied is that of a process killed in between."""
    host, port = mailbox.address
    unused: Any = None
    services = Services(
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
    )
    made = dispatch(
        engine, create_email(EmailConfig(smtp_port=0, relay_host=host, relay_port=port, relay_timeout_s=5.0), services)
    )
    yield made
    await made.adapter.close()


def once(stage: str, answer: str) -> Callable[[str, str], str | None]:
    """A relay that misbehaves the first time only."""
    left = [answer]
    return lambda at, _address: left.pop() if at == stage and left else None


@pytest.mark.parametrize(("stage", "mails"), [("end", 1), ("kept", 2)])
async def test_an_answer_lost_after_the_dot_gives_one_mail_under_one_id(
    relay: Any, mailbox: Mailbox, clock: FakeClock, stage: str, mails: int
) -> None:
    mailbox.script = once(stage, CUT)
    await relay.plan(REPLY)
    await relay.handle()
    assert (await relay.standing())[0] == "unknown"
    await relay.handle()
    clock.advance(899)
    await relay.handle()
    assert len(mailbox.mails) == mails - 1
    clock.advance(1)
    await relay.handle()
    assert (await relay.standing())[0] == "accepted"
    # Kept and then cut off is a twin that a mailbox knows by its id; any other loss would be a lost answer.
    assert len(mailbox.mails) == mails
    assert len({mail.message_id for mail in mailbox.mails}) == 1


async def test_a_process_killed_between_acceptance_and_ledger_sends_once_more_under_the_same_id(
    relay: Any, mailbox: Mailbox, clock: FakeClock
) -> None:
    await relay.plan(REPLY)
    await relay.decide()
    assert (await relay.standing())[0] == "sending"
    await relay.handle()
    assert (await relay.standing())[0] == "unknown"
    for _ in range(3):
        clock.advance(900)
        await relay.handle()
    assert len(mailbox.mails) == 2
    assert len({mail.message_id for mail in mailbox.mails}) == 1


async def test_killed_at_every_attempt_it_ends_with_a_person(relay: Any, mailbox: Mailbox, clock: FakeClock) -> None:
    await relay.plan(REPLY)
    for _ in range(6):
        await relay.decide()
        await relay.handle()
        clock.advance(900)
    assert (await relay.standing())[0] == "failed"
    assert len(mailbox.mails) == 2


@pytest.mark.parametrize("answer", ["451 4.3.0 later", "421 4.3.2 shutting down", "450 4.7.1 greylisted"])
async def test_trouble_before_success_makes_no_twin(
    relay: Any, mailbox: Mailbox, clock: FakeClock, answer: str
) -> None:
    mailbox.script = once("end", answer)
    await relay.plan(REPLY)
    await relay.handle()
    assert (await relay.standing())[0] == "planned"
    clock.advance(900)
    await relay.handle()
    assert (await relay.standing())[0] == "accepted"
    assert len(mailbox.mails) == 1


async def test_a_reply_that_names_no_account_leaves_from_the_mailbox(relay: Any, mailbox: Mailbox) -> None:
    await relay.plan(replace(REPLY, account=""))
    await relay.handle()
    (mail,) = mailbox.mails
    assert mail.sender == "hilfe@shop.example"
    assert mail.mail_from.startswith("hilfe+")
    assert mail.reply_to.startswith("hilfe+")
