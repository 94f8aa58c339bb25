"""The send ledger: every reply has one row, and its row says what is known of it.

    planned -> sending (committed before the first byte leaves) -> accepted -> delivered
                                                               -> refused | unknown | blocked

A reply is planned in the transaction that decided it. A crash while sending leaves `sending`: the next owner of the
case's lane finds it and treats the attempt as unknown. Permission is asked in the statement that enters `sending`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, bindparam, or_, select, update

from bus.clock import to_micros
from bus.delivery.outcome import Write
from bus.log.port import Record
from bus.log.topics import reply_topic
from bus.message import Reply, encode, envelope
from bus.store.permission import may_contact
from bus.store.schema import metadata
from bus.store.sql import insert_ignore

__all__ = ["begin_sending", "plan", "replies_of", "reply_row", "send_ledger", "set_state"]

send_ledger = Table(
    "send_ledger",
    metadata,
    Column("reply", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("case_id", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("provider_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("planned_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_send_ledger_case", "tenant", "case_id"),
    Index("ix_send_ledger_state", "state", "changed_at"),
)

_plan = insert_ignore(send_ledger, ["reply"])

_begin = (
    update(send_ledger)
    .where(
        send_ledger.c.reply == bindparam("b_reply"),
        send_ledger.c.state == bindparam("b_from"),
        or_(
            send_ledger.c.purpose != "marketing",
            may_contact(
                send_ledger.c.tenant,
                send_ledger.c.person,
                send_ledger.c.purpose,
                send_ledger.c.channel,
                bindparam("b_now"),
            ),
        ),
    )
    .values(state="sending", attempt=send_ledger.c.attempt + 1, changed_at=bindparam("b_at"))
)

_settle = (
    update(send_ledger)
    .where(send_ledger.c.reply == bindparam("b_reply"), send_ledger.c.state == bindparam("b_from"))
    .values(
        state=bindparam("b_state"),
        provider_id=bindparam("b_provider"),
        reason=bindparam("b_reason"),
        changed_at=bindparam("b_at"),
    )
)

reply_row = select(send_ledger).where(send_ledger.c.reply == bindparam("reply"))
"""The ledger row of one reply."""

replies_of = (
    select(send_ledger)
    .where(send_ledger.c.tenant == bindparam("tenant"), send_ledger.c.case_id == bindparam("case_id"))
    .order_by(send_ledger.c.planned_at, send_ledger.c.reply)
)
"""The ledger rows of one case, oldest first."""


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
            "kind": reply.kind,
            "purpose": reply.purpose,
            "state": "planned",
            "attempt": 0,
            "provider_id": "",
            "reason": "",
            "planned_at": at,
            "changed_at": at,
            "body": body.decode(),
        },
    )
    return (row,), (reply_record(reply, body, now, headers),)


def reply_record(reply: Reply, body: bytes, now: datetime, headers: Mapping[str, str] | None = None) -> Record:
    """The record that carries a reply to the senders of its channel."""
    own = envelope(record_id=reply.id, kind="reply", source="workers", tenant=reply.tenant, at=now, subject=reply.case)
    return Record(
        topic=reply_topic(reply.channel),
        key=reply.case,
        value=body,
        id=reply.id,
        headers={**(headers or {}), **own},
    )


def begin_sending(reply_id: str, now: datetime, *, from_state: str = "planned") -> Write:
    """Enter `sending`, guarded: only from `from_state`, and for marketing only with permission at this moment."""
    at = to_micros(now)
    return Write(
        statement=_begin, params={"b_reply": reply_id, "b_from": from_state, "b_now": at, "b_at": at}, expect=1
    )


def set_state(
    reply_id: str, state: str, now: datetime, *, from_state: str = "sending", provider_id: str = "", reason: str = ""
) -> Write:
    """Leave `from_state` for `state`; nothing changes when the row is elsewhere already."""
    return Write(
        statement=_settle,
        params={
            "b_reply": reply_id,
            "b_from": from_state,
            "b_state": state,
            "b_provider": provider_id,
            "b_reason": reason,
            "b_at": to_micros(now),
        },
    )
