"""When the house cannot help: an apology in the caller's language, a person's number, and that person's telephone."""

import asyncio
import time
from typing import Any

import pytest

from adapters.phone.config import PhoneConfig
from adapters.phone.phrases import load_phrases, spoken_number
from adapters.phone.simulator import Keys, Say, Transcript, Wait, simulate_call
from bus.adapter.prompt_store import PromptStore, deadline_of
from bus.errors import StorageFull, TransientError

HOTLINE = "+49305550100"
NUMBER = spoken_number(HOTLINE)
LINES = {"de": "+49301234567", "nb": "+4721234567", "en": "+442071234567"}


def play(
    phone: Any, folder: Any, turns: Any, *, language: str = "de", answering: Any = (), store: Any = None, **more: Any
) -> tuple[Transcript, Any]:
    """One call on virtual time to a house with a hotline."""
    away = more.pop("away", False)
    team = phone.Workers(**more)

    async def run() -> Transcript:
        adapter, _ = phone.build(
            folder, clock=phone.LoopClock(), calls=None if store else phone.MemoryCalls(), store=store, workers=team,
            config=PhoneConfig(hotline=HOTLINE), away=away,
        )  # fmt: skip
        return await simulate_call(
            phone.BASE, phone.JONAS, LINES[language], turns, auth_token=phone.TOKEN, clock="real",
            transport=phone.DirectTransport(adapter), seed=1, answering=answering,
        )  # fmt: skip

    transcript = phone.run(run())
    assert transcript.problems == []
    assert transcript.longest_gap_s <= 35
    return transcript, team


def full(raw: Any) -> Exception:
    return StorageFull("disk")


@pytest.mark.parametrize("language", ["de", "nb", "en"])
@pytest.mark.parametrize("opening", [Say("Hallo"), Keys("0")])
def test_a_full_disk_is_an_apology_and_a_person(phone: Any, tmp_path: Any, language: str, opening: Any) -> None:
    transcript, team = play(phone, tmp_path, [opening], language=language, refuses=full, answering=[HOTLINE])
    words = load_phrases()[language]
    said = [heard.say for heard in transcript.heard]
    assert said[1:] == [f"{words.overloaded} {words.direct.format(number=NUMBER)}", words.goodbye]
    assert transcript.dialled == [HOTLINE]
    assert transcript.ended == "hang-up"
    assert team.contacts == []


def test_a_hotline_that_rings_in_vain_leads_to_the_queue_which_names_it(phone: Any, tmp_path: Any) -> None:
    transcript, _ = play(phone, tmp_path, [Say("Hallo"), Wait(60)], refuses=full)
    words = load_phrases()["de"]
    assert transcript.dialled == [HOTLINE]
    waiting = [heard.say for heard in transcript.heard][2:]
    assert waiting
    assert all(words.reason["overloaded"] in line and NUMBER in line for line in waiting)


def test_brokers_that_are_away_let_nobody_wait_for_an_answer(phone: Any, tmp_path: Any) -> None:
    transcript, team = play(
        phone, tmp_path, [Say("Meine Maschine ist defekt.")], away=True, answering=[HOTLINE], delay_s=lambda _: None
    )
    assert transcript.dialled == [HOTLINE]
    # What was said is with the bus, and so is the wish for a person, for whoever looks at it later.
    assert team.requests() == ["said", "person"]
    assert [heard.at for heard in transcript.heard][1] < 20


def test_without_a_hotline_they_wait_for_our_own_people_as_before(phone: Any, tmp_path: Any) -> None:
    async def run() -> Transcript:
        adapter, _ = phone.build(
            tmp_path, clock=phone.LoopClock(), calls=phone.MemoryCalls(), workers=phone.Workers(refuses=full)
        )
        return await simulate_call(
            phone.BASE, phone.JONAS, LINES["de"], [Say("Hallo"), Wait(40)], auth_token=phone.TOKEN, clock="real",
            transport=phone.DirectTransport(adapter), seed=1,
        )  # fmt: skip

    transcript = phone.run(run())
    assert transcript.problems == []
    assert transcript.dialled == []
    assert load_phrases()["de"].reason["overloaded"] in transcript.heard[2].say


class Away:
    """A database behind a dead line, or one that refuses at once."""

    def __init__(self, *, hangs: bool) -> None:
        self._hangs = hangs

    async def _call(self, *arguments: Any) -> Any:
        if self._hangs:
            await asyncio.Event().wait()
        raise TransientError("the database is away")

    all = one = by_keys = apply = _call


@pytest.mark.parametrize("hangs", [True, False])
@pytest.mark.parametrize("language", ["de", "nb", "en"])
async def test_without_the_database_every_document_comes_within_a_second(
    phone: Any, tmp_path: Any, language: str, hangs: bool
) -> None:
    """On real time: greeting, apology with the hotline, and a queue with words, each within a second."""
    store = PromptStore(Away(hangs=hangs), deadline_of("live-media"))  # type: ignore[arg-type]
    adapter, team = phone.build(tmp_path, clock=phone.LoopClock(), store=store, config=PhoneConfig(hotline=HOTLINE))
    slowest = 0.0

    class Timed:
        inner = phone.DirectTransport(adapter)

        async def post(self, url: str, body: bytes, headers: Any) -> Any:
            nonlocal slowest
            began = time.monotonic()
            answer = await self.inner.post(url, body, headers)
            slowest = max(slowest, time.monotonic() - began)
            return answer

    transcript = await simulate_call(
        phone.BASE, phone.JONAS, LINES[language], [Say("Hallo")], auth_token=phone.TOKEN, transport=Timed(), seed=1
    )
    assert transcript.problems == []
    assert slowest < 1.0
    words = load_phrases()[language]
    assert transcript.heard[1].say == f"{words.overloaded} {words.direct.format(number=NUMBER)}"
    assert transcript.dialled == [HOTLINE]
    assert words.reason["overloaded"] in transcript.heard[2].say
    assert "said" in team.requests()


def test_a_hotline_is_a_number() -> None:
    with pytest.raises(ValueError, match="hotline"):
        PhoneConfig(hotline="030 555")
