"""What callers live through, on virtual time: the words they hear, and the contacts that the bus gets."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from adapters.phone.config import OpeningHours, PhoneConfig
from adapters.phone.phrases import load_phrases
from adapters.phone.simulator import Keys, Say, Transcript, Wait, simulate_call
from bus.adapter.contract import Accepted, Refused
from bus.errors import Overloaded, StorageFull

DE = load_phrases()["de"]


def play(
    phone: Any,
    folder: Any,
    turns: Any,
    *,
    to: str = "",
    caller: str = "",
    calls: Any = None,
    meanwhile: Any = None,
    config: PhoneConfig | None = None,
    company: Any = "Nordlicht Handel",
    **workers: Any,
) -> tuple[Transcript, Any]:
    """One call on virtual time. `meanwhile(workers)` runs beside it."""
    team = phone.Workers(**workers)

    async def run() -> Transcript:
        adapter, _ = phone.build(
            folder,
            clock=phone.LoopClock(),
            calls=calls or phone.MemoryCalls(),
            workers=team,
            config=config,
            company=company,
        )
        beside = asyncio.create_task(meanwhile(team)) if meanwhile else None
        transcript = await simulate_call(
            phone.BASE,
            caller or phone.JONAS,
            to or phone.GERMAN,
            turns,
            auth_token=phone.TOKEN,
            clock="real",
            transport=phone.DirectTransport(adapter),
            seed=1,
        )
        if beside is not None:
            await beside
        return transcript

    transcript = phone.run(run())
    assert transcript.problems == []
    return transcript, team


def says(transcript: Transcript) -> list[str]:
    return [heard.say for heard in transcript.heard]


@pytest.mark.parametrize(
    ("line", "machine", "person"),
    [
        (
            "+49301234567",
            "automatische Assistent von Nordlicht Handel",
            "Menschen sprechen, drücken Sie jederzeit die Null",
        ),
        ("+4721234567", "automatiske assistenten til Nordlys Handel", "menneske, kan du når som helst trykke null"),
        ("+442071234567", "automatic assistant at Northlight Store", "talk to a person, press zero"),
    ],
)
def test_the_first_words_say_that_a_machine_speaks(
    phone: Any, tmp_path: Any, line: str, machine: str, person: str
) -> None:
    company = {"de": "Nordlicht Handel", "nb": "Nordlys Handel", "en": "Northlight Store"}
    transcript, _ = play(phone, tmp_path, [], to=line, company=company)
    assert transcript.heard[0].at < 0.5
    assert machine in says(transcript)[0]
    assert person in says(transcript)[0]


def test_a_talk_from_question_to_goodbye(phone: Any, tmp_path: Any) -> None:
    transcript, team = play(phone, tmp_path, [Say("Meine Kaffeemaschine ist defekt."), Say("Nein danke.")])
    assert says(transcript)[1:] == [
        "Verstanden: Meine Kaffeemaschine ist defekt.. Sonst noch etwas?",
        "Gern geschehen. Auf Wiederhören.",
    ]
    assert transcript.ended == "hang-up"
    first, second = team.contacts
    assert first.text == "Meine Kaffeemaschine ist defekt."
    assert (first.conversation, first.channel, first.language) == (transcript.call_sid, "phone", "de")
    assert (first.sender.kind, first.sender.address, first.account) == ("phone", phone.JONAS, phone.GERMAN)
    assert first.proof.level == "none"
    assert first.quality.confidence == pytest.approx(0.93)
    assert (first.deadline - first.received_at).total_seconds() == 12
    assert first.id != second.id
    assert [status.state for status in team.statuses] == ["delivered", "delivered"]
    assert {status.case for status in team.statuses} == {f"k-{transcript.call_sid}"}


def test_an_answer_within_the_hold_needs_no_filler(phone: Any, tmp_path: Any) -> None:
    transcript, _ = play(phone, tmp_path, [Say("Hallo")], delay_s=lambda contact: 1.1)
    assert len(transcript.heard) == 2
    assert "Verstanden" in says(transcript)[1]


def test_a_slow_answer_is_bridged_and_comes_as_soon_as_it_is_there(phone: Any, tmp_path: Any) -> None:
    transcript, _ = play(phone, tmp_path, [Say("Hallo")], delay_s=lambda contact: 7.0)
    assert says(transcript)[1] == DE.fillers[0]
    spoke = transcript.heard[1].at - 1.2
    answer = next(heard for heard in transcript.heard if "Verstanden" in heard.say)
    assert 7.0 <= answer.at - spoke <= 7.5
    assert transcript.longest_gap_s < 7


def test_without_an_answer_the_caller_is_with_people_after_twelve_seconds(phone: Any, tmp_path: Any) -> None:
    transcript, team = play(phone, tmp_path, [Say("Hallo"), Wait(60)], delay_s=lambda contact: None)
    heard = says(transcript)
    assert heard[1:4] == [*DE.fillers, DE.slow]
    spoke = transcript.heard[1].at - 1.2
    slow = next(heard.at for heard in transcript.heard if heard.say == DE.slow)
    assert 12 <= slow - spoke <= 15
    assert DE.reason["slow"] in heard[4]
    assert team.requests() == ["said", "person", "ended"]
    assert team.contacts[1].native["why"] == "no answer in time"


def test_zero_leads_to_people_even_from_a_pause_to_think(phone: Any, tmp_path: Any) -> None:
    transcript, team = play(
        phone, tmp_path, [Say("Hallo"), Keys("0", hurry=True), Wait(10)], delay_s=lambda contact: None
    )
    assert team.requests()[:2] == ["said", "person"]
    assert says(transcript)[2].startswith(DE.connecting)


def test_waiting_is_never_silent_for_long_and_always_has_a_way_out(phone: Any, tmp_path: Any) -> None:
    transcript, team = play(phone, tmp_path, [Keys("0"), Wait(130), Keys("1")], delay_s=lambda contact: None)
    announced = [heard for heard in transcript.heard if DE.choices in heard.say]
    assert len(announced) >= 4
    starts = [heard.at for heard in announced]
    assert all(later - sooner <= 35 for sooner, later in pairwise(starts))
    assert transcript.longest_gap_s <= 35
    for number, heard in enumerate(announced):
        assert DE.hold[number % 3].split("{")[0] in heard.say
        assert DE.reason["asked"] in heard.say
        assert "Rückruf drücken Sie die Eins" in heard.say
    last = says(transcript)[-1]
    assert "plus 4 9, 3 0 5, 5 5 0, 1 4 4" in last
    assert "heute bis 12 Uhr 15" in last
    assert transcript.ended == "hang-up"
    assert team.requests() == ["person", "callback"]
    assert team.contacts[1].native["callback_number"] == phone.JONAS
    assert team.contacts[1].native["callback_by"] == "2026-01-05T11:15:00+00:00"
    assert team.contacts[0].deadline is not None
    assert team.contacts[1].deadline is None


def test_news_for_a_waiting_caller_comes_in_one_breath_with_the_announcement(phone: Any, tmp_path: Any) -> None:
    def answers(contact: Any) -> list[dict[str, Any]]:
        return [{"text": "Ihre Bestellung ist heute bei Ihnen.", "kind": "notice"}]

    transcript, team = play(phone, tmp_path, [Keys("0"), Wait(60)], answers=answers, delay_s=lambda contact: 3.0)
    second = says(transcript)[2]
    assert second.startswith("Ihre Bestellung ist heute bei Ihnen. Es tut mir leid")
    assert second.endswith(DE.choices)
    assert [status.state for status in team.statuses] == ["delivered"]


def test_who_waits_already_is_not_told_later_that_a_person_is_being_fetched(phone: Any, tmp_path: Any) -> None:
    transcript, team = play(phone, tmp_path, [Keys("0"), Wait(100)], delay_s=lambda contact: 3.0)
    assert len(says(transcript)) > 3
    assert not any("Ich hole jemanden dazu" in line for line in says(transcript))
    assert [status.state for status in team.statuses] == ["delivered"]
    assert team.refused == []


def test_a_stale_hand_over_never_sends_a_caller_back_into_the_queue_whom_a_person_answers(
    phone: Any, tmp_path: Any
) -> None:
    async def person(team: Any) -> None:
        while not team.contacts:
            await asyncio.sleep(0.1)
        await asyncio.sleep(5)
        await team.send(
            team.contacts[0], number="9", text="Hier ist Mia. Wie kann ich helfen?", listen=True, automatic=False
        )

    transcript, team = play(
        phone, tmp_path, [Keys("0"), Wait(30), Say("Es geht um meine Lampe")], meanwhile=person,
        delay_s=lambda contact: 3.0 if contact.native.get("request") else None,
    )  # fmt: skip
    assert "Hier ist Mia. Wie kann ich helfen?" in says(transcript)
    assert team.requests()[:2] == ["person", "said"]


@pytest.mark.parametrize("length", [15, 22, 35])
def test_no_setting_makes_waiting_longer(phone: Any, tmp_path: Any, length: int) -> None:
    for music_s in (5, 10):
        config = PhoneConfig(hold_announce_s=length, hold_music_s=music_s)
        transcript, _ = play(phone, tmp_path, [Keys("0"), Wait(130)], config=config, delay_s=lambda contact: None)
        assert transcript.longest_gap_s <= 35


def test_a_withheld_number_is_not_promised_a_callback(phone: Any, tmp_path: Any) -> None:
    for caller in ("anonymous", "+266696687"):
        transcript, team = play(
            phone, tmp_path, [Keys("0"), Keys("1"), Keys("2"), Say("Hier Ohlsen, 030 555.")], caller=caller
        )
        assert "Rückruf" not in transcript.text
        assert DE.voicemail in says(transcript)
        assert says(transcript)[-1] == DE.voicemail_thanks
        assert team.requests() == ["person", "voicemail"]
        assert team.contacts[0].sender.address == ""
        voicemail = team.contacts[1]
        assert voicemail.native["recording_sid"].startswith("RE")
        assert voicemail.quality.status == "unreadable"


def test_silence_is_met_with_patience_then_keys_then_people(phone: Any, tmp_path: Any) -> None:
    transcript, team = play(phone, tmp_path, [Wait(90)], delay_s=lambda contact: None)
    heard = says(transcript)
    assert heard[1:3] == [DE.not_understood, DE.again]
    assert heard[3] == DE.keys_menu()
    assert heard[4] == DE.unheard
    assert DE.reason["unheard"] in heard[5]
    assert team.requests()[0] == "person"
    assert team.contacts[0].native["why"] == "unheard"


def test_a_key_of_the_menu_means_what_the_menu_said(phone: Any, tmp_path: Any) -> None:
    transcript, team = play(phone, tmp_path, [Keys("5"), Keys("3")])
    assert says(transcript)[1] == DE.keys_menu()
    assert team.contacts[0].text == "Mein Gerät ist defekt."
    assert team.contacts[0].native["digits"] == "3"


def test_a_number_answers_a_question_and_long_ones_are_hidden(phone: Any, tmp_path: Any) -> None:
    def ask(contact: Any) -> list[dict[str, Any]]:
        return [{"text": "Wie lautet die Nummer?", "kind": "question", "listen": True}]

    _, team = play(phone, tmp_path, [Say("Hallo"), Keys("471913#"), Keys("4111111111111111#"), Keys("0")], answers=ask)
    assert [contact.text for contact in team.contacts] == ["Hallo", "471913", "*" * 16, "", ""]
    assert team.contacts[2].native["digits"] == "*" * 16
    assert team.requests() == ["said", "said", "said", "person", "ended"]


def test_a_bus_that_takes_nothing_still_leads_to_people(phone: Any, tmp_path: Any) -> None:
    down = [True]

    async def repair(team: Any) -> None:
        await asyncio.sleep(60)
        down[0] = False

    transcript, team = play(
        phone,
        tmp_path,
        [Say("Meine Maschine ist defekt."), Wait(150)],
        meanwhile=repair,
        delay_s=lambda contact: None,
        refuses=lambda raw: Overloaded("full") if down[0] else None,
    )
    assert says(transcript)[1] == DE.overloaded
    assert DE.reason["overloaded"] in says(transcript)[2]
    assert transcript.longest_gap_s <= 35
    # Once it works again, nothing that was said is lost, and the wish for a person is known.
    assert sorted(team.requests()) == ["ended", "person", "said"]
    said = next(contact for contact in team.contacts if contact.text)
    assert said.text == "Meine Maschine ist defekt."
    # Its time for an answer is over: it must not be given up for being late.
    assert said.deadline is None


def test_zero_works_while_the_bus_is_down_and_no_callback_is_promised(phone: Any, tmp_path: Any) -> None:
    transcript, team = play(phone, tmp_path, [Keys("0"), Keys("1"), Wait(20)], refuses=lambda raw: StorageFull("disk"))
    assert says(transcript)[1].startswith(DE.connecting)
    assert says(transcript)[2].startswith(DE.callback_failed)
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

    transcript, team = play(
        phone, tmp_path, [opening, Wait(150), Keys("1")], calls=calls, meanwhile=repair, delay_s=lambda contact: None
    )
    assert transcript.longest_gap_s <= 35
    assert says(transcript)[-1].startswith("Sehr gern. Wir rufen Sie unter der Nummer")
    assert transcript.ended == "hang-up"
    assert {"person", "callback"} <= set(team.requests())


def test_a_house_without_a_store_says_goodbye_at_last(phone: Any, tmp_path: Any) -> None:
    calls = _Broken(phone.MemoryCalls(), reading=True)
    transcript, _ = play(phone, tmp_path, [Keys("0"), Wait(5_000)], calls=calls, delay_s=lambda contact: None)
    assert says(transcript)[-1] == DE.given_up
    assert transcript.ended == "hang-up"
    assert transcript.longest_gap_s <= 35


def test_workers_can_put_a_caller_through(phone: Any, tmp_path: Any) -> None:
    def hand_over(contact: Any) -> list[dict[str, Any]]:
        return [{"text": "Das sieht sich Frau Weber an.", "handover": True}]

    transcript, team = play(phone, tmp_path, [Say("Ich will klagen"), Wait(40)], answers=hand_over)
    assert says(transcript)[1] == "Das sieht sich Frau Weber an."
    assert DE.reason["handover"] in says(transcript)[2]
    assert team.requests() == ["said", "ended"]
    assert team.contacts[1].native["while"] == "queue"


def test_a_person_at_the_desk_reaches_a_waiting_caller(phone: Any, tmp_path: Any) -> None:
    async def desk(team: Any) -> None:
        await asyncio.sleep(60)
        result = await team.send(
            team.contacts[0],
            number="desk",
            text="Hier ist Frau Weber. Haben Sie die Rechnung da?",
            listen=True,
            automatic=False,
        )
        assert isinstance(result, Accepted)

    transcript, team = play(
        phone,
        tmp_path,
        [Keys("0"), Wait(75), Say("Ja, sie liegt vor mir.")],
        meanwhile=desk,
        delay_s=lambda contact: None,
    )
    assert "Hier ist Frau Weber. Haben Sie die Rechnung da?" in says(transcript)
    assert team.requests()[:2] == ["person", "said"]
    assert team.contacts[1].text == "Ja, sie liegt vor mir."


def test_a_late_answer_does_not_pull_a_caller_out_of_the_queue(phone: Any, tmp_path: Any) -> None:
    transcript, team = play(
        phone,
        tmp_path,
        [Say("Hallo"), Keys("0", hurry=True), Wait(50)],
        delay_s=lambda contact: 9.0 if not contact.native.get("request") else None,
    )
    assert "Verstanden" not in transcript.text
    assert [refusal.reason for refusal in team.refused] == ["the caller waits for a person"]
    assert team.requests() == ["said", "person", "ended"]


def test_a_late_answer_is_welcome_to_whom_we_kept_waiting(phone: Any, tmp_path: Any) -> None:
    transcript, team = play(
        phone,
        tmp_path,
        [Say("Hallo"), Wait(40), Say("Nein danke")],
        delay_s=lambda contact: 25.0 if contact.text == "Hallo" else 0.1 if contact.text else None,
    )
    assert DE.slow in says(transcript)
    assert "Verstanden: Hallo. Sonst noch etwas?" in says(transcript)
    assert says(transcript)[-1] == "Gern geschehen. Auf Wiederhören."
    assert team.refused == []


def test_nobody_is_spoken_to_after_hanging_up(phone: Any, tmp_path: Any) -> None:
    async def late(team: Any) -> None:
        await asyncio.sleep(200)
        result = await team.send(team.contacts[0], number="late", text="Zu spät.")
        assert result == Refused(reason="the caller has hung up")
        unknown = await team.send(team.contacts[0], conversation="CA" + "9" * 32, text="Wer da?")
        assert unknown == Refused(reason="the caller has hung up")
        expired = await team.send(team.contacts[0], text="Alt.", expires_at=team.contacts[0].received_at)
        assert expired == Refused(reason="the reply has expired")

    play(phone, tmp_path, [Keys("0"), Wait(20)], meanwhile=late, delay_s=lambda contact: None)


def test_what_was_ready_but_never_heard_is_reported(phone: Any, tmp_path: Any) -> None:
    async def desk(team: Any) -> None:
        await asyncio.sleep(32)
        await team.send(team.contacts[0], number="desk", text="Ich bin da.", listen=True, automatic=False)

    _, team = play(
        phone,
        tmp_path,
        [Keys("0"), Wait(20)],
        meanwhile=desk,
        delay_s=lambda contact: None,
        config=PhoneConfig(hold_announce_s=35),
    )
    assert [(status.state, status.permanent, status.reason) for status in team.statuses] == [
        ("failed", True, "the caller has hung up")
    ]


def test_a_reply_is_spoken_once_however_often_it_is_sent(phone: Any, tmp_path: Any) -> None:
    def answers(contact: Any) -> list[dict[str, Any]]:
        return [{"id": "r-same", "text": "Einmal.", "listen": True}] * 3

    transcript, team = play(phone, tmp_path, [Say("Hallo"), Say("Weiter")], answers=answers, delay_s=lambda c: 0.1)
    assert says(transcript).count("Einmal.") == 1
    assert [status.reply for status in team.statuses] == ["r-same"]


def test_two_replies_of_one_decision_are_one_answer(phone: Any, tmp_path: Any) -> None:
    def answers(contact: Any) -> list[dict[str, Any]]:
        return [{"text": "Erstens."}, {"text": "Zweitens. Sonst noch etwas?", "listen": True}]

    transcript, _ = play(phone, tmp_path, [Say("Hallo"), Say("Weiter")], answers=answers)
    assert says(transcript)[1:] == ["Erstens.", "Zweitens. Sonst noch etwas?"] * 2


def test_an_acknowledgement_is_spoken_and_the_answer_awaited(phone: Any, tmp_path: Any) -> None:
    async def later(team: Any) -> None:
        while not team.contacts:
            await asyncio.sleep(0.1)
        await asyncio.sleep(4)
        await team.send(team.contacts[0], number="2", text="Gefunden: 49,90 EUR.", listen=True)

    transcript, _ = play(
        phone,
        tmp_path,
        [Say("Hallo")],
        meanwhile=later,
        answers=lambda contact: [{"text": "Ich prüfe das.", "kind": "acknowledgement"}],
    )
    assert says(transcript)[1:] == ["Ich prüfe das.", "Gefunden: 49 Euro 90."]


def test_the_line_goes_on_in_the_language_of_the_answer(phone: Any, tmp_path: Any) -> None:
    def norwegian(contact: Any) -> list[dict[str, Any]]:
        return [{"text": "Hei! Hva gjelder det?", "language": "nb", "listen": True}]

    _, team = play(phone, tmp_path, [Say("Snakker du norsk?"), Say("Maskinen er ødelagt.")], answers=norwegian)
    assert [contact.language for contact in team.contacts] == ["de", "nb"]


def test_after_the_longest_wait_the_callback_is_ours_to_offer(phone: Any, tmp_path: Any) -> None:
    config = PhoneConfig(max_wait_s=120)
    transcript, team = play(phone, tmp_path, [Keys("0"), Wait(1_000)], config=config, delay_s=lambda contact: None)
    assert says(transcript)[-2] == DE.too_long
    assert "Wir rufen Sie unter der Nummer" in says(transcript)[-1]
    assert transcript.ended == "hang-up"
    assert 120 <= transcript.seconds <= 200
    assert team.requests() == ["person", "callback"]


def test_an_empty_message_brings_the_caller_back_into_the_queue(phone: Any, tmp_path: Any) -> None:
    transcript, team = play(phone, tmp_path, [Keys("0"), Keys("2"), Wait(60)], delay_s=lambda contact: None)
    assert DE.voicemail_empty in says(transcript)
    assert DE.choices in says(transcript)[-1]
    assert "voicemail" not in team.requests()


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


def test_callbacks_are_promised_for_hours_in_which_somebody_calls(phone: Any, tmp_path: Any) -> None:
    config = PhoneConfig(opening_hours=OpeningHours(opens_hour=8, closes_hour=11), callback_within_minutes=120)
    # Monday 10:00 in Berlin: one hour today, one tomorrow.
    transcript, team = play(phone, tmp_path, [Keys("0"), Keys("1")], config=config, delay_s=lambda contact: None)
    assert "morgen bis 9 Uhr 15" in says(transcript)[-1]
    assert team.contacts[-1].native["callback_by"] == "2026-01-06T08:15:00+00:00"


def test_a_caller_who_is_not_asked_for_words_gives_up_at_last(phone: Any, tmp_path: Any) -> None:
    turns = [Say("Hallo"), Say("Nie gefragt")]
    transcript, _ = play(phone, tmp_path, turns, delay_s=lambda contact: None)
    assert transcript.ended == "caller"
    assert transcript.left_over == 1
    assert 180 < transcript.seconds < 300
