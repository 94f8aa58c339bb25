"""Repeated, late and reordered requests on the real engine: the same bytes, and everything happens once."""

import asyncio
import random
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import select

from adapters.phone.calls import StoredCalls
from adapters.phone.schema import phone_call
from adapters.phone.signature import FORM, sign
from adapters.phone.simulator import Faults, Keys, Say, Wait, simulate_call

SID = "CA" + "b" * 32


class Line:
    """Single requests, signed."""

    def __init__(self, phone: Any, adapter: Any) -> None:
        self._phone = phone
        self._adapter = adapter

    async def post(self, path: str, **form: str) -> bytes:
        form = {"CallSid": SID, "From": self._phone.JONAS, "To": self._phone.GERMAN, **form}
        path = f"/phone/shop/{path}"
        status, body = await self._adapter.handle(
            path, urlencode(form).encode(), signature=sign(self._phone.BASE + path, form, self._phone.TOKEN),
            content_type=FORM,
        )  # fmt: skip
        assert status == 200
        return body

    async def at(self, route: str, step: int, **form: str) -> bytes:
        return await self.post(f"{SID}/{route}/{step}", **form)


@pytest.fixture
def line(phone: Any, engine: Any, tmp_path: Any) -> Any:
    """A line on the real engine with real time, and the workers behind it."""
    adapter, workers = phone.build(tmp_path, clock=phone.LoopClock(), store=engine)
    return Line(phone, adapter), workers


async def test_every_request_may_come_three_times(line: Any) -> None:
    caller, workers = line
    workers.delay_s = lambda contact: 0.05 if contact.text else None
    for _ in range(3):
        greeting = await caller.post("voice", CallStatus="ringing")
        assert b"said/1" in greeting
    answers = [await caller.at("said", 1, SpeechResult="Hallo", Confidence="0.9") for _ in range(3)]
    assert len(set(answers)) == 1
    assert b"Verstanden: Hallo" in answers[0]
    queued = [await caller.at("said", 2, Digits="0") for _ in range(3)]
    assert len(set(queued)) == 1
    assert b"<Enqueue" in queued[0]
    waiting = [await caller.at("wait", 3) for _ in range(3)]
    assert len(set(waiting)) == 1
    cycle = [await caller.at("key", 4) for _ in range(3)]
    assert len(set(cycle)) == 1
    assert cycle[0] != waiting[0]
    promised = [await caller.at("key", 5, Digits="1") for _ in range(3)]
    assert len(set(promised)) == 1
    assert b"Wir rufen Sie" in promised[0]
    for _ in range(3):
        await caller.at("left", 3, QueueResult="hangup", CallStatus="completed")
        await caller.post("status", CallStatus="completed")
    assert workers.requests() == ["said", "person", "callback"]
    assert [status.state for status in workers.statuses] == ["delivered"]


async def test_repetitions_of_a_held_request_wait_together(line: Any) -> None:
    caller, workers = line
    workers.delay_s = lambda contact: 0.4
    await caller.post("voice")
    first = asyncio.create_task(caller.at("said", 1, SpeechResult="Hallo"))
    await asyncio.sleep(0.2)
    others = [asyncio.create_task(caller.at("said", 1, SpeechResult="Hallo")) for _ in range(4)]
    answers = await asyncio.gather(first, *others)
    assert len(set(answers)) == 1
    assert b"Verstanden: Hallo" in answers[0]
    assert workers.requests() == ["said"]
    assert len(workers.statuses) == 1


async def test_repetitions_of_a_request_that_ends_in_filler_words(line: Any) -> None:
    caller, workers = line
    workers.delay_s = lambda contact: None
    await caller.post("voice")
    answers = await asyncio.gather(*(caller.at("said", 1, SpeechResult="Hallo") for _ in range(5)))
    assert len(set(answers)) == 1
    assert b"Einen Moment bitte" in answers[0]
    # A reply that comes now does not change what the repetition of an answered request hears.
    await workers.send(workers.contacts[0], text="Hier ist die Antwort.", listen=True)
    assert await caller.at("said", 1, SpeechResult="Hallo") == answers[0]
    assert b"Hier ist die Antwort" in await caller.at("think", 2)


async def test_latecomers_hear_what_is_now(line: Any) -> None:
    caller, workers = line
    await caller.post("voice")
    await caller.at("said", 1, SpeechResult="Hallo")
    now = await caller.at("said", 2, SpeechResult="Und noch etwas")
    assert await caller.post("voice") == now
    assert await caller.at("said", 1, SpeechResult="Hallo") == now
    # A zero that was pressed at an older step, delivered late, moves nobody into the queue.
    assert await caller.at("said", 1, Digits="0") == now
    assert workers.requests() == ["said", "said"]


async def test_the_queue_forgets_nothing_when_its_requests_are_reordered(line: Any) -> None:
    caller, workers = line
    workers.delay_s = lambda contact: None
    await caller.post("voice")
    await caller.at("said", 1, Digits="0")
    await caller.at("wait", 2)
    second = await caller.at("key", 3)
    # The provider asks again at the beginning of the queue: the caller goes on where the call is.
    assert await caller.at("wait", 2) == second
    assert await caller.at("key", 3) == second
    # The queue failed: back in with an apology; a second failure ends in a message.
    again = await caller.at("left", 2, QueueResult="error")
    assert b"<Enqueue" in again
    assert b"unterbrochen" in again
    assert await caller.at("left", 2, QueueResult="error") == again
    await caller.at("wait", 5)
    assert b"<Record" in await caller.at("left", 5, QueueResult="system-error")
    assert workers.requests() == ["person"]


async def test_a_recording_counts_even_after_the_end_of_the_call(line: Any) -> None:
    caller, workers = line
    workers.delay_s = lambda contact: None
    await caller.post("voice")
    await caller.at("said", 1, Digits="0")
    await caller.at("wait", 2)
    assert b"<Leave" in await caller.at("key", 3, Digits="2")
    assert b"<Record" in await caller.at("left", 2, QueueResult="leave")
    await caller.post("status", CallStatus="completed")
    for _ in range(2):
        await caller.at("recorded", 4, RecordingSid="RE" + "1" * 32, RecordingUrl="https://a.b/c", Digits="hangup")
    assert workers.requests() == ["person", "voicemail"]
    assert workers.contacts[1].native["recording_sid"] == "RE" + "1" * 32


async def test_an_unknown_call_is_taken_up_where_the_provider_has_it(line: Any) -> None:
    caller, workers = line
    workers.delay_s = lambda contact: None
    assert b"noch ist niemand" in await caller.at("key", 9)
    assert workers.requests() == ["person"]
    assert b"noch ist niemand" in await caller.at("key", 10)
    assert b"Wir rufen Sie" in await caller.at("key", 11, Digits="1")
    assert workers.requests() == ["person", "callback"]


async def test_silent_calls_are_ended_and_old_ones_forgotten(
    phone: Any, engine: Any, clock: Any, tmp_path: Any
) -> None:
    adapter, workers = phone.build(tmp_path, clock=clock, store=engine)
    workers.delay_s = lambda contact: None
    caller = Line(phone, adapter)
    await caller.post("voice")
    await caller.at("said", 1, Digits="0")
    await caller.at("wait", 2)
    await workers.send(workers.contacts[0], text="Hier ist Frau Weber.", listen=True, automatic=False)
    clock.advance(599)
    await adapter.sweep()
    assert workers.requests() == ["person"]
    clock.advance(2)
    await adapter.sweep()
    assert workers.requests() == ["person", "ended"]
    clock.advance(31)
    await adapter.sweep()
    assert [status.state for status in workers.statuses] == ["failed"]
    clock.advance(86_400)
    await adapter.sweep()
    assert await engine.all(select(phone_call)) == []


async def test_a_call_that_cannot_be_read_does_not_keep_others_from_being_looked_after(
    phone: Any, clock: Any, tmp_path: Any
) -> None:
    table = phone.MemoryCalls()
    table.rows["CA" + "0" * 32] = (1, b"of another version", 0)
    adapter, workers = phone.build(tmp_path, clock=clock, calls=table)
    workers.delay_s = lambda contact: None
    caller = Line(phone, adapter)
    await caller.post("voice")
    await caller.at("said", 1, Digits="0")
    clock.advance(601)
    await adapter.sweep()
    assert workers.requests() == ["person", "ended"]


async def test_state_survives_the_process(phone: Any, engine: Any, tmp_path: Any) -> None:
    def start() -> Any:
        return phone.build(tmp_path, clock=phone.LoopClock(), store=engine)

    adapter, _ = start()
    await Line(phone, adapter).post("voice")
    adapter, workers = start()
    workers.delay_s = lambda contact: None
    await Line(phone, adapter).at("said", 1, Digits="0")
    adapter, _ = start()
    first = await Line(phone, adapter).at("wait", 2)
    adapter, _ = start()
    assert await Line(phone, adapter).at("wait", 2) == first
    call, version = await StoredCalls(engine, "shop").load(SID)
    assert call is not None
    assert (call.state, call.parked, call.cycle, version) == ("queue", True, 1, 3)


async def test_many_broken_calls_at_once_on_the_real_engine(phone: Any, engine: Any, tmp_path: Any) -> None:
    adapter, workers = phone.build(tmp_path, clock=phone.LoopClock(), store=engine)
    rng = random.Random(7)
    faults = Faults(duplicate=0.2, late=0.2)

    async def call(number: int) -> Any:
        turns = [Say(f"Frage {number}"), Keys("0"), Wait(rng.choice((20, 60, 130))), Keys("1")]
        return await simulate_call(
            phone.BASE, f"+4930{number:07d}", phone.GERMAN, turns, auth_token=phone.TOKEN, clock="virtual",
            transport=phone.DirectTransport(adapter), faults=faults, seed=number,
        )  # fmt: skip

    for transcript in await asyncio.gather(*(call(number) for number in range(60))):
        assert transcript.problems == []
        assert transcript.ended == "hang-up"
        assert transcript.longest_gap_s <= 35
    per_call: dict[str, list[str]] = {}
    for contact in workers.contacts:
        per_call.setdefault(contact.conversation, []).append(contact.native.get("request") or "said")
    assert list(per_call.values()) == [["said", "person", "callback"]] * 60
