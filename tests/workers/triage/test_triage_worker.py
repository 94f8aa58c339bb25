"""From contact.identified to work, with the suppression in the same outcome."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from bus.delivery.outcome import Outcome
from bus.log.port import StoredRecord
from bus.message import Contact, Party, TextRange, decode, encode
from bus.store.permission import consent_ledger
from bus.store.port import Effect
from workers.case.work import Identified, WorkItem
from workers.packs import Pack
from workers.triage.brain import Brain
from workers.triage.worker import TriageWorker

AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


@pytest.fixture
def worker(engine: Any, clock: Any, shop: Pack, brain: Brain, learned: Path) -> TriageWorker:
    return TriageWorker(store=engine, clock=clock, pack=shop, data_dir=learned)


def _record(number: int, text: str, *, channel: str = "email", **fields: Any) -> StoredRecord:
    contact = Contact(
        id=f"c-{number}", tenant="shop", channel=channel, account="a",
        sender=Party(kind="email", address="a@b.example"),
        occurred_at=AT, received_at=AT, text=text, **fields,
    )  # fmt: skip
    item = Identified(contact=contact, case=f"k-{number}", person="p-1")
    return StoredRecord(
        topic="contact.identified", partition=0, offset=number, at=0, key=item.case, value=encode(item), id=contact.id,
        headers={"key-id": "shop", "traceparent": "00-abc"},
    )  # fmt: skip


def _work(outcome: Outcome) -> tuple[str, WorkItem]:
    (record,) = outcome.emit
    item = decode(record.value, WorkItem)
    assert record.key == item.case
    return record.topic, item


async def test_a_batch_is_understood_at_once_and_each_goes_its_way(worker: TriageWorker) -> None:
    records = [
        _record(1, "Die Bestellung SO-10234 wurde doppelt abgebucht."),
        _record(2, "Pakken min har ikke kommet", channel="chat"),
        _record(3, "my headphones are broken", channel="phone", language="en"),
    ]
    await worker.prepare(records)
    ways = [_work(await worker.handle(record)) for record in records]
    assert [topic for topic, _ in ways] == ["work.billing.deferred", "work.support.live", "work.returns.live"]
    assert [item.understanding.language for _, item in ways] == ["de", "nb", "en"]


async def test_without_prepare_it_is_the_same(worker: TriageWorker) -> None:
    record = _record(4, "Die Bestellung SO-10234 wurde doppelt abgebucht.")
    alone = await worker.handle(record)
    await worker.prepare([record])
    assert await worker.handle(record) == alone
    assert alone.emit[0].headers["traceparent"] == "00-abc"


async def test_only_what_was_written_this_time_counts(worker: TriageWorker) -> None:
    text = "Nein danke, das war alles.\n\n> Bitte keine Werbung mehr. Ich will einen Menschen sprechen!"
    quote = text.index(">")
    ranges = [{"label": "quote", "start": quote, "end": len(text)}]
    record = _record(5, text)
    item = decode(record.value, Identified)
    contact = msgspec.structs.replace(item.contact, ranges=tuple(TextRange(**part) for part in ranges))
    changed = msgspec.structs.replace(record, value=encode(msgspec.structs.replace(item, contact=contact)))
    _, work = _work(await worker.handle(changed))
    assert work.understanding.done
    assert not work.understanding.stop_contact
    assert not work.understanding.request_person


async def test_stop_is_written_in_the_same_outcome(worker: TriageWorker, engine: Any) -> None:
    outcome = await worker.handle(_record(6, "Bitte keine Werbung mehr."))
    _, work = _work(outcome)
    assert work.understanding.stop_contact
    (result,) = await engine.apply([Effect(outcome=outcome)])
    assert result.applied
    rows = await engine.all(select(consent_ledger))
    assert [(row["person"], row["purpose"], row["given"], row["evidence"]) for row in rows] == [("p-1", "", 0, "c-6")]


async def test_the_number_of_a_caller_tells_the_language(worker: TriageWorker) -> None:
    record = _record(7, "ok", channel="phone")
    item = decode(record.value, Identified)
    sender = Party(kind="phone", address="+4722550102")
    contact = msgspec.structs.replace(item.contact, sender=sender)
    changed = msgspec.structs.replace(record, value=encode(msgspec.structs.replace(item, contact=contact)))
    _, work = _work(await worker.handle(changed))
    assert (work.understanding.language, work.understanding.language_by) == ("nb", "number")
