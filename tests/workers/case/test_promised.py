"""What a reply undertakes, in three languages, and what only sounds like it."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.opening_hours import time_of_day
from workers.case.promised import MAX_UNDERTAKINGS, undertakings
from workers.packs import load

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 24, 14, 30, tzinfo=BERLIN)
"""A Tuesday."""
HOURS = load("shop").policy.service.hours


def found(language: str, text: str, now: datetime = NOW) -> list[tuple[str, datetime]]:
    return [(each.what, each.until.astimezone(BERLIN)) for each in undertakings(text, language, now, HOURS)]


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


@pytest.mark.parametrize(
    ("language", "text", "until"),
    [
        ("de", "Wir melden uns bis morgen Mittag.", at(11, 25, 12)),
        ("de", "Ich rufe Sie morgen um 15 Uhr an.", at(11, 25, 15)),
        ("de", "Ich rufe Sie heute um halb vier an.", at(11, 24, 15, 30)),
        ("de", "Ich melde mich bis Freitag, 12 Uhr.", at(11, 27, 12)),
        ("de", "Bis 15.30 Uhr haben wir das geklärt.", at(11, 24, 15, 30)),
        ("de", "Ich rufe Sie um 16 Uhr am Donnerstag an.", at(11, 26, 16)),
        ("de", "Ich rufe Sie Freitag um Viertel nach drei an.", at(11, 27, 15, 15)),
        ("de", "Ich melde mich um drei.", at(11, 24, 15)),
        ("de", "Ich melde mich bis spätestens morgen, 8 Uhr abends.", at(11, 25, 20)),
        ("de", "Ich melde mich bis zum 3.12. um 9:15 Uhr.", at(12, 3, 9, 15)),
        ("de", "Wir melden uns noch heute Nachmittag.", at(11, 24, 18)),
        ("de", "Wir melden uns heute Abend.", at(11, 24, 21)),
        ("de", "Wir melden uns am Freitagvormittag bei Ihnen.", at(11, 27, 12)),
        ("de", "Wir rufen Sie am Freitag am Morgen an.", at(11, 27, 12)),
        ("de", "Ich rufe Sie morgen früh an.", at(11, 25, 10)),
        ("de", "Ich melde mich morgen.", at(11, 25)),
        ("de", "Ich melde mich heute noch.", at(11, 24)),
        ("de", "Wir schicken es bis 24 Uhr.", at(11, 25, 0)),
        ("de", "Ich melde mich in einer halben Stunde.", at(11, 24, 15)),
        ("de", "Sie bekommen es in 2–3 Werktagen.", at(11, 27)),
        ("nb", "Vi ringer deg innen i morgen kl. 12.", at(11, 25, 12)),
        ("nb", "Jeg ringer deg i dag kl. 15.30.", at(11, 24, 15, 30)),
        ("nb", "Jeg ringer deg kl 1530.", at(11, 24, 15, 30)),
        ("nb", "Vi svarer deg innen klokken tolv på fredag.", at(11, 27, 12)),
        ("nb", "Jeg ringer deg halv fire i dag.", at(11, 24, 15, 30)),
        ("nb", "Jeg ringer deg fredag kvart over tre.", at(11, 27, 15, 15)),
        ("nb", "Jeg ringer deg kl. åtte om kvelden.", at(11, 24, 20)),
        ("nb", "Vi sender det i ettermiddag.", at(11, 24, 18)),
        ("nb", "Vi svarer deg i løpet av ettermiddagen.", at(11, 24, 18)),
        ("nb", "Vi ringer deg i kveld.", at(11, 24, 21)),
        ("nb", "Du hører fra oss i morgen tidlig.", at(11, 25, 10)),
        ("nb", "Vi ringer deg fredag formiddag.", at(11, 27, 12)),
        ("nb", "Jeg ringer deg om en halvtime.", at(11, 24, 15)),
        ("nb", "Du får svar i løpet av to til tre virkedager.", at(11, 27)),
        ("en", "We'll call you by tomorrow noon.", at(11, 25, 12)),
        ("en", "We'll call you by noon tomorrow.", at(11, 25, 12)),
        ("en", "I'll get back to you by Friday at noon.", at(11, 27, 12)),
        ("en", "I will call you by 3pm tomorrow.", at(11, 25, 15)),
        ("en", "I'll call you at 3:30 p.m. on Thursday.", at(11, 26, 15, 30)),
        ("en", "I'll call you at half past three.", at(11, 24, 15, 30)),
        ("en", "I'll call you at a quarter to four tomorrow.", at(11, 25, 15, 45)),
        ("en", "I'll call you Friday at 3.", at(11, 27, 15)),
        ("en", "We will write to you on 3 December at 9 am.", at(12, 3, 9)),
        ("en", "I'll ring you this afternoon.", at(11, 24, 18)),
        ("en", "We'll write tonight.", at(11, 24, 21)),
        ("en", "I'll call you tomorrow morning.", at(11, 25, 12)),
        ("en", "We'll send it by midnight.", at(11, 25, 0)),
        ("en", "I'll call you back within 20 minutes.", at(11, 24, 14, 50)),
    ],
)
def test_a_time_of_day_is_read_as_it_is_said(language: str, text: str, until: datetime) -> None:
    assert found(language, text) == [(text, until)]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Guten Morgen, ich habe das erledigt."),
        ("de", "Ich habe Sie um 14 Uhr nicht erreicht."),
        ("de", "Wir haben gestern um 16 Uhr telefoniert, und ich habe das notiert."),
        ("de", "Wir haben den Preis um 15 Euro gesenkt."),
        ("de", "Wir verlängern die Frist um drei Tage."),
        ("de", "Wir sind heute bis 18 Uhr erreichbar."),
        ("de", "Wir arbeiten von 9 bis 18 Uhr."),
        ("nb", "Vi snakket sammen i går kl. 16, og jeg har notert det."),
        ("nb", "Vi svarer på telefon fra kl. 8 til kl. 18."),
        ("en", "We spoke yesterday at 3 pm and I made a note."),
        ("en", "We are here at 3 locations."),
        ("en", "We are open until 6 pm."),
    ],
)
def test_a_time_of_day_that_promises_nothing(language: str, text: str) -> None:
    assert found(language, text) == []


def test_a_sentence_may_end_with_a_figure_and_a_time_with_a_full_stop() -> None:
    assert found("nb", "Vi svarer deg innen kl. 15. Send oss gjerne et bilde.") == [
        ("Vi svarer deg innen kl. 15.", at(11, 24, 15))
    ]
    assert found("en", "I'll call you at 3 p.m. Please stay near the phone.") == [
        ("I'll call you at 3 p.m.", at(11, 24, 15))
    ]


def test_today_said_after_people_went_home_ends_at_midnight() -> None:
    late = at(11, 24, 19)
    assert [until for _, until in found("de", "Ich melde mich noch heute.", late)] == [at(11, 25, 0)]


def test_hours_are_hours_and_clocks_are_clocks_where_summer_time_ends_or_begins() -> None:
    saturday = datetime(2026, 10, 24, 12, 0, tzinfo=BERLIN)
    [(_, in_a_day)] = found("de", "Ich melde mich in 24 Stunden.", saturday)
    [(_, at_noon)] = found("de", "Ich melde mich morgen um 12 Uhr.", saturday)
    assert in_a_day == datetime(2026, 10, 25, 11, 0, tzinfo=BERLIN)
    assert at_noon == datetime(2026, 10, 25, 12, 0, tzinfo=BERLIN)
    assert at_noon.astimezone(UTC) - saturday.astimezone(UTC) == timedelta(hours=25)
    # Half past two comes twice that night, and not at all in the other: the first of two, the next that there is.
    [(_, twice)] = found("en", "We will do it by tomorrow, 02:30.", saturday)
    assert twice.astimezone(UTC) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    [(_, never)] = found("en", "We will do it by tomorrow, 02:30.", datetime(2026, 3, 28, 12, 0, tzinfo=BERLIN))
    assert never.astimezone(UTC) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


@given(
    day=st.dates(date(2026, 11, 25), date(2027, 12, 31)),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    language=st.sampled_from(("de", "nb", "en")),
)
def test_any_time_of_any_day_is_read_back(day: date, hour: int, minute: int, language: str) -> None:
    clock = f"{time(hour, minute):%H:%M}"
    text = {
        "de": f"Ich melde mich bis zum {day.day}.{day.month}.{day.year}, {clock} Uhr.",
        "nb": f"Jeg ringer deg senest {day.day}.{day.month}.{day.year} kl. {clock}.",
        "en": f"I will call you by {clock} on {day.day} {MONTHS[day.month - 1]} {day.year}.",
    }[language]
    # Without a leading zero nobody means the night; here every hour is written with two figures.
    assert [until for _, until in found(language, text)] == [
        time_of_day(HOURS, day, hour * 60 + minute).astimezone(BERLIN)
    ]


MONTHS = [f"{date(2026, month, 1):%B}" for month in range(1, 13)]
