"""From an accepted contact to a planned reply: how many a second, and how long each takes at half that load.

Mixed contacts in three languages go the whole way: accepted durably, intake, triage, department, reply in the send
ledger. Workers run in processes of their own, as many as there are cores; this process plays the doors and counts.
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, func, select

from bus.adapter.hosting import contact_record
from bus.clock import to_micros
from bus.config import Layered
from bus.delivery.ledger import send_ledger
from bus.message import Contact, Party, Reply, decode, derive_id
from deploy.core import Core, open_core
from deploy.settings import ProductSettings
from workers.records.demo import load_demo

__all__ = ["run"]

CONTACTS = 3000
HALF_LOAD_S = 10.0
WARM_UP = 200
_AT_ONCE = 64
"""Contacts accepted at the same time: as many doors are busy."""
_GIVE_UP_S = 180.0

_TEXTS = (
    ("de", "Guten Tag, auf meiner Abrechnung steht die Bestellung {order} zweimal. Bitte prüfen Sie das."),
    ("nb", "Hei, jeg vil gjerne returnere en vare fra bestilling {order}. Hvordan gjør jeg det?"),
    ("en", "Hello, where is my order {order}? It should have arrived on {day} March."),
    ("de", "Meine Kaffeemaschine ist defekt und heizt seit dem {day}. März nicht mehr, was kann ich tun?"),
    ("nb", "Når åpner dere på lørdag den {day}.?"),
    ("en", "I was charged {amount} more than the price on the shelf for order {order}."),
    ("de", "Guten Tag,\n\nich habe am {day}. Februar bei Ihnen bestellt ({order}) und noch nichts bekommen. Können Sie "
     "mir bitte sagen, wo das Paket gerade ist? Ich brauche es bis zum Wochenende.\n\nMit freundlichen Grüßen\n{name}"),
    ("nb", "Hei!\n\nJeg ble trukket to ganger for {order}, {amount} hver gang. Kan dere betale tilbake det ene "
     "beløpet? Takk på forhånd.\n\nVennlig hilsen\n{name}"),
    ("en", "Hi,\n\nthe jacket from order {order} is too small. Could I exchange it for the next size up? I have not "
     "worn it and the label is still on.\n\nKind regards\n{name}"),
    ("de", "Ich möchte die Bestellung {order} widerrufen und mein Geld zurück.\n\n{name}"),
    ("nb", "Jeg vil snakke med et menneske om bestilling {order}."),
    ("en", "Can I pay with a gift card, and do you deliver to the islands?"),
)  # fmt: skip
_ORDERS = ("SO-10234", "SO-10301", "SO-10388", "SO-10412")
"""Half of the contacts name an order of the demo's, which are looked up; the others one that does not exist."""
_NAMES = ("Anke Petersen", "Jonas Weber", "Kari Lunde", "Ola Nordmann", "Tom Baker", "Priya Shah", "Grete Ohlsen")
_SUBJECTS = {"de": "Anfrage", "nb": "Henvendelse", "en": "Question"}

_times = select(send_ledger.c.planned_at, send_ledger.c.body).where(send_ledger.c.planned_at >= bindparam("since"))
_answers_of = select(func.count(func.distinct(send_ledger.c.case_id)).label("n"))


async def run() -> list[dict[str, Any]]:
    """Rows of name, value, unit, goal and whether it was met."""
    with tempfile.TemporaryDirectory(prefix="contactbus-bench-") as folder:
        settings = ProductSettings(data=folder, log_level="ERROR")
        core = await open_core(Layered(), settings, public_url="http://127.0.0.1")
        await load_demo(core.engine, core.clock)
        cores = len(os.sched_getaffinity(0))
        workers = [await _worker(folder) for _ in range(cores)]
        try:
            await _send_all(core, "warm", WARM_UP)
            await _answered(core, WARM_UP)
            pids = [worker.pid for worker in workers]
            used, started = _processor_s(pids), time.monotonic()
            await _send_all(core, "full", CONTACTS)
            await _answered(core, WARM_UP + CONTACTS)
            rate = CONTACTS / (time.monotonic() - started)
            # On a busy machine the rate tells of the neighbours; what a contact costs the processor does not.
            cost = (_processor_s(pids) - used) / CONTACTS * 1e6
            latencies = await _half_load(core, rate / 2, WARM_UP + CONTACTS)
        finally:
            for worker in workers:
                worker.send_signal(signal.SIGTERM)
            await asyncio.gather(*(worker.wait() for worker in workers))
            await core.close()
    latencies.sort()
    return [
        _row("accepted contact to planned reply", rate, "contacts/s", 1000, at_least=True),
        _row("the same at half load, p50", latencies[len(latencies) // 2], "ms", None),
        _row("the same at half load, p99", latencies[int(len(latencies) * 0.99)], "ms", None),
        _row("processor time of the workers per contact", cost, "us", None),
        _row("worker processes", cores, "processes", None),
    ]


def _processor_s(pids: list[int]) -> float:
    """Seconds of processor time that the processes have used so far."""
    fields = [Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split() for pid in pids]
    # User and system time are the 14th and 15th field of proc(5), the 12th and 13th behind the name.
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def _row(name: str, value: float, unit: str, goal: float | None, *, at_least: bool = False) -> dict[str, Any]:
    met = None if goal is None else (value >= goal if at_least else value <= goal)
    return {"name": name, "value": round(value, 2), "unit": unit, "goal": goal, "met": met}


async def _worker(folder: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "deploy.cli",
        "workers",
        "run",
        "all",
        "--data",
        folder,
        env={**os.environ, "CONTACTBUS_PRODUCT__LOG_LEVEL": "ERROR"},
        stderr=asyncio.subprocess.DEVNULL,
    )


def _contact(core: Core, name: str, number: int) -> Contact:
    """Each from a person and a mail domain of its own: one domain that writes a thousand times is soon not answered."""
    language, text = _TEXTS[number % len(_TEXTS)]
    now = core.clock.now()
    address = _address(name, number)
    writer = _NAMES[number % len(_NAMES)]
    orders = _ORDERS if number % 2 else (f"SO-{20000 + number % 70000}",)
    return Contact(
        id=derive_id("c", "bench", address),
        tenant=core.settings.tenant,
        channel="email",
        account="hilfe@shop.example",
        conversation=f"<{address}>",
        sender=Party(kind="email", address=address, name=writer),
        occurred_at=now,
        received_at=now,
        subject=_SUBJECTS[language],
        text=text.format(
            order=orders[number % len(orders)], day=number % 28 + 1, amount=f"{number % 90 + 5},00 kr", name=writer
        ),
        native={"message_id": f"<{address}>"},
    )


def _address(name: str, number: int) -> str:
    return f"customer@{name}-{number}.example"


async def _accept(core: Core, name: str, number: int) -> None:
    await core.engine.append([contact_record(_contact(core, name, number))], once=True)


async def _send_all(core: Core, name: str, count: int) -> None:
    numbers = iter(range(count))

    async def door() -> None:
        for number in numbers:
            await _accept(core, name, number)

    await asyncio.gather(*(door() for _ in range(_AT_ONCE)))


async def _answered(core: Core, count: int) -> None:
    """Until so many cases have a planned reply."""
    ends = time.monotonic() + _GIVE_UP_S
    while True:
        row = await core.engine.one(_answers_of)
        if row is not None and row["n"] >= count:
            return
        if time.monotonic() > ends:
            raise TimeoutError(f"{count} contacts were not answered within {_GIVE_UP_S:.0f} s, {row and row['n']} were")
        await asyncio.sleep(0.02)


async def _half_load(core: Core, rate: float, before: int) -> list[float]:
    """Milliseconds from the beginning of accepting to the ledger row, for contacts that come at an even rate."""
    count = max(1, int(rate * HALF_LOAD_S))
    begun: dict[str, int] = {}
    since = to_micros(core.clock.now())
    start = time.monotonic()
    tasks: set[asyncio.Task[None]] = set()
    for number in range(count):
        await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
        begun[_address("half", number)] = to_micros(core.clock.now())
        task = asyncio.create_task(_accept(core, "half", number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    await _answered(core, before + count)
    first: dict[str, int] = {}
    for row in await core.engine.all(_times, {"since": since}):
        address = decode(row["body"].encode(), Reply).to.address
        first[address] = min(row["planned_at"], first.get(address, row["planned_at"]))
    return [(first[address] - at) / 1000 for address, at in begun.items() if address in first]
