"""The whole product as a process of its own, reached through its doors only."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import smtplib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from adapters.email.mailbox import Mailbox
from adapters.phone.simulator import Say, simulate_call
from bus.clock import SystemClock
from bus.log.embedded import EmbeddedEngine
from deploy.ports import free_port
from workers.case.comparing import compare_cases
from workers.case.rebuild import rebuild_cases
from workers.packs import load

sys.path.insert(0, str(Path(__file__).parent))

from storyhouse.engines import distributed, embedded
from storyhouse.house import StoryHouse

START_S = 90.0
"""The first start trains the model, on a machine that runs other tests too."""


class Product:
    """`contactbus up` in a process; a mailbox of the tests is its relay; `more` goes into its environment."""

    def __init__(self, data: Path, mailbox: Mailbox) -> None:
        self.data, self.mailbox = data, mailbox
        self.more: dict[str, str] = {}
        self.http_port, self.smtp_port = free_port(), free_port()
        self.process: subprocess.Popen[str] | None = None
        self.ready: dict[str, Any] = {}
        self.log = data.parent / f"{data.name}.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    async def start(self) -> None:
        """Start (again) and wait for the ready line."""
        host, port = self.mailbox.address
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "deploy.cli",
                    "up",
                    "--demo",
                    "--json",
                    "--data",
                    str(self.data),
                    "--http",
                    f"127.0.0.1:{self.http_port}",
                    "--smtp",
                    f"127.0.0.1:{self.smtp_port}",
                    "--relay",
                    f"{host}:{port}",
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={
                    **os.environ,
                    "CONTACTBUS_DEMO__PLAY": "false",
                    "CONTACTBUS_PRODUCT__IN_DOUBT_S": "3",
                    "CONTACTBUS_PRODUCT__LOG_LEVEL": "INFO",
                    **self.more,
                },
            )
        assert self.process.stdout is not None
        line = await asyncio.wait_for(asyncio.to_thread(self.process.stdout.readline), START_S)
        assert line, f"the product did not start:\n{self.log.read_text()[-4000:]}"
        self.ready = json.loads(line)
        assert self.ready["ready"] is True

    def kill(self) -> None:
        """SIGKILL, and nothing else."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, 40)

    async def cli(self, *arguments: str) -> Any:
        """A command beside the running product, as JSON."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "deploy.cli",
            *arguments,
            "--data",
            str(self.data),
            "--json",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **self.more},
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, err.decode()
        return json.loads(out)

    async def cases(self) -> list[dict[str, Any]]:
        return await self.cli("cases", "list")

    async def timeline(self, case: str) -> list[dict[str, Any]]:
        return (await self.cli("cases", "show", case))["timeline"]

    async def send(self, mail: EmailMessage | bytes, sender: str = "") -> None:
        """A mail through the real SMTP door."""
        await asyncio.to_thread(self._send, mail, sender)

    def _send(self, mail: EmailMessage | bytes, sender: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=30) as server:
            if isinstance(mail, bytes):
                server.sendmail(sender, ["hilfe@shop.example"], mail)
            else:
                server.send_message(mail)

    async def mails_to(self, address: str, count: int = 1, timeout: float = 40.0) -> list[Any]:
        """The first `count` mails that an address received, in order."""

        async def enough() -> list[Any] | None:
            found = self.mailbox.sent_to(address)
            return found if len(found) >= count else None

        return await eventually(enough, timeout, f"{count} mails to {address}")

    def drop(self, name: str, data: bytes) -> None:
        """A finished file into the drop folder."""
        folder = Path(self.ready["drop_folder"])
        (folder / f".{name}.part").write_bytes(data)
        (folder / f".{name}.part").rename(folder / name)

    def letters(self) -> list[Path]:
        return sorted(Path(self.ready["letter_tray"]).glob("*.pdf"))

    async def call(self, from_: str, turns: Sequence[Any], language: str = "de") -> Any:
        """A simulated call on the line of a language, with a virtual clock."""
        to = next(n for n, spoken in self.ready["phone_numbers"].items() if spoken == language)
        token = (self.data / "twilio_auth_token").read_text().strip()
        return await simulate_call(
            self.url, from_, to, turns=list(turns), clock="virtual", auth_token=token, tenant="shop"
        )


class House:
    """The product in several processes, each on a folder of this host; `more` goes into their environment."""

    def __init__(
        self, data: Path, mailbox: Any, http_port: int, smtp_port: int, more: Mapping[str, str] | None = None
    ) -> None:
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
            **(more or {}),
        }
        self.running: list[asyncio.subprocess.Process] = []
        self.listening: list[asyncio.Task[None]] = []
        self.said: list[str] = []

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
            self.said.append(line.decode())
            print(process.pid, line.decode(), end="")

    async def end(self) -> None:
        """Kill whatever still runs."""
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def cli(self, *arguments: str) -> Any:
        """A command beside the running house, as JSON."""
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


async def eventually(probe: Callable[[], Awaitable[Any]], timeout: float, what: str) -> Any:
    """What `probe` returns as soon as it is something; looks again often, fails with `what` after `timeout`.

    Between two looks it lets as much time pass as a look takes: one that starts a command would keep a core busy.
    """
    ends = time.monotonic() + timeout
    while True:
        began = time.monotonic()
        found = await probe()
        if found:
            return found
        now = time.monotonic()
        assert now < ends, f"waited {timeout} s in vain for {what}"
        await asyncio.sleep(max(0.1, now - began))


def write_mail(
    sender: str, subject: str, text: str, *, to: str = "hilfe@shop.example", answers: Any = None, message_id: str = ""
) -> EmailMessage:
    """A mail as a customer's program writes it; `answers` is a received mail that it replies to, quote included."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = to
    mail["Subject"] = subject
    mail["Date"] = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
    mail["Message-ID"] = message_id or f"<{time.time_ns()}@kunde.example>"
    if answers is not None:
        del mail["To"]
        mail["To"] = answers.reply_to or to
        mail["In-Reply-To"] = answers.message_id
        mail["References"] = " ".join((*answers.references, answers.message_id))
        quoted = "\n".join(f"> {line}" for line in answers.text.splitlines())
        text = f"{text}\n\nAm 22.11.2026 um 10:00 schrieb Nordlicht Handel <hilfe@shop.example>:\n{quoted}\n"
    mail.set_content(text)
    return mail


@pytest_asyncio.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    """The mailboxes of all customers."""
    opened = Mailbox("127.0.0.1", 0)
    await opened.start()
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def product(tmp_path: Path, mailbox: Mailbox, learned: Path) -> AsyncIterator[Product]:
    """A running product with the demo's customers, and nobody who has got in touch yet."""
    shutil.copytree(learned, tmp_path / "data")
    running = Product(tmp_path / "data", mailbox)
    await running.start()
    yield running
    with contextlib.suppress(subprocess.TimeoutExpired):
        await running.stop()
    if running.process is not None and running.process.poll() is None:
        running.kill()
    await _every_case_is_what_its_events_say(running.data)


async def _every_case_is_what_its_events_say(data: Path) -> None:
    """Whatever story was told: the timeline alone leads to the snapshot, and the rules agree with what they decided."""
    engine = await EmbeddedEngine.open(data, clock=SystemClock())
    try:
        spoilt = [found async for found, _ in rebuild_cases(engine, "shop") if not found.same]
        span = {"since": datetime(2020, 1, 1, tzinfo=UTC), "until": datetime(2099, 1, 1, tzinfo=UTC)}
        level = load("shop").policy.service.supervisor_at
        compared = [found async for found in compare_cases(engine, "shop", **span, supervisor_at=level)]
    finally:
        await engine.close()
    assert spoilt == []
    # A reminder that came late is the machine's doing, which runs other tests too, and no rule's.
    differences = [each for found in compared for each in found.differences if each.kind != "hold-warned"]
    assert differences == []


class Tools:
    """The helpers above, for test modules (which cannot import a conftest)."""

    eventually = staticmethod(eventually)
    house = House
    mail = staticmethod(write_mail)
    product = Product


@pytest.fixture(scope="session")
def tools() -> Any:
    """The helpers above."""
    return Tools


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def company(
    tmp_path_factory: pytest.TempPathFactory, learned: Path, request: pytest.FixtureRequest
) -> AsyncIterator[StoryHouse]:
    """One house for all stories of a module, on the engine that CONTACTBUS_TEST_ENGINE names: embedded or kafka."""
    data = tmp_path_factory.mktemp("company") / "data"
    shutil.copytree(learned, data)
    async with Mailbox("127.0.0.1", 0) as mailbox:
        if os.environ.get("CONTACTBUS_TEST_ENGINE", "embedded") == "kafka":
            bootstrap = request.getfixturevalue("kafka_bootstrap")
            with request.getfixturevalue("another_database")() as database:
                async with distributed(Tools, data, mailbox, bootstrap, database) as opened:
                    yield opened
                    await opened.leave()
        else:
            async with embedded(Tools, data, mailbox) as opened:
                yield opened
                await opened.leave()
