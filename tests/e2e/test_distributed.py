"""The first stories on three brokers and PostgreSQL, in processes of their own, with a broker killed in the middle."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from storyhouse.grounds import CHANNELS, load_customers, on_kafka

from adapters.chat.client import ChatClient
from adapters.post.samples import make_scan
from deploy.kafka.brokers import AT_ONCE_S, Brokers


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    three = Brokers(tmp_path_factory.mktemp("brokers"), count=3)
    try:
        three.start()
        yield three
    finally:
        three.stop(within_s=AT_ONCE_S)


@pytest_asyncio.fixture
async def house(
    tmp_path: Path, mailbox: Any, learned: Path, tools: Any, brokers: Brokers, postgres_settings: Any
) -> AsyncIterator[Any]:
    data = tmp_path / "data"
    shutil.copytree(learned, data)
    grounds = await on_kafka(brokers.bootstrap, postgres_settings, copies=3)
    environment = {**grounds, "CONTACTBUS_PRODUCT__IN_DOUBT_S": "3"}
    await load_customers(data, environment)
    blank = tools.product(data, mailbox)
    opened = tools.house(data, mailbox, blank.http_port, blank.smtp_port, environment)
    yield opened
    await opened.end()


@pytest.mark.timeout(300)
async def test_mail_letter_chat_and_call_while_a_broker_dies(house: Any, tools: Any, brokers: Brokers) -> None:
    await asyncio.gather(
        house.run("serve", *CHANNELS), house.run("workers", "run", "all"), house.run("workers", "run", "all")
    )
    # The mail is asked for a confirmation; then one of the three brokers dies.
    grete = "grete.ohlsen@kunde.example"
    claim = "auf meiner Abrechnung steht die Bestellung SO-10234 zweimal. Bitte prüfen Sie das."
    await asyncio.to_thread(house.send, tools.mail(f"Grete Ohlsen <{grete}>", "Abrechnung", f"Guten Tag,\n\n{claim}"))

    async def received(count: int) -> Any:
        found = house.mailbox.sent_to(grete)
        return found if len(found) >= count else None

    asked = (await tools.eventually(lambda: received(1), 60, "a question for proof"))[0]
    brokers.kill(1)
    link = re.search(r"http://\S+/confirm/\S+", asked.text)
    assert link is not None
    async with aiohttp.ClientSession() as browser, browser.post(link[0]) as pressed:
        assert pressed.status == 200
    refunded = (await tools.eventually(lambda: received(2), 90, "the refund, with a broker gone"))[-1]
    assert "49,90" in refunded.text
    assert "Kann ich sonst noch etwas für Sie tun?" in refunded.text

    # A letter and a call while it is still gone, and a chat; nobody is told to wait for the broker.
    scan = await asyncio.to_thread(
        make_scan,
        "Hei,\n\nnår har dere åpent på lørdag?\n\nHilsen Kari Lunde",
        language="nb", sender=("Kari Lunde", "Storgata 12", "0155 Oslo"), degrade="clean", fmt="pdf", seed=3,
    )  # fmt: skip
    drop, tray = house.data / "post" / "in", house.data / "post" / "out"
    (drop / ".brev.part").write_bytes(scan)
    (drop / ".brev.part").rename(drop / "brev.pdf")
    heard = await house.call("Guten Tag, wann haben Sie samstags geöffnet?")
    assert any("16 Uhr" in said for said in heard), heard
    async with ChatClient(house.url, "en") as chat:
        answers = await chat.say("What are your opening hours on Saturday?", timeout_s=60)
        assert any("4 pm" in answer.data["text"] for answer in answers), answers
        brokers.restart(1)
        assert await chat.say("And can I pay with a gift card?", timeout_s=60)
        told = [event.id for event in chat.events]
        assert len(told) == len(set(told))

    async def letter() -> Any:
        return list(tray.glob("*.pdf"))

    assert len(await tools.eventually(letter, 60, "a letter back")) == 1

    # The thanks for the refund close the case; nothing was sent twice, nothing is left.
    await asyncio.to_thread(
        house.send, tools.mail(f"Grete Ohlsen <{grete}>", "Re: Abrechnung", "Nein, danke.", answers=refunded)
    )

    async def closed() -> bool:
        cases = await house.cli("cases", "list")
        return any(case["status"] == "closed" and case["channel"] == "email" for case in cases)

    await tools.eventually(closed, 90, "the case to be closed")
    mails = house.mailbox.sent_to(grete)
    assert len({mail.message_id for mail in mails}) == len(mails) == 3
    assert await house.cli("dead-letters", "list") == []

    async def settled() -> bool:
        return sum(row["behind"] for row in await house.cli("workers", "list")) == 0

    await tools.eventually(settled, 60, "every group to have finished")
