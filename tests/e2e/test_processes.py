"""The same house in several processes: doors in one, workers in two others, one of which dies in the middle."""

import asyncio
import re
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio

from adapters.chat.client import ChatClient
from adapters.post.samples import make_scan
from bus.clock import SystemClock
from bus.delivery import ledger
from bus.log.embedded import EmbeddedEngine
from deploy import migrations
from workers.records.demo import load_demo

CHANNELS = ("email", "chat", "phone", "post", "link")
LEAVES_S = 25
"""Within so long a process ends by itself: orchestrators kill after 30."""


@pytest_asyncio.fixture
async def house(tmp_path: Path, mailbox: Any, learned: Path, tools: Any) -> AsyncIterator[Any]:
    data = tmp_path / "data"
    shutil.copytree(learned, data)
    migrations.upgrade(data)
    clock = SystemClock()
    engine = await EmbeddedEngine.open(data, clock=clock, plan_reply=lambda reply: ledger.plan(reply, clock.now()))
    await load_demo(engine, clock)
    await engine.close()
    blank = tools.product(data, mailbox)
    opened = tools.house(data, mailbox, blank.http_port, blank.smtp_port)
    yield opened
    await opened.end()


async def test_doors_and_workers_in_processes_of_their_own_and_one_worker_dies(house: Any, tools: Any) -> None:
    scan = await asyncio.to_thread(
        make_scan,
        "Hei,\n\nnår har dere åpent på lørdag?\n\nHilsen Kari Lunde",
        language="nb", sender=("Kari Lunde", "Storgata 12", "0155 Oslo"), degrade="clean", fmt="pdf", seed=3,
    )  # fmt: skip
    doors, first, second = await asyncio.gather(
        house.run("serve", *CHANNELS), house.run("workers", "run", "all"), house.run("workers", "run", "all")
    )
    tray, drop = house.data / "post" / "out", house.data / "post" / "in"

    def write(number: int) -> str:
        address = f"kunde{number}@kunde.example"
        house.send(
            tools.mail(f"Kunde <{address}>", "Frage", f"Guten Tag, wann haben Sie samstags geöffnet? ({number})")
        )
        return address

    # Everything works before anybody dies, over all channels.
    addresses = [await asyncio.to_thread(write, 0)]
    (drop / ".brev.part").write_bytes(scan)
    (drop / ".brev.part").rename(drop / "brev.pdf")
    async with ChatClient(house.url, "en") as chat:
        assert await chat.say("What are your opening hours on Saturday?")
        heard = await house.call("Guten Tag, meine Kaffeemaschine heizt nicht mehr, sie ist defekt.")
        assert len(heard) >= 2, heard

        # One of the workers dies while there is work.
        for number in range(1, 25):
            addresses.append(await asyncio.to_thread(write, number))
            if number == 12:
                first.kill()
        answers = await chat.say("And where is your shop?", timeout_s=30)
        assert answers, "the other worker answers the chat"
        told = [event.id for event in chat.events]
        assert len(told) == len(set(told))
    heard = await house.call("Guten Tag, wann haben Sie samstags geöffnet?")
    assert len(heard) >= 2, heard

    async def all_answered() -> bool:
        return all(house.mailbox.sent_to(address) for address in addresses) and bool(list(tray.glob("*.pdf")))

    await tools.eventually(all_answered, 60, "an answer to every mail and to the letter")
    contacts = Counter(contact["sender"]["address"] for contact in await house.cli("contacts", "list"))
    assert all(contacts[address] == 1 for address in addresses)
    answers = Counter(address for address, _ in {(mail.rcpt_to[0], mail.message_id) for mail in house.mailbox.mails})
    assert {address: answers[address] for address in addresses} == dict.fromkeys(addresses, 1)
    assert len(list(tray.glob("*.pdf"))) == 1
    assert await house.cli("dead-letters", "list") == []

    # Health, then a good end: doors first, so that nobody is let in who is not answered.
    async with aiohttp.ClientSession() as http, http.get(house.url + "/livez") as alive:
        assert alive.status == 200
    for process in (doors, second):
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), LEAVES_S) == 0
    assert await first.wait() == -signal.SIGKILL

    # What comes after the end is refused, and a later start goes on where this one stopped.
    again = await house.run("workers", "run", "all")
    rows = await house.cli("workers", "list")
    assert sum(row["behind"] for row in rows) == 0, rows
    again.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(again.wait(), LEAVES_S) == 0


async def test_a_confirmation_reaches_the_doors_though_workers_wrote_the_link(house: Any, tools: Any) -> None:
    """The link in the mail is made by a worker that serves no pages itself."""
    grete = "grete.ohlsen@kunde.example"
    await asyncio.gather(house.run("serve", *CHANNELS), house.run("workers", "run", "all"))
    async with aiohttp.ClientSession() as browser, browser.get(f"{house.url}/desk/login") as page:
        assert page.status == 200, "whoever serves the doors serves the desk"
    await asyncio.to_thread(
        house.send, tools.mail(f"Grete Ohlsen <{grete}>", "Abrechnung", "SO-10234 wurde doppelt abgebucht.")
    )

    async def asked() -> Any:
        return house.mailbox.sent_to(grete)

    (mail,) = await tools.eventually(asked, 40, "a question for proof")
    link = re.search(r"http://\S+/confirm/\S+", mail.text)
    assert link is not None
    assert link[0].startswith(house.url)
    async with aiohttp.ClientSession() as browser, browser.post(link[0]) as pressed:
        assert pressed.status == 200

    async def settled() -> Any:
        return len(house.mailbox.sent_to(grete)) == 2

    await tools.eventually(settled, 40, "an answer after the confirmation")
