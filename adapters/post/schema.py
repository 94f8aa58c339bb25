"""Tables of the post channel."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from bus.store.schema import metadata

__all__ = ["post_file", "post_letter"]

post_file = Table(
    "post_file",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("file", Text, primary_key=True, comment="derived from name, size and time of change"),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False, comment="waiting, retry, accepted, done, held, gone"),
    Column("sha256", Text, nullable=False, default=""),
    Column("contact", Text, nullable=False, default=""),
    Column("reason", Text, nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),
    Column("since", BigInteger, nullable=False, comment="microseconds; when this state of the file was first seen"),
    Column("next_attempt", BigInteger, nullable=False, comment="microseconds"),
    Index(None, "tenant", "sha256"),
    comment="every file of the drop folder, so that none is forgotten",
)

post_letter = Table(
    "post_letter",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("reply", Text, primary_key=True),
    Column("case", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("state", Text, nullable=False, comment="planned, handing, handed, printed, posted, failed"),
    Column("at", BigInteger, nullable=False, comment="microseconds"),
    comment="every letter that was or may have been put into the tray",
)
