"""Dead letters: records that could not be handled. Each is an unanswered customer, so each opens a case as well.

The original bytes are kept untouched. What the case looks like is the domain's business: the runner is given a
function that makes the outcome for the desk.
"""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    bindparam,
    func,
    or_,
    select,
    update,
)

from bus.clock import to_micros
from bus.delivery.outcome import Outcome, Write
from bus.log.port import Record, StoredRecord
from bus.log.topics import REPLY_STATUS
from bus.message import decode, derive_id, encode
from bus.store.port import Effect, Row, Store
from bus.store.schema import metadata
from bus.store.sql import insert_ignore

__all__ = [
    "ONLY_GROUP",
    "DeskCase",
    "audit_of",
    "dead_letter",
    "dead_letter_audit",
    "dead_letter_outcome",
    "discard",
    "list_dead_letters",
    "retry",
    "show",
    "shows_nowhere",
    "unseen_letters",
]

dead_letter = Table(
    "dead_letter",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("group_name", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("log_offset", BigInteger, nullable=False),
    Column("record_key", Text, nullable=False),
    Column("record_id", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Index("ix_dead_letter_state", "state", "at"),
)
"""`state`: open, retried or discarded. `reason` is a class of error, never the text of an exception."""

dead_letter_audit = Table(
    "dead_letter_audit",
    metadata,
    Column("id", Text, primary_key=True),
    Column("dead_letter", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

DeskCase = Callable[[StoredRecord, str], Outcome]
"""(record, reason) -> the outcome that puts it before a person."""

ONLY_GROUP = "only-group"
"""Header of a record that one group alone handles, whoever else reads its topic."""

_WITHOUT_CONTACT = ("work.desk.", "case.")
"""What people have already, and what only cases hear of each other."""

_RETRY = "~retry-"
"""Between the id of a record and how often a person had it handled again."""

_insert = insert_ignore(dead_letter, ["id"])
_audit = insert_ignore(dead_letter_audit, ["id"])
_mark = (
    update(dead_letter)
    .where(dead_letter.c.id == bindparam("b_id"), dead_letter.c.state == "open")
    .values(state=bindparam("b_state"))
)
_list = select(dead_letter).order_by(dead_letter.c.at, dead_letter.c.id)
_audit_of = (
    select(dead_letter_audit.c.actor, dead_letter_audit.c.action, dead_letter_audit.c.at)
    .where(dead_letter_audit.c.dead_letter == bindparam("id"))
    .order_by(dead_letter_audit.c.at)
)
_unseen = (
    select(
        dead_letter.c.group_name,
        dead_letter.c.topic,
        func.count().label("letters"),
        func.min(dead_letter.c.at).label("since"),
    )
    .where(
        dead_letter.c.state == "open",
        or_(dead_letter.c.topic == REPLY_STATUS, *(dead_letter.c.topic.startswith(each) for each in _WITHOUT_CONTACT)),
    )
    .group_by(dead_letter.c.group_name, dead_letter.c.topic)
    .order_by(func.min(dead_letter.c.at))
)
_unseen_of = _unseen.where(dead_letter.c.tenant == bindparam("tenant"))
_one = select(dead_letter).where(dead_letter.c.id == bindparam("id"))


def dead_letter_outcome(
    record: StoredRecord, *, group: str, reason: str, attempts: int, now: datetime, desk_case: DeskCase
) -> Outcome:
    """The dead letter and, in the same transaction, its case at the desk."""
    row = Write(
        statement=_insert,
        params={
            "id": _id(record, group),
            "tenant": record.headers.get("tenant", ""),
            "group_name": group,
            "topic": record.topic,
            "partition": record.partition,
            "log_offset": record.offset,
            "record_key": record.key,
            "record_id": record.id,
            "headers": encode(dict(record.headers)).decode(),
            "value": record.value,
            "reason": reason,
            "attempts": attempts,
            "at": to_micros(now),
            "state": "open",
        },
    )
    desk = desk_case(record, reason)
    return Outcome(writes=(row, *desk.writes), emit=desk.emit, replies=desk.replies, timers=desk.timers)


def _id(record: StoredRecord, group: str) -> str:
    """Of the record, and not of its place in the log: a relay may append one twice, and it is given up as one."""
    return derive_id("d", record.headers.get("tenant", ""), group, record.topic, record.id)


def shows_nowhere(topic: str) -> bool:
    """Whether a dead letter of a topic leads to no case: it carries no contact, and whoever has the case does not learn
    that news of it was lost. Somebody technical has to look."""
    return topic == REPLY_STATUS or topic.startswith(_WITHOUT_CONTACT)


async def unseen_letters(store: Store, tenant: str = "") -> list[Row]:
    """Open dead letters that show nowhere, by group and topic (`group_name`, `topic`, `letters`, `since` in
    microseconds), the oldest first; without a `tenant` of all."""
    return list(await store.all(_unseen_of, {"tenant": tenant}) if tenant else await store.all(_unseen))


async def list_dead_letters(store: Store) -> list[Row]:
    """All dead letters, oldest first."""
    return list(await store.all(_list))


async def show(store: Store, dead_letter_id: str) -> Row | None:
    """One dead letter with its bytes."""
    return await store.one(_one, {"id": dead_letter_id})


async def audit_of(store: Store, dead_letter_id: str) -> list[Row]:
    """What people did with one dead letter, and when."""
    return list(await store.all(_audit_of, {"id": dead_letter_id}))


async def retry(store: Store, dead_letter_id: str, *, actor: str, now: datetime) -> bool:
    """Append the original record again, under an id of its own, and mark the letter. False when it is not open.

    Only the group that gave it up handles it: others that read the topic have done so. What was late already is not
    late again: a deadline that has passed does not travel on.
    """
    row = await show(store, dead_letter_id)
    if row is None or row["state"] != "open":
        return False
    record_id = _next_id(row["record_id"])
    headers = decode(row["headers"].encode(), dict[str, str])
    headers |= {"ce_id": record_id, "ce_time": now.isoformat().replace("+00:00", "Z"), ONLY_GROUP: row["group_name"]}
    if "deadline" in headers and datetime.fromisoformat(headers["deadline"]) <= now:
        del headers["deadline"]
    again = Record(topic=row["topic"], key=row["record_key"], value=bytes(row["value"]), id=record_id, headers=headers)
    return await _settle(store, dead_letter_id, "retried", actor, now, emit=(again,))


def _next_id(record_id: str) -> str:
    """An inbox has seen the original's id and would take a second record of that id for a copy."""
    original, _, number = record_id.partition(_RETRY)
    return f"{original}{_RETRY}{int(number or 0) + 1}"


async def discard(store: Store, dead_letter_id: str, *, actor: str, now: datetime) -> bool:
    """Give a dead letter up; its row and the audit entry stay. False when it is not open."""
    return await _settle(store, dead_letter_id, "discarded", actor, now)


async def _settle(
    store: Store, dead_letter_id: str, state: str, actor: str, now: datetime, emit: tuple[Record, ...] = ()
) -> bool:
    audit = {
        "id": derive_id("a", dead_letter_id, state),
        "dead_letter": dead_letter_id,
        "actor": actor,
        "action": state,
        "at": to_micros(now),
    }
    outcome = Outcome(
        writes=(
            Write(statement=_mark, params={"b_id": dead_letter_id, "b_state": state}, expect=1),
            Write(statement=_audit, params=audit),
        ),
        emit=emit,
    )
    (result,) = await store.apply([Effect(outcome=outcome)])
    return result.applied
