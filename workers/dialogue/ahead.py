"""What the contacts of a batch will ask the store, looked up before they are decided one by one."""

from collections.abc import Sequence

from sqlalchemy import bindparam, select

from bus.store.ahead import Ahead, Question
from workers.case.people import address_of, identity_of
from workers.case.schema import identity
from workers.case.work import WorkItem
from workers.dialogue.steps import ORDER
from workers.records import ahead as records

__all__ = ["QUESTIONS", "look_ahead"]

_IDENTITY = Question(
    asked=identity_of,
    many=select(identity).where(identity.c.tenant == bindparam("tenant"), identity.c.kind == bindparam("kind")),
    column=identity.c.address,
    label="address",
    key="address",
    given=("tenant", "kind"),
)
QUESTIONS = (_IDENTITY, *records.QUESTIONS)


async def look_ahead(ahead: Ahead, items: Sequence[WorkItem]) -> None:
    """Who writes, the orders that they name, and whose those are."""
    by_tenant: dict[str, list[WorkItem]] = {}
    for item in items:
        # A pressed button names nobody: its challenge does.
        if item.contact.channel != "link":
            by_tenant.setdefault(item.contact.tenant, []).append(item)
    for tenant, of_tenant in by_tenant.items():
        people: set[str] = set()
        for kind in sorted({item.contact.sender.kind for item in of_tenant}):
            addresses = {address_of(item.contact.sender) for item in of_tenant if item.contact.sender.kind == kind}
            found = await ahead.look(_IDENTITY, sorted(addresses), {"tenant": tenant, "kind": kind})
            people.update(row["person"] for rows in found.values() for row in rows if row["on_file"])
        numbers = {item.understanding.first(kind) for item in of_tenant for kind in ORDER.kinds}
        await records.look_ahead(ahead, tenant, numbers=numbers, people=people)
