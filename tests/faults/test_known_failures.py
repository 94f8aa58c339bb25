"""Four failures that other help desks are known for, played against the whole product."""

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from proof import customers
from proof.asking import ask
from proof.customers import Doors
from proof.house import Embedded, House
from proof.judge import judge
from proof.ledger import Broken, Ledger
from proof.run import opened
from proof.smtp import hand_over
from proof.town import Pace, Town, letters_for

TWO_DAYS_S = 2 * 24 * 3600
SMALL = {"gateway": ("serve", "email", "chat", "post"), "worker": ("workers", "run", "all")}


@contextlib.asynccontextmanager
async def small_house(
    folder: Path, learned: Path, ledger: Ledger, **armed: dict[str, str]
) -> AsyncIterator[tuple[House, Doors]]:
    """One gateway, one worker; `armed` is the environment of their first lives."""

    def house_of(relay: tuple[str, int]) -> House:
        return Embedded(folder, relay=relay, layout=SMALL, learned=learned, armed=armed)

    async with opened(house_of, ledger, patience_s=60.0) as (house, doors):
        yield house, doors


async def until(probe: Callable[[], Awaitable[Any]], what: str, within_s: float = 60.0) -> Any:
    ends = time.monotonic() + within_s
    while not (found := await probe()):
        assert time.monotonic() < ends, f"waited {within_s} s in vain for {what}"
        await asyncio.sleep(0.1)
    return found


def faults(*points: str, times: int) -> dict[str, str]:
    """Every point fails at its first `times` passes."""
    return {
        "CONTACTBUS_FAULT": ",".join(f"{point}:raise:{nth}" for point in points for nth in range(1, times + 1)),
        "CONTACTBUS_TRACEBACK": "1",
    }


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def settled(house: House, doors: Doors, ledger: Ledger) -> Any:
    """The judgement once nothing is under way any more."""
    judgement = judge(ledger, await ask(house, ledger, doors.calls))
    assert judgement.held, judgement.findings
    return judgement


@pytest.mark.timeout(200)
async def test_a_mail_whose_handling_fails_again_and_again_is_made_into_one_case(tmp_path: Path, learned: Path) -> None:
    """Elsewhere: each failed attempt makes the same mail anew."""
    ledger = Ledger()
    gateway = faults("accept.stored/email", "accept.durable/email", times=3)
    worker = faults("outcome.decided/intake", "outcome.applied/intake", "outcome.applied/triage", times=2)
    async with small_house(tmp_path, learned, ledger, gateway=gateway, worker=worker) as (house, doors):
        await asyncio.gather(*(customers.correspond(doors, number, random.Random(number)) for number in range(1, 4)))
        await settled(house, doors, ledger)
        struck = [house.said(name).count("\nfault ") for name in ("gateway", "worker")]
        assert struck == [6, 6], "every fault must have struck for this to prove anything"
    assert ledger.acknowledged == len(ledger.offers) >= 3


HOSTILE = {
    "nested": b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (depth, depth) for depth in range(3000)
    ),
    "parentheses": b"To: " + b"(" * 30_000 + b"\r\n\r\nwann haben Sie auf?\r\n",
    "parameters": b"Content-Type: text/plain;" + b" a*0*=x;" * 4_000 + b"\r\n\r\nwann haben Sie auf?\r\n",
}


@pytest.mark.timeout(200)
async def test_a_mail_that_nobody_can_read_is_kept_once_and_holds_up_nobody(tmp_path: Path, learned: Path) -> None:
    """Elsewhere: one poison mail is fetched over and over until the disk is full."""
    ledger = Ledger()
    async with small_house(tmp_path, learned, ledger) as (house, doors):
        taken: dict[str, str] = {}
        for name, body in HOSTILE.items():
            mail = b"From: gift@kunde.example\r\nMessage-ID: <%s@kunde.example>\r\n" % name.encode() + body
            for _ in range(10):
                contact = await hand_over(
                    doors.smtp_port, "gift@kunde.example", "hilfe@shop.example", mail, timeout_s=30
                )
                assert contact, f"{name} must be taken, and never be asked for again"
                assert taken.setdefault(name, contact) == contact, "the same mail is the same contact"
        before = size_of(house.data)
        for name, body in HOSTILE.items():
            mail = b"From: gift@kunde.example\r\nMessage-ID: <%s@kunde.example>\r\n" % name.encode() + body
            for _ in range(20):
                await hand_over(doors.smtp_port, "gift@kunde.example", "hilfe@shop.example", mail, timeout_s=30)
        await customers.correspond(doors, 1, random.Random(1))
        wrong = [finding for finding in judge(ledger).findings if finding.customer != "gift@kunde.example"]
        assert wrong == [], "others are answered as if nothing had been"
        answers = doors.sink.by_address["gift@kunde.example"]
        assert len({mail.in_reply_to for mail in answers}) == len(answers) <= len(HOSTILE), "nobody is answered twice"
        contacts = await house.ask("contacts", "list")
        assert {contact["id"] for contact in contacts} >= set(taken.values())
        assert len([contact for contact in contacts if contact["id"] in taken.values()]) == len(HOSTILE)

        async def all_in_cases() -> bool:
            homes = [contact for case in await house.ask("cases", "list") for contact in case["contacts"]]
            return all(homes.count(contact) == 1 for contact in taken.values())

        await until(all_in_cases, "a case for each of them")
        rows = await house.ask("workers", "list")
        assert sum(row["behind"] for row in rows) == 0
        # Sixty more deliveries of the same mails: a log that may be checkpointed late, and nothing else.
        assert size_of(house.data) - before < 12_000_000


@pytest.mark.timeout(200)
async def test_whatever_dies_inside_a_process_is_started_again(tmp_path: Path, learned: Path) -> None:
    """Elsewhere: the job that fetches mail dies once, and nobody fetches mail any more."""
    ledger = Ledger()
    groups = ("intake", "triage", "support", "case")
    worker = faults(*(f"consume.fetched/{group}" for group in groups), "outcome.applied/support", times=2)
    gateway = faults("consume.fetched/send-email", "outcome.decided/send-email", "consume.fetched/send-chat", times=2)
    # Whoever dies between sending and noting it does not know whether it has sent.
    ledger.broken.append(Broken("raise", "gateway", time.monotonic(), float("inf")))
    async with small_house(tmp_path, learned, ledger, gateway=gateway, worker=worker) as (house, doors):
        people = [customers.correspond(doors, number, random.Random(number)) for number in range(1, 6)]
        await asyncio.gather(*people, customers.chat(doors, 6, random.Random(6)))
        await settled(house, doors, ledger)
        struck = [house.said(name).count("\nfault ") for name in ("gateway", "worker")]
        assert struck == [6, 10], "every fault must have struck for this to prove anything"


@pytest.mark.timeout(250)
async def test_work_that_came_during_an_outage_of_two_days_is_done_when_it_ends(tmp_path: Path, learned: Path) -> None:
    """Elsewhere: mail that came while fetching was down for more than a day is never fetched."""
    ledger = Ledger()
    past = {"CONTACTBUS_FAULT_CLOCK_S": str(-TWO_DAYS_S)}
    async with small_house(tmp_path, learned, ledger, gateway=past, worker=past) as (house, doors):
        await house.kill("worker")
        # Two days ago by the house's own clock: taken, and then everything is dark.
        patience, doors.patience_s = doors.patience_s, 0.5
        await asyncio.gather(*(customers.correspond(doors, number, random.Random(number)) for number in range(1, 9)))
        assert ledger.acknowledged >= 8
        assert not doors.sink.mails
        await house.kill("gateway")
        doors.patience_s = patience
        # A letter that lay in the folder all the time.
        ((name, scan),) = letters_for(3, 1)
        path = doors.drop_folder / "old.pdf"
        path.write_bytes(scan)
        os.utime(path, (time.time() - TWO_DAYS_S, time.time() - TWO_DAYS_S))
        posting = asyncio.create_task(customers.letter(doors, 99, random.Random(2), name, scan))
        await asyncio.gather(house.start("gateway"), house.start("worker"))
        town = Town(doors, house, 3, Pace(), [])
        printing = asyncio.create_task(town.print_letters())
        await posting

        async def nothing_missing() -> bool:
            return judge(ledger).held

        await until(nothing_missing, "an answer to everybody who wrote two days ago", 90.0)
        await settled(house, doors, ledger)
        printing.cancel()
