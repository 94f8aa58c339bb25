"""Starts processes of the product without paying for their imports each time: one parent that has imported everything
forks a child per start.

What is killed is a whole process with everything of its own, as after an ordinary start; only the two seconds of
imports, which would be most of what a proof does, are spent once.
"""

import asyncio
import contextlib
import importlib
import json
import os
import pkgutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["SABOTAGE", "Child", "Nursery"]

_PACKAGES = ("bus", "adapters", "workers", "deploy")
_NOT_FOR_IMPORT = (
    "__main__",
    "migrations",
    "sandbox_child",
    "simulator.introspect",
    "bench",
    "testing",
    "training",
    "_worker",
)
_LOOK_S = 0.01

SABOTAGE = "PROOF_SABOTAGE"
"""Names of `proof.sabotage`, for processes that shall break their promises."""


class Child:
    """A started process, with what `asyncio.subprocess.Process` offers of it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.ended = asyncio.Event()

    def send_signal(self, number: int) -> None:
        """Raises ProcessLookupError when it has ended."""
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    async def wait(self) -> int:
        """The exit code, negative for the signal that ended it."""
        await self.ended.wait()
        assert self.returncode is not None
        return self.returncode


class Nursery:
    """The near side: `start` once, `run` for every process, `close` at the end."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._children: dict[int, Child] = {}
        self._born: asyncio.Queue[int] = asyncio.Queue()
        self._one_at_a_time = asyncio.Lock()
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "proof.nursery", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (Path(__file__).parents[1], _checkout())))},
            cwd=_checkout(),
        )  # fmt: skip
        self._listening = asyncio.create_task(self._listen())

    async def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: Path, output: Path | None = None
    ) -> Child:
        """`contactbus ARGUMENTS` as a process of its own; what it says is added to `log`, or its answer to `output`."""
        assert self._process is not None
        assert self._process.stdin is not None
        wish = {"arguments": [*arguments], "environment": {**environment}, "log": str(log)}
        wish["output"] = str(output or log)
        async with self._one_at_a_time:
            self._process.stdin.write(json.dumps(wish).encode() + b"\n")
            await self._process.stdin.drain()
            return self._children[await self._born.get()]

    async def close(self) -> None:
        """End the nursery; children that still live are killed."""
        for child in self._children.values():
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()
        if self._listening is not None:
            self._listening.cancel()

    async def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            news = json.loads(line)
            if "born" in news:
                self._children[news["born"]] = Child(news["born"])
                self._born.put_nowait(news["born"])
            else:
                child = self._children.pop(news["ended"])
                child.returncode = news["code"]
                child.ended.set()


def _checkout() -> Path:
    return Path(__file__).parents[3]


# --- the far side


def _import_all() -> None:
    for package in _PACKAGES:
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            if not any(part in module.name for part in _NOT_FOR_IMPORT):
                importlib.import_module(module.name)


def _tell(news: Mapping[str, Any]) -> None:
    os.write(1, json.dumps(news).encode() + b"\n")


def _become(wish: Mapping[str, Any]) -> None:
    """The child's whole life."""
    for descriptor, path in ((1, wish["output"]), (2, wish["log"])):
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.environ.clear()
    os.environ.update(wish["environment"])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    from bus import faultpoints
    from deploy.cli import main

    faultpoints.arm(os.environ)
    for name in filter(None, os.environ.get(SABOTAGE, "").split(",")):
        importlib.import_module("proof.sabotage").spoil(name)
    code = 0
    try:
        main(wish["arguments"], prog_name="contactbus")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # as an interpreter ends a program
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _keep() -> None:
    """Read wishes, fork, and tell who has ended."""
    import select

    _import_all()
    waiting = b""
    while True:
        ready, _, _ = select.select([0], [], [], _LOOK_S)
        if ready:
            data = os.read(0, 65_536)
            if not data:
                return
            waiting += data
        while b"\n" in waiting:
            line, _, waiting = waiting.partition(b"\n")
            pid = os.fork()
            if pid == 0:
                _become(json.loads(line))
            _tell({"born": pid})
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                _tell({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    _keep()
