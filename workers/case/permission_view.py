"""What the consent ledger knows of somebody, and what follows from it: for whoever has to answer for a contact.

The verdicts are those of the sending: `may_contact` on the entries of the person and of the address that is written to.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from bus.delivery.consent import (
    CALLBACK,
    EVERYTHING,
    MARKETING,
    SERVICE,
    SURVEY,
    Entry,
    QuietHours,
    country_of,
    may_contact,
)
from bus.message import Party
from bus.store.permission import entries_for, entry_of, recipient_key
from bus.store.port import Row, Store
from workers.case.merging import find_person, show_person
from workers.records import Records

__all__ = ["Permission", "PermissionView", "Said", "permissions"]

PURPOSES = (SERVICE, MARKETING, CALLBACK, SURVEY)

_CHANNELS: Mapping[str, str] = {"email": "email", "phone": "phone", "chat": "chat", "postal": "post"}
"""The channel on which an identity is written to or called, by its kind."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the ledger. `purpose` and `channel` are empty for all of them; `about` is the identity
    (`kind:address`) that it holds for beside the person."""

    person: str
    about: str
    entry: Entry


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an address may be contacted for a purpose now. `reason` is in words for people to read; `by` the entry's
    evidence, where one decided."""

    purpose: str
    channel: str
    address: str
    permitted: bool
    reason: str
    not_before: datetime | None
    by: str


class PermissionView(msgspec.Struct, frozen=True, kw_only=True):
    """`person` is empty for an address of which only the ledger knows. `entries` are in the order of their time."""

    person: str
    entries: Sequence[Said]
    permissions: Sequence[Permission]


async def permissions(
    store: Store, records: Records, tenant: str, name: str, *, quiet: QuietHours, now: datetime
) -> PermissionView | None:
    """What holds for a person (by id, address or number), or for an address that is nobody's yet; None for neither."""
    person = await find_person(store, tenant, name)
    known = await show_person(store, tenant, person) if person else None
    parties = _parties(known.identities) if known is not None else _party_of(name)
    if known is None and not parties:
        return None
    said: dict[str, Said] = {}
    verdicts: list[Permission] = []
    for owner, party in parties:
        recipient = recipient_key(tenant, party)
        rows = await store.all(entries_for, {"tenant": tenant, "person": owner, "recipient": recipient})
        about = f"{party.kind}:{party.address}"
        said |= {row["id"]: _said(row, about if row["recipient"] == recipient else "", said) for row in rows}
        customer = await records.customer_of_person(tenant, owner) if owner else None
        country = country_of("" if customer is None else customer.country, party.address)
        entries = [entry_of(row) for row in rows]
        verdicts += [_permission(purpose, party, entries, quiet, country, now) for purpose in _purposes(party)]
    if known is None and not said:
        return None
    # A person without an address at all has said things, too.
    for owner in () if known is None else known.people:
        rows = await store.all(entries_for, {"tenant": tenant, "person": owner, "recipient": ""})
        said |= {row["id"]: _said(row, "", said) for row in rows if row["id"] not in said}
    ordered = sorted(said.values(), key=lambda each: (each.entry.at, each.person))
    return PermissionView(person="" if known is None else known.id, entries=ordered, permissions=verdicts)


def _said(row: Row, about: str, said: Mapping[str, Said]) -> Said:
    known = said.get(row["id"])
    return Said(person=row["person"], about=about or (known.about if known is not None else ""), entry=entry_of(row))


def _parties(identities: Sequence[Mapping[str, object]]) -> list[tuple[str, Party]]:
    found = ((str(i["person"]), str(i["kind"]), str(i["address"])) for i in identities)
    return [(person, Party(kind=kind, address=address)) for person, kind, address in found if kind in _CHANNELS]


def _party_of(name: str) -> list[tuple[str, Party]]:
    kind, _, address = name.partition(":")
    if kind in _CHANNELS and address:
        return [("", Party(kind=kind, address=address))]
    guessed = "email" if "@" in name else "phone" if name.startswith("+") else ""
    return [("", Party(kind=guessed, address=name))] if guessed else []


def _purposes(party: Party) -> Sequence[str]:
    return [purpose for purpose in PURPOSES if purpose != CALLBACK or party.kind == "phone"]


def _permission(
    purpose: str, party: Party, entries: Sequence[Entry], quiet: QuietHours, country: str, now: datetime
) -> Permission:
    channel = _CHANNELS[party.kind]
    verdict = may_contact(entries, purpose, channel, now, quiet, country)
    meant = [
        e
        for e in entries
        if e.purpose in (purpose, EVERYTHING)
        and e.channel in (channel, "")
        and (e.given or e.expires_at is None or e.expires_at > now)
    ]
    newest = None if purpose == SERVICE else max(meant, key=lambda e: (e.at, not e.given), default=None)
    return Permission(
        purpose=purpose, channel=channel, address=party.address, permitted=verdict.permitted,
        reason=verdict.reason or _why(purpose, newest, verdict.not_before), not_before=verdict.not_before,
        by="" if newest is None else newest.evidence,
    )  # fmt: skip


def _why(purpose: str, newest: Entry | None, not_before: datetime | None) -> str:
    if not_before is not None:
        return "hours or days of rest"
    if purpose == SERVICE:
        return "answers are always allowed"
    return "consent" if newest is not None else "needs no consent"
