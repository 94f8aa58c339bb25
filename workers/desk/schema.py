"""Tables of the desk: who is signed in, and which files came with which case.

Secrets are kept as digests: the table opens no door.
"""

from sqlalchemy import BigInteger, Column, Index, Table, Text, bindparam, delete, select

from bus.store.schema import metadata
from bus.store.sql import insert_ignore

__all__ = [
    "DROP_SESSION",
    "INSERT_FILE",
    "INSERT_SESSION",
    "SELECT_FILES",
    "SELECT_PEOPLE",
    "SELECT_SESSION",
    "USE_LINK",
    "case_file",
    "desk_link",
    "desk_session",
]

desk_link = Table(
    "desk_link",
    metadata,
    Column("nonce", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("used_at", BigInteger, nullable=False),
)
"""Login links that were used: a link works once."""

desk_session = Table(
    "desk_session",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("ix_desk_session_expires_at", "expires_at"),
)

case_file = Table(
    "case_file",
    metadata,
    Column("tenant", Text, primary_key=True, nullable=False),
    Column("case_id", Text, primary_key=True, nullable=False),
    Column("contact", Text, primary_key=True, nullable=False),
    Column("digest", Text, primary_key=True, nullable=False),
    Column("role", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)
"""Originals (`role` raw) and attachments of the contacts of a case, by blob digest: what people may open."""

USE_LINK = insert_ignore(desk_link, ["nonce"])
INSERT_SESSION = insert_ignore(desk_session, ["digest"])
DROP_SESSION = delete(desk_session).where(desk_session.c.digest == bindparam("given_digest"))
SELECT_PEOPLE = (
    select(desk_session.c.person)
    .where(desk_session.c.tenant == bindparam("tenant"), desk_session.c.expires_at > bindparam("now"))
    .distinct()
    .order_by(desk_session.c.person)
)
SELECT_SESSION = select(desk_session).where(desk_session.c.digest == bindparam("given_digest"))
INSERT_FILE = insert_ignore(case_file, ["tenant", "case_id", "contact", "digest"])
SELECT_FILES = (
    select(case_file)
    .where(case_file.c.tenant == bindparam("tenant"), case_file.c.case_id == bindparam("case_id"))
    .order_by(case_file.c.at, case_file.c.contact, case_file.c.role.desc(), case_file.c.digest)
)
