"""Thousands of seeded random calls over a broken network: every one ends, nobody is left in silence.

`CONTACTBUS_TEST_CALLS=10000` makes as many as a release wants.
"""

import asyncio
import itertools
import os
import random
import time
from typing import Any

import pytest

from adapters.phone.phrases import load_phrases
from adapters.phone.simulator import CallFailed, Faults, Keys, Say, Transcript, Turn, Wait, simulate_call
from bus.errors import Overloaded
from bus.message import clean_text

SEEDS = 4
CALLS = int(os.environ.get("CONTACTBUS_TEST_CALLS", "2200")) // SEEDS
"""Of each seed."""
FAULTS = Faults(duplicate=0.05, lost=0.02, unsent=0.01, late=0.02)
SILENT_WORKERS = 0.01
LOST_PUSHES = 0.02
"""Answers given to their call by another gateway, of which the one that holds the line gets no hint."""
REFUSING_BUS = 0.01
PROMISED_GAP_S = 60.0

WORDS = (
    "Ich habe eine Frage zu meiner Rechnung.",
    "Maskinen min er ødelagt.",
    "I was charged too much.",
    "Nein danke.",
    "SO-10234",
    "æøå ÄÖÜ ß \u2028 <Say>&amp;</Say> ]]> 'quotes' \"more\"",
    "",
)


def _turns(rng: random.Random) -> list[Turn]:
    turns: list[Turn] = []
    for _ in range(rng.randint(0, 5)):
        kind = rng.random()
        if kind < 0.45:
            turns.append(Say(rng.choice(WORDS), confidence=rng.random()))
        elif kind < 0.75:
            turns.append(Keys(rng.choice("0012345*#"), hurry=rng.random() < 0.3))
        else:
            turns.append(Wait(rng.choice((3, 8, 25, 40, 70, 130)) if rng.random() < 0.97 else 1_500))
    return turns


def _answers(rng: random.Random) -> Any:
    def answer(contact: Any) -> list[dict[str, Any]]:
        if contact.native.get("request") == "person":
            choice = rng.random()
            if choice < 0.5:
                return [{"text": "Ich hole jemanden dazu.", "handover": True, "kind": "hold"}]
            if choice < 0.6:
                return [{"text": "Hier ist Frau Weber, ich sehe es mir an.", "listen": True, "person": "weber"}]
            return []
        if contact.native.get("request"):
            return []
        choice = rng.random()
        if choice < 0.1:
            return [{"text": "Danke und auf Wiederhören.", "kind": "goodbye"}]
        if choice < 0.2:
            return [{"text": "Das gebe ich weiter.", "handover": True}]
        if choice < 0.3:
            return [{"text": "Ich sehe nach.", "kind": "acknowledgement"}, {"text": "Gefunden.", "listen": True}]
        if choice < 0.4:
            return [{"text": "Wie lautet Ihre Bestellnummer?", "kind": "question", "listen": True}]
        return [{"text": "Es sind 49,90 EUR am 05.01.2026 zu SO-10234. " * rng.randint(1, 8), "listen": True}]

    return answer


class _Pushes:
    """Gives answers to calls: most through the gateway that holds them, some through one whose hint is lost."""

    def __init__(self, holding: Any, elsewhere: Any, rng: random.Random) -> None:
        self._holding, self._elsewhere, self._rng = holding, elsewhere, rng
        self.lost = 0

    async def send(self, reply: Any, attempt: int) -> Any:
        if self._rng.random() < LOST_PUSHES:
            self.lost += 1
            return await self._elsewhere.send(reply, attempt)
        return await self._holding.send(reply, attempt)


async def _play(phone: Any, folder: Any, seed: int) -> tuple[list[Transcript], Any, Any, int]:
    rng = random.Random(seed)
    workers = phone.Workers(
        answers=_answers(rng),
        delay_s=lambda contact: None if rng.random() < SILENT_WORKERS else rng.expovariate(1.5),
        refuses=lambda raw: Overloaded("full") if rng.random() < REFUSING_BUS else None,
    )
    gateways = {"clock": phone.LoopClock(), "calls": phone.MemoryCalls(), "workers": workers}
    adapter, _ = phone.build(folder, **gateways)
    elsewhere, _ = phone.build(folder, **gateways)
    pushes = workers.adapter = _Pushes(adapter, elsewhere, random.Random(seed))
    transport = phone.DirectTransport(adapter)

    async def one(number: int) -> Transcript | None:
        await asyncio.sleep(rng.uniform(0, 600))
        caller = rng.choice((f"+4930{number:07d}", f"+47{number:08d}", "anonymous", "+266696687"))
        line = rng.choice((phone.GERMAN, phone.NORWEGIAN, phone.ENGLISH, "+4940999999"))
        try:
            return await simulate_call(
                phone.BASE,
                caller,
                line,
                _turns(rng),
                auth_token=phone.TOKEN,
                clock="real",
                transport=transport,
                faults=FAULTS,
                seed=rng.getrandbits(64),
            )
        except CallFailed:
            return None

    sweeper = asyncio.create_task(adapter.receive())
    calls = await asyncio.gather(*(one(number) for number in range(CALLS)))
    await asyncio.sleep(1_000)  # virtual: time for the watch over silent calls
    sweeper.cancel()
    return [call for call in calls if call is not None], workers, pushes, transport.posts


@pytest.mark.timeout(60 + CALLS // 5)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_call_ends_well(phone: Any, tmp_path: Any, seed: int) -> None:
    began = time.process_time()
    transcripts, workers, pushes, posts = phone.run(_play(phone, tmp_path, seed))
    cpu = time.process_time() - began

    gaps = sorted(transcript.longest_gap_s for transcript in transcripts)
    hours = sum(transcript.seconds for transcript in transcripts) / 3600
    print(
        f"\n{len(transcripts)} calls, {hours:.0f} h of talk, {posts} webhooks, {posts / cpu:,.0f}/s of processor time "
        f"with their caller; spoken gap p99 {gaps[int(len(gaps) * 0.99)]:.1f} s, worst {gaps[-1]:.1f} s; "
        f"{pushes.lost} pushes lost, {_waits(transcripts)} waits of a minute and more"
    )
    assert pushes.lost > CALLS / 100
    # Three tries in a row that never reach the product: not even the provider can help such a call.
    dropped = [transcript for transcript in transcripts if _unreachable(transcript)]
    assert len(transcripts) - len(dropped) >= 0.995 * CALLS
    for transcript in transcripts:
        if transcript in dropped:
            continue
        assert transcript.ended in ("caller", "hang-up"), (transcript.ended, transcript.problems, transcript.text)
        assert not [p for p in transcript.problems if "were listened to" not in p], transcript.problems
    assert gaps[-1] <= PROMISED_GAP_S, next(t.text for t in transcripts if t.longest_gap_s == gaps[-1])
    _check_announcements(transcripts)
    _check_contacts(transcripts, workers)


def _unreachable(transcript: Transcript) -> bool:
    return transcript.ended == "error" and all("answered 0 after 3 tries" in line for line in transcript.problems)


def _check_announcements(transcripts: list[Transcript]) -> None:
    """Whoever is told how to leave the queue is told sorry and why, in the same breath."""
    heard = 0
    for phrases in load_phrases().values():
        for transcript in transcripts:
            for line in transcript.heard:
                if line.say.endswith((phrases.choices, phrases.choices_without_number)):
                    heard += 1
                    assert _is_sorry(line.say), line.say
    assert heard > CALLS
    for transcript in transcripts:
        for entered, left in _stays(transcript):
            sorry = [line.at for line in transcript.heard if entered <= line.at <= left and _is_sorry(line.say)]
            moments = [entered, *sorry, left]
            longest = max(later - earlier for earlier, later in itertools.pairwise(moments))
            assert longest <= PROMISED_GAP_S, (entered, left, transcript.text)


def _is_sorry(said: str) -> bool:
    """Whether an announcement has an apology and a reason."""
    return any(
        any(line.split("{reason}")[0] in said for line in phrases.hold)
        and any(reason in said for reason in phrases.reason.values())
        for phrases in load_phrases().values()
    )


def _stays(transcript: Transcript) -> list[tuple[float, float]]:
    """From when until when somebody was in the queue, each time: the provider asks for the queue's words meanwhile."""
    stays: list[list[float]] = []
    queued = False
    for request in transcript.requests:
        in_queue = any(f"/{step}/" in request.path for step in ("wait", "key"))
        if in_queue and queued:
            stays[-1][1] = request.at
        elif in_queue:
            stays.append([request.at, request.at])
        queued = in_queue
    return [(entered, left) for entered, left in stays]


def _waits(transcripts: list[Transcript]) -> int:
    """How many stays in the queue the hold contract had to do with."""
    stays = (stay for transcript in transcripts for stay in _stays(transcript))
    return sum(left - entered >= PROMISED_GAP_S for entered, left in stays)


def _check_contacts(transcripts: list[Transcript], workers: Any) -> None:
    by_call: dict[str, list[str]] = {}
    words: dict[str, list[str]] = {}
    for contact in workers.contacts:
        if contact.quality.confidence is not None:
            words.setdefault(contact.conversation, []).append(contact.text)
        by_call.setdefault(contact.conversation, []).append(contact.native.get("request") or "said")
    wishes = ("callback", "voicemail", "ended")
    for transcript in transcripts:
        requests = by_call.get(transcript.call_sid, [])
        if not _unreachable(transcript):
            # Whatever the network and the bus did: everything that was said came through, once.
            said = sorted(clean_text(text).strip() for text in transcript.said if text)
            assert sorted(words.get(transcript.call_sid, [])) == said
        assert all(requests.count(wish) <= 1 for wish in ("callback", "ended")), requests
        waited = any("/wait/" in request.path and request.status == 200 for request in transcript.requests)
        if waited and "Das gebe ich weiter" not in transcript.text:
            # Nobody waits unknown: either workers put the caller through, or they are told of the wish.
            assert "person" in requests, (requests, transcript.text)
    assert {wish for requests in by_call.values() for wish in requests} >= {"said", "person", *wishes}
    spoken = {status.reply for status in workers.statuses if status.state == "delivered"}
    unheard = {status.reply for status in workers.statuses if status.state == "failed"}
    assert spoken
    assert unheard
    assert not spoken & unheard
