"""How much a case has heard from its customer, and whether it is closed: asked when a sending starts.

A number, not a time: clocks of two hosts disagree. `heard` counts the customer's contacts from the moment they are
linked to the case, before anybody has worked on them; a decision carries how many of them it knew. So an answer that
was decided before the customer's newest words is recognised by comparing two integers, whichever way they raced.
"""

from sqlalchemy import BigInteger, Column, Integer, Table, Text, bindparam, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from bus.delivery.outcome import Write
from bus.store.schema import metadata
from bus.store.sql import upsert_with

__all__ = ["closed_write", "conversation_head", "head_of", "heard_write", "overtaken"]

conversation_head = Table(
    "conversation_head",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("case_id", Text, primary_key=True),
    Column("heard", BigInteger, nullable=False),
    Column("closed", Integer, nullable=False),
)
"""A row per case. What machines send (an out-of-office note, a bounce) is no word of the customer and not counted."""

_hear = upsert_with(
    conversation_head,
    ["tenant", "case_id"],
    lambda given: ({"heard": conversation_head.c.heard + given.heard}, None),
)
_close = update(conversation_head).where(
    conversation_head.c.tenant == bindparam("b_tenant"), conversation_head.c.case_id == bindparam("b_case")
).values(closed=bindparam("b_closed"))  # fmt: skip

head_of = select(conversation_head).where(
    conversation_head.c.tenant == bindparam("tenant"), conversation_head.c.case_id == bindparam("case_id")
)
"""The row of one case."""


def heard_write(tenant: str, case: str, contacts: int = 1) -> Write:
    """The customer was heard in a case so many times more. Belongs to the transaction that links the contacts to it."""
    return Write(statement=_hear, params={"tenant": tenant, "case_id": case, "heard": contacts, "closed": 0})


def closed_write(tenant: str, case: str, *, closed: bool) -> Write:
    """A case was closed, or opened again. A case that never heard from anybody has no row, and no answers to stop."""
    return Write(statement=_close, params={"b_tenant": tenant, "b_case": case, "b_closed": int(closed)})


def overtaken(
    tenant: ColumnElement[str], case: ColumnElement[str], heard: ColumnElement[int], outlives_case: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Whether the customer has said more than `heard`, or the case was closed; for a statement's WHERE."""
    return (
        select(1)
        .where(
            conversation_head.c.tenant == tenant,
            conversation_head.c.case_id == case,
            or_(conversation_head.c.heard > heard, (conversation_head.c.closed == 1) & ~outlives_case),
        )
        .correlate_except(conversation_head)
        .exists()
    )
