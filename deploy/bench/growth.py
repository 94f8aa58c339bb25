"""What a contact costs with a thousand, a hundred thousand and a million cases stored: the same, or a look-up is wrong.

The stored cases are written by SQL beside the product, closed and with everything that a look-up might meet: case,
timeline, person, identity, thread, contact, reply. The contacts that are measured are new ones.
"""

import asyncio
import sqlite3
from pathlib import Path

from bus.store.sqlite_file import DATABASE_NAME, write_lock
from deploy.bench.house import House, open_house
from deploy.bench.rows import Options, Row, row

__all__ = ["fill", "run"]

SIZES = (1_000, 100_000, 1_000_000)
CONTACTS = 1500
WARM_UP = 300
GOAL = 1.2
"""Times the cost at the smallest size."""

_SLICE = 100_000
"""Cases per transaction: bounds the write-ahead log."""

_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :end)"

_SNAPSHOT = (
    """{"id":"' || k || '","tenant":"shop","number":"' || number || '","version":2,"status":"closed","""
    """"person":"' || p || '","department":"support","language":"de","subject":"Anfrage","channel":"email","""
    """"link":"new","outcome":"explained","contacts":["' || c || '"],"""
    """"created":"2026-01-01T00:00:00Z","updated":"2026-01-02T00:00:00Z"}"""
)

# Ids are spread over a wide range, as digests are, and rise with i, so that filling is quick.
_IDS = (
    "SELECT i, printf('k-%016x0000', i * 900719925474) AS k, printf('c-%016x0000', i * 900719925474) AS c,"
    " printf('p-%016x0000', i * 900719925474) AS p, printf('r-%016x0000', i * 900719925474) AS r,"
    " printf('%014d', i * 90071992) AS number, printf('stored-%d@old-%d.example', i, i) AS address,"
    " 1767225600000000 + i * 1000 AS at FROM n"
)
_FILLS = (
    "INSERT INTO cases (tenant, id, number, version, status, department, language, channel, person, assignee, tone,"
    " subject, urgency, due, created, updated, callback, snapshot)"
    " SELECT 'shop', k, number, 2, 'closed', 'support', 'de', 'email', p, '', 'calm', 'Anfrage', 0, 0, at, at, 0,"
    " '@' FROM ids".replace("@", _SNAPSHOT),
    "INSERT INTO case_event (tenant, case_id, seq, at, kind, actor, data, chain)"
    " SELECT 'shop', k, 1, at, 'opened', 'machine', '{\"kind\":\"opened\"}', '' FROM ids",
    "INSERT INTO case_event (tenant, case_id, seq, at, kind, actor, data, chain)"
    " SELECT 'shop', k, 2, at, 'closed', 'machine', '{\"kind\":\"closed\"}', '' FROM ids",
    "INSERT INTO contact_case (tenant, contact, matter, case_id, channel, at)"
    " SELECT 'shop', c, 0, k, 'email', at FROM ids",
    "INSERT INTO thread (tenant, channel, conversation, case_id, sender, updated)"
    " SELECT 'shop', 'email', '<' || address || '>', k, 'email:' || address, at FROM ids",
    "INSERT INTO person (tenant, id, name, language, customer, merged_into, created)"
    " SELECT 'shop', p, '', 'de', '', '', at FROM ids",
    "INSERT INTO identity (tenant, kind, address, person, on_file, proven, level, level_at, created)"
    " SELECT 'shop', 'email', address, p, 0, 0, 'claimed', at, at FROM ids",
)


async def run(options: Options) -> list[Row]:
    """Processor time per contact at each size, and how it compares to that at the smallest."""
    rows: list[Row] = []
    async with open_house("embedded") as house:
        costs: list[float] = []
        stored = 0
        for size in SIZES:
            await asyncio.to_thread(fill, house.core.data_dir, stored, size)
            stored = size
            costs.append(await _cost(house, size))
            rows.append(row(f"processor time per contact with {size:,} cases", costs[-1], "us", digits=0))
        for size, cost in zip(SIZES[1:], costs[1:], strict=True):
            times = cost / costs[0]
            rows.append(row(f"{size:,} cases to {SIZES[0]:,}", times, "times", at_most=GOAL, digits=2))
    return rows


def fill(data: Path, stored: int, size: int) -> None:
    """Bring the stored cases of a data folder from `stored` to `size`."""
    with write_lock(data):
        connection = sqlite3.connect(data / DATABASE_NAME, isolation_level=None)
        try:
            # What is measured comes later: this file is thrown away when the machine loses power.
            connection.execute("PRAGMA synchronous=OFF")
            ledger = _ledger_fill(connection)
            for first in range(stored, size, _SLICE):
                given = {"first": first, "end": min(first + _SLICE, size)}
                connection.execute("BEGIN")
                for insert in (*_FILLS, ledger):
                    head, _, select = insert.partition(" SELECT ")
                    connection.execute(f"{head} {_NUMBERS}, ids AS ({_IDS}) SELECT {select}", given)
                connection.execute("COMMIT")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()


def _ledger_fill(connection: sqlite3.Connection) -> str:
    """Replies of the stored cases: delivered ones. Columns that say nothing here get the empty value of their type."""
    known = {
        "reply": "r", "tenant": "'shop'", "case_id": "k", "person": "p", "channel": "'email'", "kind": "'answer'",
        "purpose": "'service'", "state": "'delivered'", "attempt": "1", "planned_at": "at", "changed_at": "at",
    }  # fmt: skip
    columns = connection.execute("PRAGMA table_info(send_ledger)").fetchall()
    values = [known.get(name, "''" if kind == "TEXT" else "0") for _, name, kind, *_ in columns]
    names = ", ".join(name for _, name, *_ in columns)
    return f"INSERT INTO send_ledger ({names}) SELECT {', '.join(values)} FROM ids"  # noqa: S608


async def _cost(house: House, size: int) -> float:
    await house.start_workers()
    try:
        await house.accept_all(f"warm{size}", WARM_UP)
        await house.answered()
        used = house.processor_s()
        await house.accept_all(f"full{size}", CONTACTS)
        await house.answered()
        return (house.processor_s() - used) / CONTACTS * 1e6
    finally:
        await house.stop_workers()
