"""One trace from the door to the reply, with spans where OpenTelemetry is set up and without them where it is not."""

import re
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bus.adapter.hosting import contact_record
from bus.delivery.outcome import Outcome
from bus.errors import PoisonError
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record, StoredRecord
from bus.message import Contact, Party
from bus.message.envelope import traceparent_of
from bus.testing.clock import FakeClock
from bus.tracing import OpenTelemetry, configured

W3C = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]")
DOOR = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def hop(stored: StoredRecord) -> Outcome:
    """From `in` to `next` to `out`."""
    target = "next" if stored.topic == "in" else "out"
    return Outcome(emit=(Record(topic=target, key=stored.key, value=stored.value, id=f"{target}/{stored.id}"),))


def test_a_contact_is_given_a_trace_at_the_door_the_same_one_each_time(clock: FakeClock) -> None:
    contact = Contact(
        id="c-1", tenant="shop", channel="email", account="a", sender=Party(kind="email", address="g@kunde.example"),
        occurred_at=clock.now(), received_at=clock.now(),
    )  # fmt: skip
    first, again = contact_record(contact), contact_record(contact)
    assert W3C.fullmatch(first.headers["traceparent"])
    assert first.headers["traceparent"] == again.headers["traceparent"]
    assert traceparent_of("contact", "c-1") != traceparent_of("contact", "c-2")


async def test_each_hop_hands_the_trace_on(engine: EmbeddedEngine, member: Any) -> None:
    await engine.append(
        [
            Record(topic="in", key="a", value=b"told", id="told", headers={"traceparent": DOOR}),
            Record(topic="in", key="b", value=b"untold", id="untold"),
        ]
    )
    async with member(hop, topics=("in", "next")) as m:

        async def both() -> bool:
            return len(await m.records()) == 2

        await m.until(both)
        found = {record.value: record.headers["traceparent"] for record in await m.records()}
        between = {record.value: record.headers["traceparent"] for record in await m.records("next")}
    assert found == between
    assert found[b"told"] == DOOR
    assert W3C.fullmatch(found[b"untold"])


async def test_every_hop_is_a_span_of_the_same_trace_linked_to_the_one_before(
    engine: EmbeddedEngine, member: Any
) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    await engine.append([Record(topic="in", key="a", value=b"1", id="r-1", headers={"traceparent": DOOR})])
    async with member(hop, topics=("in", "next"), tracing=OpenTelemetry(provider)) as m:
        await m.came("1")
        (last,) = await m.records()
    first, second = spans.get_finished_spans()
    assert [_trace(first), _trace(second)] == [DOOR[3:35]] * 2
    assert [_span(first.links[0].context), _span(second.links[0].context)] == [DOOR[36:52], _span(first.context)]
    assert last.headers["traceparent"] == f"00-{_trace(second)}-{_span(second.context)}-01"
    assert first.attributes is not None
    assert first.attributes["messaging.destination.name"] == "in"
    assert first.attributes["messaging.consumer.group.name"] == "g"


async def test_a_span_says_of_an_error_only_its_kind(engine: EmbeddedEngine, member: Any) -> None:
    async def decide(stored: StoredRecord) -> Outcome:
        raise PoisonError("Grete Ohlsen, Lindenweg 4")

    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    await engine.append([Record(topic="in", key="a", value=b"1", id="r-1")])
    async with member(decide, tracing=OpenTelemetry(provider)) as m:
        await m.until(lambda: m.desk)
    (span,) = spans.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes["error.type"] == "PoisonError"
    assert not span.status.is_ok
    assert "Grete" not in span.to_json()


def test_nothing_is_traced_where_nobody_set_it_up() -> None:
    assert configured() is None


def _trace(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def _span(context: Any) -> str:
    return f"{context.span_id:016x}"
