"""Tables of the desk: who is signed in, who looks at which case, what is being written, which files came with it.

Secrets are kept as digests: the table opens no door.
"""

from sqlalchemy import BigInteger, Column, Index, Table, Text, bindparam, delete, select, update

from bus.store.schema import metadata
from bus.store.sql import insert_ignore, upsert

__all__ = [
    "DROP_DRAFT",
    "DROP_SESSION",
    "DROP_VIEWER",
    "FORGET_VIEWERS",
    "INSERT_FILE",
    "INSERT_SESSION",
    "KEEP_DRAFT",
    "KEEP_VIEWER",
    "RENEW_VIEWER",
    "SELECT_DRAFTS",
    "SELECT_FILES",
    "SELECT_PEOPLE",
    "SELECT_SESSION",
    "SELECT_VIEWERS",
    "USE_LINK",
    "case_file",
    "desk_draft",
    "desk_link",
    "desk_session",
    "desk_viewer",
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

desk_viewer = Table(
    "desk_viewer",
    metadata,
    Column("tenant", Text, primary_key=True, nullable=False),
    Column("page", Text, primary_key=True, nullable=False),
    Column("person", Text, nullable=False),
    Column("case_id", Text, nullable=False),
    Column("writing", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
)
"""Which page of whom shows which case now, and whether something is being written there (1 or 0). The process that
holds the page's feed renews `seen`; a row that nobody renews counts no longer."""

desk_draft = Table(
    "desk_draft",
    metadata,
    Column("tenant", Text, primary_key=True, nullable=False),
    Column("case_id", Text, primary_key=True, nullable=False),
    Column("person", Text, primary_key=True, nullable=False),
    Column("mode", Text, primary_key=True, nullable=False),
    Column("text", Text, nullable=False),
    Column("updated", BigInteger, nullable=False),
)
"""What somebody has begun to write for a case: `mode` is reply or note."""

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

KEEP_VIEWER = upsert(desk_viewer, ["tenant", "page"])
RENEW_VIEWER = (
    update(desk_viewer)
    .where(desk_viewer.c.tenant == bindparam("of_tenant"), desk_viewer.c.page == bindparam("of_page"))
    .values(seen=bindparam("now"))
)
DROP_VIEWER = delete(desk_viewer).where(
    desk_viewer.c.tenant == bindparam("of_tenant"), desk_viewer.c.page == bindparam("of_page")
)
FORGET_VIEWERS = delete(desk_viewer).where(
    desk_viewer.c.tenant == bindparam("of_tenant"), desk_viewer.c.seen < bindparam("before")
)
SELECT_VIEWERS = (
    select(desk_viewer)
    .where(desk_viewer.c.tenant == bindparam("tenant"), desk_viewer.c.seen >= bindparam("since"))
    .order_by(desk_viewer.c.person, desk_viewer.c.page)
)

KEEP_DRAFT = upsert(desk_draft, ["tenant", "case_id", "person", "mode"])
DROP_DRAFT = delete(desk_draft).where(
    desk_draft.c.tenant == bindparam("of_tenant"),
    desk_draft.c.case_id == bindparam("of_case"),
    desk_draft.c.person == bindparam("of_person"),
    desk_draft.c.mode == bindparam("of_mode"),
)
SELECT_DRAFTS = select(desk_draft).where(
    desk_draft.c.tenant == bindparam("tenant"),
    desk_draft.c.case_id == bindparam("case_id"),
    desk_draft.c.person == bindparam("person"),
)
