"""Who may be written to, and for what: consent and do-not-contact, asked in the transaction that starts a sending.

Both belong to a person, not to an address: "stop" said on one channel holds on all of them. Rows are only added; a
consent ends by its expiry or by a suppression, and the evidence stays.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Table, Text, and_, exists, select
from sqlalchemy.sql.elements import ColumnElement

from bus.clock import to_micros
from bus.delivery.outcome import Write
from bus.store.schema import metadata
from bus.store.sql import insert_ignore, upsert

__all__ = ["consent", "consent_write", "may_contact", "suppression", "suppression_write"]

consent = Table(
    "consent",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("person", Text, primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("granted_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("evidence", Text, nullable=False),
)
"""`evidence` says where and how consent was given: it must be shown on request (UWG section 7a keeps it 5 years)."""

suppression = Table(
    "suppression",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("person", Text, primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
)

_grant = upsert(consent, ["tenant", "person", "purpose", "channel"])
_suppress = insert_ignore(suppression, ["tenant", "person", "purpose"])


def consent_write(
    *, tenant: str, person: str, purpose: str, channel: str, evidence: str, granted_at: datetime, expires_at: datetime
) -> Write:
    """Record that a person agreed to be contacted for a purpose on a channel."""
    return Write(
        statement=_grant,
        params={
            "tenant": tenant,
            "person": person,
            "purpose": purpose,
            "channel": channel,
            "granted_at": to_micros(granted_at),
            "expires_at": to_micros(expires_at),
            "evidence": evidence,
        },
    )


def suppression_write(
    *, tenant: str, person: str, reason: str, source: str, now: datetime, purpose: str = "marketing"
) -> Write:
    """Record that a person wants no contact for a purpose, on any channel. `source` is the contact that said so."""
    return Write(
        statement=_suppress,
        params={
            "tenant": tenant,
            "person": person,
            "purpose": purpose,
            "at": to_micros(now),
            "reason": reason,
            "source": source,
        },
    )


def may_contact(
    tenant: ColumnElement[str],
    person: ColumnElement[str],
    purpose: ColumnElement[str],
    channel: ColumnElement[str],
    now: ColumnElement[int],
) -> ColumnElement[bool]:
    """The condition under which a person may be contacted for a purpose that needs consent; for a statement's WHERE."""
    agreed = exists(
        select(1).where(
            and_(
                consent.c.tenant == tenant,
                consent.c.person == person,
                consent.c.purpose == purpose,
                consent.c.channel == channel,
                consent.c.expires_at > now,
            )
        )
    )
    refused = exists(
        select(1).where(
            and_(suppression.c.tenant == tenant, suppression.c.person == person, suppression.c.purpose == purpose)
        )
    )
    return and_(agreed, ~refused)
