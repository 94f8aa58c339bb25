"""The intake worker: person by identity, case by token, thread or number, and the case opened if it is new."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import bindparam, select

from bus.clock import Clock, to_micros
from bus.delivery.outcome import NOTHING, Outcome, Write
from bus.log.port import Record, StoredRecord
from bus.log.topics import CONTACT_IDENTIFIED, CONTACT_RECEIVED
from bus.message import Contact, Party, decode, derive_id, encode, envelope
from bus.store.conversation import heard_write
from bus.store.port import Row, Store
from bus.store.sql import insert_ignore, upsert
from workers.case.changes import Draft, load_case
from workers.case.identities import level_of, raised_write, rank
from workers.case.model import CaseState
from workers.case.numbers import free_number, number_of
from workers.case.people import address_of, identity_key, identity_write, person_id, person_write
from workers.case.rules import Open
from workers.case.schema import cases, contact_case, identity, thread
from workers.case.work import Identified
from workers.intake.find import Known, choose_case, number_in

__all__ = ["IntakeWorker"]

_identities = select(identity).where(identity.c.tenant == bindparam("tenant"), identity.c.kind == bindparam("kind"))
_threads = select(thread).where(thread.c.tenant == bindparam("tenant"), thread.c.channel == bindparam("channel"))
_numbers = select(cases.c.number, cases.c.snapshot).where(cases.c.tenant == bindparam("tenant"))
_contacts = select(contact_case).where(contact_case.c.tenant == bindparam("tenant"))
_identity = _identities.where(identity.c.address == bindparam("address"))
_thread = _threads.where(thread.c.conversation == bindparam("conversation"))
_number = _numbers.where(cases.c.number == bindparam("number"))
_contact = _contacts.where(contact_case.c.contact == bindparam("contact"))
_BATCH = {
    "identity": (_identities, identity.c.address, ("tenant", "kind")),
    "thread": (_threads, thread.c.conversation, ("tenant", "channel")),
    "contact": (_contacts, contact_case.c.contact, ("tenant",)),
    "number": (_numbers, cases.c.number, ("tenant",)),
}
"""How the places of a batch are looked up: the select, its last column, and the columns before that."""
_add_contact = insert_ignore(contact_case, ["tenant", "contact", "matter"])
_put_thread = upsert(thread, ["tenant", "channel", "conversation"], ["updated"])

MAX_UNUSED = 5_000
"""Look-ups kept that nobody has taken yet: more than any batch makes, so only what is stale is ever dropped."""


class IntakeWorker:
    """Group `intake`."""

    group = "intake"
    topics: Sequence[str] = (CONTACT_RECEIVED,)

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seen: dict[tuple[str, ...], Row | None] = {}

    async def prepare(self, batch: Sequence[StoredRecord]) -> None:
        """Look the identities and threads of a batch up at once."""
        contacts = [decode(record.value, Contact) for record in batch]
        found: dict[tuple[str, ...], Row | None] = {}
        for contact in contacts:
            found[_identity_place(contact)] = None
            found[("contact", contact.tenant, contact.id)] = None
            found[("number", contact.tenant, number_of(contact.tenant, _new_case(contact)))] = None
            if contact.conversation:
                found[_thread_place(contact)] = None
        groups: dict[tuple[str, ...], list[str]] = {}
        for *group, key in found:
            groups.setdefault(tuple(group), []).append(key)
        for group, keys in groups.items():
            statement, column, names = _BATCH[group[0]]
            params = dict(zip(names, group[1:], strict=True))
            for row in await self._store.by_keys(statement, column, keys, params):
                found[(*group, row[column.name])] = row
        # Whatever an earlier batch left unused (a contact that had come before) is too old to be believed.
        if len(self._seen) > MAX_UNUSED:
            self._seen.clear()
        self._seen.update(found)

    async def handle(self, record: StoredRecord) -> Outcome:
        """The contact with its person and its case."""
        contact = decode(record.value, Contact)
        tenant, now = contact.tenant, self._clock.now()
        if await self._look(("contact", tenant, contact.id), _contact, ("tenant", "contact")) is not None:
            return NOTHING
        who = await self._look(_identity_place(contact), _identity, ("tenant", "kind", "address"))
        known = await self._known(contact, who)
        link = choose_case(contact, known)
        writes: list[Write] = []
        if who is None and contact.sender.kind != "link":
            at = to_micros(now)
            language, name = contact.language, contact.sender.name
            writes += [
                person_write(tenant=tenant, id=known.person, name=name, language=language, customer="", at=at),
                identity_write(
                    tenant=tenant, party=contact.sender, person=known.person, at=at, level=level_of(contact)
                ),
            ]
        elif who is not None and rank(level_of(contact)) > rank(who["level"]) and not contact.automatic:
            kind, address = who["kind"], who["address"]
            writes.append(
                raised_write(
                    tenant=tenant, kind=kind, address=address, now=who["level"], to=level_of(contact), at=to_micros(now)
                )
            )
        outcome = Outcome()
        case_id = link.case
        if not case_id:
            case_id = _new_case(contact)
            draft = Draft(None, now)
            draft.do(
                Open(
                    id=case_id, tenant=tenant, number=await self._free_number(tenant, case_id), person=known.person,
                    channel=contact.channel, language=contact.language, link=link.link, claims=link.claims,
                )
            )  # fmt: skip
            outcome = draft.outcome()
        writes += _index(contact, case_id, now_micros=to_micros(now))
        if not contact.automatic:
            # In the transaction that links it, before anybody has worked on it: answers under way must know.
            writes.append(heard_write(tenant, case_id))
        identified = Identified(contact=contact, case=case_id, person=known.person, link=link.link, claims=link.claims)
        headers = envelope(
            record_id=contact.id, kind="identified", source="workers/intake", tenant=tenant, at=now, subject=case_id,
            deadline=contact.deadline,
        )  # fmt: skip
        found = Record(topic=CONTACT_IDENTIFIED, key=case_id, value=encode(identified), id=contact.id, headers=headers)
        return Outcome(writes=(*outcome.writes, *writes), emit=(*outcome.emit, found))

    async def _known(self, contact: Contact, who: Row | None) -> Known:
        tenant = contact.tenant
        by_token = await load_case(self._store, tenant, contact.case_token) if contact.case_token else None
        by_thread, begun_by = None, ""
        if by_token is None and contact.conversation:
            row = await self._look(_thread_place(contact), _thread, ("tenant", "channel", "conversation"))
            if row is not None:
                by_thread, begun_by = await load_case(self._store, tenant, row["case_id"]), row["sender"]
        by_number = None
        # Somebody else's thread is no place for this contact: the number that it names may be one.
        in_thread = by_thread is not None and begun_by == identity_key(contact.sender)
        number = number_in(contact) if by_token is None and not in_thread else ""
        if number:
            row = await self._store.one(_number, {"tenant": tenant, "number": number})
            by_number = decode(row["snapshot"].encode(), CaseState) if row is not None else None
        person = who["person"] if who is not None else person_id(tenant, contact.sender)
        person = await self._signed_for(contact) or person
        if contact.sender.kind == "link" and by_token is not None:
            person = by_token.person
        return Known(
            person=person,
            identity_proven=who is not None and bool(who["proven"]),
            by_token=by_token,
            by_thread=by_thread,
            thread_sender=begun_by,
            by_number=by_number,
        )

    async def _signed_for(self, contact: Contact) -> str:
        """The person whose address on file the host page's server signed for; empty without one.

        Who it is said to be, not proof: data and money ask for that as before, but "stop" holds for this person.
        """
        given: Any = contact.native.get("identity")
        if contact.proof.level != "session" or not isinstance(given, Mapping):
            return ""
        said = cast(Mapping[str, object], given)
        party = Party(kind=str(said.get("kind", "")), address=str(said.get("address", "")))
        place = {"tenant": contact.tenant, "kind": party.kind, "address": address_of(party)}
        row = await self._store.one(_identity, place)
        return str(row["person"]) if row is not None and row["on_file"] else ""

    async def _look(self, place: tuple[str, ...], statement: Any, names: tuple[str, ...]) -> Row | None:
        # Taken out of the cache: when a guard fails, the second decision reads afresh.
        if place in self._seen:
            return self._seen.pop(place)
        return await self._store.one(statement, dict(zip(names, place[1:], strict=True)))

    async def _free_number(self, tenant: str, case_id: str) -> str:
        async def taken(number: str) -> bool:
            return await self._look(("number", tenant, number), _number, ("tenant", "number")) is not None

        return await free_number(tenant, case_id, taken)


def _new_case(contact: Contact) -> str:
    return derive_id("k", contact.tenant, contact.id)


def _identity_place(contact: Contact) -> tuple[str, ...]:
    return ("identity", contact.tenant, contact.sender.kind, address_of(contact.sender))


def _thread_place(contact: Contact) -> tuple[str, ...]:
    return ("thread", contact.tenant, contact.channel, contact.conversation)


def _index(contact: Contact, case_id: str, *, now_micros: int) -> list[Write]:
    own: Mapping[str, object] = {"tenant": contact.tenant, "channel": contact.channel, "case_id": case_id}
    row = {**own, "contact": contact.id, "matter": 0, "at": now_micros}
    writes = [Write(statement=_add_contact, params=row, expect=1)]
    if contact.conversation and contact.channel != "link":
        sender = identity_key(contact.sender)
        begun = {**own, "conversation": contact.conversation, "sender": sender, "updated": now_micros}
        writes.append(Write(statement=_put_thread, params=begun))
    return writes
