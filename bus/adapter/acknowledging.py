"""The loop guard of all channels, second half: when an acknowledgement may go out that nobody asked for.

It is counted: once per case, once per address and day, and a breaker per sender domain. The decision is pure; the table
keeps what it needs to remember, and `acknowledged` is a `Write` that goes into the same outcome as the acknowledgement.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import BigInteger, Column, Index, Table, Text, bindparam, or_, select

from bus.clock import to_micros
from bus.delivery.outcome import Write
from bus.store.schema import metadata
from bus.store.sql import insert_ignore

__all__ = [
    "ACKNOWLEDGED",
    "Acknowledgement",
    "acknowledged",
    "acknowledgement_keys",
    "acknowledgements",
    "history",
    "may_acknowledge",
]


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """One that went out: for which case, to whom (a key, never the address itself), when."""

    case: str
    address_key: str
    domain_key: str
    at: datetime


_PER_ADDRESS = timedelta(hours=24)
_BREAKER_WINDOW = timedelta(hours=1)
_BREAKER_COUNT = 50
"""Acknowledgements to one domain in an hour. A small sender's loop ends here; a large provider's customers in one
hour's rush still get their answers, only the acknowledgement is left out."""


def may_acknowledge(
    past: Sequence[Acknowledgement], now: datetime, *, case: str, address: str, breaker_count: int = _BREAKER_COUNT
) -> str:
    """Empty when an acknowledgement may go out, else why not: case, address or breaker.

    `past` holds at least what `history` reads. At most one per case ever, one per address in 24 h, and
    `breaker_count` per sender domain in an hour. `breaker` is worth an operator's look.
    """
    address_key, domain_key = acknowledgement_keys(address)
    if any(one.case == case for one in past):
        return "case"
    if any(one.address_key == address_key and now - one.at < _PER_ADDRESS for one in past):
        return "address"
    recent = sum(1 for one in past if one.domain_key == domain_key and now - one.at < _BREAKER_WINDOW)
    return "breaker" if recent >= breaker_count else ""


def acknowledgement_keys(address: str) -> tuple[str, str]:
    """(address key, domain key): digests, because a counter needs no personal data. A `+detail` is left out."""
    local, _, domain = address.strip().lower().rpartition("@")
    local = local.split("+", 1)[0]
    return _key(f"{local}@{domain}"), _key(domain or local)


def _key(value: str) -> str:
    return hashlib.blake2b(value.encode("utf-8", "replace"), digest_size=12).hexdigest()


acknowledgements = Table(
    "acknowledgement",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("case_id", Text, primary_key=True),
    Column("address_key", Text, nullable=False),
    Column("domain_key", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("ix_acknowledgement_recent", "tenant", "domain_key", "at"),
)

history = select(acknowledgements).where(
    acknowledgements.c.tenant == bindparam("tenant"),
    or_(
        acknowledgements.c.case_id == bindparam("case_id"),
        # Addresses of one key have one domain, so this covers both counts.
        (acknowledgements.c.domain_key == bindparam("domain_key")) & (acknowledgements.c.at > bindparam("since")),
    ),
)
"""Rows for `may_acknowledge`: parameters tenant, case_id, domain_key, since (micros, 24 h ago)."""

ACKNOWLEDGED = insert_ignore(acknowledgements, ["tenant", "case_id"])


def acknowledged(tenant: str, case: str, address: str, now: datetime) -> Write:
    """The write that goes with an acknowledgement. Its guard makes the second one of a case a `Conflict`."""
    address_key, domain_key = acknowledgement_keys(address)
    params = {
        "tenant": tenant,
        "case_id": case,
        "address_key": address_key,
        "domain_key": domain_key,
        "at": to_micros(now),
    }
    return Write(statement=ACKNOWLEDGED, params=params, expect=1)
