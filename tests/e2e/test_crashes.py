"""SIGKILL at random moments: what was acknowledged is there, and answered once.

The judge stands outside: it trusts what it sent, which yes it heard, and what the customers received.
"""

import asyncio
import os
import random
import smtplib
from collections import Counter
from typing import Any

import pytest

from adapters.chat.client import ChatClient
from adapters.post.samples import make_scan

KILLS = int(os.environ.get("CONTACTBUS_TEST_KILLS", "20"))


class Judge:
    """What was offered, and what was said yes to."""

    def __init__(self, product: Any, tools: Any, seed: int) -> None:
        self.product, self.tools, self.choose = product, tools, random.Random(seed)
        self.mails: list[str] = []
        self.said: dict[str, list[str]] = {}
        self.number = 0

    async def mail(self) -> None:
        """One mail from an address of its own, noted only when 250 was heard."""
        self.number += 1
        address = f"kunde{self.number}@kunde.example"
        mail = self.tools.mail(
            f"Kunde <{address}>", "Öffnungszeiten", f"Guten Tag, wann haben Sie samstags geöffnet? ({self.number})"
        )
        try:
            await self.product.send(mail)
        except (OSError, smtplib.SMTPException):
            return
        self.mails.append(address)

    async def keep_mailing(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.mail()
            await asyncio.sleep(self.choose.uniform(0.01, 0.1))


@pytest.mark.timeout(900)
async def test_killed_again_and_again_nothing_acknowledged_is_lost_or_answered_twice(product: Any, tools: Any) -> None:
    seed = int(os.environ.get("CONTACTBUS_TEST_SEED", str(random.SystemRandom().randrange(10**6))))
    print(f"seed {seed}, {KILLS} kills")
    judge = Judge(product, tools, seed)
    scan = await asyncio.to_thread(
        make_scan,
        "Hei,\n\nnår har dere åpent på lørdag?\n\nHilsen Kari Lunde",
        language="nb",
        sender=("Kari Lunde", "Storgata 12", "0155 Oslo"),
        degrade="clean",
        fmt="pdf",
        seed=seed,
    )
    async with ChatClient(product.url, "en") as chat:
        stop = asyncio.Event()
        mailing = [asyncio.create_task(judge.keep_mailing(stop)) for _ in range(2)]
        acknowledged: list[str] = []

        async def chatting() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                text = f"What are your opening hours on Saturday? ({number})"
                await chat.tell(text, timeout_s=500)
                acknowledged.append(text)
                await asyncio.sleep(judge.choose.uniform(0.3, 1.0))

        talking = asyncio.create_task(chatting())
        for round_number in range(KILLS):
            if round_number % 5 == 0:
                product.drop(f"brev-{round_number}.pdf", scan + b"\n%" + str(round_number).encode())
            await asyncio.sleep(judge.choose.uniform(0.05, 6.0))
            product.kill()
            await product.start()
        stop.set()
        await asyncio.gather(*mailing)
        await talking

        async def all_answered() -> bool:
            received = Counter(mail.rcpt_to[0] for mail in product.mailbox.mails)
            return all(received[address] >= 1 for address in judge.mails)

        await tools.eventually(all_answered, 120, "an answer to every acknowledged mail")

        async def chat_answered() -> bool:
            return sum(event.kind != "message" for event in chat.events) >= 1

        await tools.eventually(chat_answered, 30, "an answer in the chat")
        shown = [event.data["text"] for event in chat.events if event.kind == "message"]
        assert shown == acknowledged, "every acknowledged message once, in order"
        ids = [event.id for event in chat.events]
        assert len(ids) == len(set(ids))

    async def letters_answered() -> bool:
        return len(product.letters()) >= (KILLS + 4) // 5

    await tools.eventually(letters_answered, 120, "a letter to every letter")
    contacts = Counter(contact["sender"]["address"] for contact in await product.cli("contacts", "list"))
    assert all(contacts[address] == 1 for address in judge.mails)
    # A mail in doubt may come twice under the same Message-ID, which mail programs show once; never as two answers.
    answers = Counter((mail.rcpt_to[0], mail.message_id) for mail in product.mailbox.mails)
    by_address = Counter(address for address, _ in answers)
    assert all(by_address[address] == 1 for address in judge.mails)
    print(
        f"{len(judge.mails)} mails, {len(acknowledged)} chat messages, {len(product.letters())} letters, {KILLS} kills"
    )
