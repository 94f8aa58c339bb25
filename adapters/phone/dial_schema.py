"""The table of call-backs: one row per try, by the reply that it is."""

from sqlalchemy import BigInteger, Column, Table, Text, and_, bindparam, case, delete, select, update

from bus.store.schema import metadata
from bus.store.sql import insert_ignore

__all__ = ["ADD_DIAL", "DROP_DIAL", "FORGET_DIALS", "LOAD_DIAL", "MOVE_DIAL", "phone_dial"]

phone_dial = Table(
    "phone_dial",
    metadata,
    Column("tenant", Text, primary_key=True, nullable=False),
    Column("reply", Text, primary_key=True, nullable=False),
    Column("case_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("call_sid", Text, nullable=False),
    Column("line", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)
"""`call_sid` is empty until the provider has named the call: such a row may have rung. `number` is the case's."""

_THIS = and_(phone_dial.c.tenant == bindparam("b_tenant"), phone_dial.c.reply == bindparam("b_reply"))

LOAD_DIAL = select(phone_dial).where(_THIS)
ADD_DIAL = insert_ignore(phone_dial, ["tenant", "reply"])
MOVE_DIAL = (
    update(phone_dial)
    .where(_THIS, phone_dial.c.state == bindparam("b_from"))
    .values(
        state=bindparam("b_state"),
        # The provider's first request may be faster than its answer to ours, which names the call.
        call_sid=case((phone_dial.c.call_sid == "", bindparam("b_sid", type_=Text)), else_=phone_dial.c.call_sid),
    )
)
DROP_DIAL = delete(phone_dial).where(_THIS)
FORGET_DIALS = delete(phone_dial).where(
    phone_dial.c.tenant == bindparam("b_tenant"), phone_dial.c.at < bindparam("b_before")
)
