"""What the start page tells of each contact: where it is on its way, what was understood, when it was answered.

`Board.observe` reads the records of the log as they come and keeps the newest journeys. It is a view: nothing depends
on it, and it is built anew after a start.
"""

from collections import OrderedDict
from datetime import datetime

import msgspec

from bus.clock import from_micros
from bus.errors import PoisonError
from bus.log.port import StoredRecord
from bus.log.topics import CONTACT_IDENTIFIED, CONTACT_RECEIVED, DEPARTMENTS, REPLY_STATUS, reply_topic, work_topic
from bus.message import Contact, Reply, Status, decode
from workers.case.work import Identified, WorkItem

__all__ = ["Board", "Journey", "Step", "watched_topics"]

KEPT = 60
"""Journeys on the board: a page shows a handful, and somebody may look back a little."""

MAX_STEPS = 40


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the way. `stop` is received, identified, understood, reply or status; `word` says more."""

    stop: str
    at: datetime
    topic: str
    partition: int
    offset: int
    word: str = ""


class Journey(msgspec.Struct, kw_only=True):
    """One contact's way so far. `heard_s`: from the door to the log; `answered_s`: to the first reply on its way."""

    contact: str
    channel: str
    name: str
    at: datetime
    heard_s: float
    signal: str = ""
    """Set when nobody said anything: ended, confirm, ..."""
    language: str = ""
    case: str = ""
    intent: str = ""
    confidence: float = 0.0
    department: str = ""
    person: bool = False
    answered_s: float | None = None
    answer: str = ""
    state: str = ""
    steps: list[Step] = []


def watched_topics(channels: list[str]) -> list[str]:
    """Every topic of the way, for the channels that run."""
    lanes = [work_topic(department, lane) for department in DEPARTMENTS for lane in ("live", "deferred")]
    return [CONTACT_RECEIVED, CONTACT_IDENTIFIED, *lanes, *(reply_topic(channel) for channel in channels), REPLY_STATUS]


class Board:
    """The newest journeys of one tenant, by contact, and how many contacts each channel has had since the start."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._journeys: OrderedDict[str, Journey] = OrderedDict()
        self._of_reply: OrderedDict[str, str] = OrderedDict()
        self.counts: dict[str, dict[str, int]] = {}

    def newest(self) -> list[Journey]:
        """Journeys, the newest first."""
        return list(reversed(self._journeys.values()))

    def observe(self, record: StoredRecord) -> Journey | None:
        """Take a record in; the journey that it moved, if it moved one."""
        if record.headers.get("tenant", self._tenant) != self._tenant:
            return None
        try:
            return self._observe(record)
        except PoisonError:
            return None  # a dead letter's business, not the start page's

    def _observe(self, record: StoredRecord) -> Journey | None:
        if record.topic == CONTACT_RECEIVED:
            return self._received(decode(record.value, Contact), record)
        if record.topic == CONTACT_IDENTIFIED:
            identified = decode(record.value, Identified)
            journey = self._journeys.get(identified.contact.id)
            if journey is not None:
                journey.case = identified.case
                self._step(journey, "identified", record, identified.link)
            return journey
        if record.topic.startswith("work."):
            return self._understood(decode(record.value, WorkItem), record)
        if record.topic == REPLY_STATUS:
            return self._status(decode(record.value, Status), record)
        return self._reply(decode(record.value, Reply), record)

    def _received(self, contact: Contact, record: StoredRecord) -> Journey | None:
        if contact.tenant != self._tenant or contact.id in self._journeys:
            return None
        at = from_micros(record.at)
        journey = Journey(
            contact=contact.id,
            channel=contact.channel,
            name=_name_of(contact),
            at=contact.received_at,
            heard_s=max(0.0, (at - contact.received_at).total_seconds()),
            signal="" if contact.text else str(contact.native.get("request", "")),
            language=contact.language,
        )
        self._journeys[contact.id] = journey
        if len(self._journeys) > KEPT:
            self._journeys.popitem(last=False)
        self._count(contact.channel, "heard")
        self._step(journey, "received", record)
        return journey

    def _understood(self, item: WorkItem, record: StoredRecord) -> Journey | None:
        journey = self._journeys.get(item.contact.id)
        if journey is None:
            return None
        understood = item.understanding
        journey.language = understood.language
        journey.intent = understood.intent
        journey.confidence = understood.intents[0].confidence if understood.intents else 0.0
        journey.department = record.topic.split(".")[1]
        self._step(journey, "understood", record, journey.department)
        return journey

    def _reply(self, reply: Reply, record: StoredRecord) -> Journey | None:
        journey = self._waiting(reply)
        if journey is None:
            return None
        self._step(journey, "reply", record, reply.kind)
        if reply.channel != journey.channel and journey.channel != "link":
            return journey
        self._of_reply[reply.id] = journey.contact
        if len(self._of_reply) > KEPT * 4:
            self._of_reply.popitem(last=False)
        journey.person = journey.person or reply.handover or not reply.automatic
        if not journey.answer:
            journey.answer = reply.text
            journey.state = "planned"
        return journey

    def _waiting(self, reply: Reply) -> Journey | None:
        """The contact that a reply answers: the first of its case without an answer, else the newest.

        Replies of a case come in the order of its contacts. One on another channel (a code to the address on file)
        belongs to the contact as well, and is not its answer.
        """
        of_case = [journey for journey in self._journeys.values() if journey.case == reply.case]
        unanswered = [journey for journey in of_case if not journey.answer and not journey.signal]
        return next(iter(unanswered), of_case[-1] if of_case else None)

    def _status(self, status: Status, record: StoredRecord) -> Journey | None:
        journey = self._journeys.get(self._of_reply.get(status.reply, ""))
        if journey is None:
            return None
        if status.state in ("accepted", "delivered", "read") and journey.answered_s is None:
            journey.answered_s = max(0.0, (status.at - journey.at).total_seconds())
            self._count(journey.channel, "answered")
        if journey.answered_s is None or status.state != "failed":
            journey.state = status.state
        self._step(journey, "status", record, status.state)
        return journey

    def _step(self, journey: Journey, stop: str, record: StoredRecord, word: str = "") -> None:
        if len(journey.steps) < MAX_STEPS:
            step = Step(
                stop=stop,
                at=from_micros(record.at),
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                word=word,
            )
            journey.steps.append(step)

    def _count(self, channel: str, what: str) -> None:
        counts = self.counts.setdefault(channel, {"heard": 0, "answered": 0})
        counts[what] += 1


def _name_of(contact: Contact) -> str:
    """A name to show: what the sender calls himself, or his address where that tells people something."""
    if contact.sender.name or contact.sender.kind not in ("email", "phone", "postal"):
        return contact.sender.name
    return contact.sender.address.split("\n", 1)[0]
