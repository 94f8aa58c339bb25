"""The house under test: processes over one data folder, behind a front door, each of them to be killed and started."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.ports import free_port
from proof.nursery import Child, Nursery
from proof.proxy import Proxy

__all__ = ["CHANNELS", "Embedded", "House", "Layout", "Part", "two_and_two"]

_READY_S = 400.0
"""A process on a machine that runs brokers and tests beside it; alone it takes about 4 s."""
_STOP_S = 40.0
_ASK_S = 120.0
_LOOK_S = 0.05
_DISK_BYTES = 1_000_000_000
_BELOW_FLOOR_BYTES = 400_000_000
"""Less than the half gigabyte below which doors take nothing, more than the quarter that the log keeps for itself."""
_LONG_FULL_S = 2.5
CHANNELS = ("email", "chat", "phone", "post", "link")

Layout = Mapping[str, Sequence[str]]
"""Name of a process -> what it is started with."""


@dataclass
class Part:
    """One process: how it is started, and which it is at the moment."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: Child | None = None
    extra: dict[str, str] = field(default_factory=dict[str, str])
    """Environment of the next start only: an armed fault, a skewed clock."""

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None


def _tail(log: Path, start: int) -> bytes:
    with log.open("rb") as file:
        file.seek(start)
        return file.read()


def two_and_two() -> Layout:
    """Two gateways with every channel, two processes with every worker."""
    return {
        **{f"gateway-{number}": ("serve", *CHANNELS) for number in range(2)},
        **{f"worker-{number}": ("workers", "run", "all") for number in range(2)},
    }


class House(ABC):
    """Processes by name, each with the arguments that it is started with, behind doors that can be broken."""

    clocks_apart_s = 2.0
    """How wrong a process's clock may be set: processes of one host share its clock, which is mended now and then."""

    def __init__(
        self,
        folder: Path,
        *,
        relay: tuple[str, int],
        layout: Layout | None = None,
        learned: Path | None = None,
        environment: Mapping[str, str] | None = None,
        armed: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """`environment` is added to that of every process, `armed` to that of the first life of a process by name."""
        self.folder = folder
        self.data = folder / "data"
        self._layout = layout or two_and_two()
        self._learned = learned
        self._environment = environment or {}
        self._armed = armed or {}
        self._ports = {name: (free_port(), free_port()) for name in self._layout}
        """HTTP and SMTP of each process."""
        self.lines = {
            "chat": Proxy(lambda: self._serving("chat", 0)),
            "phone": Proxy(lambda: self._serving("phone", 0)),
            "smtp": Proxy(lambda: self._serving("email", 1)),
            "relay": Proxy(lambda: [relay]),
        }
        self.parts: dict[str, Part] = {}
        self._nursery = Nursery()
        self._asking = asyncio.Lock()
        self._said: dict[str, int] = {}
        """Where in its log the present life of a part begins."""

    def _serving(self, channel: str, which: int) -> list[tuple[str, int]]:
        return [("127.0.0.1", self._ports[name][which]) for name in self._layout if channel in self._layout[name]]

    def url(self, channel: str) -> str:
        """Where a channel is reached from outside."""
        return f"http://127.0.0.1:{self.lines[channel].port}"

    def twilio_token(self) -> str:
        return (self.data / "twilio_auth_token").read_text("ascii").strip()

    @property
    def drop_folder(self) -> Path:
        return self.data / "post" / "in"

    @property
    def tray(self) -> Path:
        return self.data / "post" / "out"

    @abstractmethod
    async def prepare(self) -> None:
        """Servers and schema; before any part starts."""

    @abstractmethod
    def engine_environment(self) -> Mapping[str, str]:
        """What makes a part use this engine."""

    @abstractmethod
    async def dismantle(self) -> None:
        """Stop the servers."""

    def extra_kinds(self) -> Mapping[str, tuple[float, Sequence[str], tuple[float, float]]]:
        """What can be broken in this house beyond its parts and lines: name -> (weight, targets, duration)."""
        return {}

    async def disturb(self, kind: str, target: str, lasts: float) -> bool:
        """One of `extra_kinds`, begun and ended; False when it could not happen."""
        raise ValueError(f"nobody knows how to do {kind} to {target}")

    async def open(self) -> None:
        """Everything up: doors first, since the house must know its public address."""
        await self._nursery.start()
        for line in self.lines.values():
            await line.start()
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._learned is not None:
            # A model that was trained before saves every process the training.
            shutil.copytree(self._learned, self.data, dirs_exist_ok=True)
        await self.prepare()
        for name, arguments in self._layout.items():
            self.parts[name] = Part(name, arguments, self._environment_of(name), self.folder / f"{name}.log")
            self.parts[name].extra = dict(self._armed.get(name, {}))
        workers = [name for name in self.parts if self.parts[name].arguments[0] == "workers"]
        if self._learned is None and workers:
            # The first worker learns; the others find what it learnt.
            await self.start(workers[0])
        await asyncio.gather(*(self.start(name) for name in self.parts if not self.parts[name].running))

    def _environment_of(self, name: str) -> dict[str, str]:
        http_port, smtp_port = self._ports[name]
        return {
            **os.environ,
            "CONTACTBUS_PRODUCT__DATA": str(self.data),
            "CONTACTBUS_PRODUCT__PUBLIC_URL": self.url("phone"),
            "CONTACTBUS_PRODUCT__IN_DOUBT_S": "3",
            "CONTACTBUS_PRODUCT__LOG_LEVEL": "INFO",
            "CONTACTBUS_HTTP__PORT": str(http_port),
            "CONTACTBUS_ADAPTERS__EMAIL__SMTP_PORT": str(smtp_port),
            "CONTACTBUS_ADAPTERS__EMAIL__RELAY_HOST": "127.0.0.1",
            "CONTACTBUS_ADAPTERS__EMAIL__RELAY_PORT": str(self.lines["relay"].port),
            "CONTACTBUS_ADAPTERS__EMAIL__RELAY_TIMEOUT_S": "5",
            # All customers of the proof come from one address.
            "CONTACTBUS_ADAPTERS__EMAIL__CONNECTIONS_PER_PEER": "500",
            "CONTACTBUS_ADAPTERS__CHAT__SITES": json.dumps([self.url("chat")]),
            "CONTACTBUS_ADAPTERS__CHAT__SOCKETS_PER_PEER": "500",
            "CONTACTBUS_ADAPTERS__CHAT__SESSIONS_PER_PEER_PER_MINUTE": "2000",
            "CONTACTBUS_ADAPTERS__CHAT__RESTART_SPREAD_S": "0.5",
            "CONTACTBUS_ADAPTERS__POST__COMPANY": '{ name = "Nordlicht Handel", address = ["Hafenstr. 7", "Hamburg"] }',
            "CONTACTBUS_ADAPTERS__POST__RETRY_MOST_S": "5",
            **self.engine_environment(),
            **self._environment,
        }

    # --- parts

    async def start(self, name: str) -> None:
        """Start a part (again) and wait until it says that it runs. Raises RuntimeError when it does not."""
        part = self.parts[name]
        await self.launch(name)
        assert part.process is not None
        ends = time.monotonic() + _READY_S
        while "\nrunning " not in self.said(name):
            if part.process.returncode is not None:
                raise RuntimeError(f"{name} ended with {part.process.returncode}; see {part.log}")
            if time.monotonic() > ends:
                raise RuntimeError(f"{name} was not ready within {_READY_S:.0f} s; see {part.log}")
            await asyncio.sleep(_LOOK_S)

    def said(self, name: str) -> str:
        """What the present life of a part has said so far."""
        return _tail(self.parts[name].log, self._said[name]).decode("utf-8", "replace")

    async def launch(self, name: str) -> None:
        """Start a part without waiting for it."""
        part = self.parts[name]
        with part.log.open("ab") as log:
            log.write(b"\n")
            log.flush()
            self._said[name] = part.log.stat().st_size - 1
        part.process = await self._nursery.run(part.arguments, {**part.environment, **part.extra}, part.log)
        part.extra = {}

    async def kill(self, name: str) -> bool:
        """SIGKILL; False when it was not running."""
        part = self.parts[name]
        if not part.running:
            return False
        assert part.process is not None
        with contextlib.suppress(ProcessLookupError):
            part.process.send_signal(signal.SIGCONT)
            part.process.kill()
        await part.process.wait()
        return True

    def pause(self, name: str) -> bool:
        """SIGSTOP: alive for the kernel, dead for everybody else."""
        return self._signal(name, signal.SIGSTOP)

    def go_on(self, name: str) -> bool:
        """SIGCONT."""
        return self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, number: signal.Signals) -> bool:
        part = self.parts[name]
        if not part.running:
            return False
        assert part.process is not None
        part.process.send_signal(number)
        return True

    async def visit(self, name: str, seconds: float) -> None:
        """One more worker comes, works for a while, and leaves when asked to. Raises RuntimeError if it will not."""
        if name not in self.parts:
            self._ports[name] = (free_port(), free_port())
            log = self.folder / f"{name}.log"
            self.parts[name] = Part(name, ("workers", "run", "all"), self._environment_of(name), log)
        await self.start(name)
        await asyncio.sleep(seconds)
        if (code := await self.leave(name)) != 0:
            raise RuntimeError(f"{name} left with {code}; see {self.parts[name].log}")

    async def leave(self, name: str) -> int:
        """SIGTERM; the exit code."""
        part = self.parts[name]
        assert part.process is not None
        with contextlib.suppress(ProcessLookupError):
            part.process.send_signal(signal.SIGCONT)
            part.process.terminate()
        return await asyncio.wait_for(part.process.wait(), _STOP_S)

    async def close(self) -> None:
        """End everything that was started."""
        for name in self.parts:
            await self.kill(name)
        await self._nursery.close()
        await self.dismantle()
        for line in self.lines.values():
            await line.close()

    # --- questions to the product

    async def ask(self, *arguments: str, may_end: Sequence[int] = (0,)) -> Any:
        """One of the product's own commands, as JSON. Raises RuntimeError with what it said."""
        part = next(iter(self.parts.values()))
        output, errors = self.folder / "asked.json", self.folder / "asked.log"
        async with self._asking:
            output.unlink(missing_ok=True)
            child = await self._nursery.run((*arguments, "--json"), part.environment, errors, output)
            if await asyncio.wait_for(child.wait(), _ASK_S) not in may_end:
                raise RuntimeError(f"contactbus {' '.join(arguments)} failed; see {errors}")
            return json.loads(output.read_bytes())


class Embedded(House):
    """One SQLite file, several processes over it.

    `small_disk`: the data folder is a file system of its own in memory, which can be filled. Needs the right to mount.
    """

    def __init__(self, folder: Path, *, small_disk: bool = False, **rest: Any) -> None:
        super().__init__(folder, **rest)
        self._small_disk = small_disk

    def engine_environment(self) -> Mapping[str, str]:
        return {}

    async def open(self) -> None:
        if self._small_disk:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES},mode=700", "tmpfs", str(self.data)]
            subprocess.run(mount, check=True)
        await super().open()

    async def prepare(self) -> None:
        """The first process makes the file."""

    async def dismantle(self) -> None:
        if self._small_disk:
            subprocess.run(["umount", "--lazy", str(self.data)], check=False)

    def extra_kinds(self) -> Mapping[str, tuple[float, Sequence[str], tuple[float, float]]]:
        return {"disk-full": (2.0, ("disk",), (0.5, 4.0))} if self._small_disk else {}

    async def disturb(self, kind: str, target: str, lasts: float) -> bool:
        """Short: below the floor, so that nothing new is taken. Long: not a byte is left for what is under way."""
        assert kind == "disk-full"
        ballast = self.data / "ballast"
        leave = 0 if lasts > _LONG_FULL_S else _BELOW_FLOOR_BYTES
        disk = os.statvfs(self.data)
        with ballast.open("wb") as file, contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, max(1, disk.f_bavail * disk.f_frsize - leave))
        try:
            await asyncio.sleep(lasts)
        finally:
            ballast.unlink()
        return True
