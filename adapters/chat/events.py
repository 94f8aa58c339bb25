"""Events of a conversation: written once each, read in order.

A conversation's own table, not the log, carries them: both directions must have one order, and a reply is visible in
the same transaction that makes it durable.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Integer, Text, and_, bindparam, delete, exists, func, insert, select, update

from adapters.chat.schema import UNSEEN, chat_event
from bus.clock import from_micros, to_micros
from bus.delivery.outcome import Outcome, Write
from bus.errors import TransientError
from bus.message import encode
from bus.store.port import Effect, Row, Store

__all__ = ["PAGE", "Events", "StoredEvent"]

PAGE = 100
"""Events read and sent at a time: a long conversation is replayed in bounded steps."""

_ATTEMPTS = 5
"""Of an insert that another process beat to the same number; each beating is progress of the other."""

_event = chat_event.c
_newest = select(func.coalesce(func.max(_event.seq), 0) + 1).where(
    _event.tenant == bindparam("tenant"), _event.session == bindparam("session")
)

INSERT = insert(chat_event).from_select(
    ["tenant", "session", "seq", "id", "kind", "speaker", "data", "at", "seen"],
    select(
        bindparam("tenant", type_=Text()),
        bindparam("session", type_=Text()),
        _newest.scalar_subquery(),
        bindparam("id", type_=Text()),
        bindparam("kind", type_=Text()),
        bindparam("speaker", type_=Text()),
        bindparam("data", type_=Text()),
        bindparam("at", type_=BigInteger()),
        bindparam("seen", type_=Integer()),
    ).where(~exists().where(and_(_event.tenant == bindparam("tenant"), _event.id == bindparam("id")))),
)

MARK_SEEN = (
    update(chat_event)
    .where(
        _event.tenant == bindparam("of_tenant"),
        _event.session == bindparam("of_session"),
        _event.seq <= bindparam("upto"),
        _event.speaker != "visitor",
        _event.seen < bindparam("rank"),
    )
    .values(seen=bindparam("rank"))
)

AFTER = (
    select(chat_event)
    .where(
        _event.tenant == bindparam("tenant"),
        _event.session == bindparam("session"),
        _event.seq > bindparam("after"),
    )
    .order_by(_event.seq)
    .limit(PAGE)
)

BY_ID = select(chat_event).where(_event.tenant == bindparam("tenant"), _event.id == bindparam("id"))

HEAD = select(func.coalesce(func.max(_event.seq), 0).label("head")).where(
    _event.tenant == bindparam("tenant"), _event.session == bindparam("session")
)

NOT_SEEN = (
    select(chat_event)
    .where(
        _event.tenant == bindparam("tenant"),
        _event.session == bindparam("session"),
        _event.seq <= bindparam("upto"),
        _event.speaker != "visitor",
        _event.seen < bindparam("rank"),
    )
    .order_by(_event.seq)
    .limit(PAGE)
)

_later = chat_event.alias("later")
WAITING = (
    select(_event.session, func.min(_event.at).label("since"))
    .where(
        _event.tenant == bindparam("tenant"),
        _event.kind == "handover",
        _event.at >= bindparam("since"),
        ~exists().where(
            _later.c.tenant == _event.tenant,
            _later.c.session == _event.session,
            _later.c.seq > _event.seq,
            (_later.c.speaker == "person") | (_later.c.kind == "closed"),
        ),
    )
    .group_by(_event.session)
)


FORGOTTEN_AT_ONCE = 200
"""Conversations deleted in one transaction: some thousand rows."""

_old, _newer = chat_event.alias("old"), chat_event.alias("newer")
FORGET = delete(chat_event).where(
    _event.tenant == bindparam("of_tenant"),
    _event.session.in_(
        # Every conversation begins with a message of its visitor, so the index of kinds and times finds the old ones.
        select(_old.c.session)
        .where(
            _old.c.tenant == bindparam("of_tenant"),
            _old.c.kind == "message",
            _old.c.at < bindparam("before"),
            ~exists().where(
                _newer.c.tenant == _old.c.tenant, _newer.c.session == _old.c.session, _newer.c.at >= bindparam("before")
            ),
        )
        .distinct()
        .limit(FORGOTTEN_AT_ONCE)
    ),
)


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it lies in the table. `data` is what travels to the client and, for replies, `case`."""

    session: str
    seq: int
    id: str
    kind: str
    speaker: str
    data: dict[str, Any]
    at: datetime


class Events:
    """The events of one tenant's conversations."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        # Made once, with the tenant in it: many conversations are looked up by their keys alone.
        self._heads = (
            select(_event.session, func.max(_event.seq).label("head"))
            .where(_event.tenant == tenant)
            .group_by(_event.session)
        )

    async def append(
        self, session: str, *, event_id: str, kind: str, speaker: str, data: Mapping[str, Any], at: datetime
    ) -> tuple[StoredEvent, bool]:
        """Write an event at the end of its conversation; (event, whether it is new).

        An id that is there already changes nothing and gives the event that was written first. Raises TransientError.
        """
        write = Write(
            statement=INSERT,
            params={
                "tenant": self._tenant,
                "session": session,
                "id": event_id,
                "kind": kind,
                "speaker": speaker,
                "data": encode(data).decode(),
                "at": to_micros(at),
                "seen": UNSEEN,
            },
            expect=1,
        )
        for _ in range(_ATTEMPTS):
            (result,) = await self._store.apply([Effect(outcome=Outcome(writes=(write,)))])
            found = await self._store.one(BY_ID, {"tenant": self._tenant, "id": event_id})
            if found is not None:
                return _stored(found), result.applied
        raise TransientError("a chat event found no place in its conversation")

    async def after(self, session: str, sequence: int) -> Sequence[StoredEvent]:
        """Up to PAGE events after a place, in order."""
        rows = await self._store.all(AFTER, {"tenant": self._tenant, "session": session, "after": sequence})
        return [_stored(row) for row in rows]

    async def head(self, session: str) -> int:
        """The newest place of a conversation; 0 when nothing was ever said."""
        row = await self._store.one(HEAD, {"tenant": self._tenant, "session": session})
        return int(row["head"]) if row else 0

    async def heads(self, sessions: Sequence[str]) -> Mapping[str, int]:
        """The newest place of each of many conversations."""
        rows = await self._store.by_keys(self._heads, _event.session, sessions)
        return {row["session"]: int(row["head"]) for row in rows}

    async def not_seen(self, session: str, upto: int, rank: int) -> Sequence[StoredEvent]:
        """Replies up to a place whose status is below `rank`, in order; at most PAGE."""
        rows = await self._store.all(NOT_SEEN, {"tenant": self._tenant, "session": session, "upto": upto, "rank": rank})
        return [_stored(row) for row in rows]

    async def mark_seen(self, session: str, upto: int, rank: int) -> None:
        """Remember that the status of `rank` was reported for replies up to a place."""
        params = {"of_tenant": self._tenant, "of_session": session, "upto": upto, "rank": rank}
        await self._store.apply([Effect(outcome=Outcome(writes=(Write(statement=MARK_SEEN, params=params),)))])

    async def forget(self, before: datetime) -> None:
        """Delete some of the conversations in which nothing was said since a moment; whole ones, never a part."""
        params = {"of_tenant": self._tenant, "before": to_micros(before)}
        await self._store.apply([Effect(outcome=Outcome(writes=(Write(statement=FORGET, params=params),)))])

    async def waiting(self, since: datetime) -> Sequence[str]:
        """The conversations that have waited for a person since a moment or later, longest first."""
        rows = await self._store.all(WAITING, {"tenant": self._tenant, "since": to_micros(since)})
        return [row["session"] for row in sorted(rows, key=lambda row: (row["since"], row["session"]))]


def _stored(row: Row) -> StoredEvent:
    return StoredEvent(
        session=row["session"],
        seq=row["seq"],
        id=row["id"],
        kind=row["kind"],
        speaker=row["speaker"],
        data=msgspec.json.decode(row["data"]),
        at=from_micros(row["at"]),
    )
