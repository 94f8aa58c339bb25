"""Applying outcomes: state, timers, emitted records and progress of many handled records in one transaction.

First all effects together; only when one of them fails, each in an attempt of its own, so that the guilty one is found
and the others go on.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bus.clock import Clock, to_micros
from bus.delivery.outcome import Outcome
from bus.log.embedded_append import Appender, Entry, entry_of
from bus.log.port import Delivery
from bus.log.progress import PartitionProgress
from bus.store.port import Effect, Result
from bus.store.sqlite_batches import Batch, write_together
from bus.store.sqlite_reads import Prepared, Statements
from bus.store.sqlite_writer import Transaction
from bus.store.written import PlanReply, plain_reply, written_down

__all__ = ["Applier", "PlanReply"]

_APPLIED = Result(applied=True)
_FENCED = Result(applied=False, reason="fenced")
_DUPLICATE = Result(applied=False, reason="duplicate")

_LOST_TRANSACTION = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_NOMEM", "SQLITE_CORRUPT")
"""Errors of the database as a whole: no single effect is to blame."""

_RACES = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_FOREIGNKEY")
"""Constraints that somebody else's row can break: worth deciding again."""


class _GuardFailed(Exception):
    """Another number of rows than expected changed."""


class _Item(msgspec.Struct):
    """An effect made ready for the transaction."""

    source: Delivery | None
    writes: list[tuple[Prepared, str, Sequence[Any], int | None]]
    entries: list[Entry]
    invalid: str = ""


class _Rows:
    """Rows to write, kept back so that those of many effects are one statement (`bus.store.sqlite_batches`).

    Only inserts of given values and updates by primary key wait: each row changes at most one, so the sum tells whether
    every guard held. Their order within a table stays, and any other statement that names their table comes after them.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._waiting: dict[str, list[tuple[Batch, list[Sequence[Any]], int | None]]] = {}

    def write(self, prepared: Prepared, sql: str, values: Sequence[Any], expect: int | None) -> None:
        """Write, at once or with the next `flush`. Raises _GuardFailed."""
        batch = prepared.batch
        # Without a guard two updates of one row would be one, and which of them stays would be chance.
        if batch is None or (expect != 1 and (expect is not None or batch.kind == "update")):
            for name in [name for name in self._waiting if name in sql]:
                self._write(name)
            _guard(self._transaction.execute(sql, values).rowcount, expect, sql)
            return
        groups = self._waiting.setdefault(batch.table, [])
        if not groups or groups[-1][0] is not batch or groups[-1][2] != expect:
            groups.append((batch, [], expect))
        groups[-1][1].append(values)

    def flush(self) -> None:
        """Write whatever waits."""
        for name in list(self._waiting):
            self._write(name)

    def _write(self, name: str) -> None:
        for batch, rows, expect in self._waiting.pop(name):
            changed = write_together(self._transaction, batch, rows)
            _guard(changed, None if expect is None else len(rows), batch.table)


class Applier:
    """Turns effects into a job: `prepare` on the event loop, what it returns in the writer's thread."""

    def __init__(
        self,
        statements: Statements,
        appender: Appender,
        clock: Clock,
        plan_reply: PlanReply | None,
        progress_of: Callable[[Delivery], PartitionProgress | None],
    ) -> None:
        self._statements = statements
        self._appender = appender
        self._clock = clock
        self._plan_reply = plan_reply or plain_reply(clock)
        self._progress_of = progress_of

    def prepare(self, effects: Sequence[Effect]) -> Callable[[Transaction], list[Result]]:
        """The job that applies effects. An effect that cannot even be written down is `invalid` alone."""
        at = to_micros(self._clock.now())
        items = [self._item(effect, at) for effect in effects]
        return lambda transaction: self._apply(transaction, items)

    def _item(self, effect: Effect, at: int) -> _Item:
        try:
            return self._written_down(effect.outcome, effect.source, at)
        except Exception as error:
            # Whatever is wrong with one outcome (a parameter, a text, a value) must not stop the others.
            return _Item(effect.source, [], [], invalid=f"{type(error).__name__}: {error}")

    def _written_down(self, outcome: Outcome, source: Delivery | None, at: int) -> _Item:
        writes, records = written_down(outcome, self._plan_reply)
        bound: list[tuple[Prepared, str, Sequence[Any], int | None]] = []
        for write in writes:
            prepared = self._statements.prepare(write.statement, write.params)
            sql, values = prepared.bind(write.params)
            bound.append((prepared, sql, values, write.expect))
        return _Item(source, bound, [entry_of(record, at) for record in records])

    def _apply(self, transaction: Transaction, items: Sequence[_Item]) -> list[Result]:
        owned: dict[tuple[str, str, int, int], PartitionProgress | None] = {}
        for item in items:
            source = item.source
            if source is not None and _place(source) not in owned:
                owned[_place(source)] = self._owned(transaction, source)
        try:
            results = transaction.attempt(lambda: self._together(transaction, items, owned))
        except Exception as error:
            _raise_if_lost(error)
            results = [self._one_alone(transaction, item, owned) for item in items]
        kept = {
            id(progress): (progress, item.source)
            for item, result in zip(items, results, strict=True)
            if result.applied and item.source is not None and (progress := owned[_place(item.source)]) is not None
        }
        rows: list[tuple[Any, ...]] = []
        for progress, source in kept.values():
            standing = progress.standing()
            rows.append((standing.next_offset, standing.pack(), source.group, progress.partition_id))
        if rows:
            transaction.executemany(
                "UPDATE log_progress SET next_offset = ?, finished_above = ? WHERE group_name = ? AND partition_id = ?",
                rows,
            )
        return results

    def _owned(self, transaction: Transaction, source: Delivery) -> PartitionProgress | None:
        """The progress to count on, if our member still owns the partition in the generation of the fetch."""
        progress = self._progress_of(source)
        if progress is None:
            return None
        row = transaction.execute(
            "SELECT generation FROM log_progress WHERE group_name = ? AND partition_id = ?",
            (source.group, progress.partition_id),
        ).fetchone()
        return progress if row is not None and row[0] == source.generation else None

    def _together(
        self,
        transaction: Transaction,
        items: Sequence[_Item],
        owned: dict[tuple[str, str, int, int], PartitionProgress | None],
    ) -> list[Result]:
        rows = _Rows(transaction)
        results = [self._one(transaction, item, owned, rows) for item in items]
        rows.flush()
        return results

    def _one(
        self,
        transaction: Transaction,
        item: _Item,
        owned: dict[tuple[str, str, int, int], PartitionProgress | None],
        rows: _Rows,
    ) -> Result:
        if item.invalid:
            return Result(applied=False, reason="invalid", detail=item.invalid)
        source = item.source
        if source is not None:
            progress = owned[_place(source)]
            if progress is None:
                return _FENCED
            if not progress.finish(source.offset):
                return _DUPLICATE
            transaction.on_undo(lambda: progress.unfinish(source.offset))
        for prepared, sql, values, expect in item.writes:
            rows.write(prepared, sql, values, expect)
        if item.entries:
            self._appender.append(transaction, item.entries)
        return _APPLIED

    def _one_alone(
        self, transaction: Transaction, item: _Item, owned: dict[tuple[str, str, int, int], PartitionProgress | None]
    ) -> Result:
        try:
            return transaction.attempt(lambda: self._together(transaction, [item], owned)[0])
        except _GuardFailed as error:
            return Result(applied=False, reason="conflict", detail=str(error))
        except Exception as error:
            # Of the driver, or of a value that it cannot take (a lone surrogate, a number too large, a date).
            _raise_if_lost(error)
            race = getattr(error, "sqlite_errorname", "") in _RACES
            detail = f"{type(error).__name__}: {error}"
            return Result(applied=False, reason="conflict" if race else "invalid", detail=detail)


def _guard(changed: int, expect: int | None, what: str) -> None:
    if expect is not None and changed != expect:
        raise _GuardFailed(f"{changed} rows changed instead of {expect}: {what[:200]}")


def _place(source: Delivery) -> tuple[str, str, int, int]:
    return source.group, source.topic, source.partition, source.generation


def _raise_if_lost(error: Exception) -> None:
    if getattr(error, "sqlite_errorname", "").startswith(_LOST_TRANSACTION):
        raise error
