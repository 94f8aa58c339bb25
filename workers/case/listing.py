"""Cases as data, for lists, scripts and exports: everything that is known, oldest first."""

from typing import Any

import msgspec
from sqlalchemy import bindparam, or_, select

from bus.clock import from_micros
from bus.store.port import Row, Store
from workers.case.schema import case_event, cases

__all__ = ["list_cases", "show_case"]

_ALL = (
    select(cases)
    .where(cases.c.tenant == bindparam("tenant"))
    .order_by(cases.c.created, cases.c.id)
    .limit(bindparam("most"))
)
_ONE = select(cases).where(
    cases.c.tenant == bindparam("tenant"), or_(cases.c.id == bindparam("name"), cases.c.number == bindparam("name"))
)
_EVENTS = (
    select(case_event)
    .where(case_event.c.tenant == bindparam("tenant"), case_event.c.case_id == bindparam("case_id"))
    .order_by(case_event.c.seq)
)

_NO_LIMIT = 2**62
"""More rows than there will ever be: PostgreSQL takes no negative limit."""


async def list_cases(store: Store, tenant: str, limit: int | None = None) -> list[dict[str, Any]]:
    """Every case of a tenant, the newest state of each."""
    rows = await store.all(_ALL, {"tenant": tenant, "most": _NO_LIMIT if limit is None else limit})
    return [_case(row) for row in rows]


async def show_case(store: Store, tenant: str, name: str) -> dict[str, Any] | None:
    """One case by id or number with its `timeline`: each event with `seq`, `at`, `kind`, `actor` and its own fields."""
    row = await store.one(_ONE, {"tenant": tenant, "name": name})
    if row is None:
        return None
    events = await store.all(_EVENTS, {"tenant": tenant, "case_id": row["id"]})
    return {**_case(row), "timeline": [_event(event) for event in events]}


def _case(row: Row) -> dict[str, Any]:
    state = msgspec.json.decode(row["snapshot"])
    return {
        "id": row["id"],
        "number": row["number"],
        "status": row["status"],
        "with_person": state.get("with_person", False),
        "department": row["department"],
        "language": row["language"],
        "channel": row["channel"],
        "person": row["person"],
        "intents": state.get("intents", []),
        "outcome": state.get("outcome", ""),
        "done": state.get("done", []),
        "proof": state.get("proof", "none"),
        "link": state.get("link", ""),
        "claims": state.get("claims", ""),
        "pending": (state.get("pending") or {}).get("kind", ""),
        "subject": row["subject"],
        "promises": state.get("promises", []),
        "contacts": state.get("contacts", []),
        "created": from_micros(row["created"]).isoformat(),
        "updated": from_micros(row["updated"]).isoformat(),
    }


def _event(row: Row) -> dict[str, Any]:
    return {**msgspec.json.decode(row["data"]), "seq": row["seq"], "kind": row["kind"], "actor": row["actor"]}
