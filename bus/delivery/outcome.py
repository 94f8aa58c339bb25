"""What a handler returns: everything that shall happen because of one record, decided before anything is done.

A handler reads, decides and returns; it writes nothing. The runtime applies many outcomes in one transaction. So a
crash at any moment repeats a decision, never an effect.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from bus.log.port import Record
from bus.message.reply import Reply

__all__ = ["NOTHING", "CancelTimer", "Outcome", "SetTimer", "Write"]


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """One change of state: a module-level SQLAlchemy Core insert, update or delete with its parameters.

    `expect` is a guard: unless exactly so many rows change, the whole outcome is rolled back and decided again on
    fresh state (`Conflict`). A snapshot's version, a once-only refund and a unique case number are kept this way.
    """

    statement: Any
    params: Mapping[str, Any]
    expect: int | None = None


class SetTimer(msgspec.Struct, frozen=True, kw_only=True):
    """A durable timer: at `due`, a record of `kind` with `value` is appended to `topic` under `key`, exactly once.

    Setting a timer of the same id again moves it.
    """

    id: str
    due: datetime
    topic: str
    key: str
    kind: str
    value: bytes
    tenant: str


class CancelTimer(msgspec.Struct, frozen=True, kw_only=True):
    """Forget a timer; no error when it is gone already."""

    id: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All effects of one record. `replies` are planned in the send ledger and appended to `reply.<channel>`."""

    writes: tuple[Write, ...] = ()
    emit: tuple[Record, ...] = ()
    replies: tuple[Reply, ...] = ()
    timers: tuple[SetTimer | CancelTimer, ...] = ()


NOTHING = Outcome()
"""Nothing happens because of this record: a copy, a timer that means nothing any more.

The embedded engine lets such progress go with the next transaction of others: a power cut may have it decided again, so
return this only for what comes to nothing then too.
"""
