"""Turns to contacts, written words to spoken ones, settings to refusals: the pure parts."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.phone import plugin
from adapters.phone.config import PhoneConfig
from adapters.phone.normalise import mask_digits, normalise, raw_from_file
from adapters.phone.phrases import callback_due, spoken_number, spoken_when
from adapters.phone.spoken import spoken
from bus.message import Contact, decode, derive_number, encode
from bus.opening_hours import OpeningHours

FORM = {"CallSid": "CA" + "1" * 32, "From": "+49305550144", "To": "+4721234567"}
TWO_HOURS = timedelta(hours=2)
OFFICE = OpeningHours(
    zone="Europe/Berlin",
    country="DE",
    state="HH",
    **dict.fromkeys(("monday", "tuesday", "wednesday", "thursday", "friday"), "08:00-20:00"),
)


def contact(native: dict[str, Any] | None = None, **form: str) -> Contact:
    raw = raw_from_file(urlencode(FORM | form).encode(), "webhook.txt", PhoneConfig())
    return normalise(msgspec.structs.replace(raw, native=native or {}), PhoneConfig()).contact


def test_a_spoken_turn() -> None:
    found = contact(SpeechResult="Hei, maskinen er ødelagt ", Confidence="0.81")
    assert found.text == "Hei, maskinen er ødelagt"
    assert (found.language, found.account, found.conversation) == ("nb", "+4721234567", FORM["CallSid"])
    assert found.quality.confidence == pytest.approx(0.81)
    assert found.native["call_sid"] == FORM["CallSid"]
    assert "request" not in found.native
    assert decode(encode(found), Contact) == found


def test_the_id_follows_from_call_event_and_step() -> None:
    first = contact({"event": "said", "step": "3"}, SpeechResult="Hei")
    assert contact({"event": "said", "step": "3"}, SpeechResult="noe annet").id == first.id
    assert contact({"event": "said", "step": "4"}, SpeechResult="Hei").id != first.id
    assert contact({"event": "key", "step": "3"}, SpeechResult="Hei").id != first.id
    assert contact({"event": "said", "step": "3"}, SpeechResult="Hei", CallSid="CA" + "2" * 32).id != first.id


@pytest.mark.parametrize(
    ("form", "wish", "text"),
    [
        ({"Digits": "0"}, "person", ""),
        ({"Digits": "471913"}, "", "471913"),
        ({"RecordingSid": "RE1", "RecordingUrl": "https://a.b/c", "Digits": "#"}, "voicemail", ""),
        ({"CallStatus": "completed"}, "ended", ""),
    ],
)
def test_webhooks_without_their_address_tell_what_they_are(form: dict[str, str], wish: str, text: str) -> None:
    found = contact(**form)
    assert found.native.get("request", "") == wish
    assert found.text == text


def test_long_keys_are_hidden_but_a_case_number_is_kept() -> None:
    number = derive_number("shop", "1")
    assert contact(Digits=number).native["case_number"] == number
    assert contact(Digits="4111111111111111").native["digits"] == "*" * 16
    assert "4111" not in encode(contact(Digits="4111111111111111")).decode()
    assert mask_digits("1234567890") == "1234567890"


def test_a_number_that_is_none_is_no_address() -> None:
    for number in ("anonymous", "", "+", "sip:a@b", "+49 30 1", "+266696687", "+٤٩٣٠١٢٣"):
        assert contact(From=number).sender.address == ""
    assert contact(From="+4930555").sender.address == "+4930555"


@given(st.binary(max_size=400))
def test_any_bytes_give_a_contact(data: bytes) -> None:
    found = plugin.normalise(plugin.raw_from_file(data, "x", PhoneConfig()), PhoneConfig()).contact
    assert decode(encode(found), Contact) == found
    if found.conversation == "":
        assert found.quality.status == "degraded"


@given(st.dictionaries(st.sampled_from(["SpeechResult", "Digits", "Confidence", "From", "To"]), st.text(max_size=40)))
def test_any_form_gives_a_contact(form: dict[str, str]) -> None:
    data = urlencode({"CallSid": FORM["CallSid"], **form}, errors="replace").encode()
    found = plugin.normalise(plugin.raw_from_file(data, "x", PhoneConfig()), PhoneConfig()).contact
    assert found.conversation == FORM["CallSid"]
    assert found.occurred_at == datetime.fromtimestamp(0, UTC)


@pytest.mark.parametrize(
    ("language", "written", "read"),
    [
        ("de", "Wir erstatten 49,90 EUR.", "Wir erstatten 49 Euro 90."),
        ("de", "1.249,00 € bis 12.01.2026", "1249 Euro bis 12. Januar 2026"),
        ("de", "Es sind 1,00 €.", "Es sind 1 Euro."),
        ("nb", "1\u00a0249,00 NOK er betalt tilbake.", "1249 kroner er betalt tilbake."),
        ("nb", "kr 49,50, senest 2026-01-12", "49 kroner og 50 øre, senest 12. januar 2026"),
        ("en", "You get £5.00 of 24.99 GBP back.", "You get 5 pounds of 24 pounds and 99 pence back."),
        ("en", "By 2026-02-01, 1,249.00 EUR", "By 1 February 2026, 1249 euros"),
        ("de", "Ihre Bestellung SO-10234.", "Ihre Bestellung S O, 1 0 2, 3 4."),
        ("en", "Case 12345678901234.", "Case 1 2 3, 4 5 6, 7 8 9, 0 1 2, 3 4."),
        ("de", "Am 31.02. um 14:30 Uhr, Tor 7, 99.99.9999, v2.0", "Am 31.02. um 14:30 Uhr, Tor 7, 99.99.9999, v2.0"),
        ("de", "100 Euro und 3 Stück", "100 Euro und 3 Stück"),
    ],
)
def test_written_words_are_made_for_the_ear(language: str, written: str, read: str) -> None:
    assert spoken(written, language) == read


@given(st.text(max_size=200), st.sampled_from(["de", "nb", "en"]))
def test_any_text_can_be_read_out(text: str, language: str) -> None:
    assert isinstance(spoken(text, language), str)


def test_numbers_are_read_in_groups() -> None:
    assert spoken_number("+49305550144") == "plus 4 9, 3 0 5, 5 5 0, 1 4 4"
    assert spoken_number("+4722550102") == "plus 4 7, 2 2 5, 5 0 1, 0 2"
    assert spoken_number("+442079460103") == "plus 4 4, 2 0 7, 9 4 6, 0 1 0 3"


@pytest.mark.parametrize(
    ("now", "words"),
    [
        # Monday 2026-01-05, the day before Epiphany, on which Hamburg works; Berlin's clock is an hour ahead of UTC.
        (datetime(2026, 1, 5, 9, 0, tzinfo=UTC), "heute bis 12 Uhr"),
        (datetime(2026, 1, 5, 9, 7, tzinfo=UTC), "heute bis 12 Uhr 15"),
        (datetime(2026, 1, 5, 18, 30, tzinfo=UTC), "morgen bis 9 Uhr 30"),
        (datetime(2026, 1, 5, 23, 30, tzinfo=UTC), "heute bis 10 Uhr"),
        (datetime(2026, 1, 9, 18, 0, tzinfo=UTC), "am Montag bis 9 Uhr"),
        (datetime(2026, 1, 10, 12, 0, tzinfo=UTC), "am Montag bis 10 Uhr"),
        # Good Friday and Easter Monday: nobody calls before Tuesday.
        (datetime(2026, 4, 2, 17, 30, tzinfo=UTC), "am Dienstag bis 9 Uhr 30"),
    ],
)
def test_the_promise_of_a_callback_keeps_to_opening_hours(now: datetime, words: str) -> None:
    due = callback_due(now, TWO_HOURS, OFFICE)
    assert due > now
    assert spoken_when(due, now, OFFICE, "de") == words


def test_the_promise_in_the_other_languages() -> None:
    now = datetime(2026, 1, 5, 12, 20, tzinfo=UTC)
    due = callback_due(now, TWO_HOURS, None)
    assert spoken_when(due, now, None, "nb") == "senest i dag klokken 15.30"
    assert spoken_when(due, now, None, "en") == "by 3:30 p.m. today"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"hold_announce_s": 36}, "hold_announce_s"),
        ({"hold_announce_s": 60}, "hold_announce_s"),
        ({"hold_music_s": 30}, "hold_music_s"),
        ({"think_hold_s": 9}, "think_hold_s"),
        ({"give_up_s": 600}, "give_up_s"),
        ({"numbers": {"030 123": "de"}}, "numbers"),
        ({"numbers": {"+4930": "fr"}}, "numbers"),
        ({"default_language": "fr"}, "default_language"),
        ({"voices": {"de": "x"}}, "voices"),
        ({"hold_anounce_s": 20}, "hold_anounce_s"),
    ],
)
def test_promises_cannot_be_configured_away(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=named):
        msgspec.convert(settings, PhoneConfig)


@pytest.mark.parametrize(
    ("caller", "line", "known"),
    [
        ("+49305550144", "+4721234567", "+49305550144"),
        ("03055501440", "+49301234567", "+493055501440"),
        ("22550102", "+4721234567", "+4722550102"),
        ("02079460018", "+442071234567", "+442079460018"),
        ("004721234567", "+49301234567", "+4721234567"),
        ("123", "+49301234567", ""),
        ("03055501440", "unknown", ""),
        ("anonymous", "+49301234567", ""),
        ("+266696687", "+49301234567", ""),
    ],
)
def test_a_caller_of_the_lines_country_is_one_person_however_the_trunk_writes_him(
    caller: str, line: str, known: str
) -> None:
    assert contact(From=caller, To=line).sender.address == known
