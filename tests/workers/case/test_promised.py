"""What a reply undertakes, in three languages, and what only sounds like it."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from workers.case.promised import MAX_UNDERTAKINGS, undertakings
from workers.packs import load

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 24, 14, 30, tzinfo=BERLIN)
"""A Tuesday."""
HOURS = load("shop").policy.service.hours


def found(language: str, text: str) -> list[tuple[str, datetime]]:
    return [(each.what, each.until.astimezone(BERLIN)) for each in undertakings(text, language, NOW, HOURS)]


def at(month: int, day: int, hour: int = 18, minute: int = 0, year: int = 2026) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("language", "text", "until"),
    [
        ("de", "Wir melden uns bis Freitag bei Ihnen.", at(11, 27)),
        ("de", "Ich kümmere mich darum und rufe Sie spätestens am Mittwoch an.", at(11, 25)),
        ("de", "Das Ersatzgerät erhalten Sie bis zum 3. Dezember.", at(12, 3)),
        ("de", "Sie bekommen die Gutschrift bis zum 3.12.2026.", at(12, 3)),
        ("de", "Wir prüfen das innerhalb von zwei Werktagen.", at(11, 26)),
        ("de", "Ich melde mich in 24 Stunden wieder.", at(11, 25, 14, 30)),
        ("de", "Wir schicken Ihnen das Etikett noch heute.", at(11, 24)),
        ("de", "Ich antworte Ihnen bis morgen.", at(11, 25)),
        ("de", "Wir erledigen das bis Ende der Woche.", at(11, 27)),
        ("de", "Bis Dienstag haben wir eine Antwort für Sie.", at(12, 1)),
        ("de", "Sie hören innerhalb einer Woche von uns.", at(12, 1)),
        ("de", "Wir melden uns bis zum 4. Januar.", at(1, 4, year=2027)),
        ("de", "Wir liefern am Samstag.", at(11, 28)),
        ("nb", "Vi sender deg en ny kopp innen fredag.", at(11, 27)),
        ("nb", "Jeg ringer deg i morgen.", at(11, 25)),
        ("nb", "Du får pengene senest 3. desember.", at(12, 3)),
        ("nb", "Vi svarer deg i løpet av dagen.", at(11, 24)),
        ("nb", "Jeg undersøker saken i løpet av to virkedager.", at(11, 26)),
        ("nb", "Vi kommer tilbake til deg innen 24 timer.", at(11, 25, 14, 30)),
        ("nb", "Du hører fra oss innen utgangen av uken.", at(11, 27)),
        ("nb", "På torsdag sender vi pakken.", at(11, 26)),
        ("en", "We will get back to you by Friday.", at(11, 27)),
        ("en", "I'll call you tomorrow.", at(11, 25)),
        ("en", "You will receive the refund within 3 working days.", at(11, 27)),
        ("en", "We’ll send the label by the end of the day.", at(11, 24)),
        ("en", "I will look into it within the next 24 hours.", at(11, 25, 14, 30)),
        ("en", "You'll have the replacement by 3 December.", at(12, 3)),
        ("en", "Please be assured that we will call you no later than Thursday.", at(11, 26)),
        ("en", "We will write to you within two weeks.", at(12, 8)),
    ],
)
def test_a_deadline_of_ours_is_found(language: str, text: str, until: datetime) -> None:
    assert found(language, text) == [(text, until)]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Bitte senden Sie das Gerät bis Freitag zurück."),
        ("de", "Wir bitten Sie, uns bis Freitag zu antworten."),
        ("de", "Sie können das Gerät bis zum 3. Dezember zurückgeben."),
        ("de", "Wir haben bis Montag geschlossen."),
        ("de", "Vielen Dank für Ihre Geduld, ich habe es heute früh erledigt."),
        ("de", "Wir haben das bereits am 3.11.2026 erstattet."),
        ("de", "Kann ich sonst noch etwas für Sie tun?"),
        ("nb", "Vennligst send varen tilbake innen fredag."),
        ("nb", "Kan du svare oss innen fredag?"),
        ("nb", "Vi har stengt på lørdag."),
        ("nb", "Er det noe mer jeg kan hjelpe deg med?"),
        ("en", "Please return the item by Friday."),
        ("en", "Could you send us a photo by tomorrow?"),
        ("en", "We are closed on Monday."),
        ("en", "You have to send it back by 3 December."),
        ("en", "Is there anything else I can do for you?"),
        ("sv", "Vi återkommer innan fredag."),
    ],
)
def test_what_only_sounds_like_it_is_left_alone(language: str, text: str) -> None:
    assert found(language, text) == []


def test_the_earliest_of_a_sentence_counts_and_each_sentence_on_its_own() -> None:
    text = (
        "Guten Tag Frau Ohlsen,\n\nwir prüfen das bis Donnerstag und melden uns bis Freitag. "
        "Bitte schicken Sie uns bis morgen ein Foto. Die Gutschrift erhalten Sie in fünf Werktagen."
    )
    assert [until for _, until in found("de", text)] == [at(11, 26), at(12, 1)]


def test_a_list_of_promises_is_bounded() -> None:
    assert len(found("en", "We will call you by Friday.\n" * 50)) == MAX_UNDERTAKINGS
