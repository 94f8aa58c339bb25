"""Waiting for a person: never long in silence, always with a way out, and fetched by whom they waited for."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from adapters.phone.config import PhoneConfig
from adapters.phone.phrases import load_phrases
from adapters.phone.simulator import Keys, Say, Wait
from bus.adapter.contract import Accepted
from bus.opening_hours import OpeningHours

DE = load_phrases()["de"]


def test_waiting_is_never_silent_for_long_and_always_has_a_way_out(phone: Any, tmp_path: Any) -> None:
    transcript, team = phone.play(tmp_path, [Keys("0"), Wait(130), Keys("1")], delay_s=lambda contact: None)
    announced = [heard for heard in transcript.heard if DE.choices in heard.say]
    assert len(announced) >= 4
    starts = [heard.at for heard in announced]
    assert all(later - sooner <= 35 for sooner, later in pairwise(starts))
    assert transcript.longest_gap_s <= 35
    for number, heard in enumerate(announced):
        assert DE.hold[number % 3].split("{")[0] in heard.say
        assert DE.reason["asked"] in heard.say
        assert "Rückruf drücken Sie die Eins" in heard.say
    last = phone.says(transcript)[-1]
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

    transcript, team = phone.play(tmp_path, [Keys("0"), Wait(60)], answers=answers, delay_s=lambda contact: 3.0)
    second = phone.says(transcript)[2]
    assert second.startswith("Ihre Bestellung ist heute bei Ihnen. Es tut mir leid")
    assert second.endswith(DE.choices)
    assert [status.state for status in team.statuses] == ["delivered"]


def test_who_waits_already_is_not_told_later_that_a_person_is_being_fetched(phone: Any, tmp_path: Any) -> None:
    transcript, team = phone.play(tmp_path, [Keys("0"), Wait(100)], delay_s=lambda contact: 3.0)
    assert len(phone.says(transcript)) > 3
    assert not any("Ich hole jemanden dazu" in line for line in phone.says(transcript))
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

    transcript, team = phone.play(tmp_path, [Keys("0"), Wait(30), Say("Es geht um meine Lampe")], meanwhile=person,
        delay_s=lambda contact: 3.0 if contact.native.get("request") else None,
    )  # fmt: skip
    assert "Hier ist Mia. Wie kann ich helfen?" in phone.says(transcript)
    assert team.requests()[:2] == ["person", "said"]


@pytest.mark.parametrize("length", [15, 22, 35])
def test_no_setting_makes_waiting_longer(phone: Any, tmp_path: Any, length: int) -> None:
    for music_s in (5, 10):
        config = PhoneConfig(hold_announce_s=length, hold_music_s=music_s)
        transcript, _ = phone.play(tmp_path, [Keys("0"), Wait(130)], config=config, delay_s=lambda contact: None)
        assert transcript.longest_gap_s <= 35


def test_a_withheld_number_is_not_promised_a_callback(phone: Any, tmp_path: Any) -> None:
    for caller in ("anonymous", "+266696687"):
        transcript, team = phone.play(
            tmp_path, [Keys("0"), Keys("1"), Keys("2"), Say("Hier Ohlsen, 030 555.")], caller=caller
        )
        assert "Rückruf" not in transcript.text
        assert DE.voicemail in phone.says(transcript)
        assert phone.says(transcript)[-1] == DE.voicemail_thanks
        assert team.requests() == ["person", "voicemail"]
        assert team.contacts[0].sender.address == ""
        voicemail = team.contacts[1]
        assert voicemail.native["recording_sid"].startswith("RE")
        assert voicemail.quality.status == "unreadable"


def test_workers_can_put_a_caller_through(phone: Any, tmp_path: Any) -> None:
    def hand_over(contact: Any) -> list[dict[str, Any]]:
        return [{"text": "Das sieht sich Frau Weber an.", "handover": True}]

    transcript, team = phone.play(tmp_path, [Say("Ich will klagen"), Wait(40)], answers=hand_over)
    assert phone.says(transcript)[1] == "Das sieht sich Frau Weber an."
    assert DE.reason["handover"] in phone.says(transcript)[2]
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

    transcript, team = phone.play(
        tmp_path,
        [Keys("0"), Wait(75), Say("Ja, sie liegt vor mir.")],
        meanwhile=desk,
        delay_s=lambda contact: None,
    )
    assert "Hier ist Frau Weber. Haben Sie die Rechnung da?" in phone.says(transcript)
    assert team.requests()[:2] == ["person", "said"]
    assert team.contacts[1].text == "Ja, sie liegt vor mir."


def test_a_late_answer_does_not_pull_a_caller_out_of_the_queue(phone: Any, tmp_path: Any) -> None:
    transcript, team = phone.play(
        tmp_path,
        [Say("Hallo"), Keys("0", hurry=True), Wait(50)],
        delay_s=lambda contact: 9.0 if not contact.native.get("request") else None,
    )
    assert "Verstanden" not in transcript.text
    assert [refusal.reason for refusal in team.refused] == ["the caller waits for a person"]
    assert team.requests() == ["said", "person", "ended"]


def test_a_late_answer_is_welcome_to_whom_we_kept_waiting(phone: Any, tmp_path: Any) -> None:
    transcript, team = phone.play(
        tmp_path,
        [Say("Hallo"), Wait(40), Say("Nein danke")],
        delay_s=lambda contact: 25.0 if contact.text == "Hallo" else 0.1 if contact.text else None,
    )
    assert DE.slow in phone.says(transcript)
    assert "Verstanden: Hallo. Sonst noch etwas?" in phone.says(transcript)
    assert phone.says(transcript)[-1] == "Gern geschehen. Auf Wiederhören."
    assert team.refused == []


def test_after_the_longest_wait_the_callback_is_ours_to_offer(phone: Any, tmp_path: Any) -> None:
    config = PhoneConfig(max_wait_s=120)
    transcript, team = phone.play(tmp_path, [Keys("0"), Wait(1_000)], config=config, delay_s=lambda contact: None)
    assert phone.says(transcript)[-2] == DE.too_long
    assert "Wir rufen Sie unter der Nummer" in phone.says(transcript)[-1]
    assert transcript.ended == "hang-up"
    assert 120 <= transcript.seconds <= 200
    assert team.requests() == ["person", "callback"]


def test_an_empty_message_brings_the_caller_back_into_the_queue(phone: Any, tmp_path: Any) -> None:
    transcript, team = phone.play(tmp_path, [Keys("0"), Keys("2"), Wait(60)], delay_s=lambda contact: None)
    assert DE.voicemail_empty in phone.says(transcript)
    assert DE.choices in phone.says(transcript)[-1]
    assert "voicemail" not in team.requests()


def test_callbacks_are_promised_for_hours_in_which_somebody_calls(phone: Any, tmp_path: Any) -> None:
    mornings = OpeningHours(zone="Europe/Berlin", country="DE", monday="08:00-11:00", tuesday="08:00-11:00")
    # Monday 10:00 in Berlin: one hour today, one tomorrow.
    transcript, team = phone.play(tmp_path, [Keys("0"), Keys("1")], hours=mornings, delay_s=lambda contact: None)
    assert "morgen bis 9 Uhr 15" in phone.says(transcript)[-1]
    assert team.contacts[-1].native["callback_by"] == "2026-01-06T08:15:00+00:00"
