"""A small shop for tests: real engine, real workers, demo customers; contacts go in, replies come out."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest_asyncio
from sqlalchemy import select

from bus.adapter.tokens import Signer
from bus.delivery import ledger
from bus.delivery.outcome import Outcome, SetTimer
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record, StoredRecord
from bus.log.topics import CASE_TIMER, CONTACT_IDENTIFIED, CONTACT_RECEIVED, REPLY_STATUS, lane_of, work_topic
from bus.message import Contact, Party, Proof, Reply, Status, decode, derive_id, encode
from bus.store.port import Effect, Result
from bus.testing.clock import FakeClock
from workers.billing.worker import BillingWorker
from workers.case.changes import load_case
from workers.case.events import CaseEvent, decode_event
from workers.case.model import CaseState
from workers.case.schema import case_event
from workers.case.work import Entity, Identified, Intent, Understanding, WorkItem
from workers.case.worker import CaseWorker
from workers.dialogue import DepartmentWorker
from workers.intake.worker import IntakeWorker
from workers.packs import Pack, load
from workers.records.demo import load_demo
from workers.records.schema import refund
from workers.returns.worker import ReturnsWorker
from workers.sales.worker import SalesWorker
from workers.support.worker import SupportWorker

TENANT = "shop"


def stored(topic: str, key: str, value: Any, *, tenant: str = TENANT) -> StoredRecord:
    """A record as a worker receives it."""
    return StoredRecord(
        topic=topic, partition=0, offset=1, at=0, key=key, value=encode(value), id=key, headers={"tenant": tenant}
    )


@dataclass
class Heard:
    """What one contact led to."""

    replies: list[Reply]
    case: str
    link: str
    contact: Contact
    item: WorkItem | None = None

    @property
    def text(self) -> str:
        """The text of the reply to the writer (the one that went where the contact came from)."""
        own = [reply for reply in self.replies if reply.to.address == self.contact.sender.address]
        return own[-1].text if own else (self.replies[-1].text if self.replies else "")

    @property
    def reply(self) -> Reply:
        """The only reply."""
        assert len(self.replies) == 1, [reply.kind for reply in self.replies]
        return self.replies[0]


@dataclass
class Shop:
    """The shop's doors."""

    engine: EmbeddedEngine
    clock: FakeClock
    pack: Pack
    signer: Signer
    workers: dict[str, Any]
    sent: list[Reply] = field(default_factory=list)
    timers: dict[str, SetTimer] = field(default_factory=dict)
    count: int = 0

    async def apply(self, outcome: Outcome) -> Result:
        """Apply an outcome as the runner does: replies are planned in the ledger."""
        writes, emit = list(outcome.writes), list(outcome.emit)
        for reply in outcome.replies:
            rows, records = ledger.plan(reply, self.clock.now())
            writes.extend(rows)
            emit.extend(records)
        completed = Outcome(writes=tuple(writes), emit=tuple(emit), timers=outcome.timers)
        (result,) = await self.engine.apply([Effect(outcome=completed)])
        if result.applied:
            for timer in outcome.timers:
                if isinstance(timer, SetTimer):
                    self.timers[timer.id] = timer
                else:
                    self.timers.pop(timer.id, None)
        return result

    def contact(
        self,
        text: str = "",
        *,
        channel: str = "email",
        sender: Party,
        conversation: str = "",
        native: dict[str, Any] | None = None,
        case_token: str = "",
        subject: str = "",
        id: str = "",
        signed: str = "none",
        **more: Any,
    ) -> Contact:
        """A contact as an adapter makes it."""
        self.count += 1
        own: dict[str, Any] = {"message_id": f"<m{self.count}@example>"} if channel == "email" else {}
        now = self.clock.now()
        return Contact(
            id=id or derive_id("c", TENANT, channel, str(self.count)),
            tenant=TENANT, channel=channel, account="hilfe@shop.example" if channel == "email" else channel,
            sender=sender, occurred_at=now, received_at=now, conversation=conversation, case_token=case_token,
            subject=subject, text=text, native={**own, **(native or {})}, proof=Proof(level=signed), **more,
        )  # fmt: skip

    async def hear(self, contact: Contact, understanding: Understanding) -> Heard:
        """Take a contact the whole way: intake, department, replies, their delivery."""
        identified = await self.hear_intake(contact)
        if identified is None:
            return Heard(replies=[], case="", link="", contact=contact)
        who = decode(identified.value, Identified)
        item = WorkItem(
            contact=contact, case=who.case, person=who.person, understanding=understanding, link=who.link,
            claims=who.claims,
        )  # fmt: skip
        replies = await self.work(item)
        return Heard(replies=replies, case=who.case, link=who.link, contact=contact, item=item)

    async def hear_intake(self, contact: Contact) -> Record | None:
        """Intake alone: what it emitted for triage."""
        found = await self.take(self.workers["intake"], stored(CONTACT_RECEIVED, contact.id, contact))
        return next((record for record in found.emit if record.topic == CONTACT_IDENTIFIED), None)

    @staticmethod
    def stored(topic: str, key: str, value: Any) -> StoredRecord:
        """A record as a worker receives it."""
        return stored(topic, key, value)

    async def work(self, item: WorkItem) -> list[Reply]:
        """Give a work item to its department, and to the one it is forwarded to."""
        department = item.understanding.department
        for _ in range(3):
            topic = work_topic(department, lane_of(item.contact.channel))
            outcome = await self.take(self.workers[department], stored(topic, item.case, item))
            given = [record for record in outcome.emit if record.topic.startswith("work.")]
            forwarded = [record for record in given if record.key == item.case]
            if not forwarded:
                await self.deliver(outcome.replies)
                replies = list(outcome.replies)
                for record in given:
                    # A further matter of the same contact has a case of its own.
                    replies += await self.work(decode(record.value, WorkItem))
                return replies
            department = forwarded[0].topic.split(".")[1]
        raise AssertionError("forwarded in circles")

    async def deliver(self, replies: Sequence[Reply], state: str = "accepted", *, permanent: bool = False) -> None:
        """The channel reports what became of replies."""
        for reply in replies:
            self.sent.append(reply)
            status = Status(
                reply=reply.id, tenant=TENANT, case=reply.case, channel=reply.channel, state=state,
                at=self.clock.now(), permanent=permanent,
            )  # fmt: skip
            await self.take(self.workers["case"], stored(REPLY_STATUS, reply.case, status))

    async def pass_time(self, **spans: float) -> list[Reply]:
        """Let time pass and the timers fire that are due."""
        self.clock.advance(timedelta(**spans).total_seconds())
        replies: list[Reply] = []
        for timer in sorted(self.timers.values(), key=lambda t: t.due):
            if timer.due <= self.clock.now() and timer.topic == CASE_TIMER:
                del self.timers[timer.id]
                record = StoredRecord(
                    topic=timer.topic, partition=0, offset=1, at=0, key=timer.key, value=timer.value, id=timer.id,
                    headers={"tenant": timer.tenant},
                )  # fmt: skip
                outcome = await self.take(self.workers["case"], record)
                replies.extend(outcome.replies)
        await self.deliver(replies)
        return replies

    async def take(self, worker: Any, record: StoredRecord) -> Outcome:
        """Prepare, handle, apply; once more when a guard failed."""
        for _ in range(3):
            await worker.prepare([record])
            outcome: Outcome = await worker.handle(record)
            result = await self.apply(outcome)
            if result.applied:
                return outcome
            assert result.reason == "conflict", result
        raise AssertionError("always a conflict")

    async def case(self, case_id: str) -> CaseState:
        """The newest state."""
        state = await load_case(self.engine, TENANT, case_id)
        assert state is not None
        return state

    async def timeline(self, case_id: str) -> list[CaseEvent]:
        """Every event, in order."""
        rows = await self.engine.all(
            select(case_event).where(case_event.c.case_id == case_id).order_by(case_event.c.seq)
        )
        return [decode_event(row["data"]) for row in rows]

    async def refunds(self) -> list[Any]:
        """Every refund that a case made."""
        return list(await self.engine.all(select(refund).where(refund.c.case_id != "")))

    def code_sent_to(self, address: str) -> str:
        """The code in the last mail to an address."""
        mail = next(reply for reply in reversed(self.sent) if reply.to.address == address)
        return next(line for line in mail.text.splitlines() if line.strip().isdigit() and len(line.strip()) == 6)


def mean(
    intent: str = "",
    *,
    department: str = "billing",
    language: str = "de",
    decision: str = "accept",
    entities: dict[str, str] | None = None,
    **more: Any,
) -> Understanding:
    """What triage would have understood."""
    return Understanding(
        language=language,
        department=department,
        intents=(Intent(label=intent, confidence=0.97),) if intent else (),
        decision=decision,
        entities=tuple(Entity(kind=kind, value=value) for kind, value in (entities or {}).items()),
        **more,
    )


@pytest_asyncio.fixture
async def shop(engine: EmbeddedEngine, clock: FakeClock) -> Shop:
    """The demo shop on a fresh engine."""
    return await open_shop(engine, clock)


@pytest_asyncio.fixture
async def other_shop(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Shop]:
    """A second installation of the product, which knows nothing of the first."""
    engine = await EmbeddedEngine.open(tmp_path / "elsewhere", clock=clock)
    await engine.create_schema()
    yield await open_shop(engine, clock)
    await engine.close()


async def open_shop(engine: EmbeddedEngine, clock: FakeClock) -> Shop:
    """The demo shop's workers on an engine."""
    pack = load("shop")
    signer = Signer(b"a secret of the tests, 32 bytes!")
    common: dict[str, Any] = {"store": engine, "clock": clock, "pack": pack}
    full = common | {"signer": signer, "public_url": "http://shop.test"}
    await load_demo(engine, clock)
    return Shop(
        engine=engine,
        clock=clock,
        pack=pack,
        signer=signer,
        workers={
            "intake": IntakeWorker(store=engine, clock=clock),
            "case": CaseWorker(**common),
            "billing": BillingWorker(**full),
            "returns": ReturnsWorker(**full),
            "sales": SalesWorker(**full),
            "support": SupportWorker(**full),
            "desk": DepartmentWorker(**common),
        },
    )


@pytest_asyncio.fixture
async def understand() -> Callable[..., Understanding]:
    """Builds what triage would have understood."""
    return mean


@pytest_asyncio.fixture
async def party() -> Callable[..., Party]:
    """Builds a sender."""

    def build(kind: str, address: str, name: str = "") -> Party:
        return Party(kind=kind, address=address, name=name)

    return build


__all__ = ["Heard", "Record", "Shop"]
