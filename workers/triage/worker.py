"""Reads identified contacts, understands them, and sends them to the department that can help."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from bus.clock import Clock
from bus.delivery.outcome import Outcome, Write
from bus.log.port import Record, StoredRecord
from bus.log.topics import CONTACT_IDENTIFIED, LIVE_CHANNELS, lane_of, work_topic
from bus.message import decode, derive_id, encode, envelope
from bus.store.permission import recipient_key, withdrawal_write
from bus.store.port import Store
from workers.case.changes import load_cases
from workers.case.merging import family
from workers.case.model import CaseState
from workers.case.work import Identified, Understanding, WorkItem
from workers.packs import Pack
from workers.triage.brain import Brain, Message
from workers.triage.understand import Context

__all__ = ["TriageWorker"]

KEPT = 2_000
"""Understandings kept between `prepare` and `handle`; more than any batch, and bounded."""


class TriageWorker:
    """Group `triage`. The model is opened (or trained, once per pack version) in a thread that starts at once."""

    group = "triage"
    topics: Sequence[str] = (CONTACT_IDENTIFIED,)

    def __init__(self, *, store: Store, clock: Clock, pack: Pack, data_dir: Path | None) -> None:
        self._store = store
        self._clock = clock
        self._pack = pack
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="triage")
        self._brain: Future[Brain] = self._thread.submit(Brain.open, pack, data_dir)
        self._kept: OrderedDict[str, Understanding] = OrderedDict()

    async def ready(self) -> Brain:
        """The brain, once it is there."""
        return await asyncio.wrap_future(self._brain)

    async def prepare(self, batch: Sequence[StoredRecord]) -> None:
        """Understand a whole batch in one pass: one call of the model costs as much as two hundred messages in it."""
        items = [decode(record.value, Identified) for record in batch]
        for item, understanding in zip(items, await self._understand(items), strict=True):
            self._kept[item.contact.id] = understanding
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    async def handle(self, record: StoredRecord) -> Outcome:
        """The work item for the department, and a withdrawal at once when somebody wants no more advertising."""
        item = decode(record.value, Identified)
        contact = item.contact
        understanding = self._kept.pop(contact.id, None) or (await self._understand([item]))[0]
        work = WorkItem(
            contact=contact,
            case=item.case,
            person=item.person,
            understanding=understanding,
            link=item.link,
            claims=item.claims,
        )
        now = self._clock.now()
        emitted = Record(
            topic=work_topic(understanding.department, lane_of(contact.channel)),
            key=item.case,
            value=encode(work),
            id=derive_id("w", contact.tenant, contact.id),
            headers=envelope(
                record_id=derive_id("w", contact.tenant, contact.id),
                kind="work",
                source="triage",
                tenant=contact.tenant,
                at=now,
                subject=item.case,
                key_id=record.headers.get("key-id", ""),
                deadline=contact.deadline,
                traceparent=record.headers.get("traceparent", ""),
            ),
        )
        writes: tuple[Write, ...] = ()
        if understanding.stop_contact and item.person:
            # It holds for the human being, under whatever name the desk knows him besides.
            everybody = await family(self._store, contact.tenant, item.person)
            writes = tuple(
                withdrawal_write(
                    tenant=contact.tenant,
                    person=person,
                    recipient=recipient_key(contact.tenant, contact.sender),
                    evidence=contact.id,
                    now=now,
                )
                for person in everybody
            )
        return Outcome(writes=writes, emit=(emitted,))

    async def _understand(self, items: Sequence[Identified]) -> list[Understanding]:
        brain = await self.ready()
        cases = await load_cases(self._store, [(item.contact.tenant, item.case) for item in items])
        messages = [self._message(item, cases.get((item.contact.tenant, item.case))) for item in items]
        # In the thread: a batch of letters computes for tens of milliseconds, and callers wait on this loop.
        return await asyncio.get_running_loop().run_in_executor(self._thread, brain.understand, messages)

    def _message(self, item: Identified, case: CaseState | None) -> Message:
        contact = item.contact
        pending = case.pending if case is not None else None
        number = contact.sender.address if contact.sender.kind == "phone" else ""
        return Message(
            text=contact.own_text(),
            subject=contact.subject if case is None or not case.contacts else "",
            hints_case=case.language if case is not None else "",
            hints_channel=contact.language,
            hints_number=_language_of(number, self._pack),
            context=Context(
                live=contact.channel in LIVE_CHANNELS,
                pending=pending.kind if pending is not None else "",
                about=pending.about if pending is not None else (),
                department=case.department if case is not None else "",
                request=str(contact.native.get("request", "")),
                digits=str(contact.native.get("digits", "")),
                automatic=contact.automatic,
            ),
        )


def _language_of(number: str, pack: Pack) -> str:
    """The language of a number's country, by the longest calling code that the pack knows."""
    if not number.startswith("+"):
        return ""
    codes = sorted(pack.file.countries, key=len, reverse=True)
    return next((pack.file.countries[code] for code in codes if number.startswith(code, 1)), "")
