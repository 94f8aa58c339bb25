"""What a person sees of a record that could not be handled: a case at the desk, made from what can still be read."""

from datetime import UTC, datetime

from bus.clock import Clock
from bus.delivery.dead_letters import DeskCase, shows_nowhere
from bus.delivery.doubt import status_record
from bus.delivery.outcome import NOTHING, Outcome
from bus.errors import PoisonError
from bus.log.port import Record, StoredRecord
from bus.log.topics import CONTACT_IDENTIFIED, CONTACT_RECEIVED, work_topic
from bus.message import Contact, Party, Quality, Reply, Status, decode, derive_id, encode, envelope
from workers.case.work import Identified, Understanding, WorkItem
from workers.packs import Pack

__all__ = ["desk_case"]

_NOT_SENT = "could not be sent by the machine"
_REASON = "could not be worked on by the machine"


def desk_case(clock: Clock, pack: Pack) -> DeskCase:
    """The function that a runner calls for a dead letter."""

    def to_desk(record: StoredRecord, reason: str) -> Outcome:
        if shows_nowhere(record.topic):
            # There is no contact to make a case of: the desk's overview and `contactbus doctor` name the letter.
            return NOTHING
        if record.topic.startswith("reply."):
            return _not_sent(record, clock.now())
        item = _item(record, pack.languages[0], clock.now())
        # The same id may lie on several topics, and fail on each of them.
        record_id = f"dead/{record.topic}/{record.id}"
        headers = envelope(
            record_id=record_id, kind="work", source="dead-letters", tenant=item.contact.tenant, at=clock.now()
        )
        topic = work_topic("desk", "deferred")
        return Outcome(emit=(Record(topic=topic, key=item.case, value=encode(item), id=record_id, headers=headers),))

    return to_desk


def _not_sent(record: StoredRecord, now: datetime) -> Outcome:
    """A reply that the sender gave up has failed, and whoever has its case learns it as of any other that did."""
    try:
        reply = decode(record.value, Reply)
    except PoisonError:
        return NOTHING
    status = Status(
        reply=reply.id,
        tenant=reply.tenant,
        case=reply.case,
        channel=reply.channel,
        state="failed",
        at=now,
        reason=_NOT_SENT,
        permanent=True,
    )
    return Outcome(emit=(status_record(status),))


def _item(record: StoredRecord, language: str, now: datetime) -> WorkItem:
    """The work item for the desk; of an unreadable record only its place in the log remains."""
    try:
        if record.topic.startswith("work."):
            return _for_desk(decode(record.value, WorkItem))
        if record.topic == CONTACT_IDENTIFIED:
            found = decode(record.value, Identified)
            return WorkItem(
                contact=found.contact, case=found.case, person=found.person, understanding=_nothing_understood(language)
            )
        if record.topic == CONTACT_RECEIVED:
            return _new_case(decode(record.value, Contact), language)
    except PoisonError:
        pass
    at = datetime.fromtimestamp(record.at / 1e6, UTC)
    contact = Contact(
        id=derive_id("c", "dead", record.topic, record.id),
        tenant=record.headers.get("tenant", ""),
        channel="unknown",
        account="",
        sender=Party(kind="unknown", address=record.id),
        occurred_at=at,
        received_at=min(at, now),
        quality=Quality(status="unreadable", reasons=(_REASON,)),
    )
    return _new_case(contact, language)


def _new_case(contact: Contact, language: str) -> WorkItem:
    return WorkItem(
        contact=contact,
        case=derive_id("k", contact.tenant, contact.id),
        person="",
        understanding=_nothing_understood(contact.language or language),
    )


def _for_desk(item: WorkItem) -> WorkItem:
    return WorkItem(
        contact=item.contact,
        case=item.case,
        person=item.person,
        understanding=_nothing_understood(item.understanding.language),
        link=item.link,
        claims=item.claims,
    )


def _nothing_understood(language: str) -> Understanding:
    return Understanding(language=language, department="desk", decision="person", reasons=(_REASON,))
