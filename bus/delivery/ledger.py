"""The send ledger: every reply has one row, and its row says what is known of it.

    planned -> sending (committed before the first byte leaves) -> accepted -> delivered -> read
                                                               -> refused | unknown | failed
            -> blocked (never sent: expired, no permission, overtaken, closed)

A reply is planned in the transaction that decided it. A crash while sending leaves `sending`: that is in doubt, and
`bus.delivery.reconciler` says what follows. Whatever may speak against a sending is asked in the transaction that
enters `sending`: permission, newer words of the customer, a case closed meanwhile, the pace of a channel.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, and_, bindparam, exists, or_, select, update

from bus.clock import to_micros
from bus.delivery.consent import SERVICE
from bus.delivery.outcome import Write
from bus.log.port import Record
from bus.log.topics import reply_topic
from bus.message import Reply, encode, envelope
from bus.store.conversation import conversation_head, overtaken
from bus.store.pace import turn_of
from bus.store.permission import entry_count, recipient_key
from bus.store.port import Row
from bus.store.schema import metadata
from bus.store.sql import insert_ignore

__all__ = [
    "BEHIND",
    "NOT_LATER",
    "OVERTAKEN",
    "WITH_THE_END",
    "asked_at",
    "begin_sending",
    "block",
    "doubt",
    "hold",
    "plan",
    "recipient_of",
    "replies_of",
    "reply_record",
    "reply_row",
    "send_ledger",
    "settle",
    "stand_by",
    "unsent",
    "wait_turn",
    "why_not",
    "withdraw",
]

OVERTAKEN = "overtaken"
"""Reason of a reply that was decided before the customer's newest words."""

BEHIND = timedelta(days=1)
"""Nobody waits longer behind an earlier answer of which nothing more is heard: by then a person has its case."""

WITH_THE_END = ("goodbye", "survey")
"""Kinds that are planned when a case is closed, and sent after it."""

NOT_LATER = (*WITH_THE_END, "callback")
"""Kinds that are dropped when the customer has said more by then: a goodbye to somebody who goes on, a call to somebody
who has come back."""

send_ledger = Table(
    "send_ledger",
    metadata,
    Column("reply", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("case_id", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("heard", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("doubts", Integer, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("provider_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("planned_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_send_ledger_case", "tenant", "case_id"),
    Index("ix_send_ledger_state", "channel", "state", "changed_at"),
)
"""`recipient` is the digest of the address; `heard` as in `Reply`. `attempt` counts sendings that began, `doubts` those
of which nobody knows how they ended. `not_before` is the turn that a reply has booked. `changed_at` is for people and
for rests, never for order or leases."""

_plan = insert_ignore(send_ledger, ["reply"])

_permitted = or_(
    send_ledger.c.purpose == SERVICE,
    entry_count(send_ledger.c.tenant, send_ledger.c.person, send_ledger.c.recipient) == bindparam("b_consents"),
)
"""What does not answer the customer was judged on so many entries of the consent ledger (`bus.delivery.consent`): when
there is another one by now, that may be a "stop", and it is judged again."""

_overtaken = and_(
    send_ledger.c.heard > 0,
    overtaken(
        send_ledger.c.tenant,
        send_ledger.c.case_id,
        send_ledger.c.heard,
        or_(*(send_ledger.c.kind == kind for kind in WITH_THE_END)),
    ),
)

_earlier = send_ledger.alias("earlier")
_behind = exists(
    select(1).where(
        _earlier.c.tenant == send_ledger.c.tenant,
        _earlier.c.case_id == send_ledger.c.case_id,
        _earlier.c.channel == send_ledger.c.channel,
        _earlier.c.recipient == send_ledger.c.recipient,
        _earlier.c.heard > 0,
        or_(
            _earlier.c.heard < send_ledger.c.heard,
            # One that was let stand beside it knows the same; when both were planned tells them apart.
            and_(_earlier.c.heard == send_ledger.c.heard, _earlier.c.planned_at < send_ledger.c.planned_at),
        ),
        _earlier.c.state.in_(("planned", "sending", "unknown")),
        _earlier.c.changed_at > bindparam("b_behind"),
    )
)
"""An answer to older words is still on its way: in doubt, or put off by the channel. Overtaking it would have the
customer read the answers in another order than they asked."""

_begin = (
    update(send_ledger)
    .where(
        send_ledger.c.reply == bindparam("b_reply"),
        send_ledger.c.state == bindparam("b_from"),
        _permitted,
        # What may have reached the customer already cannot be overtaken any more: it is only asked for once again.
        or_(send_ledger.c.state != "planned", and_(~_overtaken, ~_behind)),
    )
    .values(state="sending", attempt=send_ledger.c.attempt + 1, reason="", changed_at=bindparam("b_at"))
)

why_not = (
    select(
        send_ledger.c.state,
        send_ledger.c.heard,
        _permitted.label("permitted"),
        _overtaken.label("overtaken"),
        _behind.label("behind"),
        select(conversation_head.c.heard)
        .where(
            conversation_head.c.tenant == send_ledger.c.tenant, conversation_head.c.case_id == send_ledger.c.case_id
        )
        .scalar_subquery()
        .label("newest"),
    )
    .where(send_ledger.c.reply == bindparam("reply"))
)  # fmt: skip
"""What `begin_sending` asked, by parameters `reply` and those of `asked_at`."""

_wait = (
    update(send_ledger)
    .where(
        send_ledger.c.reply == bindparam("b_reply"),
        send_ledger.c.state == "planned",
        send_ledger.c.not_before == 0,
    )
    .values(not_before=turn_of(send_ledger.c.tenant, send_ledger.c.channel, send_ledger.c.recipient))
)

_hold = (
    update(send_ledger)
    .where(
        send_ledger.c.reply == bindparam("b_reply"),
        send_ledger.c.state == "planned",
        send_ledger.c.heard == bindparam("b_heard"),
    )
    .values(reason=OVERTAKEN, changed_at=bindparam("b_at"))
)

_stand_by = (
    update(send_ledger)
    .where(
        send_ledger.c.reply == bindparam("b_reply"),
        send_ledger.c.state == "planned",
        send_ledger.c.reason == bindparam("b_reason"),
    )
    .values(heard=bindparam("b_heard"), body=bindparam("b_body"), reason="", changed_at=bindparam("b_at"))
)

_settle = (
    update(send_ledger)
    .where(
        send_ledger.c.reply == bindparam("b_reply"),
        send_ledger.c.attempt == bindparam("b_attempt"),
        # Whoever took too long finds its attempt in doubt, and clears that up, unless the next one has begun.
        or_(send_ledger.c.state == "sending", send_ledger.c.state == "unknown"),
    )
    .values(
        state=bindparam("b_state"),
        provider_id=bindparam("b_provider"),
        reason=bindparam("b_reason"),
        changed_at=bindparam("b_at"),
    )
)

_doubt = (
    update(send_ledger)
    .where(
        send_ledger.c.reply == bindparam("b_reply"),
        send_ledger.c.attempt == bindparam("b_attempt"),
        send_ledger.c.state == "sending",
    )
    .values(
        state=bindparam("b_state"),
        doubts=send_ledger.c.doubts + 1,
        reason=bindparam("b_reason"),
        changed_at=bindparam("b_at"),
    )
)

_block = (
    update(send_ledger)
    .where(
        send_ledger.c.reply == bindparam("b_reply"),
        send_ledger.c.state == bindparam("b_from"),
        send_ledger.c.heard == bindparam("b_heard"),
    )
    .values(state="blocked", reason=bindparam("b_reason"), changed_at=bindparam("b_at"))
)

reply_row = select(send_ledger).where(send_ledger.c.reply == bindparam("reply"))
"""The ledger row of one reply."""

replies_of = (
    select(send_ledger)
    .where(send_ledger.c.tenant == bindparam("tenant"), send_ledger.c.case_id == bindparam("case_id"))
    .order_by(send_ledger.c.planned_at, send_ledger.c.reply)
)
"""The ledger rows of one case, oldest first."""


unsent = select(send_ledger).where(send_ledger.c.tenant == bindparam("tenant"), send_ledger.c.state == "planned")
"""Rows of replies that have not left, for `Store.by_keys` on the reply."""


def plan(
    reply: Reply, now: datetime, headers: Mapping[str, str] | None = None
) -> tuple[Sequence[Write], Sequence[Record]]:
    """The ledger row and the record of a reply. Planning the same reply twice changes nothing."""
    at = to_micros(now)
    body = encode(reply)
    row = Write(
        statement=_plan,
        params={
            "reply": reply.id,
            "tenant": reply.tenant,
            "case_id": reply.case,
            "person": reply.person,
            "channel": reply.channel,
            "recipient": recipient_of(reply),
            "kind": reply.kind,
            "purpose": reply.purpose,
            "heard": reply.heard,
            "state": "planned",
            "attempt": 0,
            "doubts": 0,
            "not_before": 0,
            "provider_id": "",
            "reason": "",
            "planned_at": at,
            "changed_at": at,
            "body": body.decode(),
        },
    )
    return (row,), (reply_record(reply, body, now, headers),)


def reply_record(
    reply: Reply, body: bytes, now: datetime, headers: Mapping[str, str] | None = None, *, again: str = ""
) -> Record:
    """The record that carries a reply to the senders of its channel.

    `again` tells a later record of the same reply from the first one: under one id it would be handled only once.
    """
    record_id = f"{reply.id}/{again}" if again else reply.id
    own = envelope(record_id=record_id, kind="reply", source="workers", tenant=reply.tenant, at=now, subject=reply.case)
    return Record(
        topic=reply_topic(reply.channel),
        key=reply.case,
        value=body,
        id=record_id,
        headers={**(headers or {}), **own},
    )


def recipient_of(reply: Reply) -> str:
    """The digest by which replies to one address are counted."""
    return recipient_key(reply.tenant, reply.to)


def begin_sending(reply_id: str, now: datetime, *, from_state: str = "planned", consents: int = 0) -> Write:
    """Enter `sending`, guarded: only from `from_state`, and only when nothing speaks against it at this moment.

    What does not answer the customer needs permission, which was judged on `consents` entries of the consent ledger.
    What was planned must not be overtaken: the customer has said nothing that the decision did not know, the case was
    not closed since, and no answer to older words is still on its way.
    """
    params = {"b_reply": reply_id, "b_from": from_state, "b_at": to_micros(now), **asked_at(now, consents)}
    return Write(statement=_begin, params=params, expect=1)


def asked_at(now: datetime, consents: int) -> Mapping[str, int]:
    """Parameters of what speaks against a sending at a moment."""
    return {"b_behind": to_micros(now - BEHIND), "b_consents": consents}


def wait_turn(reply_id: str) -> Write:
    """Note the turn that was booked before in this transaction (`bus.store.pace.book_write`). Guarded: once."""
    return Write(statement=_wait, params={"b_reply": reply_id}, expect=1)


def hold(reply_id: str, heard: int, now: datetime) -> Write:
    """Keep an overtaken reply back until whoever works on the newer words has decided what becomes of it.

    Guarded by what it was decided on: if that has been settled since, the reply is looked at again instead.
    """
    return Write(statement=_hold, params={"b_reply": reply_id, "b_heard": heard, "b_at": to_micros(now)}, expect=1)


def stand_by(row: Row, reply: Reply, now: datetime) -> Write:
    """Let a reply that has not left stand although the customer has said more: the decision knew both.

    `reply` is the same with all that it now answers. Guarded by what `row` said of it; a reply that was held needs its
    record again (`reply_record`).
    """
    params = {"b_reply": reply.id, "b_reason": row["reason"], "b_heard": reply.heard, "b_at": to_micros(now)}
    return Write(statement=_stand_by, params={**params, "b_body": encode(reply).decode()}, expect=1)


def withdraw(row: Row, now: datetime) -> Write:
    """Take back a reply that has not left: another one says it, or it is not true any more. Guarded."""
    return block({**row, "state": "planned"}, OVERTAKEN, now)


def block(row: Row, reason: str, now: datetime) -> Write:
    """Never send a reply. Guarded by the state and the knowledge that `row` was read with."""
    params = {"b_reply": row["reply"], "b_from": row["state"], "b_heard": row["heard"], "b_reason": reason}
    return Write(statement=_block, params={**params, "b_at": to_micros(now)}, expect=1)


def settle(reply_id: str, attempt: int, state: str, now: datetime, *, provider_id: str = "", reason: str = "") -> Write:
    """What became of an attempt. Nothing changes when a later one has begun."""
    params = {"b_reply": reply_id, "b_attempt": attempt, "b_state": state, "b_provider": provider_id}
    return Write(statement=_settle, params={**params, "b_reason": reason, "b_at": to_micros(now)})


def doubt(reply_id: str, attempt: int, state: str, now: datetime, *, reason: str) -> Write:
    """Nobody knows how an attempt ended: `unknown`, or `failed` when a person decides. Guarded: said once."""
    params = {"b_reply": reply_id, "b_attempt": attempt, "b_state": state, "b_reason": reason}
    return Write(statement=_doubt, params={**params, "b_at": to_micros(now)}, expect=1)
