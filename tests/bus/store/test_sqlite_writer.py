"""The writer: batches, undoing, durability, and what happens when the disk says no."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bus.errors import PermanentError, StorageFull, TransientError
from bus.store import sqlite_writer
from bus.store.sqlite_file import CHECKPOINT_FRAMES, LOCK_NAME, connect, has_wal_reset_bug, write_lock
from bus.store.sqlite_writer import Transaction, Writer


@pytest_asyncio.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    opened = Writer(tmp_path)
    await opened.submit(lambda t: t.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"))
    yield opened
    await opened.close()


def _put(number: int, text: str = "x"):
    return lambda t: t.execute("INSERT INTO item VALUES (?,?)", (number, text)).rowcount


def _rows(folder: Path) -> list[tuple[int, str]]:
    connection = sqlite3.connect(folder / "bus.sqlite")
    try:
        return connection.execute("SELECT id, text FROM item ORDER BY id").fetchall()
    finally:
        connection.close()


def _held(writer: Writer) -> tuple[threading.Event, "asyncio.Future[None]"]:
    """Keep the writer busy until the event is set, so that what follows collects into one batch."""
    go = threading.Event()
    return go, writer.submit(lambda _: go.wait(30) and None)


class TestJobs:
    async def test_a_result_comes_back_after_it_is_on_disk(self, writer: Writer, tmp_path: Path) -> None:
        assert await writer.submit(_put(1)) == 1
        assert _rows(tmp_path) == [(1, "x")]

    async def test_what_is_not_urgent_goes_with_other_work(
        self, writer: Writer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_writer, "_LAZY_S", 60.0)
        lazy = writer.submit(lambda transaction: transaction, urgent=False)
        for _ in range(5):
            await asyncio.sleep(0)
        assert await writer.submit(lambda transaction: transaction) is await lazy

    async def test_what_is_not_urgent_does_not_wait_for_ever(self, writer: Writer) -> None:
        assert await asyncio.wait_for(writer.submit(_put(1), urgent=False), 10) == 1

    async def test_what_follows_a_commit_keeps_nobody_from_writing(
        self, writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Looking after the WAL needs the lock: what the first transaction left to do is done with the next one.
        monkeypatch.setattr(writer, "_next_chore", lambda _low: None)
        await writer.submit(lambda _: None)
        free: list[bool] = []

        def look() -> None:
            with (tmp_path / LOCK_NAME).open() as other, contextlib.suppress(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free.append(True)

        await writer.submit(lambda transaction: transaction.after_commit(look))
        await writer.submit(lambda _: None)
        assert free == [True]

    async def test_a_failing_job_is_undone_alone(self, writer: Writer, tmp_path: Path) -> None:
        def half(transaction: Transaction) -> None:
            transaction.execute("INSERT INTO item VALUES (2,'half')")
            raise ValueError("changed my mind")

        go, held = _held(writer)
        await asyncio.sleep(0)
        jobs = [writer.submit(_put(1)), writer.submit(half), writer.submit(_put(1)), writer.submit(_put(3))]
        await asyncio.sleep(0)
        go.set()
        results = await asyncio.gather(held, *jobs, return_exceptions=True)
        assert results[1] == 1
        assert isinstance(results[2], ValueError)
        assert isinstance(results[3], PermanentError)
        assert results[4] == 1
        assert _rows(tmp_path) == [(1, "x"), (3, "x")]

    async def test_what_waits_is_written_in_one_transaction(self, writer: Writer, tmp_path: Path) -> None:
        transactions: set[int] = set()

        def note(transaction: Transaction) -> None:
            transactions.add(id(transaction))
            kept.append(transaction)

        kept: list[Transaction] = []
        go, held = _held(writer)
        await asyncio.sleep(0)
        jobs = [writer.submit(note) for _ in range(500)]
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(held, *jobs)
        assert len(kept) == 500
        assert len(transactions) == 1

    async def test_attempts_nest_and_undo_what_is_remembered(self, writer: Writer, tmp_path: Path) -> None:
        told: list[str] = []

        def work(transaction: Transaction) -> None:
            transaction.execute("INSERT INTO item VALUES (1,'outer')")
            transaction.on_undo(lambda: told.append("outer undone"))

            def inner() -> None:
                transaction.on_undo(lambda: told.append("first"))
                transaction.execute("INSERT INTO item VALUES (2,'inner')")
                transaction.on_undo(lambda: told.append("second"))
                transaction.after_commit(lambda: told.append("never"))
                transaction.attempt(lambda: transaction.execute("INSERT INTO item VALUES (4,'innermost')"))
                raise KeyError

            with pytest.raises(KeyError):
                transaction.attempt(inner)
            transaction.attempt(lambda: transaction.execute("INSERT INTO item VALUES (3,'after')"))
            transaction.after_commit(lambda: told.append("committed"))

        await writer.submit(work)
        await writer.submit(lambda _: None)
        assert told == ["second", "first", "committed"]
        assert _rows(tmp_path) == [(1, "outer"), (3, "after")]

    async def test_a_caller_that_goes_away_does_not_stop_its_job(self, writer: Writer, tmp_path: Path) -> None:
        go, held = _held(writer)
        await asyncio.sleep(0)
        job = writer.submit(_put(1))
        job.cancel()
        go.set()
        await held
        await writer.submit(_put(2))
        assert _rows(tmp_path) == [(1, "x"), (2, "x")]

    async def test_closing_finishes_what_waits_and_refuses_what_comes_later(self, tmp_path: Path) -> None:
        writer = Writer(tmp_path)
        jobs = [writer.submit(lambda t: t.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"))]
        jobs += [writer.submit(_put(n)) for n in range(50)]
        await writer.close()
        await asyncio.gather(*jobs)
        assert len(_rows(tmp_path)) == 50
        with pytest.raises(TransientError):
            writer.submit(_put(99))


class TestDisk:
    async def test_nothing_new_is_taken_below_the_floor_and_the_rest_goes_on(self, tmp_path: Path) -> None:
        writer = Writer(tmp_path, floor_bytes=shutil.disk_usage(tmp_path).total)
        await writer.submit(lambda t: t.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"))
        with pytest.raises(StorageFull):
            await writer.submit(_put(1), intake=True)
        assert await writer.submit(_put(2)) == 1
        await writer.close()
        assert _rows(tmp_path) == [(2, "x")]

    async def test_a_full_database_fails_the_batch_as_full_and_recovers(self, writer: Writer, tmp_path: Path) -> None:
        def cap(pages: int):
            return lambda t: t.execute(f"PRAGMA max_page_count={pages}").fetchone()

        undone: list[bool] = []

        def remembered(transaction: Transaction) -> None:
            transaction.on_undo(lambda: undone.append(True))

        await writer.submit(cap(8))
        jobs = [writer.submit(remembered), writer.submit(_put(1, "y" * 100_000)), writer.submit(_put(2))]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        assert all(isinstance(result, StorageFull) for result in results)
        assert undone == [True]
        await writer.submit(cap(100_000))
        assert await writer.submit(_put(3)) == 1
        assert _rows(tmp_path) == [(3, "x")]

    async def test_a_failing_commit_gives_nobody_a_yes(
        self, writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(transaction: Transaction) -> None:
            transaction.before_commit(lambda: (_ for _ in ()).throw(sqlite3.OperationalError("disk I/O error")))

        jobs = [writer.submit(_put(1)), writer.submit(fail), writer.submit(_put(2))]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        assert all(isinstance(result, PermanentError) for result in results)
        assert _rows(tmp_path) == []
        assert await writer.submit(_put(3)) == 1

    async def test_a_foreign_writer_is_waited_for(self, writer: Writer, tmp_path: Path) -> None:
        foreign = sqlite3.connect(tmp_path / "bus.sqlite", isolation_level=None)
        foreign.execute("BEGIN IMMEDIATE")
        job = writer.submit(_put(1))
        done, _ = await asyncio.wait([job], timeout=0.3)
        assert not done
        foreign.execute("COMMIT")
        foreign.close()
        assert await job == 1


class TestWal:
    async def test_the_wal_is_checkpointed_under_the_lock_and_does_not_grow_for_ever(
        self, writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = "z" * 3_000
        longest = 0
        for start in range(0, 30_000, 1_000):
            rows = [(n, text) for n in range(start, start + 1_000)]
            await writer.submit(lambda t, rows=rows: t.executemany("INSERT INTO item VALUES (?,?)", rows))
            longest = max(longest, (tmp_path / "bus.sqlite-wal").stat().st_size)
        pages = 30_000 * 3_000 // 4_096
        assert pages > 4 * CHECKPOINT_FRAMES
        assert longest < 2 * CHECKPOINT_FRAMES * 4_120
        assert (tmp_path / "bus.sqlite").stat().st_size > 3 * CHECKPOINT_FRAMES * 4_096

    async def test_a_long_reader_holds_the_wal_and_letting_go_frees_it(self, writer: Writer, tmp_path: Path) -> None:
        reader = connect(tmp_path, read_only=True)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM item").fetchall()
        for start in range(3):
            rows = [(n, "z" * 3_000) for n in range(start * 8_000, start * 8_000 + 8_000)]
            await writer.submit(lambda t, rows=rows: t.executemany("INSERT INTO item VALUES (?,?)", rows))
        held = (tmp_path / "bus.sqlite-wal").stat().st_size
        assert reader.execute("SELECT count(*) FROM item").fetchone() == (0,)
        reader.execute("COMMIT")
        for start in range(3, 9):
            rows = [(n, "z" * 3_000) for n in range(start * 8_000, start * 8_000 + 8_000)]
            await writer.submit(lambda t, rows=rows: t.executemany("INSERT INTO item VALUES (?,?)", rows))
        assert (tmp_path / "bus.sqlite-wal").stat().st_size < 2.2 * held
        assert reader.execute("SELECT count(*) FROM item").fetchone() == (72_000,)
        reader.close()

    async def test_settings_that_correctness_rests_on(self, writer: Writer, tmp_path: Path) -> None:
        def settings(transaction: Transaction) -> dict[str, object]:
            names = ("journal_mode", "synchronous", "wal_autocheckpoint", "mmap_size", "page_size", "foreign_keys")
            return {name: transaction.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

        assert await writer.submit(settings) == {
            "journal_mode": "wal",
            "synchronous": 2,
            "wal_autocheckpoint": 0,
            "mmap_size": 0,
            "page_size": 4096,
            "foreign_keys": 1,
        }
        assert (tmp_path / "bus.sqlite").stat().st_mode & 0o077 == 0
        assert (tmp_path / "bus.sqlite-wal").stat().st_mode & 0o077 == 0

    async def test_only_batches_without_anything_durable_skip_the_fsync(self, writer: Writer) -> None:
        def level(transaction: Transaction) -> int:
            return transaction.execute("PRAGMA synchronous").fetchone()[0]

        assert await writer.submit(level, durable=False) == 1
        assert await writer.submit(level) == 2
        mixed = [writer.submit(level, durable=False), writer.submit(level)]
        assert await asyncio.gather(*mixed) == [2, 2]

    async def test_the_lock_keeps_everybody_else_out(self, writer: Writer, tmp_path: Path) -> None:
        with write_lock(tmp_path):
            job = writer.submit(_put(1))
            done, _ = await asyncio.wait([job], timeout=0.2)
            assert not done
        assert await job == 1

    @pytest.mark.parametrize(
        ("version", "affected"),
        [
            ((3, 40, 1), True), ((3, 51, 2), True), ((3, 51, 3), False), ((3, 52, 0), False), ((3, 44, 5), True),
            ((3, 44, 6), False), ((3, 45, 0), True), ((3, 50, 6), True), ((3, 50, 7), False), ((3, 51, 0), True),
            ((3, 6, 23), False),
        ],
    )  # fmt: skip
    def test_affected_versions(self, version: tuple[int, int, int], affected: bool) -> None:
        assert has_wal_reset_bug(version) is affected


_COMMIT_FOR_EVER = """
import asyncio, sys
from pathlib import Path
from bus.store.sqlite_writer import Writer

async def main():
    writer = Writer(Path(sys.argv[1]))
    table = "CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"
    await writer.submit(lambda t: t.execute(table))
    first = int(sys.argv[2])
    async def one(n):
        await writer.submit(lambda t: (t.execute("INSERT INTO item VALUES (?,?)", (2 * n, "p" * 2000)),
                                       t.execute("INSERT INTO item VALUES (?,?)", (2 * n + 1, "p" * 2000))) and None)
        print(n, flush=True)
    n = first
    while True:
        await asyncio.gather(*(one(n + k) for k in range(8)))
        n += 8
asyncio.run(main())
"""


async def test_sigkill_in_a_loop_loses_no_yes_and_tears_no_job(tmp_path: Path) -> None:
    said: set[int] = set()
    for round_ in range(5):
        child = await _committing(tmp_path, round_ * 1_000_000)
        assert child.stdout is not None
        wanted = 1 + round_ * 37
        lines = [line async for line in _numbers(child.stdout, wanted)]
        child.send_signal(signal.SIGKILL)
        rest = (await child.stdout.read()).split(b"\n")[:-1]
        await child.wait()
        said.update(int(line) for line in (*lines, *rest) if line.isdigit())
    assert len(said) > 5 * 37
    connection = connect(tmp_path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    found = {number for (number,) in connection.execute("SELECT id FROM item")}
    connection.close()
    # Both halves of a job or none, and everything that was said.
    assert {n ^ 1 for n in found} == found
    assert {2 * n for n in said} <= found


async def _committing(folder: Path, first: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", _COMMIT_FOR_EVER, str(folder), str(first),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip


async def _numbers(stream: asyncio.StreamReader, count: int) -> AsyncIterator[bytes]:
    while count:
        line = (await asyncio.wait_for(stream.readline(), 60)).strip()
        assert line, "the process ended by itself"
        if line.isdigit():
            count -= 1
            yield line


async def test_several_processes_share_the_lock_fairly(tmp_path: Path) -> None:
    """With SQLite's own busy handler one of two processes got nothing at all for seconds."""
    children = [await _committing(tmp_path, n * 10_000_000) for n in range(2)]
    try:
        # All have begun; now each must come forward while the other does.
        for child in children:
            assert child.stdout is not None
            assert [line async for line in _numbers(child.stdout, 8)]
        for _ in range(3):
            for child in children:
                assert child.stdout is not None
                assert len([line async for line in _numbers(child.stdout, 64)]) == 64
    finally:
        for child in children:
            child.kill()
            await child.wait()


def test_every_error_of_the_driver_has_a_name_of_the_house() -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorname = "SQLITE_FULL"
    busy = sqlite3.OperationalError("database is locked")
    busy.sqlite_errorname = "SQLITE_BUSY_SNAPSHOT"
    assert isinstance(sqlite_writer.translate(full), StorageFull)
    translated = sqlite_writer.translate(busy)
    assert isinstance(translated, TransientError)
    assert not isinstance(translated, StorageFull)
    assert isinstance(sqlite_writer.translate(sqlite3.IntegrityError("UNIQUE")), PermanentError)
    other = ValueError()
    assert sqlite_writer.translate(other) is other
