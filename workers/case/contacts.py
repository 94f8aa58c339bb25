"""The cases of a contact: it may have brought several matters, and is done when all of them are."""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import bindparam, select

from bus.store.port import Store
from workers.case.model import CLOSED
from workers.case.schema import cases, contact_case

__all__ = ["CaseOfContact", "contact_cases", "is_done"]

_links = select(contact_case).where(contact_case.c.tenant == bindparam("tenant"))
_heads = select(cases.c.id, cases.c.number, cases.c.status).where(cases.c.tenant == bindparam("tenant"))


class CaseOfContact(msgspec.Struct, frozen=True, kw_only=True):
    """A case that a contact belongs to; `matter` 0 is the one that it came to first."""

    id: str
    number: str
    status: str
    matter: int


async def contact_cases(store: Store, tenant: str, contacts: Sequence[str]) -> Mapping[str, Sequence[CaseOfContact]]:
    """The cases of contacts, by contact, each in the order of its matters. What intake has not linked yet is absent."""
    links = await store.by_keys(_links, contact_case.c.contact, sorted(set(contacts)), {"tenant": tenant})
    ids = sorted({row["case_id"] for row in links})
    heads = {row["id"]: row for row in await store.by_keys(_heads, cases.c.id, ids, {"tenant": tenant})} if ids else {}
    found: dict[str, list[CaseOfContact]] = {}
    for row in sorted(links, key=lambda row: row["matter"]):
        head = heads.get(row["case_id"])
        if head is not None:
            found.setdefault(row["contact"], []).append(
                CaseOfContact(id=head["id"], number=head["number"], status=head["status"], matter=row["matter"])
            )
    return found


def is_done(found: Sequence[CaseOfContact]) -> bool:
    """Whether nothing of a contact is open any more. A contact without a case is not: nobody has worked on it yet."""
    return bool(found) and all(case.status == CLOSED for case in found)
