"""What callers live through, on virtual time: the words they hear, and the contacts that the bus gets."""

import asyncio
from typing import Any

import pytest

from adapters.phone.config import PhoneConfig
from adapters.phone.phrases import load_phrases
from adapters.phone.render import CHARACTERS_PER_SECOND
from adapters.phone.simulator import Keys, Say, Wait
from bus.adapter.contract import Refused

DE = load_phrases()["de"]


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
    transcript, _ = phone.play(tmp_path, [], to=line, company=company)
    assert transcript.heard[0].at < 0.5
    assert machine in phone.says(transcript)[0]
    assert person in phone.says(transcript)[0]


def test_a_talk_from_question_to_goodbye(phone: Any, tmp_path: Any) -> None:
    transcript, team = phone.play(tmp_path, [Say("Meine Kaffeemaschine ist defekt."), Say("Nein danke.")])
    assert phone.says(transcript)[1:] == [
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


def test_a_transcript_parts_the_time_of_the_product_from_that_of_people_and_provider(phone: Any, tmp_path: Any) -> None:
    transcript, _ = phone.play(tmp_path, [Say("Hallo")], delay_s=lambda contact: 0.4)
    greeting, answer = transcript.heard
    (told,) = transcript.said_at
    assert answer.at - told == pytest.approx(0.4, abs=0.1), "what the product took"
    speech_s = (len(greeting.say) + len("Hallo")) / CHARACTERS_PER_SECOND
    assert told - greeting.at - speech_s == pytest.approx(1.5, abs=0.05), "a thought, and the end of speech being sure"


def test_an_answer_within_the_hold_needs_no_filler(phone: Any, tmp_path: Any) -> None:
    transcript, _ = phone.play(tmp_path, [Say("Hallo")], delay_s=lambda contact: 1.1)
    assert len(transcript.heard) == 2
    assert "Verstanden" in phone.says(transcript)[1]


def test_a_slow_answer_is_bridged_and_comes_as_soon_as_it_is_there(phone: Any, tmp_path: Any) -> None:
    transcript, _ = phone.play(tmp_path, [Say("Hallo")], delay_s=lambda contact: 7.0)
    assert phone.says(transcript)[1] == DE.fillers[0]
    spoke = transcript.heard[1].at - 1.2
    answer = next(heard for heard in transcript.heard if "Verstanden" in heard.say)
    assert 7.0 <= answer.at - spoke <= 7.5
    assert transcript.longest_gap_s < 7


def test_without_an_answer_the_caller_is_with_people_after_twelve_seconds(phone: Any, tmp_path: Any) -> None:
    transcript, team = phone.play(tmp_path, [Say("Hallo"), Wait(60)], delay_s=lambda contact: None)
    heard = phone.says(transcript)
    assert heard[1:4] == [*DE.fillers, DE.slow]
    spoke = transcript.heard[1].at - 1.2
    slow = next(heard.at for heard in transcript.heard if heard.say == DE.slow)
    assert 12 <= slow - spoke <= 15
    assert DE.reason["slow"] in heard[4]
    assert team.requests() == ["said", "person", "ended"]
    assert team.contacts[1].native["why"] == "no answer in time"


def test_zero_leads_to_people_even_from_a_pause_to_think(phone: Any, tmp_path: Any) -> None:
    transcript, team = phone.play(
        tmp_path, [Say("Hallo"), Keys("0", hurry=True), Wait(10)], delay_s=lambda contact: None
    )
    assert team.requests()[:2] == ["said", "person"]
    assert phone.says(transcript)[2].startswith(DE.connecting)


def test_silence_is_met_with_patience_then_keys_then_people(phone: Any, tmp_path: Any) -> None:
    transcript, team = phone.play(tmp_path, [Wait(90)], delay_s=lambda contact: None)
    heard = phone.says(transcript)
    assert heard[1:3] == [DE.not_understood, DE.again]
    assert heard[3] == DE.keys_menu()
    assert heard[4] == DE.unheard
    assert DE.reason["unheard"] in heard[5]
    assert team.requests()[0] == "person"
    assert team.contacts[0].native["why"] == "unheard"


def test_a_key_of_the_menu_means_what_the_menu_said(phone: Any, tmp_path: Any) -> None:
    transcript, team = phone.play(tmp_path, [Keys("5"), Keys("3")])
    assert phone.says(transcript)[1] == DE.keys_menu()
    assert team.contacts[0].text == "Mein Gerät ist defekt."
    assert team.contacts[0].native["digits"] == "3"


def test_a_number_answers_a_question_and_long_ones_are_hidden(phone: Any, tmp_path: Any) -> None:
    def ask(contact: Any) -> list[dict[str, Any]]:
        return [{"text": "Wie lautet die Nummer?", "kind": "question", "listen": True}]

    _, team = phone.play(tmp_path, [Say("Hallo"), Keys("471913#"), Keys("4111111111111111#"), Keys("0")], answers=ask)
    assert [contact.text for contact in team.contacts] == ["Hallo", "471913", "*" * 16, "", ""]
    assert team.contacts[2].native["digits"] == "*" * 16
    assert team.requests() == ["said", "said", "said", "person", "ended"]


def test_nobody_is_spoken_to_after_hanging_up(phone: Any, tmp_path: Any) -> None:
    async def late(team: Any) -> None:
        await asyncio.sleep(200)
        result = await team.send(team.contacts[0], number="late", text="Zu spät.")
        assert result == Refused(reason="the caller has hung up")
        unknown = await team.send(team.contacts[0], conversation="CA" + "9" * 32, text="Wer da?")
        assert unknown == Refused(reason="the caller has hung up")
        expired = await team.send(team.contacts[0], text="Alt.", expires_at=team.contacts[0].received_at)
        assert expired == Refused(reason="the reply has expired")

    phone.play(tmp_path, [Keys("0"), Wait(20)], meanwhile=late, delay_s=lambda contact: None)


def test_what_was_ready_but_never_heard_is_reported(phone: Any, tmp_path: Any) -> None:
    async def desk(team: Any) -> None:
        await asyncio.sleep(32)
        await team.send(team.contacts[0], number="desk", text="Ich bin da.", listen=True, automatic=False)

    _, team = phone.play(
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

    transcript, team = phone.play(tmp_path, [Say("Hallo"), Say("Weiter")], answers=answers, delay_s=lambda c: 0.1)
    assert phone.says(transcript).count("Einmal.") == 1
    assert [status.reply for status in team.statuses] == ["r-same"]


def test_two_replies_of_one_decision_are_one_answer(phone: Any, tmp_path: Any) -> None:
    def answers(contact: Any) -> list[dict[str, Any]]:
        return [{"text": "Erstens."}, {"text": "Zweitens. Sonst noch etwas?", "listen": True}]

    transcript, _ = phone.play(tmp_path, [Say("Hallo"), Say("Weiter")], answers=answers)
    assert phone.says(transcript)[1:] == ["Erstens.", "Zweitens. Sonst noch etwas?"] * 2


def test_an_acknowledgement_is_spoken_and_the_answer_awaited(phone: Any, tmp_path: Any) -> None:
    async def later(team: Any) -> None:
        while not team.contacts:
            await asyncio.sleep(0.1)
        await asyncio.sleep(4)
        await team.send(team.contacts[0], number="2", text="Gefunden: 49,90 EUR.", listen=True)

    transcript, _ = phone.play(
        tmp_path,
        [Say("Hallo")],
        meanwhile=later,
        answers=lambda contact: [{"text": "Ich prüfe das.", "kind": "acknowledgement"}],
    )
    assert phone.says(transcript)[1:] == ["Ich prüfe das.", "Gefunden: 49 Euro 90."]


def test_the_line_goes_on_in_the_language_of_the_answer(phone: Any, tmp_path: Any) -> None:
    def norwegian(contact: Any) -> list[dict[str, Any]]:
        return [{"text": "Hei! Hva gjelder det?", "language": "nb", "listen": True}]

    _, team = phone.play(tmp_path, [Say("Snakker du norsk?"), Say("Maskinen er ødelagt.")], answers=norwegian)
    assert [contact.language for contact in team.contacts] == ["de", "nb"]


def test_a_caller_who_is_not_asked_for_words_gives_up_at_last(phone: Any, tmp_path: Any) -> None:
    turns = [Say("Hallo"), Say("Nie gefragt")]
    transcript, _ = phone.play(tmp_path, turns, delay_s=lambda contact: None)
    assert transcript.ended == "caller"
    assert transcript.left_over == 1
    assert 180 < transcript.seconds < 300
