"""Where calls are kept: loaded with a version, saved only if nobody else saved first."""

from collections.abc import Sequence
from typing import Protocol

from adapters.phone.call import Call
from adapters.phone.schema import ADD_CALL, CALLS_FROM, DUE_CALLS, FORGET_CALL, LOAD_CALL, SAVE_CALL
from bus.delivery.outcome import Outcome, Write
from bus.errors import PermanentError
from bus.message import decode, encode
from bus.store.port import Effect, Store

__all__ = ["Calls", "StoredCalls", "due_of", "is_forgettable", "is_lost"]

_SECOND = 1_000_000
_SILENT_S = 600
"""The longest that a living call keeps the provider from asking: a long answer read out, or a recording."""
_TALK_S = 4 * 3600
"""As long may a caller talk with the person whose telephone was dialled (the provider ends a Dial after 4 hours)."""
_SETTLE_S = 30
"""When a call that owes something (a contact, a report) is looked at again."""
_KEEP_S = 86_400
"""A finished call stays known for a day, for late requests and late replies."""


class Calls(Protocol):
    """What the channel needs of its table."""

    async def load(self, sid: str) -> tuple[Call | None, int]:
        """The call and its version; (None, 0) if it is unknown."""
        ...

    async def save(self, call: Call, version: int, now: int) -> bool:
        """Keep the call if its version is still `version`; False when somebody else was first."""
        ...

    async def calls_from(self, caller: str, since: int) -> int:
        """How many calls a number has made since a moment."""
        ...

    async def due(self, now: int, limit: int) -> Sequence[str]:
        """Calls that somebody has to look at."""
        ...

    async def forget(self, sid: str, version: int) -> None:
        """Drop a call that is finished and settled."""
        ...


class StoredCalls:
    """`Calls` on the house's store."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    async def load(self, sid: str) -> tuple[Call | None, int]:
        row = await self._store.one(LOAD_CALL, self._this(sid))
        return (None, 0) if row is None else (decode(str(row["body"]).encode(), Call), int(row["version"]))

    async def save(self, call: Call, version: int, now: int) -> bool:
        body = encode(call).decode()
        due_at = due_of(call, now)
        if version == 0:
            values = {
                "tenant": self._tenant, "call_sid": call.sid, "version": 1, "state": call.state,
                "caller": call.caller, "began_at": call.began_at, "due_at": due_at, "body": body,
            }  # fmt: skip
            return await self._write(Write(statement=ADD_CALL, params=values, expect=1))
        values = {
            **self._this(call.sid), "b_version": version, "b_next": version + 1, "b_state": call.state,
            "b_due_at": due_at, "b_body": body,
        }  # fmt: skip
        return await self._write(Write(statement=SAVE_CALL, params=values, expect=1))

    async def calls_from(self, caller: str, since: int) -> int:
        params = {"b_tenant": self._tenant, "b_caller": caller, "b_since": since}
        row = await self._store.one(CALLS_FROM, params)
        return 0 if row is None else int(row["calls"])

    async def due(self, now: int, limit: int) -> Sequence[str]:
        rows = await self._store.all(DUE_CALLS, {"b_tenant": self._tenant, "b_now": now, "b_limit": limit})
        return [str(row["call_sid"]) for row in rows]

    async def forget(self, sid: str, version: int) -> None:
        await self._write(Write(statement=FORGET_CALL, params={**self._this(sid), "b_version": version}))

    async def _write(self, write: Write) -> bool:
        (result,) = await self._store.apply([Effect(outcome=Outcome(writes=(write,)))])
        if not result.applied and result.reason != "conflict":
            raise PermanentError(f"the state of a call was refused: {result.reason} {result.detail}")
        return result.applied

    def _this(self, sid: str) -> dict[str, str]:
        return {"b_tenant": self._tenant, "b_call_sid": sid}


def is_lost(call: Call, now: int) -> bool:
    """Whether a call has been silent for longer than a living one can be."""
    return call.state not in ("over", "busy") and now >= call.heard_at + _silent_s(call) * _SECOND


def is_forgettable(call: Call, now: int) -> bool:
    """Whether nothing more can come of a finished call."""
    done = call.state in ("over", "busy") and not call.owed and not call.reports
    return done and now >= call.heard_at + _KEEP_S * _SECOND


def due_of(call: Call, now: int) -> int:
    """When a call is to be looked at again."""
    if call.owed or call.reports:
        return now + _SETTLE_S * _SECOND
    return call.heard_at + (_KEEP_S if call.state in ("over", "busy") else _silent_s(call)) * _SECOND


def _silent_s(call: Call) -> int:
    """The longest that the provider may have nothing to ask about a living call as it stands."""
    may_be_talking = call.state == "queue" and call.reason == "overloaded" and not (call.parked or call.dialled)
    return _TALK_S if may_be_talking else _SILENT_S
