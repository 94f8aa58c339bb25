"""Who is behind an address: normal forms of identities, and the rows that keep them."""

import re

from sqlalchemy import bindparam, case, select, update

from bus.delivery.outcome import Write
from bus.message import Party, derive_id
from bus.store.sql import insert_ignore
from workers.case.identities import CLAIMED, NONE, PROVEN, STAFF
from workers.case.schema import identity, person

__all__ = [
    "address_of",
    "identities_of",
    "identity_key",
    "identity_of",
    "identity_write",
    "normal_address",
    "person_id",
    "person_of",
    "person_write",
    "proven_write",
]

_add_identity = insert_ignore(identity, ["tenant", "kind", "address"])
_add_person = insert_ignore(person, ["tenant", "id"])
_prove = (
    update(identity)
    .where(
        identity.c.tenant == bindparam("b_tenant"),
        identity.c.kind == bindparam("b_kind"),
        identity.c.address == bindparam("b_address"),
    )
    .values(
        proven=bindparam("b_at"),
        person=bindparam("b_person"),
        # What a person of the company saw to is known better still.
        level=case((identity.c.level == STAFF, STAFF), else_=PROVEN),
        level_at=bindparam("b_at"),
    )
)

identity_of = select(identity).where(
    identity.c.tenant == bindparam("tenant"),
    identity.c.kind == bindparam("kind"),
    identity.c.address == bindparam("address"),
)
"""The identity row of one address."""

identities_of = select(identity).where(
    identity.c.tenant == bindparam("tenant"), identity.c.person == bindparam("person")
)
"""Every identity of a person."""

person_of = select(person).where(person.c.tenant == bindparam("tenant"), person.c.id == bindparam("id"))
"""One person."""

_NO_WORD = re.compile(r"[^\w]+")


def normal_address(kind: str, address: str) -> str:
    """The form in which two spellings of one address are equal: case of mail, punctuation and lines of paper."""
    if kind == "email":
        return address.strip().casefold()
    if kind == "phone":
        return "".join(c for c in address if c.isdigit() or c == "+")
    if kind == "customer":
        return "".join(address.split()).upper()
    if kind == "postal":
        return _NO_WORD.sub(" ", address.casefold()).strip()
    return address.strip()


def address_of(party: Party) -> str:
    """The normal address of a party. On paper the name belongs to it: two people live behind one door."""
    address = normal_address(party.kind, party.address)
    name = normal_address(party.kind, party.name)
    return f"{name} {address}" if party.kind == "postal" and name and not address.startswith(name) else address


def identity_key(party: Party) -> str:
    """`kind:address` in normal form."""
    return f"{party.kind}:{address_of(party)}"


def person_id(tenant: str, party: Party) -> str:
    """The id of the person that an address, never seen before, stands for."""
    return derive_id("p", tenant, party.kind, address_of(party))


def person_write(*, tenant: str, id: str, name: str, language: str, customer: str, at: int) -> Write:
    """Add a person unless it is there."""
    return Write(
        statement=_add_person,
        params={
            "tenant": tenant,
            "id": id,
            "name": name,
            "language": language,
            "customer": customer,
            "merged_into": "",
            "created": at,
        },
    )


def identity_write(*, tenant: str, party: Party, person: str, at: int, on_file: bool = False, level: str = "") -> Write:
    """Add an identity unless it is there. `on_file`: it stands in the customer record. `level`: how well it is known;
    by default what a record alone says, or that somebody has used it."""
    return Write(
        statement=_add_identity,
        params={
            "tenant": tenant,
            "kind": party.kind,
            "address": address_of(party),
            "person": person,
            "on_file": int(on_file),
            "proven": 0,
            "level": level or (NONE if on_file else CLAIMED),
            "level_at": at,
            "created": at,
        },
    )


def proven_write(*, tenant: str, identity: str, person: str, at: int) -> Write:
    """Somebody proved to have this identity (`kind:address`) and to be this person."""
    kind, _, address = identity.partition(":")
    return Write(
        statement=_prove,
        params={"b_tenant": tenant, "b_kind": kind, "b_address": address, "b_at": at, "b_person": person},
    )
