"""The table of calls: one row per call, its whole state in one column, guarded by a version."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, and_, bindparam, delete, func, select, update

from bus.store.schema import metadata
from bus.store.sql import insert_ignore

__all__ = ["ADD_CALL", "CALLS_FROM", "DUE_CALLS", "FORGET_CALL", "LOAD_CALL", "SAVE_CALL", "phone_call"]

phone_call = Table(
    "phone_call",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("call_sid", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("began_at", BigInteger, nullable=False),
    # When somebody has to look at the call even if the provider says nothing more: to end, to settle, to forget it.
    Column("due_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Index(None, "tenant", "due_at"),
    Index(None, "tenant", "caller", "began_at"),
)

_THIS = and_(phone_call.c.tenant == bindparam("b_tenant"), phone_call.c.call_sid == bindparam("b_call_sid"))

LOAD_CALL = select(phone_call.c.version, phone_call.c.body).where(_THIS)
ADD_CALL = insert_ignore(phone_call, ["tenant", "call_sid"])
SAVE_CALL = (
    update(phone_call)
    .where(_THIS, phone_call.c.version == bindparam("b_version"))
    .values(
        version=bindparam("b_next"), state=bindparam("b_state"), due_at=bindparam("b_due_at"), body=bindparam("b_body")
    )
)
FORGET_CALL = delete(phone_call).where(_THIS, phone_call.c.version == bindparam("b_version"))
CALLS_FROM = (
    select(func.count().label("calls"))
    .select_from(phone_call)
    .where(
        phone_call.c.tenant == bindparam("b_tenant"),
        phone_call.c.caller == bindparam("b_caller"),
        phone_call.c.began_at >= bindparam("b_since"),
    )
)
DUE_CALLS = (
    select(phone_call.c.call_sid)
    .where(phone_call.c.tenant == bindparam("b_tenant"), phone_call.c.due_at <= bindparam("b_now"))
    .order_by(phone_call.c.due_at)
    .limit(bindparam("b_limit"))
)
