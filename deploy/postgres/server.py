"""A PostgreSQL server of its own on loopback, for development, tests and proofs. Durable: fsync stays on.

The server refuses to run as root, so root lends its folder to the user `postgres` that Debian's package made.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from bus.errors import ConfigurationError
from deploy.ports import free_port

__all__ = ["PostgresServer", "binaries"]

_USER = "postgres"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "log_min_messages": "warning",
}


def binaries() -> Path:
    """The folder of the server's programs. Raises ConfigurationError when it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    program = shutil.which("postgres")
    if program is None:
        raise ConfigurationError("PostgreSQL is missing; install the Debian package postgresql")
    return Path(program).resolve().parent


class PostgresServer:
    """A server on a folder. `start` returns when it answers; `stop` leaves no process behind."""

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        self._folder = folder
        self.port = port or free_port()
        self._as_root = os.geteuid() == 0

    @property
    def dsn(self) -> str:
        """Signs in as the superuser, to the database `postgres`."""
        return f"host=127.0.0.1 port={self.port} user={_USER} dbname=postgres"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        """Make the cluster on first use, and start it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._as_root:
            self._folder.chmod(0o755)
            self._data.mkdir(exist_ok=True)
            shutil.chown(self._data, _USER)
        if not (self._data / "PG_VERSION").exists():
            self._run("initdb", "-D", str(self._data), "-U", _USER, "--auth=trust", "--encoding=UTF8", "--locale=C")
        options = " ".join(f"-c {name}={value}" for name, value in {**_SETTINGS, "port": str(self.port)}.items())
        options += f" -c unix_socket_directories={self._data}"
        log = self._data / "server.log"
        self._run("pg_ctl", "-D", str(self._data), "-l", str(log), "-w", "-t", "60", "-o", options, "start")

    def stop(self) -> None:
        """Fast shutdown: sessions end, nothing committed is lost."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", "-D", str(self._data), "-m", "fast", "-w", "stop")

    def kill(self) -> None:
        """SIGKILL of the server and its sessions, as a power cut of that host."""
        pid = int((self._data / "postmaster.pid").read_text(encoding="ascii").split()[0])
        os.kill(pid, signal.SIGKILL)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(  # noqa: S603
            [str(binaries() / program), *arguments], check=True, cwd="/", user=_USER if self._as_root else None,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
