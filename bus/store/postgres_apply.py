"""Applying effects in PostgreSQL: state, timers, inbox and outbox of many handled records in one transaction.

First all effects together, in two round trips: the inbox and every write, then the outbox and the commit. Only when one
of them fails are they taken apart by halves, each half in a savepoint, until the guilty ones are alone: fifteen more
round trips for one among two hundred. Outbox rows are written after all guards have held, so their numbers follow the
order in which transactions came to the rows that they guard.
"""

import asyncio
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, TypeGuard

import msgspec

from bus.clock import Clock, to_micros
from bus.errors import TransientError
from bus.log.embedded_append import Entry, entry_of
from bus.log.partition import partition_of
from bus.log.port import Delivery, Record
from bus.store.compiled import Prepared, Statements
from bus.store.port import Effect, Result
from bus.store.postgres_errors import Kind, ServerError, raise_if_failed
from bus.store.postgres_sql import (
    Batch,
    bytes_array,
    command,
    int_array,
    long_array,
    text_array,
    text_of,
)
from bus.store.postgres_tables import SLOTS, UNDATED
from bus.store.postgres_wire import Command, Wire
from bus.store.written import PlanReply, written_down

__all__ = ["SHARDS", "Applier", "Item", "shard_of"]

SHARDS = 8
"""Parts of the outbox that are relayed side by side: enough for a few processes, few enough to look at every time."""

_ATTEMPTS = 5
_PAUSE_S = 0.02
"""Transactions that collided are tried again after 20, 40, 60, 80 ms: together less than `lock_timeout`."""

_DAY_MICROS = 86_400_000_000

_BEGIN: Command = (text_of("BEGIN"), (), None)
_COMMIT: Command = (text_of("COMMIT"), (), None)
_ROLLBACK: Command = (text_of("ROLLBACK"), (), None)
_SAVEPOINT: Command = (text_of("SAVEPOINT attempt"), (), None)
_RELEASE: Command = (text_of("RELEASE attempt"), (), None)
_BACK: Command = (text_of("ROLLBACK TO attempt"), (), None)

_INBOX = text_of(
    "INSERT INTO inbox (slot, digest, day) SELECT given.slot, given.digest, $3::INTEGER"
    " FROM unnest($1::INTEGER[], $2::BYTEA[]) AS given(slot, digest) ON CONFLICT DO NOTHING RETURNING digest"
)
_OUTBOX = text_of(
    "INSERT INTO outbox (tenant, shard, at, topic, key, id, headers, value)"
    " SELECT $1::VARCHAR, given.* FROM unnest($2::INTEGER[], $3::BIGINT[], $4::VARCHAR[], $5::VARCHAR[], $6::VARCHAR[],"
    " $7::VARCHAR[], $8::BYTEA[]) AS given(shard, at, topic, key, id, headers, value)"
)

_APPLIED = Result(applied=True)
_DUPLICATE = Result(applied=False, reason="duplicate")

_Rows = list[Sequence[Any]]


def shard_of(key: str) -> int:
    """The part of the outbox that records of a key go through."""
    return partition_of(key, SHARDS)


class Item(msgspec.Struct, eq=False):
    """An effect made ready for the transaction."""

    digest: bytes
    slot: int
    writes: list[tuple[Prepared, Sequence[Any], int | None]]
    entries: list[Entry]
    result: Result | None = None


class _Undone(Exception):
    """An attempt was undone: `finished` are the items found in the inbox, else `error` or `guard` says why."""

    def __init__(self, *, error: Exception | None = None, guard: str = "", finished: Sequence[Item] = ()) -> None:
        super().__init__(guard or repr(error))
        self.error = error
        self.guard = guard
        self.finished = finished


class _Step(msgspec.Struct):
    """Rows to write with one statement. `prepared` alone when there is one row."""

    prepared: Prepared
    rows: _Rows
    expect: int | None
    named: set[tuple[Any, ...]] = msgspec.field(default_factory=set[tuple[Any, ...]])
    """The rows of the table that are changed, where the statement names them by their key."""


class Applier:
    """Applies effects for one tenant. Pure but for the wire that it is given."""

    def __init__(self, tenant: str, statements: Statements, clock: Clock, plan_reply: PlanReply) -> None:
        self._tenant = tenant
        self._tenant_key = tenant.encode()
        self._statements = statements
        self._clock = clock
        self._plan_reply = plan_reply

    def item(self, effect: Effect) -> Item:
        """An effect written down. One that cannot even be written down is `invalid`, and has its result already."""
        try:
            writes, records = written_down(effect.outcome, self._plan_reply)
            bound: list[tuple[Prepared, Sequence[Any], int | None]] = []
            for write in writes:
                prepared = self._statements.prepare(write.statement, write.params)
                bound.append((prepared, prepared.bind(write.params)[1], write.expect))
            at = to_micros(self._clock.now()) if records else 0
            entries = [entry_of(record, at) for record in records]
            digest, slot = self._place(effect.source) if effect.source is not None else (b"", 0)
        except Exception as error:
            # Whatever is wrong with one outcome (a parameter, a text, a value) must not stop the others.
            detail = f"{type(error).__name__}: {error}"
            return Item(b"", 0, [], [], Result(applied=False, reason="invalid", detail=detail))
        return Item(digest, slot, bound, entries)

    async def apply(self, wire: Wire, items: Sequence[Item]) -> frozenset[int]:
        """Give every item its result in one transaction; the shards that records were put into.

        Raises TransientError, StorageFull when nothing was applied; after a lost connection nobody knows.
        """
        open_items, echoes = _sort_out(items)
        if open_items:
            await self._until_done(wire, open_items)
        for echo, first in echoes:
            result = first.result
            assert result is not None, "every open item has its result by now"
            echo.result = _DUPLICATE if result.applied else result
        return frozenset(
            shard_of(entry.key)
            for item in open_items
            if item.entries and item.result is not None and item.result.applied
            for entry in item.entries
        )

    async def append_once(self, wire: Wire, records: Sequence[Record]) -> list[bool]:
        """Put records into the outbox whose (topic, id) was not before; whether each was."""
        at = to_micros(self._clock.now())
        entries = [entry_of(record, at) for record in records]
        digests = [self._digest(b"", entry.topic, entry.id) for entry in entries]
        day = at // _DAY_MICROS
        attempt = 0
        while True:
            try:
                (_, inserted) = await self._run(
                    wire,
                    [_BEGIN, (_ONCE, [self._tenant_key, bytes_array(digests), b"%d" % day], _ONCE_FORMATS)],
                )
                fresh = {digest for (digest,) in wire.rows(inserted)}
                taken: list[bool] = []
                for digest in digests:
                    taken.append(digest in fresh)
                    fresh.discard(digest)
                kept = [entry for entry, is_new in zip(entries, taken, strict=True) if is_new]
                await self._run(wire, [*self._outbox(kept), _COMMIT])
                return taken
            except ServerError as error:
                attempt += 1
                await self._give_up(wire, error, attempt)

    async def _until_done(self, wire: Wire, items: Sequence[Item]) -> None:
        attempt = 0
        together = True
        while items := [item for item in items if item.result is None]:
            try:
                if together:
                    await self._attempt(wire, items, _BEGIN, _COMMIT)
                else:
                    await self._run(wire, [_BEGIN])
                    await self._by_halves(wire, items)
                    await self._run(wire, [_COMMIT])
            except _Undone as undone:
                if _is_of_all(undone.error):
                    attempt += 1
                    await self._give_up(wire, undone.error, attempt)
                else:
                    await self._run(wire, [_ROLLBACK])
                    # Without what the inbox knows, the others may well go together.
                    together = bool(undone.finished)
            except ServerError as error:
                for item in items:
                    item.result = None
                attempt += 1
                await self._give_up(wire, error, attempt)

    async def _give_up(self, wire: Wire, error: ServerError, attempt: int) -> None:
        """After an error of the whole transaction: back to the start, or raise."""
        await self._run(wire, [_ROLLBACK])
        if error.kind is not Kind.COLLISION or attempt == _ATTEMPTS:
            raise error.translated()
        await asyncio.sleep(_PAUSE_S * attempt)

    async def _by_halves(self, wire: Wire, items: Sequence[Item]) -> None:
        try:
            await self._attempt(wire, items, _SAVEPOINT, _RELEASE)
        except _Undone as undone:
            if _is_of_all(undone.error):
                raise undone.error from undone
            await self._run(wire, [_BACK, _RELEASE])
            if undone.finished:
                left = [item for item in items if item.result is None]
                if left:
                    await self._by_halves(wire, left)
            elif len(items) == 1:
                items[0].result = _failure(undone)
            else:
                half = len(items) // 2
                await self._by_halves(wire, items[:half])
                await self._by_halves(wire, items[half:])

    async def _attempt(self, wire: Wire, items: Sequence[Item], opening: Command, closing: Command) -> None:
        """Everything of the items, or _Undone with the transaction as the failure left it."""
        try:
            commands: list[Command] = [opening]
            sourced = [item for item in items if item.digest]
            if sourced:
                commands.append(self._inbox(sourced))
            steps = _steps(items, apart=opening is _SAVEPOINT)
            commands += [_command(step) for step in steps]
        except Exception as error:
            # A value that fits no column: found out before anything was sent, but the opening must match its undoing.
            await self._run(wire, [opening])
            raise _Undone(error=error) from error
        try:
            results = await self._sent(wire, commands)
            for result in results[: 2 if sourced else 1]:
                raise_if_failed(result)
            if sourced:
                # Before any error of a write: what was done before mostly cannot be done again.
                new = {digest for (digest,) in wire.rows(results[1])}
                finished = [item for item in sourced if item.digest not in new]
                if finished:
                    for item in finished:
                        item.result = _DUPLICATE
                    raise _Undone(finished=finished)
            for step, result in zip(steps, results[len(commands) - len(steps) :], strict=True):
                _check(step, result)
            entries = [entry for item in items for entry in item.entries]
            await self._run(wire, [*self._outbox(entries), closing])
        except ServerError as error:
            raise _Undone(error=error) from error
        for item in items:
            item.result = _APPLIED

    async def _run(self, wire: Wire, commands: Sequence[Command]) -> list[Any]:
        results = await self._sent(wire, commands)
        for result in results:
            raise_if_failed(result)
        return results

    async def _sent(self, wire: Wire, commands: Sequence[Command]) -> list[Any]:
        results = await wire.run(commands)
        if len(results) != len(commands):
            wire.drop("an answer broke off")
            raise TransientError("the database broke off in the middle of an answer")
        return results

    def _inbox(self, items: Sequence[Item]) -> Command:
        slots = int_array([item.slot for item in items])
        day = b"%d" % (to_micros(self._clock.now()) // _DAY_MICROS)
        return _INBOX, [slots, bytes_array([item.digest for item in items]), day], _INBOX_FORMATS

    def _outbox(self, entries: Sequence[Entry]) -> list[Command]:
        if not entries:
            return []
        values = [
            self._tenant_key,
            int_array([shard_of(entry.key) for entry in entries]),
            long_array([entry.at for entry in entries]),
            text_array([entry.topic for entry in entries]),
            text_array([entry.key for entry in entries]),
            text_array([entry.id for entry in entries]),
            text_array([entry.headers for entry in entries]),
            bytes_array([entry.value for entry in entries]),
        ]
        return [(_OUTBOX, values, _OUTBOX_FORMATS)]

    def _place(self, source: Delivery) -> tuple[bytes, int]:
        slot = source.day % SLOTS if source.day else UNDATED
        return self._digest(source.group.encode(), source.topic, source.id), slot

    def _digest(self, group: bytes, topic: str, record_id: str) -> bytes:
        # The lengths keep two different triples apart whatever characters they hold.
        parts = (self._tenant_key, group, topic.encode(), record_id.encode())
        lengths = b"%d %d %d " % (len(parts[0]), len(parts[1]), len(parts[2]))
        return blake2b(lengths + b"".join(parts), digest_size=16).digest()


_INBOX_FORMATS = (1, 1, 0)
_OUTBOX_FORMATS = (0, 1, 1, 1, 1, 1, 1, 1)
_ONCE_FORMATS = (0, 1, 0)
_ONCE = text_of(
    "INSERT INTO appended_once (tenant, digest, day) SELECT $1::VARCHAR, given.digest, $3::INTEGER"
    " FROM unnest($2::BYTEA[]) AS given(digest) ON CONFLICT DO NOTHING RETURNING digest"
)


def _sort_out(items: Sequence[Item]) -> tuple[list[Item], list[tuple[Item, Item]]]:
    """The items to apply, and those that name a delivery which another item names before them, with that one."""
    open_items: list[Item] = []
    echoes: list[tuple[Item, Item]] = []
    first: dict[bytes, Item] = {}
    for item in items:
        if item.result is not None:
            continue
        if item.digest and (before := first.setdefault(item.digest, item)) is not item:
            echoes.append((item, before))
        else:
            open_items.append(item)
    return open_items, echoes


def _steps(items: Sequence[Item], *, apart: bool) -> list[_Step]:
    """The statements of the items in an order that no row can tell from theirs.

    Rows for one statement are gathered while nothing else touches their table; with `apart` a single item's are not.
    """
    if apart and len(items) == 1:
        return [_Step(prepared, [values], expect) for prepared, values, expect in items[0].writes]
    steps: list[_Step] = []
    waiting: dict[str, list[_Step]] = {}
    for item in items:
        for prepared, values, expect in item.writes:
            batch: Batch = prepared.batch
            if not batch.alike or not (expect == 1 or (expect is None and not batch.exact)):
                for table in [table for table in waiting if table in batch.names]:
                    steps += waiting.pop(table)
                steps.append(_Step(prepared, [values], expect))
                continue
            gathered = waiting.setdefault(batch.table, [])
            row = batch.row_of(values)
            last = gathered[-1] if gathered else None
            if last is None or last.prepared is not prepared or last.expect != expect or row in last.named:
                last = _Step(prepared, [], expect)
                gathered.append(last)
            last.rows.append(values)
            if row is not None:
                last.named.add(row)
    for gathered in waiting.values():
        steps += gathered
    return steps


def _command(step: _Step) -> Command:
    if len(step.rows) == 1:
        return command(step.prepared.sql, step.rows[0])
    return step.prepared.batch.command(step.rows)


def _check(step: _Step, result: Any) -> None:
    raise_if_failed(result)
    if step.expect is None:
        return
    if len(step.rows) == 1:
        changed, expected = result.command_tuples or 0, step.expect
    else:
        changed, expected = step.prepared.batch.changed(result), len(step.rows)
    if changed != expected:
        raise _Undone(guard=f"{changed} rows changed instead of {expected}: {step.prepared.sql[:200]}")


def _is_of_all(error: Exception | None) -> TypeGuard[ServerError]:
    """Whether no single effect is to blame."""
    return isinstance(error, ServerError) and error.kind not in (Kind.RACE, Kind.WRONG)


def _failure(undone: _Undone) -> Result:
    error = undone.error
    if error is None:
        return Result(applied=False, reason="conflict", detail=undone.guard)
    race = isinstance(error, ServerError) and error.kind is Kind.RACE
    return Result(applied=False, reason="conflict" if race else "invalid", detail=f"{type(error).__name__}: {error}")
