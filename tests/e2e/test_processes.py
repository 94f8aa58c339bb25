"""The same house in several processes: doors in one, workers in two others, one of which dies in the middle."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import smtplib
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio

from adapters.chat.client import ChatClient
from adapters.phone.simulator import Say, simulate_call
from adapters.post.samples import make_scan
from bus.clock import SystemClock
from bus.delivery import ledger
from bus.log.embedded import EmbeddedEngine
from deploy import migrations
from workers.records.demo import load_demo

CHANNELS = ("email", "chat", "phone", "post", "link")
LEAVES_S = 25
"""Within so long a process ends by itself: orchestrators kill after 30."""


class House:
    """One data folder and the processes on it."""

    def __init__(self, data: Path, mailbox: Any, http_port: int, smtp_port: int) -> None:
        self.data, self.mailbox = data, mailbox
        self.url, self.smtp_port = f"http://127.0.0.1:{http_port}", smtp_port
        host, port = mailbox.address
        self.environment = {
            **os.environ,
            "CONTACTBUS_HTTP__PORT": str(http_port),
            "CONTACTBUS_PRODUCT__LOG_LEVEL": "INFO",
            "CONTACTBUS_ADAPTERS__EMAIL__SMTP_PORT": str(smtp_port),
            "CONTACTBUS_ADAPTERS__EMAIL__RELAY_HOST": host,
            "CONTACTBUS_ADAPTERS__EMAIL__RELAY_PORT": str(port),
            "CONTACTBUS_ADAPTERS__POST__COMPANY": '{ name = "Nordlicht Handel", address = ["Hafenstr. 7", "Hamburg"] }',
        }
        self.running: list[asyncio.subprocess.Process] = []
        self.listening: list[asyncio.Task[None]] = []

    async def run(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start a part and wait until it says that it runs."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.cli", *arguments, "--data", str(self.data),
            stderr=asyncio.subprocess.PIPE, env=self.environment,
        )  # fmt: skip
        self.running.append(process)
        assert process.stderr is not None
        said = b""
        async with asyncio.timeout(90):
            while not said.startswith(b"running "):
                said = await process.stderr.readline()
                print(process.pid, said.decode(), end="")
                assert said, f"{arguments} ended with {await process.wait()}"
        self.listening.append(asyncio.create_task(self._listen(process)))
        return process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Keep the pipe empty; what is told shows when a test fails."""
        assert process.stderr is not None
        async for line in process.stderr:
            print(process.pid, line.decode(), end="")

    async def cli(self, *arguments: str) -> Any:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.cli", *arguments, "--data", str(self.data), "--json",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=self.environment,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, err.decode()
        return json.loads(out)

    def send(self, mail: Any) -> None:
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=30) as server:
            server.send_message(mail)

    async def call(self, *said: str) -> list[str]:
        call = await simulate_call(
            self.url, "+49305550144", "+49301234567", turns=[Say(text) for text in said], clock="virtual",
            auth_token=(self.data / "twilio_auth_token").read_text().strip(), tenant="shop",
        )  # fmt: skip
        assert call.problems == []
        return [line.say for line in call.heard if line.say]


@pytest_asyncio.fixture
async def house(tmp_path: Path, mailbox: Any, learned: Path, tools: Any) -> AsyncIterator[House]:
    data = tmp_path / "data"
    shutil.copytree(learned, data)
    migrations.upgrade(data)
    clock = SystemClock()
    engine = await EmbeddedEngine.open(data, clock=clock, plan_reply=lambda reply: ledger.plan(reply, clock.now()))
    await load_demo(engine, clock)
    await engine.close()
    blank = tools.product(data, mailbox)
    opened = House(data, mailbox, blank.http_port, blank.smtp_port)
    yield opened
    for process in opened.running:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_doors_and_workers_in_processes_of_their_own_and_one_worker_dies(house: House, tools: Any) -> None:
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


async def test_a_confirmation_reaches_the_doors_though_workers_wrote_the_link(house: House, tools: Any) -> None:
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
