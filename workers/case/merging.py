"""One human being who wrote as several people: merged at the desk, and split again without a trace.

A merge says of one person that he is another one. It moves nothing: identities, cases, proof and customer records stay
with whom they were, and whoever looks a person up follows the merges to all of them. So a split undoes a merge exactly,
nobody's proof becomes somebody else's, and two names or two customer records stand beside each other, never one over
the other. The ledger of changes is only ever added to.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, insert, or_, select, update

from bus.clock import from_micros, to_micros
from bus.delivery.outcome import Outcome, Write
from bus.message import decode, derive_id, encode
from bus.store.port import Row, Store
from workers.case.identities import STAFF, raised_write
from workers.case.model import CLOSED
from workers.case.people import identity_of, normal_address, person_of
from workers.case.rules import Refused
from workers.case.schema import cases, identity, person, person_change

__all__ = [
    "MERGED",
    "SPLIT",
    "VOUCHED",
    "Conflicting",
    "Moved",
    "PersonView",
    "family",
    "find_person",
    "heads",
    "merge",
    "show_person",
    "split",
    "vouch",
]

MERGED = "merged"
SPLIT = "split"
VOUCHED = "vouched"

MOST_STEPS = 32
"""Merges that are followed from one person to the next: more in a row are a mistake of ours and no person."""

MOST_REASON = 500
"""Characters of a reason: a few sentences."""

_members = select(person).where(person.c.tenant == bindparam("tenant"))
_identities = select(identity).where(identity.c.tenant == bindparam("tenant"))
_cases = select(
    cases.c.id, cases.c.number, cases.c.status, cases.c.channel, cases.c.department, cases.c.person, cases.c.updated
).where(cases.c.tenant == bindparam("tenant"))
_person_of_case = select(cases.c.person).where(
    cases.c.tenant == bindparam("tenant"), cases.c.number == bindparam("number")
)
_changes = (
    select(person_change)
    .where(
        person_change.c.tenant == bindparam("tenant"),
        or_(person_change.c.person == bindparam("id"), person_change.c.into == bindparam("id")),
    )
    .order_by(person_change.c.at, person_change.c.id)
)
_add_change = insert(person_change)
_turn_into = (
    update(person)
    .where(
        person.c.tenant == bindparam("b_tenant"),
        person.c.id == bindparam("b_id"),
        person.c.merged_into == bindparam("b_from"),
    )
    .values(merged_into=bindparam("b_to"))
)


class Moved(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was looked up under another person from then on: people, their identities (`kind:address`), their cases."""

    people: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()


class Conflicting(msgspec.Struct, frozen=True, kw_only=True):
    """Something of which there should be one and are several. `field`: name, customer or language.

    `values` by person.
    """

    field: str
    values: Mapping[str, str]


class PersonView(msgspec.Struct, frozen=True, kw_only=True):
    """A person with everybody who was merged into him. `id` is the one that all of them are looked up under.

    `name` and `customer` are of `id` itself, else of the first who has one; what others have beside it is in
    `conflicts`. `identities`, `cases` and `changes` are rows, the oldest first.
    """

    id: str
    name: str
    customer: str
    language: str
    people: Sequence[str]
    names: Mapping[str, str]
    """What each of `people` is called, empty where that is not known."""
    identities: Sequence[Mapping[str, Any]]
    cases: Sequence[Mapping[str, Any]]
    open_cases: int
    conflicts: Sequence[Conflicting]
    changes: Sequence[Mapping[str, Any]]


async def _head(store: Store, tenant: str, id: str) -> Row | None:
    """The person that a person is looked up under."""
    row = await store.one(person_of, {"tenant": tenant, "id": id})
    for _ in range(MOST_STEPS):
        if row is None or not row["merged_into"]:
            return row
        row = await store.one(person_of, {"tenant": tenant, "id": row["merged_into"]})
    raise ValueError("merges of people in a circle")


async def _below(store: Store, tenant: str, head: Row) -> list[Row]:
    """A person and everybody who was merged into him, the ones of each merge together."""
    found, last = [head], [head["id"]]
    while last:
        rows = await store.by_keys(_members, person.c.merged_into, sorted(last), {"tenant": tenant})
        last = [row["id"] for row in rows]
        found += sorted(rows, key=lambda row: (row["created"], row["id"]))
    return found


async def heads(store: Store, tenant: str, ids: Collection[str]) -> dict[str, str]:
    """Whom each of `ids` is looked up under: himself, or whoever he was merged into. Equal ones are one human being."""
    found = {id: id for id in ids}
    for _ in range(MOST_STEPS):
        rows = await store.by_keys(_members, person.c.id, sorted(set(found.values())), {"tenant": tenant})
        into = {row["id"]: row["merged_into"] for row in rows if row["merged_into"]}
        if not into:
            return found
        found = {id: into.get(head, head) for id, head in found.items()}
    raise ValueError("merges of people in a circle")


async def family(store: Store, tenant: str, id: str) -> tuple[str, ...]:
    """Every person who is the same human being as `id`, `id` first: for what holds for all of them, such as "stop"."""
    head = await _head(store, tenant, id)
    if head is None:
        return (id,)
    return tuple(dict.fromkeys((id, *(row["id"] for row in await _below(store, tenant, head)))))


_KINDS = ("email", "phone", "customer", "chat", "postal")
"""Kinds of identities, in the order in which an address without its kind is looked for."""


async def find_person(store: Store, tenant: str, name: str) -> str:
    """The person of an id, of an identity (`kind:address`), of an address alone, or of a case by its number, grouped as
    it is printed or not. Empty when there is nobody."""
    if await store.one(person_of, {"tenant": tenant, "id": name}) is not None:
        return name
    kind, _, address = name.partition(":")
    named = ((kind, address),) if kind in _KINDS else tuple((each, name) for each in _KINDS)
    for each, given in named:
        row = await store.one(identity_of, {"tenant": tenant, "kind": each, "address": normal_address(each, given)})
        if row is not None:
            return str(row["person"])
    row = await store.one(_person_of_case, {"tenant": tenant, "number": "".join(name.split())})
    return "" if row is None else str(row["person"])


async def show_person(store: Store, tenant: str, id: str) -> PersonView | None:
    """Everything that is known of a person, following merges; None for somebody who is not there."""
    head = await _head(store, tenant, id)
    if head is None:
        return None
    rows = await _below(store, tenant, head)
    ids = [row["id"] for row in rows]
    addresses = await store.by_keys(_identities, identity.c.person, ids, {"tenant": tenant})
    of_cases = await store.by_keys(_cases, cases.c.person, ids, {"tenant": tenant})
    changes: dict[str, Row] = {}
    for each in ids:
        changes |= {row["id"]: row for row in await store.all(_changes, {"tenant": tenant, "id": each})}
    return PersonView(
        id=head["id"],
        name=next((row["name"] for row in rows if row["name"]), ""),
        customer=next((row["customer"] for row in rows if row["customer"]), ""),
        language=next((row["language"] for row in rows if row["language"]), ""),
        people=ids,
        names={row["id"]: row["name"] for row in rows},
        identities=[_identity(row) for row in sorted(addresses, key=lambda row: (row["created"], row["kind"]))],
        cases=[
            {**row, "updated": from_micros(row["updated"])}
            for row in sorted(of_cases, key=lambda row: (row["updated"], row["id"]))
        ],
        open_cases=sum(row["status"] != CLOSED for row in of_cases),
        conflicts=_conflicts(rows),
        changes=[_change(row) for row in sorted(changes.values(), key=lambda row: (row["at"], row["id"]))],
    )


def _identity(row: Row) -> dict[str, Any]:
    return {
        "kind": row["kind"],
        "address": row["address"],
        "person": row["person"],
        "on_file": bool(row["on_file"]),
        "level": row["level"],
        "since": from_micros(row["level_at"]) if row["level_at"] else None,
    }


def _change(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "at": from_micros(row["at"]),
        "kind": row["kind"],
        "person": row["person"],
        "into": row["into"],
        "actor": row["actor"],
        "reason": row["reason"],
        "moved": decode(row["moved"].encode(), Moved),
    }


def _conflicts(rows: Sequence[Row]) -> list[Conflicting]:
    found: list[Conflicting] = []
    for field in ("name", "customer", "language"):
        values = {row["id"]: row[field] for row in rows if row[field]}
        if len({" ".join(value.split()).casefold() for value in values.values()}) > 1:
            found.append(Conflicting(field=field, values=values))
    return found


async def merge(store: Store, tenant: str, id: str, into: str, *, actor: str, reason: str, now: datetime) -> Outcome:
    """`id` turned out to be `into`. Both stand for everybody who was merged into them before.

    Raises Refused with `reason` (none was given), `person` (one of the two is not there) or `same` (they are one
    already). Guarded: two merges at one time cannot lead in a circle.
    """
    _check_reason(reason)
    one, other = await _head(store, tenant, id), await _head(store, tenant, into)
    if one is None or other is None:
        raise Refused(("person",))
    if one["id"] == other["id"]:
        raise Refused(("same",))
    moved = await _moved(store, tenant, one)
    guards = (
        _turn(tenant, one["id"], "", other["id"]),
        # It must still stand for itself when the other one joins it.
        _turn(tenant, other["id"], "", ""),
    )
    return Outcome(writes=(*guards, _row(tenant, MERGED, one["id"], other["id"], actor, reason, moved, now)))


async def split(store: Store, tenant: str, id: str, *, actor: str, reason: str, now: datetime) -> Outcome:
    """`id` is somebody else after all: the merge of this person is undone, with everybody merged into him before.

    Raises Refused with `reason`, `person`, or `alone` when he was not merged into anybody.
    """
    _check_reason(reason)
    row = await store.one(person_of, {"tenant": tenant, "id": id})
    if row is None:
        raise Refused(("person",))
    if not row["merged_into"]:
        raise Refused(("alone",))
    moved = await _moved(store, tenant, row)
    out = _turn(tenant, id, row["merged_into"], "")
    return Outcome(writes=(out, _row(tenant, SPLIT, id, row["merged_into"], actor, reason, moved, now)))


async def vouch(store: Store, tenant: str, name: str, *, actor: str, reason: str, now: datetime) -> Outcome:
    """A person of the company saw to it that an identity (`kind:address`) is its person's: with a passport at the
    counter, say. It is shown to people and noted in the ledger; data and money still ask for proof in the case.

    Raises Refused with `reason`, or `person` when nobody has this identity.
    """
    _check_reason(reason)
    kind, _, address = name.partition(":")
    place = {"tenant": tenant, "kind": kind, "address": normal_address(kind, address)}
    row = await store.one(identity_of, place)
    if row is None:
        raise Refused(("person",))
    raised = raised_write(
        tenant=tenant, kind=kind, address=row["address"], now=row["level"], to=STAFF, at=to_micros(now)
    )
    moved = Moved(identities=(f"{kind}:{row['address']}",))
    return Outcome(writes=(raised, _row(tenant, VOUCHED, row["person"], "", actor, reason, moved, now)))


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > MOST_REASON:
        raise Refused(("reason",))


def _turn(tenant: str, id: str, was: str, to: str) -> Write:
    return Write(statement=_turn_into, params={"b_tenant": tenant, "b_id": id, "b_from": was, "b_to": to}, expect=1)


async def _moved(store: Store, tenant: str, head: Row) -> Moved:
    ids = [row["id"] for row in await _below(store, tenant, head)]
    addresses = await store.by_keys(_identities, identity.c.person, ids, {"tenant": tenant})
    of_cases = await store.by_keys(_cases, cases.c.person, ids, {"tenant": tenant})
    return Moved(
        people=tuple(ids),
        identities=tuple(sorted(f"{row['kind']}:{row['address']}" for row in addresses)),
        cases=tuple(sorted(row["id"] for row in of_cases)),
    )


def _row(tenant: str, kind: str, id: str, into: str, actor: str, reason: str, moved: Moved, now: datetime) -> Write:
    return Write(
        statement=_add_change,
        params={
            "tenant": tenant,
            "id": derive_id("e", tenant, "person", kind, id, into, now.isoformat()),
            "at": to_micros(now),
            "kind": kind,
            "person": id,
            "into": into,
            "actor": actor,
            "reason": reason.strip(),
            "moved": encode(moved).decode(),
        },
    )  # fmt: skip
