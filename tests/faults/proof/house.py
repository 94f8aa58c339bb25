"""The house under test: processes over one data folder, behind a front door, each of them to be killed and started."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proof.nursery import Child, Nursery
from proof.proxy import Proxy

__all__ = ["Embedded", "House", "Part"]

_READY_S = 120.0
"""A process on a machine that runs brokers and tests beside it; alone it takes about 4 s."""
_STOP_S = 40.0
_ASK_S = 120.0
_LOOK_S = 0.05
_DOORS = ("email", "chat", "phone", "post", "link")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


class House(ABC):
    """Gateways and workers. `kinds` of parts: gateway, worker."""

    def __init__(
        self,
        folder: Path,
        *,
        relay: tuple[str, int],
        gateways: int = 2,
        workers: int = 2,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._relay = relay
        self._http_ports = [free_port() for _ in range(gateways)]
        self._smtp_ports = [free_port() for _ in range(gateways)]
        self.http_door = Proxy(lambda: self._addresses(self._http_ports))
        self.smtp_door = Proxy(lambda: self._addresses(self._smtp_ports))
        self.relay_line = Proxy(lambda: [self._relay])
        self.parts: dict[str, Part] = {}
        self._gateways, self._workers = gateways, workers
        self._environment = environment or {}
        self._nursery = Nursery()
        self._asking = asyncio.Lock()
        self._said: dict[str, int] = {}
        """Where in its log the present life of a part begins."""

    def _addresses(self, ports: Sequence[int]) -> list[tuple[str, int]]:
        return [("127.0.0.1", port) for port in ports]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_door.port}"

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
    def engine_environment(self, name: str) -> Mapping[str, str]:
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
        await self.http_door.start()
        await self.smtp_door.start()
        await self.relay_line.start()
        self.data.mkdir(parents=True, exist_ok=True)
        await self.prepare()
        for number in range(self._gateways):
            self._add(f"gateway-{number}", ("serve", *self.doors_of(number)), number)
        for number in range(self._workers):
            self._add(f"worker-{number}", ("workers", "run", "all"), 0)
        workers = [name for name in self.parts if name.startswith("worker")]
        if workers:
            # The first worker learns, if nobody has yet; the others find what it learnt.
            await self.start(workers[0])
        await asyncio.gather(*(self.start(name) for name in self.parts if name not in workers[:1]))

    def doors_of(self, gateway: int) -> Sequence[str]:
        """The channels that a gateway serves."""
        return _DOORS

    def _add(self, name: str, arguments: Sequence[str], gateway: int) -> None:
        environment = {
            **os.environ,
            "CONTACTBUS_PRODUCT__DATA": str(self.data),
            "CONTACTBUS_PRODUCT__PUBLIC_URL": self.url,
            "CONTACTBUS_PRODUCT__IN_DOUBT_S": "3",
            "CONTACTBUS_PRODUCT__LOG_LEVEL": "INFO",
            "CONTACTBUS_HTTP__PORT": str(self._http_ports[gateway]),
            "CONTACTBUS_ADAPTERS__EMAIL__SMTP_PORT": str(self._smtp_ports[gateway]),
            "CONTACTBUS_ADAPTERS__EMAIL__RELAY_HOST": "127.0.0.1",
            "CONTACTBUS_ADAPTERS__EMAIL__RELAY_PORT": str(self.relay_line.port),
            "CONTACTBUS_ADAPTERS__EMAIL__RELAY_TIMEOUT_S": "5",
            # All customers of the proof come from one address.
            "CONTACTBUS_ADAPTERS__EMAIL__CONNECTIONS_PER_PEER": "500",
            "CONTACTBUS_ADAPTERS__CHAT__SOCKETS_PER_PEER": "500",
            "CONTACTBUS_ADAPTERS__CHAT__SESSIONS_PER_PEER_PER_MINUTE": "2000",
            "CONTACTBUS_ADAPTERS__CHAT__RESTART_SPREAD_S": "0.5",
            "CONTACTBUS_ADAPTERS__POST__COMPANY": '{ name = "Nordlicht Handel", address = ["Hafenstr. 7", "Hamburg"] }',
            "CONTACTBUS_ADAPTERS__POST__RETRY_MOST_S": "5",
            **self.engine_environment(name),
            **self._environment,
        }
        self.parts[name] = Part(name, arguments, environment, self.folder / f"{name}.log")

    # --- parts

    async def start(self, name: str) -> None:
        """Start a part (again) and wait until it says that it runs. Raises RuntimeError when it does not."""
        part = self.parts[name]
        await self.launch(name)
        assert part.process is not None
        ends = time.monotonic() + _READY_S
        while b"\nrunning " not in _tail(part.log, self._said[name]):
            if part.process.returncode is not None:
                raise RuntimeError(f"{name} ended with {part.process.returncode}; see {part.log}")
            if time.monotonic() > ends:
                raise RuntimeError(f"{name} was not ready within {_READY_S:.0f} s; see {part.log}")
            await asyncio.sleep(_LOOK_S)

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
        for door in (self.http_door, self.smtp_door, self.relay_line):
            await door.close()

    # --- questions to the product

    async def ask(self, *arguments: str) -> Any:
        """One of the product's own commands, as JSON. Raises RuntimeError with what it said."""
        part = next(iter(self.parts.values()))
        output, errors = self.folder / "asked.json", self.folder / "asked.log"
        async with self._asking:
            output.unlink(missing_ok=True)
            child = await self._nursery.run((*arguments, "--json"), part.environment, errors, output)
            if await asyncio.wait_for(child.wait(), _ASK_S) != 0:
                raise RuntimeError(f"contactbus {' '.join(arguments)} failed; see {errors}")
            return json.loads(output.read_bytes())


class Embedded(House):
    """One SQLite file, several processes over it."""

    def __init__(self, folder: Path, *, learned: Path | None = None, **rest: Any) -> None:
        super().__init__(folder, **rest)
        self._learned = learned

    def engine_environment(self, name: str) -> Mapping[str, str]:
        return {}

    async def prepare(self) -> None:
        if self._learned is not None:
            # A model that was trained before saves every process the training.
            shutil.copytree(self._learned, self.data, dirs_exist_ok=True)

    async def dismantle(self) -> None:
        """Nothing else runs."""
