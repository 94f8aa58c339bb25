"""What tests of stores share: the house's own table of timers, used as an ordinary table, and effects on its rows.

`due` stands for a version, `key` and `value` for content.
"""

from typing import Any

from sqlalchemy import bindparam, delete, insert, update

from bus.delivery.outcome import Outcome, Write
from bus.log.port import Delivery, Record
from bus.log.tables import timer
from bus.store.port import Effect
from bus.store.sql import insert_ignore, upsert
from bus.testing.log_records import TARGET, TOPIC

__all__ = ["bumped", "delivery", "effect", "ignored", "lengthened", "new", "put", "record", "removed"]

_insert = insert(timer)
_put = upsert(timer, ["id"])
_ignore = insert_ignore(timer, ["id"])
_bump = (
    update(timer).where(timer.c.id == bindparam("b_id"), timer.c.due == bindparam("b_due")).values(due=timer.c.due + 1)
)
_lengthen = update(timer).where(timer.c.id == bindparam("b_id")).values(key=timer.c.key + bindparam("b_text"))
_remove = delete(timer).where(timer.c.id == bindparam("b_id"))


def _row(name: str, due: int = 0, *, key: str = "k", value: bytes = b"") -> dict[str, Any]:
    return {"id": name, "due": due, "tenant": "shop", "topic": "t", "key": key, "kind": "x", "value": value}


def new(name: str, due: int = 0, *, expect: int | None = None, **more: Any) -> Write:
    """A row that must not be there yet."""
    return Write(statement=_insert, params=_row(name, due, **more), expect=expect)


def put(name: str, due: int = 0, **more: Any) -> Write:
    """A row, whatever was there before."""
    return Write(statement=_put, params=_row(name, due, **more))


def ignored(name: str, due: int = 0, *, expect: int | None = None) -> Write:
    """A row, unless there is one."""
    return Write(statement=_ignore, params=_row(name, due), expect=expect)


def bumped(name: str, due: int) -> Write:
    """The next version of a row, guarded by this one."""
    return Write(statement=_bump, params={"b_id": name, "b_due": due}, expect=1)


def lengthened(name: str, text: str) -> Write:
    """A row whose `key` is so much longer, whatever its version; guarded: it is there."""
    return Write(statement=_lengthen, params={"b_id": name, "b_text": text}, expect=1)


def removed(name: str, *, expect: int | None = None) -> Write:
    """No row any more."""
    return Write(statement=_remove, params={"b_id": name}, expect=expect)


def record(name: str, key: str = "k") -> Record:
    """A record to emit, of which name and id tell."""
    return Record(topic=TARGET, key=key, value=name.encode(), id=name, headers={"tenant": "shop"})


def delivery(name: str, day: int = 20_000, group: str = "g") -> Delivery:
    """The delivery of a record of that id, by a log that knows deliveries by their records' ids."""
    return Delivery(group=group, topic=TOPIC, partition=0, offset=0, generation=1, id=name, day=day)


def effect(*writes: Write, emit: tuple[Record, ...] = (), source: Delivery | None = None) -> Effect:
    """What a store is asked to apply together."""
    return Effect(outcome=Outcome(writes=writes, emit=emit), source=source)
