"""The durable events of chat conversations: the one truth that every socket of a conversation reads from."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, UniqueConstraint

from bus.store.schema import metadata

__all__ = ["UNSEEN", "chat_event"]

UNSEEN = 0
"""`seen` of a reply that no client has acknowledged; above it the rank of the status that was reported."""

chat_event = Table(
    "chat_event",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("session", Text, primary_key=True),
    # 1, 2, 3 ... per conversation without gaps. It is given in the inserting transaction and unique, so an event is
    # never committed before one with a lower number: who reads on from a number misses nothing.
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("speaker", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("seen", Integer, nullable=False),
    UniqueConstraint("tenant", "id"),
    # Who waits for a person: few kinds, recent times.
    Index(None, "tenant", "kind", "at"),
)
