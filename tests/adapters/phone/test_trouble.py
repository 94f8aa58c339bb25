"""Our own trouble, and what a caller hears of it: an apology, a way to people, never a dead line."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from adapters.phone.call import Call
from adapters.phone.calls import due_of, is_lost
from adapters.phone.config import PhoneConfig
from adapters.phone.phrases import load_phrases
from adapters.phone.simulator import Keys, Say, Wait, simulate_call
from bus.errors import Overloaded, StorageFull

DE = load_phrases()["de"]


def test_a_bus_that_takes_nothing_still_leads_to_people(phone: Any, tmp_path: Any) -> None:
    down = [True]

    async def repair(team: Any) -> None:
        await asyncio.sleep(60)
        down[0] = False

    transcript, team = phone.play(
        tmp_path,
        [Say("Meine Maschine ist defekt."), Wait(150)],
        meanwhile=repair,
        delay_s=lambda contact: None,
        refuses=lambda raw: Overloaded("full") if down[0] else None,
    )
    assert phone.says(transcript)[1] == DE.overloaded
    assert DE.reason["overloaded"] in phone.says(transcript)[2]
    assert transcript.longest_gap_s <= 35
    # Once it works again, nothing that was said is lost, and the wish for a person is known.
    assert sorted(team.requests()) == ["ended", "person", "said"]
    said = next(contact for contact in team.contacts if contact.text)
    assert said.text == "Meine Maschine ist defekt."
    # Its time for an answer is over: it must not be given up for being late.
    assert said.deadline is None


def test_zero_works_while_the_bus_is_down_and_no_callback_is_promised(phone: Any, tmp_path: Any) -> None:
    transcript, team = phone.play(tmp_path, [Keys("0"), Keys("1"), Wait(20)], refuses=lambda raw: StorageFull("disk"))
    assert phone.says(transcript)[1].startswith(DE.connecting)
    assert phone.says(transcript)[2].startswith(DE.callback_failed)
    assert "zurück, und zwar" not in transcript.text
    assert team.contacts == []


class _Broken:
    """A table that fails while `broken` is true."""

    def __init__(self, calls: Any, *, reading: bool) -> None:
        self._calls = calls
        self._reading = reading
        self.broken = True

    async def load(self, sid: str) -> Any:
        if self.broken and self._reading:
            raise StorageFull("disk")
        return await self._calls.load(sid)

    async def save(self, call: Any, version: int, now: int) -> bool:
        if self.broken:
            raise StorageFull("disk")
        return await self._calls.save(call, version, now)

    async def calls_from(self, caller: str, since: int) -> int:
        return await self._calls.calls_from(caller, since)


@pytest.mark.parametrize("reading", [True, False])
@pytest.mark.parametrize("opening", [Keys("0"), Say("Hallo")])
def test_a_store_that_keeps_nothing_leaves_nobody_in_silence(
    phone: Any, tmp_path: Any, reading: bool, opening: Any
) -> None:
    calls = _Broken(phone.MemoryCalls(), reading=reading)

    async def repair(team: Any) -> None:
        await asyncio.sleep(70)
        calls.broken = False

    transcript, team = phone.play(
        tmp_path, [opening, Wait(150), Keys("1")], calls=calls, meanwhile=repair, delay_s=lambda contact: None
    )
    assert transcript.longest_gap_s <= 35
    assert phone.says(transcript)[-1].startswith("Sehr gern. Wir rufen Sie unter der Nummer")
    assert transcript.ended == "hang-up"
    assert {"person", "callback"} <= set(team.requests())


def test_a_house_without_a_store_says_goodbye_at_last(phone: Any, tmp_path: Any) -> None:
    calls = _Broken(phone.MemoryCalls(), reading=True)
    transcript, _ = phone.play(tmp_path, [Keys("0"), Wait(5_000)], calls=calls, delay_s=lambda contact: None)
    assert phone.says(transcript)[-1] == DE.given_up
    assert transcript.ended == "hang-up"
    assert transcript.longest_gap_s <= 35


def test_a_flood_from_one_number_is_busy_and_others_are_not(phone: Any, tmp_path: Any) -> None:
    async def run() -> tuple[list[str], str]:
        adapter, _ = phone.build(
            tmp_path,
            clock=phone.LoopClock(),
            calls=phone.MemoryCalls(),
            config=PhoneConfig(max_calls_per_number_per_hour=3),
        )
        carrier = phone.DirectTransport(adapter)

        async def call(caller: str) -> str:
            transcript = await simulate_call(
                phone.BASE, caller, phone.GERMAN, [], auth_token=phone.TOKEN, clock="real", transport=carrier
            )
            assert transcript.problems == []
            return transcript.ended

        same = [await call(phone.JONAS) for _ in range(5)]
        other = await call("+49305550101")
        await asyncio.sleep(3_700)
        return [*same, await call(phone.JONAS)], other

    ends, other = phone.run(run())
    assert ends == ["caller"] * 3 + ["reject"] * 2 + ["caller"]
    assert other == "caller"


def test_a_spoken_message_that_nobody_could_take_is_not_thanked_for(phone: Any, tmp_path: Any) -> None:
    calls = _Broken(phone.MemoryCalls(), reading=False)
    calls.broken = False

    def full(raw: Any) -> Exception | None:
        if raw.native.get("event") != "voicemail":
            return None
        calls.broken = True
        return StorageFull("disk")

    transcript, team = phone.play(
        tmp_path, [Keys("0"), Keys("2"), Say("Hier Ohlsen, bitte melden Sie sich.")], calls=calls, refuses=full
    )
    assert "voicemail" not in team.requests()
    assert DE.voicemail_thanks not in transcript.text
    # The caller is still there, and hears how things are: nothing is lost in silence.
    assert DE.overloaded in phone.says(transcript)


def test_who_may_be_talking_with_the_hotline_is_not_taken_for_lost() -> None:
    dialled = Call(
        tenant="shop", sid="CA1", line="+49301234567", caller="+49305550144", language="de", began_at=0,
        state="queue", reason="overloaded",
    )  # fmt: skip
    minute = 60_000_000
    assert not is_lost(dialled, 45 * minute)
    assert due_of(dialled, 0) > 45 * minute
    assert is_lost(dialled, 241 * minute)
    for back in ({"dialled": True}, {"parked": True}, {"state": "think"}):
        assert is_lost(replace(dialled, **back), 11 * minute), back
