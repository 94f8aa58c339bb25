"""The house on three brokers and a database of its own, each behind a line that can be broken."""

import asyncio
import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from bus.log.kafka_settings import KafkaSettings
from deploy.kafka.brokers import AT_ONCE_S, Brokers
from deploy.kafka.topics import apply_plan, declared_topics
from deploy.ports import free_ports
from deploy.postgres.server import PostgresServer
from proof.house import CHANNELS, House
from proof.proxy import Proxy

__all__ = ["Distributed"]

_BROKERS = 3
_OWNER = "contactbus_owner"
_DATABASE = "contactbus"
_TIMES = {
    # Short, so that a minute sees many deaths; three heartbeats fit into a session, a drain into a rebalance.
    "SESSION_TIMEOUT_S": "6",
    "HEARTBEAT_S": "1",
    "DRAIN_S": "4",
    "REBALANCE_TIMEOUT_S": "12",
    "REQUEST_TIMEOUT_S": "5",
    "PUBLISH_TIMEOUT_S": "8",
    "STUCK_AFTER_S": "10",
}
_TOPICS_S = 60.0
_READY_S = 400.0
"""A broker that is started again on a machine with much else to do."""


class Distributed(House):
    """Kafka and PostgreSQL. Brokers tell everybody, one another included, the ports of their lines."""

    clocks_apart_s = 300.0
    """Hosts whose clocks nobody has set for years: the house goes by the database's."""

    def __init__(self, folder: Path, **rest: Any) -> None:
        super().__init__(folder, **rest)
        self._let_the_server_in()
        ports, told = free_ports(_BROKERS), free_ports(_BROKERS)
        self._brokers = Brokers(folder / "kafka", count=_BROKERS, ports=ports, told_ports=told)
        self._database = PostgresServer(folder / "postgres")
        for number in range(_BROKERS):
            self.lines[f"broker-{number}"] = Proxy(lambda n=number: [("127.0.0.1", ports[n])], port=told[number])
        self.lines["database"] = Proxy(lambda: [("127.0.0.1", self._database.port)])

    def _let_the_server_in(self) -> None:
        """The database server runs as another user when the proof runs as root; other test runs lock such folders."""
        for parent in (self.folder, *self.folder.parents[:3]):
            with contextlib.suppress(PermissionError):
                parent.chmod(parent.stat().st_mode | 0o055)

    def _dsn(self, user: str) -> str:
        return make_conninfo(host="127.0.0.1", port=self.lines["database"].port, user=user, dbname=_DATABASE)

    def engine_environment(self) -> Mapping[str, str]:
        return {
            "CONTACTBUS_BUS__ENGINE": "kafka",
            "CONTACTBUS_KAFKA__BOOTSTRAP": str(self._brokers.bootstrap.split(",")).replace("'", '"'),
            **{f"CONTACTBUS_KAFKA__{name}": value for name, value in _TIMES.items()},
            "CONTACTBUS_POSTGRES__DSN": self._dsn("contactbus_app"),
            "CONTACTBUS_POSTGRES__OWNER_DSN": self._dsn(_OWNER),
            "CONTACTBUS_SPOOL__LONGEST_PAUSE_S": "2",
        }

    async def prepare(self) -> None:
        (self.folder / "kafka").mkdir(parents=True, exist_ok=True)
        await asyncio.gather(asyncio.to_thread(self._brokers.start), asyncio.to_thread(self._database.start))
        with psycopg.connect(self._database.dsn, autocommit=True) as server:
            server.execute(f"CREATE ROLE {_OWNER} LOGIN CREATEROLE")
            server.execute(f"CREATE DATABASE {_DATABASE} OWNER {_OWNER}")
        settings = KafkaSettings(bootstrap=tuple(self._brokers.bootstrap.split(",")))
        names = declared_topics(CHANNELS)
        async with asyncio.timeout(_TOPICS_S):
            await apply_plan(settings, names)

    async def dismantle(self) -> None:
        await asyncio.to_thread(self._brokers.stop, within_s=AT_ONCE_S)
        await asyncio.to_thread(self._database.stop)

    # --- what can be broken

    def extra_kinds(self) -> Mapping[str, tuple[float, Sequence[str], tuple[float, float]]]:
        brokers = [f"broker-{number}" for number in range(_BROKERS)]
        return {
            "kill-broker": (5.0, brokers, (0.5, 4.0)),
            "stop-broker": (1.0, brokers, (1.0, 6.0)),
            "broker-blackhole-in": (0.7, brokers, (1.0, 6.0)),
            "broker-blackhole-out": (0.7, brokers, (1.0, 6.0)),
            "end-sessions": (2.0, ("database",), (0.0, 0.0)),
            "kill-database": (0.7, ("database",), (0.0, 2.0)),
            "database-blackhole-in": (0.7, ("database",), (0.5, 6.0)),
            "database-blackhole-out": (0.7, ("database",), (0.5, 6.0)),
        }

    async def disturb(self, kind: str, target: str, lasts: float) -> bool:
        match kind:
            case "kill-broker":
                number = int(target.rpartition("-")[2])
                await asyncio.to_thread(self._brokers.kill, number)
                await asyncio.sleep(lasts)
                self._brokers.restart(number, wait=False)
                await self._listens(number)
            case "stop-broker":
                number = int(target.rpartition("-")[2])
                self._brokers.pause(number)
                await asyncio.sleep(lasts)
                self._brokers.resume(number)
            case "end-sessions":
                return await asyncio.to_thread(self._end_sessions) > 0
            case "kill-database":
                self._database.kill()
                await asyncio.sleep(lasts)
                await self._database_again()
            case _:
                line = self.lines[target]
                line.hold(kind.rpartition("-")[2])
                await asyncio.sleep(lasts)
                line.let_go(cut=lasts > 3.0)
        return True

    async def _listens(self, number: int) -> None:
        async with asyncio.timeout(_READY_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self._brokers.ports[number])
                    writer.close()
                    return
                await asyncio.sleep(0.2)

    async def _database_again(self) -> None:
        """Start it as soon as what is left of the killed one lets go of the folder."""
        async with asyncio.timeout(_READY_S):
            while True:
                self._let_the_server_in()
                with contextlib.suppress(subprocess.CalledProcessError):
                    return await asyncio.to_thread(self._database.start)
                await asyncio.sleep(0.5)

    def _end_sessions(self) -> int:
        with psycopg.connect(self._database.dsn, autocommit=True) as server:
            return server.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = %s AND pid <> pg_backend_pid()",
                (_DATABASE,),
            ).fetchone()[0]
