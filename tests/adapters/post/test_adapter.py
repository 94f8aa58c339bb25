"""The channel as the product runs it: a file dropped into a folder becomes a contact on the log."""

import asyncio
from collections.abc import AsyncIterator, Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from adapters.post import plugin
from adapters.post.adapter import PostAdapter, raw_from_file
from adapters.post.config import PostConfig
from bus.adapter.contract import Acceptance, ChannelPlugin, Raw, Services
from bus.adapter.hosting import Intake
from bus.adapter.tokens import Signer
from bus.clock import SystemClock
from bus.log.embedded import EmbeddedEngine
from bus.log.topics import CONTACT_RECEIVED, topic
from bus.message import Contact, Reply, decode
from bus.store.blobs import Blobs
from bus.telemetry import Metrics


class Running:
    """The adapter with the bus's own accepting side, a real clock and a real sandbox."""

    def __init__(self, engine: EmbeddedEngine, folder: Path, config: PostConfig) -> None:
        self.engine = engine
        self.blobs = Blobs(folder / "blobs")
        clock = SystemClock()
        self.intake = Intake(
            plugin, config, log_port=engine, blobs=self.blobs, clock=clock, metrics=Metrics(), data_dir=folder
        )
        self.accepted: list[Acceptance] = []
        self.statuses: list[Any] = []
        self.adapter = PostAdapter(
            config,
            Services(
                clock=clock,
                store=engine,
                blobs=self.blobs,
                signer=Signer(b"a signing secret of the tests"),
                data_dir=folder,
                public_url="http://localhost",
                tenant="shop",
                accept=self.accept,
                status=self.report,
                background=lambda name, work: None,
            ),
        )
        self.changed = asyncio.Event()

    async def accept(self, raw: Raw) -> Acceptance:
        acceptance = await self.intake.accept(raw)
        self.accepted.append(acceptance)
        self.changed.set()
        return acceptance

    async def report(self, status: Any) -> None:
        self.statuses.append(status)
        self.changed.set()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not true():
                # Folders tell nobody when they change, so look again after a moment.
                try:
                    async with asyncio.timeout(0.05):
                        await self.changed.wait()
                except TimeoutError:
                    continue
                self.changed.clear()

    async def contacts(self) -> list[Contact]:
        records = []
        for partition in range(topic(CONTACT_RECEIVED).partitions):
            records += await self.engine.read(CONTACT_RECEIVED, partition)
        return [decode(record.value, Contact) for record in records]


@pytest_asyncio.fixture
async def running(engine: EmbeddedEngine, tmp_path: Path, config: PostConfig) -> AsyncIterator[Running]:
    room = Running(engine, tmp_path / "data", config)
    task = asyncio.create_task(room.adapter.receive())
    yield room
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await room.adapter.close()
    await room.intake.close()


def test_it_registers_as_any_foreign_adapter_does() -> None:
    (point,) = entry_points(group="contactbus.adapters", name="post")
    loaded = point.load()
    assert loaded is plugin
    assert isinstance(loaded, ChannelPlugin)


async def test_a_dropped_letter_is_on_the_log_with_its_scan(
    running: Running, scan: Callable[..., bytes], tmp_path: Path
) -> None:
    data = scan("nb")
    (tmp_path / "x.tmp").write_bytes(data)
    (tmp_path / "x.tmp").rename(running.adapter.drop_folder / "brev.pdf")
    await running.until(lambda: any((running.adapter.drop_folder / "done").glob("brev--*.pdf")))
    (contact,) = await running.contacts()
    assert contact.raw is not None
    assert await running.blobs.get(contact.raw.digest) == data
    assert (contact.channel, contact.language, contact.quality.status) == ("post", "nb", "ok")
    assert contact.sender.name == "Kari Lunde"
    assert contact.proof.level == "none"
    # The same paper again, while the product runs.
    (running.adapter.drop_folder / "again.pdf").write_bytes(data)
    await running.until(lambda: any((running.adapter.drop_folder / "done").glob("again--*.pdf")))
    assert len(running.accepted) == 1  # known by its bytes, not read again
    assert len(await running.contacts()) == 1


async def test_a_bomb_beside_a_letter(running: Running, scan: Callable[..., bytes]) -> None:
    (running.adapter.drop_folder / "bomb.pdf").write_bytes(b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\nstartxref\n9\n%%EOF\n")
    (running.adapter.drop_folder / "letter.pdf").write_bytes(scan("en", degrade="fax"))
    await running.until(
        lambda: (
            any((running.adapter.drop_folder / "done").glob("letter--*"))
            and any((running.adapter.drop_folder / "held").glob("bomb--*.reason.txt"))
        )
    )
    contacts = {contact.quality.status: contact for contact in await running.contacts()}
    assert "SO-10388" in contacts["ok"].text
    assert contacts["unreadable"].quality.reasons == ("the file is damaged",)


async def test_an_acknowledged_letter_is_reported_while_running(running: Running, reply: Callable[..., Reply]) -> None:
    wanted = reply()
    await running.adapter.send(wanted, 1)
    (running.adapter.letter_tray / f"{wanted.id}.ack.json").write_text('{"state": "posted"}')
    await running.until(lambda: bool(running.statuses))
    assert running.statuses[0].state == "delivered"


async def test_probe_names_what_to_install(engine: EmbeddedEngine, tmp_path: Path, config: PostConfig) -> None:
    room = Running(engine, tmp_path / "data", config)
    assert (await room.adapter.probe()).ok
    absent = Running(engine, tmp_path / "data", msgspec.structs.replace(config, tesseract="no-such-program"))
    health = await absent.adapter.probe()
    assert not health.ok
    assert "tesseract-ocr-nor" in health.fix
    unknown = tmp_path / "tesseract"
    unknown.write_text("#!/bin/sh\necho 'List of available languages (1):'\necho eng\n")
    unknown.chmod(0o755)
    partly = Running(engine, tmp_path / "data", msgspec.structs.replace(config, tesseract=str(unknown)))
    assert (await partly.adapter.probe()).detail == "recognition models are missing: deu, nor"


@pytest.mark.parametrize("data", [b"", b"hello", b"%PDF-1.4\n", bytes(100)], ids=["empty", "text", "stub", "zeros"])
def test_normalise_from_a_file_never_fails(data: bytes, config: PostConfig) -> None:
    contact = plugin.normalise(raw_from_file(data, "x.pdf", config), config).contact
    assert contact.quality.status == "unreadable"


def test_starting_the_reader_loads_nothing_heavy() -> None:
    """The page worker starts once per letter: the web framework and the tables have no place in it."""
    import subprocess
    import sys

    heavy = "('aiohttp', 'sqlalchemy', 'numpy')"
    code = f"import sys, adapters.post.page_worker; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
