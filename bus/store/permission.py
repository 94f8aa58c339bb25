"""The consent ledger: who agreed to be contacted for what, and who wants to be left alone. Rows are only ever added.

What follows from the rows: `bus.delivery.consent`. Both given and withdrawn belong to a person, not to an address:
"stop" said on one channel holds on all of them. A row may belong to an address as well, for people whose other
addresses we do not know to be theirs.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, bindparam, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from bus.clock import from_micros, to_micros
from bus.delivery.consent import CALLBACK, EVERYTHING, Entry
from bus.delivery.outcome import Write
from bus.message import Party, derive_id
from bus.store.port import Row
from bus.store.schema import metadata
from bus.store.sql import insert_ignore

__all__ = [
    "call_back_write",
    "consent_ledger",
    "consent_write",
    "entries_about",
    "entries_for",
    "entry_count",
    "entry_of",
    "recipient_key",
    "withdrawal_write",
]

consent_ledger = Table(
    "consent_ledger",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("person", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("recipient", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("given", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("evidence", Text, nullable=False),
    Index("ix_consent_ledger_recipient", "tenant", "recipient"),
)
"""`given`: 1 agreed, 0 withdrawn. `recipient` is the digest of an address (`recipient_key`) or empty, `purpose` and
`channel` are empty for all of them, `expires_at` 0 for never. `evidence` is the contact that said so, or where and how
consent was given: it must be shown on request (section 7a UWG keeps it 5 years)."""

_add = insert_ignore(consent_ledger, ["tenant", "person", "id"])

entries_for = select(consent_ledger).where(
    consent_ledger.c.tenant == bindparam("tenant"),
    or_(
        consent_ledger.c.person == bindparam("person"),
        (consent_ledger.c.recipient == bindparam("recipient")) & (consent_ledger.c.recipient != ""),
    ),
)
"""Everything known of a person and of one address (`recipient` empty: of none)."""

entries_about = select(consent_ledger).where(
    consent_ledger.c.tenant == bindparam("tenant"),
    or_(consent_ledger.c.purpose == bindparam("purpose"), consent_ledger.c.purpose == EVERYTHING),
)
"""Everything that everybody has said about a purpose."""


def entry_count(
    tenant: ColumnElement[str], person: ColumnElement[str], recipient: ColumnElement[str]
) -> ColumnElement[int]:
    """How many rows `entries_for` finds: as rows are never changed, the same number means the same knowledge."""
    return (
        select(func.count())
        .select_from(consent_ledger)
        .where(
            consent_ledger.c.tenant == tenant,
            or_(
                consent_ledger.c.person == person,
                (consent_ledger.c.recipient == recipient) & (consent_ledger.c.recipient != ""),
            ),
        )
        .scalar_subquery()
    )


def entry_of(row: Row) -> Entry:
    """What a row says."""
    return Entry(
        purpose=row["purpose"], channel=row["channel"], given=bool(row["given"]), at=from_micros(row["at"]),
        expires_at=from_micros(row["expires_at"]) if row["expires_at"] else None, evidence=row["evidence"],
    )  # fmt: skip


def recipient_key(tenant: str, to: Party) -> str:
    """The digest by which one address is known to the ledgers."""
    return derive_id("a", tenant, to.kind, to.address.strip().casefold())


def consent_write(
    *, tenant: str, person: str, purpose: str, channel: str, evidence: str, granted_at: datetime,
    expires_at: datetime | None,
) -> Write:  # fmt: skip
    """Record that a person agreed to be contacted for a purpose on a channel (empty: on all), until it is withdrawn or
    to the end of a time."""
    return _entry(
        tenant=tenant, person=person, purpose=purpose, channel=channel, evidence=evidence, at=to_micros(granted_at),
        expires_at=to_micros(expires_at) if expires_at is not None else 0, given=1, recipient="",
    )  # fmt: skip


def call_back_write(*, tenant: str, person: str, contact: str, now: datetime) -> Write:
    """Record that a person asked, with this contact, to be called back: it lifts an earlier "stop" for that."""
    return consent_write(
        tenant=tenant, person=person, purpose=CALLBACK, channel="phone", evidence=contact, granted_at=now,
        expires_at=None,
    )  # fmt: skip


def withdrawal_write(
    *, tenant: str, person: str, evidence: str, now: datetime, purpose: str = EVERYTHING, recipient: str = ""
) -> Write:
    """Record that a person wants no contact for a purpose (empty: for none), on any channel.

    `evidence` is the contact that said so. Without a `person` it holds for the address alone.
    """
    return _entry(
        tenant=tenant, person=person or recipient, purpose=purpose, channel="", evidence=evidence, at=to_micros(now),
        expires_at=0, given=0, recipient=recipient,
    )  # fmt: skip


def _entry(
    *, tenant: str, person: str, purpose: str, channel: str, evidence: str, at: int, expires_at: int, given: int,
    recipient: str,
) -> Write:  # fmt: skip
    # Withdrawn twice with the same words is withdrawn once, whoever of us wrote it down first.
    moment = str(at) if given else ""
    own = {
        "tenant": tenant, "person": person, "recipient": recipient, "purpose": purpose, "channel": channel,
        "given": given, "at": at, "expires_at": expires_at, "evidence": evidence,
    }  # fmt: skip
    entry_id = derive_id("s", tenant, person, recipient, purpose, channel, str(given), evidence, moment)
    return Write(statement=_add, params={**own, "id": entry_id})
