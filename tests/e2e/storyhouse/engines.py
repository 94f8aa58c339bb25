"""The house on each engine: everything in one process on one file, or three processes on Kafka and PostgreSQL."""

import asyncio
import contextlib
import re
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo

from bus.store.postgres_settings import PostgresSettings
from storyhouse.desk import Desk
from storyhouse.grounds import CHANNELS, load_customers, on_kafka
from storyhouse.house import StoryHouse

__all__ = ["distributed", "embedded"]

CLOCK = "CONTACTBUS_FAULT_CLOCK_S"
_PATIENCE_S = 60.0


class Embedded(StoryHouse):
    """`contactbus up`. Its clock is set with each start."""

    def __init__(self, product: Any) -> None:
        super().__init__()
        self._product, self.mailbox = product, product.mailbox
        self.url = product.url

    async def open(self) -> None:
        await self._start()
        await self.settle_in(self._product.ready["desk_url"])

    async def _start(self) -> None:
        self._product.more[CLOCK] = str(self.ahead.total_seconds())
        await self._product.start()

    async def pass_time(self, span: timedelta) -> None:
        await self.sign_out()
        assert await self._product.stop() == 0
        self.ahead += span
        await self._start()
        self._staff = await Desk.sign_in(self.url, self._product.ready["desk_url"])

    async def close(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            await self._product.stop()
        if self._product.process is not None and self._product.process.poll() is None:
            self._product.kill()

    async def cli(self, *arguments: str) -> Any:
        return await self._product.cli(*arguments)

    async def send(self, mail: Any) -> None:
        await self._product.send(mail)

    def drop(self, name: str, data: bytes) -> None:
        self._product.drop(name, data)

    def letters(self) -> Sequence[Any]:
        return self._product.letters()

    @property
    def _token(self) -> str:
        return (self._product.data / "twilio_auth_token").read_text("ascii").strip()


class Distributed(StoryHouse):
    """Doors in one process, workers in two. The house goes by the database's clock, and that is driven."""

    def __init__(self, house: Any, database: PostgresSettings) -> None:
        super().__init__()
        self._house, self.mailbox, self.url = house, house.mailbox, house.url
        self._database = database

    async def open(self) -> None:
        await self._set_clock()
        await asyncio.gather(
            self._house.run("serve", *CHANNELS), self._house.run("workers", "run", "all"),
            self._house.run("workers", "run", "all"),
        )  # fmt: skip

        async def link() -> Any:
            return re.search(r"http://\S+/desk/login\?token=\S+", "".join(self._house.said))

        await self.settle_in((await self.soon(link, "the desk's link"))[0])

    async def _set_clock(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._database.owner_dsn, autocommit=True) as connection:
            await connection.execute("UPDATE driven.ahead SET by = %s", (self.ahead,))

    async def pass_time(self, span: timedelta) -> None:
        self.ahead += span
        await self._set_clock()
        # Every process asks the database now and then; sessions of the desk end with their day.
        async with asyncio.timeout(_PATIENCE_S):
            while (await self.staff.try_to("presence", state="ready"))[0] == 200:
                await asyncio.sleep(0.2)
        await self.sign_out()
        link = await self.cli("staff", "link", "Ida", "--url", self.url)
        self._staff = await Desk.sign_in(self.url, link["desk_url"])

    async def close(self) -> None:
        await self._house.end()

    async def cli(self, *arguments: str) -> Any:
        return await self._house.cli(*arguments)

    async def send(self, mail: Any) -> None:
        await asyncio.to_thread(self._house.send, mail)

    def drop(self, name: str, data: bytes) -> None:
        folder = self._house.data / "post" / "in"
        (folder / f".{name}.part").write_bytes(data)
        (folder / f".{name}.part").rename(folder / name)

    def letters(self) -> Sequence[Path]:
        return sorted((self._house.data / "post" / "out").glob("*.pdf"))

    @property
    def _token(self) -> str:
        return (self._house.data / "twilio_auth_token").read_text("ascii").strip()


H = TypeVar("H", Embedded, Distributed)


def driven_time(database: PostgresSettings) -> PostgresSettings:
    """A database whose clock can be set, and the settings with which a house goes by it.

    A function in front of the system's own says what the time is; nothing of the product knows.
    """
    with psycopg.connect(database.owner_dsn, autocommit=True) as connection:
        for statement in (
            "CREATE SCHEMA driven",
            "CREATE TABLE driven.ahead (by interval NOT NULL)",
            "INSERT INTO driven.ahead VALUES (interval '0')",
            "CREATE FUNCTION driven.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
            "'SELECT pg_catalog.clock_timestamp() + by FROM driven.ahead'",
            "GRANT USAGE ON SCHEMA driven TO contactbus_app",
            "GRANT SELECT ON driven.ahead TO contactbus_app",
        ):
            connection.execute(statement)
    path = "-c search_path=driven,pg_catalog,public"
    return PostgresSettings(dsn=make_conninfo(database.dsn, options=path), owner_dsn=database.owner_dsn)


@asynccontextmanager
async def _lived_in(house: H) -> AsyncIterator[H]:
    try:
        await house.open()
        yield house
    finally:
        await house.sign_out()
        await house.close()


@asynccontextmanager
async def embedded(tools: Any, data: Path, mailbox: Any) -> AsyncIterator[Embedded]:
    """A house on one file, with the demo's customers."""
    async with _lived_in(Embedded(tools.product(data, mailbox))) as house:
        yield house


@asynccontextmanager
async def distributed(
    tools: Any, data: Path, mailbox: Any, bootstrap: str, database: PostgresSettings
) -> AsyncIterator[Distributed]:
    """A house on brokers of its own prefix, with the demo's customers."""
    driven = driven_time(database)
    environment = {**await on_kafka(bootstrap, driven), "CONTACTBUS_PRODUCT__IN_DOUBT_S": "3"}
    await load_customers(data, environment)
    blank = tools.product(data, mailbox)
    process_house = tools.house(data, mailbox, blank.http_port, blank.smtp_port, environment)
    async with _lived_in(Distributed(process_house, driven)) as house:
        yield house
