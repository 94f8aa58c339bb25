"""What must be heard in any words: danger, praise that nothing takes back, and "stop"."""

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("text", "language", "danger"),
    [
        ("Ich will nicht mehr leben.", "de", "self-harm"), ("Jeg orker ikke leve mer", "nb", "self-harm"),
        ("Some days I just want to die", "en", "self-harm"), ("Ich weiß, wo du wohnst!", "de", "threat"),
        ("Jeg vet hvor du bor", "nb", "threat"), ("I'll kill you", "en", "threat"),
        ("Aus der Maschine kommt Rauch", "de", "emergency"), ("Der Akku ist tot", "de", ""),
        ("The battery dies after an hour", "en", ""), ("Kan dere drepe abonnementet?", "nb", ""),
    ],
)  # fmt: skip
def test_danger_is_heard(understood: Any, text: str, language: str, danger: str) -> None:
    found = understood(text, language)
    assert (found.danger, found.urgency == 3) == (danger, bool(danger))


@pytest.mark.parametrize(
    ("text", "language", "praise"),
    [
        ("Ein großes Lob an Frau Schneider, sie war sehr hilfsbereit!", "de", True),
        ("Stor ros til Ingrid, hun var veldig flink.", "nb", True),
        ("Mina was brilliant, thank you so much.", "en", True),
        ("Ihre Kollegin war sehr nett, aber das Paket ist immer noch nicht da.", "de", False),
        ("Hun var veldig hyggelig, men varen er fortsatt ødelagt.", "nb", False),
        ("Your colleague was very kind, but nothing has happened since.", "en", False),
        ("Seien Sie so nett und schicken Sie mir die Rechnung.", "de", False),
        ("Would you be so kind as to send me the invoice?", "en", False),
        ("Das war nicht sehr hilfsbereit.", "de", False),
        ("Toller Service!!! Seit drei Wochen warte ich, eine Frechheit.", "de", False),
    ],
)
def test_praise_is_heard_when_nothing_takes_it_back(understood: Any, text: str, language: str, praise: bool) -> None:
    assert understood(text, language).praise is praise


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("STOP", "en"), ("Stopp", "de"), ("Bitte streichen Sie mich von Ihrer Liste.", "de"),
        ("Hören Sie endlich auf, mir Werbung zu schicken!", "de"), ("Lassen Sie mich in Ruhe mit Ihrer Werbung.", "de"),
        ("Ich möchte keine E-Mails mehr von Ihnen bekommen.", "de"), ("Rufen Sie mich nicht mehr an!", "de"),
        ("Ich widerrufe meine Einwilligung.", "de"), ("Nehmen Sie mich bitte aus dem Verteiler.", "de"),
        ("Slutt å sende meg reklame!", "nb"), ("Jeg vil ikke ha flere nyhetsbrev fra dere.", "nb"),
        ("La meg være i fred for reklame", "nb"), ("Ta meg av listen, takk.", "nb"),
        ("Jeg trekker tilbake samtykket mitt.", "nb"), ("Ikke ring meg flere ganger.", "nb"),
        ("Please take me off your mailing list.", "en"), ("Stop sending me these emails.", "en"),
        ("I don't want to hear from you again.", "en"), ("Leave me alone with your offers.", "en"),
        ("I withdraw my consent.", "en"), ("No more newsletters please", "en"), ("Never contact me again.", "en"),
    ],
)  # fmt: skip
def test_stop_is_heard_in_any_words(understood: Any, text: str, language: str) -> None:
    assert understood(text, language).stop_contact


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Die Maschine stoppt mitten im Programm.", "de"), ("Bitte rufen Sie mich zurück.", "de"),
        ("Maskinen stopper hele tiden", "nb"), ("Kan dere stoppe bestillingen min?", "nb"),
        ("My coffee machine stopped working.", "en"), ("Please stop the delivery of SO-10420.", "en"),
    ],
)  # fmt: skip
def test_other_things_that_stop_are_none(understood: Any, text: str, language: str) -> None:
    assert not understood(text, language).stop_contact
