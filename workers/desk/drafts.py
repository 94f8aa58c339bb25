"""What somebody has begun to write for a case: kept until it is sent, on whatever machine he goes on.

Kept per person, so nobody sees a colleague's half sentence; who is writing is shown by `workers.desk.presence`.
"""

from collections.abc import Mapping
from typing import Any

from bus.clock import Clock, from_micros, to_micros
from bus.delivery.outcome import Outcome, Write
from bus.store.port import Effect, Store
from workers.desk.schema import DROP_DRAFT, KEEP_DRAFT, SELECT_DRAFTS

__all__ = ["MODES", "Drafts", "drop"]

MODES = ("reply", "note")


class Drafts:
    """Keeps drafts. The tenant and the person come from the session."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def keep(self, tenant: str, case: str, person: str, mode: str, text: str) -> None:
        """The newest text of a draft; nothing is kept of an empty one."""
        if text:
            row = {
                "tenant": tenant, "case_id": case, "person": person, "mode": mode, "text": text,
                "updated": to_micros(self._clock.now()),
            }  # fmt: skip
            write = Write(statement=KEEP_DRAFT, params=row)
        else:
            write = drop(tenant, case, person, mode)
        await self._store.apply([Effect(outcome=Outcome(writes=(write,)))])

    async def of(self, tenant: str, case: str, person: str) -> Mapping[str, Mapping[str, Any]]:
        """The drafts of a person for a case, by mode: `text` and `at`."""
        rows = await self._store.all(SELECT_DRAFTS, {"tenant": tenant, "case_id": case, "person": person})
        return {row["mode"]: {"text": row["text"], "at": from_micros(row["updated"])} for row in rows}


def drop(tenant: str, case: str, person: str, mode: str) -> Write:
    """What was sent is no draft any more: goes into the transaction that sends it."""
    params = {"of_tenant": tenant, "of_case": case, "of_person": person, "of_mode": mode}
    return Write(statement=DROP_DRAFT, params=params)
