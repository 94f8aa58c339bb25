"""Reply and quote told apart over hand-made layouts of real mail programs, and sentences that only look like them."""
# ruff: noqa: E501 - mails are written as programs write them

import random
import time
from typing import NamedTuple

import pytest

from adapters.email.html_text import html_to_text
from adapters.email.quotes import label_ranges
from bus.clock import SystemClock
from bus.message import Contact, Party


def own(text: str, **options: object) -> str:
    """What `Contact.own_text` makes of a text and its ranges."""
    now = SystemClock().now()
    ranges = label_ranges(text, **options)  # type: ignore[arg-type]
    party = Party(kind="email", address="a@b.example")
    return Contact(
        id="c-1", tenant="t", channel="email", account="x", sender=party, occurred_at=now, received_at=now,
        text=text, ranges=ranges,
    ).own_text()  # fmt: skip


class Layout(NamedTuple):
    name: str
    tail: str
    """What the program puts below (or around) the reply."""


DE = "Guten Tag,\n\ndie Lampe ist leider defekt. Am Montag schrieb ich Ihnen bereits.\nVon: mir aus gern.\n\nViele Grüße\nJonas"
NB = "Hei,\n\nlampen er dessverre ødelagt. På mandag skrev jeg til dere.\nTil: alle som leser dette.\n\nHilsen Kari"
EN = "Hello,\n\nthe lamp is broken. On Monday I wrote to you already.\nTo: be clear, I want a refund.\n\nRegards\nTom"

GERMAN = [
    Layout("gmail", "Am Do., 12. März 2026 um 10:15 Uhr schrieb Nordlicht Handel <hilfe@shop.example>:\n\n> Guten Tag,\n>\n> wie können wir helfen?"),
    Layout("gmail wrapped", "Am Do., 12. März 2026 um 10:15 Uhr schrieb Nordlicht Handel <\nhilfe@shop.example>:\n\n> Guten Tag\n> Text"),
    Layout("gmail name first", "Nordlicht Handel <hilfe@shop.example> schrieb am Do., 12. März 2026, 10:15:\n\n> Guten Tag\n> Text"),
    Layout("thunderbird", "Am 12.03.26 um 10:15 schrieb Nordlicht Handel:\n> Guten Tag,\n> Text\n>> älter"),
    Layout("apple", "> Am 12.03.2026 um 10:15 schrieb Nordlicht Handel <hilfe@shop.example>:\n> \n> Guten Tag"),
    Layout("apple plain", "Am 12. März 2026 um 10:15 schrieb Nordlicht Handel <hilfe@shop.example>:\n\nGuten Tag,\nwie können wir helfen?"),
    Layout("outlook", "Von: Nordlicht Handel <hilfe@shop.example>\nGesendet: Donnerstag, 12. März 2026 10:15\nAn: Jonas Weber\nBetreff: AW: Lampe\n\nGuten Tag"),
    Layout("outlook without address", "Von: Nordlicht Handel\nGesendet: Donnerstag, 12. März 2026 10:15\nAn: Jonas Weber\nBetreff: AW: Lampe\n\nGuten Tag"),
    Layout("outlook bold", "*Von:* Nordlicht Handel <hilfe@shop.example>\n*Gesendet:* Donnerstag, 12. März 2026 10:15\n*An:* Jonas\n*Betreff:* Lampe\n\nGuten Tag"),
    Layout("outlook old", "-----Ursprüngliche Nachricht-----\nVon: Nordlicht Handel [mailto:hilfe@shop.example] \nGesendet: Donnerstag, 12. März 2026 10:15\nAn: Jonas\nBetreff: Lampe\n\nGuten Tag"),
    Layout("outlook web", "________________________________\nVon: Nordlicht Handel <hilfe@shop.example>\nGesendet: Donnerstag, 12. März 2026 10:15\nAn: Jonas\nBetreff: Lampe\n\nGuten Tag"),
    Layout("outlook ios", "Outlook für iOS<https://aka.ms/o0ukef> beziehen\n________________________________\nVon: Nordlicht Handel <hilfe@shop.example>\nGesendet: Thursday, March 12, 2026 10:15:00 AM\nAn: Jonas\nBetreff: Lampe\n\nGuten Tag"),
    Layout("gmx", "Gesendet: Donnerstag, 12. März 2026 um 10:15 Uhr\nVon: \"Nordlicht Handel\" <hilfe@shop.example>\nAn: jonas@gmx.example\nBetreff: Lampe\n\nGuten Tag"),
    Layout("t-online", "-----Original-Nachricht-----\nBetreff: Lampe\nDatum: 2026-03-12T10:15:00+0100\nVon: \"Nordlicht\" <hilfe@shop.example>\nAn: \"Jonas\" <j@t-online.example>\n\nGuten Tag"),
    Layout("yahoo", "Am Donnerstag, 12. März 2026 um 10:15:00 MEZ hat Nordlicht Handel <hilfe@shop.example> Folgendes geschrieben: \n\nGuten Tag\nText"),
    Layout("samsung", "Von meinem Samsung Galaxy Smartphone gesendet.\n\n-------- Ursprüngliche Nachricht --------\nVon: Nordlicht Handel <hilfe@shop.example>\nDatum: 12.03.26 10:15 (GMT+01:00)\nAn: jonas@kunde.example\nBetreff: Lampe\n\nGuten Tag"),
    Layout("notes", "Von:\tNordlicht Handel <hilfe@shop.example>\nAn:\tJonas Weber\nDatum:\t12.03.2026 10:15\nBetreff:\tLampe\n\nGuten Tag"),
    Layout("iphone", "Von meinem iPhone gesendet\n\n> Am 12.03.2026 um 10:15 schrieb Nordlicht Handel <hilfe@shop.example>:\n> \n> Guten Tag"),
]  # fmt: skip

NORWEGIAN = [
    Layout("gmail", "tor. 12. mars 2026 kl. 10:15 skrev Nordlys Handel <hilfe@shop.example>:\n\n> Hei,\n> hva kan vi hjelpe med?"),
    Layout("gmail wrapped", "tor. 12. mars 2026 kl. 10:15 skrev Nordlys Handel <hilfe@shop.example\n>:\n\n> Hei\n> tekst"),
    Layout("thunderbird", "Den 12.03.2026 10:15, skrev Nordlys Handel:\n> Hei,\n> tekst"),
    Layout("apple", "12. mars 2026 kl. 10:15 skrev Nordlys Handel <hilfe@shop.example>:\n\nHei,\nhva kan vi hjelpe med?"),
    Layout("nynorsk", "Den 12.03.2026 kl. 10:15 skreiv Nordlys Handel <hilfe@shop.example>:\n> Hei\n> tekst"),
    Layout("outlook", "Fra: Nordlys Handel <hilfe@shop.example>\nSendt: torsdag 12. mars 2026 10:15\nTil: Kari Lunde\nEmne: SV: Lampe\n\nHei"),
    Layout("outlook nynorsk", "Frå: Nordlys Handel <hilfe@shop.example>\nSendt: torsdag 12. mars 2026 10:15\nTil: Kari Lunde\nEmne: SV: Lampe\n\nHei"),
    Layout("outlook bold", "*Fra:* Nordlys Handel <hilfe@shop.example>\n*Sendt:* torsdag 12. mars 2026 10:15\n*Til:* Kari\n*Emne:* Lampe\n\nHei"),
    Layout("outlook old", "-----Opprinnelig melding-----\nFra: Nordlys Handel [mailto:hilfe@shop.example]\nSendt: 12. mars 2026 10:15\nTil: Kari\nEmne: Lampe\n\nHei"),
    Layout("outlook ios", "Hent Outlook for iOS<https://aka.ms/o0ukef>\n________________________________\nFra: Nordlys Handel <hilfe@shop.example>\nSendt: Thursday, March 12, 2026 10:15:00 AM\nTil: Kari\nEmne: Lampe\n\nHei"),
    Layout("samsung", "Sendt fra min Samsung Galaxy-smarttelefon.\n\n-------- Opprinnelig melding --------\nFra: Nordlys Handel <hilfe@shop.example>\nDato: 12.03.2026 10:15 (GMT+01:00)\nTil: kari@kunde.example\nEmne: Lampe\n\nHei"),
    Layout("iphone", "Sendt fra min iPhone\n\n> 12. mars 2026 kl. 10:15 skrev Nordlys Handel <hilfe@shop.example>:\n> \n> Hei"),
]  # fmt: skip

ENGLISH = [
    Layout("gmail", "On Thu, 12 Mar 2026 at 10:15, Northlight Store <hilfe@shop.example> wrote:\n\n> Hello,\n> how can we help?"),
    Layout("gmail wrapped", "On Thu, Mar 12, 2026 at 10:15 AM Northlight Store With A Long Name\n<hilfe@shop.example> wrote:\n\n> Hello\n> text"),
    Layout("thunderbird", "On 12/03/2026 10:15, Northlight Store wrote:\n> Hello,\n> text"),
    Layout("apple plain", "On 12 Mar 2026, at 10:15, Northlight Store <hilfe@shop.example> wrote:\n\nHello,\nhow can we help?"),
    Layout("outlook", "From: Northlight Store <hilfe@shop.example>\nSent: Thursday, March 12, 2026 10:15 AM\nTo: Tom Baker <tom@customer.example>\nCc: A Long List <a@b.example>; Another <c@d.example>;\n Third <e@f.example>\nSubject: RE: Lamp\n\nHello"),
    Layout("outlook old", "-----Original Message-----\nFrom: Northlight Store\nSent: 12 March 2026 10:15\nTo: Tom\nSubject: Lamp\n\nHello"),
    Layout("html gaps", "From: Northlight Store <hilfe@shop.example>\n\nSent: 12 March 2026 10:15\n\nTo: Tom\n\nSubject: Lamp\n\nHello"),
    Layout("iphone", "Sent from my iPhone\n\n> On 12 Mar 2026, at 10:15, Northlight Store <hilfe@shop.example> wrote:\n> \n> Hello"),
    Layout("old gmail", "2026-03-12 10:15 GMT+01:00 Northlight Store <hilfe@shop.example>:\n\n> Hello\n> text"),
    Layout("samsung", "Sent from my Galaxy\n\n-------- Original message --------\nFrom: Northlight Store <hilfe@shop.example>\nDate: 12/03/2026 10:15 (GMT+00:00)\nTo: tom@customer.example\nSubject: Lamp\n\nHello"),
]  # fmt: skip

ALL = [
    pytest.param(reply, layout, id=f"{language}-{layout.name}")
    for language, reply, layouts in (("de", DE, GERMAN), ("nb", NB, NORWEGIAN), ("en", EN, ENGLISH))
    for layout in layouts
]


@pytest.mark.parametrize(("reply", "layout"), ALL)
def test_the_reply_is_kept_whole_and_the_rest_is_labelled(reply: str, layout: Layout) -> None:
    assert own(f"{reply}\n\n{layout.tail}") == reply


@pytest.mark.parametrize(("reply", "layout"), ALL)
def test_an_answer_of_one_word(reply: str, layout: Layout) -> None:
    assert own(f"Ja\n\n{layout.tail}") == "Ja"


@pytest.mark.parametrize(("reply", "layout"), ALL)
def test_when_nothing_would_be_left_everything_is_kept(reply: str, layout: Layout) -> None:
    assert label_ranges(layout.tail) == ()
    assert own(layout.tail) == layout.tail


@pytest.mark.parametrize(
    "text",
    [
        "Am Montag schrieb ich Ihnen bereits.",
        "Am 12.03.2026 um 10:15 schrieb ich Ihnen:\n\nDie Lampe ist kaputt.\nBitte antworten Sie.",
        "Am 12.03.2026 schrieb mir Ihr Kollege Folgendes:\n\n„Wir erstatten 49,90 EUR.“\n\nBisher kam nichts.",
        "Von: mir aus gern.\nAn: Ihrer Stelle würde ich das prüfen.",
        "Abholung\nVon: Hamburg\nAn: Berlin\nDatum: 12.03.2026\nBitte bestätigen.",
        "To: be clear, I never ordered this.\nFrom: the start it was broken.",
        "On 12/03/2026 at 10:15 I wrote to you:\n\nPlease refund me.",
        "Den 12.03.2026 kl. 10:15 skrev jeg til dere:\n\nLampen er ødelagt.",
        "Fra: og med i dag vil jeg ha pengene tilbake.\nTil: slutt, takk.",
        "> 50 Euro zahle ich dafür nicht.\nDas ist zu viel.",
        "Die Lampe\n-----\nist kaputt\n_____________\nund war teuer",
        "Von meinem iPhone ist das Display kaputt, ich habe es bei Ihnen gekauft",
        "Von meinem Handy aus konnte ich nicht bestellen",
        "Sent from my phone yesterday, no answer yet",
        "Gesendet: habe ich das Paket am 12.03.2026\nBetreff: Ihre Frage",
        "Ich schicke Ihnen die weitergeleitete Nachricht morgen:\nsie ist lang.",
        "Ich habe irrtümlich eine falsche Nachricht an den falschen Empfänger geschickt.",
    ],
)
def test_ordinary_sentences_stay(text: str) -> None:
    assert label_ranges(text) == ()
    assert own(text + "\n\nAm 12.03.26 um 10:15 schrieb Shop:\n> alt\n> älter") == text


def test_answers_between_quoted_lines_stay_a_reply() -> None:
    text = (
        "Hallo,\n\nAm 12.03.26 um 10:15 schrieb Nordlicht Handel:\n> Wie lautet die Bestellnummer?\n\nSO-10412\n\n"
        "> Was ist defekt?\n\nDas Mahlwerk.\n\nViele Grüße\n-- \nJonas Weber\nAm Markt 2"
    )
    assert own(text).split() == ["Hallo,", "SO-10412", "Das", "Mahlwerk.", "Viele", "Grüße"]
    labels = [(one.label, text[one.start : one.end]) for one in label_ranges(text)]
    assert ("signature", "-- \nJonas Weber\nAm Markt 2") in labels
    assert [label for label, _ in labels] == ["reply", "quote", "reply", "quote", "reply", "signature"]


def test_below_means_below() -> None:
    tail = "\n\nVon: Shop <hilfe@shop.example>\nGesendet: 12.03.2026 10:15\nAn: Jonas\nBetreff: x\n\nWelche Nummer? SO-10412"
    assert "SO-10412" in own("Hallo, meine Antworten stehen unten." + tail)
    assert "SO-10412" not in own("Hallo, der Preis lag unter 20 Euro." + tail)


@pytest.mark.parametrize(
    ("tail", "subject_says_so"),
    [
        ("---------- Forwarded message ---------\nVon: Bank <a@bank.example>\nDate: 12.03.2026\n\n49,90 EUR SO-10234", False),
        ("Anfang der weitergeleiteten Nachricht:\n\n> Von: Bank <a@bank.example>\n> Betreff: Abrechnung\n> \n> 49,90 EUR SO-10234", False),
        ("-------- Weitergeleitete Nachricht --------\nBetreff: Abrechnung\nVon: Bank <a@bank.example>\n\n49,90 EUR SO-10234", False),
        ("---------- Videresendt melding ---------\nFra: Bank <a@bank.example>\n\n49,90 EUR SO-10234", False),
        ("Von: Bank <a@bank.example>\nGesendet: 12.03.2026 10:15\nAn: Grete\nBetreff: Abrechnung\n\n49,90 EUR SO-10234", True),
    ],
)  # fmt: skip
def test_what_is_passed_on_is_content(tail: str, subject_says_so: bool) -> None:
    text = f"Bitte prüfen.\n\n{tail}"
    assert "49,90 EUR SO-10234" in own(text, forwarded=subject_says_so)
    assert "forwarded" in {one.label for one in label_ranges(text, forwarded=subject_says_so)}


@pytest.mark.parametrize(
    "disclaimer",
    [
        "Diese E-Mail enthält vertrauliche und/oder rechtlich geschützte Informationen. Wenn Sie nicht der richtige "
        "Empfänger sind oder diese E-Mail irrtümlich erhalten haben, informieren Sie bitte sofort den Absender und "
        "vernichten Sie diese Mail.",
        "This e-mail is confidential and intended only for the addressee. If you have received this message in error, "
        "please notify the sender and delete it.",
        "Denne e-posten kan inneholde konfidensiell informasjon. Er du ikke rett mottaker, eller har du fått meldingen "
        "ved en feil, ber vi deg slette den.",
    ],
)
def test_disclaimers_are_labelled(disclaimer: str) -> None:
    text = f"Guten Tag,\n\ndie Lampe ist defekt.\n\nViele Grüße\n\n{disclaimer}"
    assert own(text) == "Guten Tag,\n\ndie Lampe ist defekt.\n\nViele Grüße"
    assert own(disclaimer) == disclaimer


@pytest.mark.parametrize(
    "source",
    [
        '<div dir="ltr">Ja, bitte.</div><br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">Am Do., 12. März '
        '2026 um 10:15 Uhr schrieb Shop &lt;<a href="mailto:h@s.example">h@s.example</a>&gt;:<br></div><blockquote '
        'class="gmail_quote" style="margin:0">Alter Text<br><br>mit Lücke</blockquote></div>',
        '<p>Ja, bitte.</p><div class="moz-cite-prefix">Am 12.03.26 um 10:15 schrieb Shop:<br></div>'
        '<blockquote type="cite" cite="mid:x"><p>Alter Text</p></blockquote>',
        '<div>Ja, bitte.</div><div><br></div><div id="appendonsend"></div><hr><div id="divRplyFwdMsg"><b>Von:</b> Shop '
        "&lt;h@s.example&gt;<br><b>Gesendet:</b> Donnerstag, 12. März 2026 10:15<br><b>An:</b> Jonas<br><b>Betreff:</b> "
        "AW: Lampe</div><div>Alter Text</div>",
        '<p class="MsoNormal">Ja, bitte.<o:p></o:p></p><div style="border:none;border-top:solid #E1E1E1 1.0pt"><p '
        'class="MsoNormal"><b>Von:</b> Shop &lt;h@s.example&gt; <br><b>Gesendet:</b> Donnerstag, 12. März 2026 10:15<br>'
        "<b>An:</b> Jonas<br><b>Betreff:</b> AW: Lampe<o:p></o:p></p></div><p>Alter Text</p>",
        '<html><body><div>Ja, bitte.</div><div name="quote" style="margin:10px"><div><b>Gesendet:</b>&nbsp;Donnerstag, '
        "12. März 2026 um 10:15 Uhr<br><b>Von:</b>&nbsp;Shop &lt;h@s.example&gt;<br><b>An:</b>&nbsp;j@gmx.example<br>"
        "<b>Betreff:</b>&nbsp;Lampe</div><div>Alter Text</div></div></body></html>",
        '<body>Ja, bitte.<br><br><div id="AppleMailSignature" dir="ltr">Von meinem iPhone gesendet</div><div><br>Am '
        '12.03.2026 um 10:15 schrieb Shop &lt;h@s.example&gt;:<br><br></div><blockquote type="cite"><div>Alter Text</div>'
        "</blockquote></body>",
        '<div>Ja, bitte.</div><div class="yahoo_quoted"><div>Am Donnerstag hat Shop geschrieben:</div>Alter Text</div>',
    ],
)
def test_markup_of_mail_programs(source: str) -> None:
    shown = html_to_text(source)
    assert "Alter Text" in shown.text
    assert own(shown.text, marks=shown.marks) == "Ja, bitte."


def test_ranges_are_in_order_and_inside() -> None:
    words = ["> x", "Am 12.03.26 um 10:15 schrieb A:", "", "-- ", "Text", "Von: a@b", "Gesendet: 12.03.2026", "An: x",
             "Betreff: y", "________", "-----Original Message-----", "Sent from my iPhone", "Ja", ">", "Fwd:"]  # fmt: skip
    chance = random.Random(7)
    for _ in range(3000):
        text = "\n".join(chance.choices(words, k=chance.randint(0, 14)))
        marks = tuple(chance.choice(["", "", "quote", "signature"]) for _ in text.split("\n"))
        ranges = label_ranges(text, marks=marks if chance.random() < 0.5 else (), forwarded=chance.random() < 0.2)
        position = 0
        for one in ranges:
            assert position <= one.start < one.end <= len(text), text
            assert text[one.start : one.end].strip() == text[one.start : one.end].strip("\n").strip()
            position = one.end
        covered = sorted(c for one in ranges for c in range(one.start, one.end) if not text[c].isspace())
        if ranges:
            assert covered == [index for index, c in enumerate(text) if not c.isspace()], text


@pytest.mark.parametrize(
    "text",
    [
        "\n" * 500_000, " " * 500_000, "-" * 500_000, "-\n" * 250_000, "On\n" * 160_000, "On :\n" * 100_000,
        "> x\n\n" * 100_000, "Von:\n" * 100_000, "Von: a@b\n" * 55_000, "-- \n" * 125_000, "Am 1 schrieb:\n" * 35_000,
        "schrieb <@" * 50_000, ("schrieb 12:15 <@" * 20 + "\n") * 1500, "a:\n" * 160_000, "Sent from my iPhone\n" * 25_000,
        "Von: a@b\nGesendet: 1\n" * 25_000, "________\n" * 55_000,
    ],
    ids=lambda text: repr(text[:12]),
)  # fmt: skip
def test_half_a_megabyte_of_anything_is_quick(text: str) -> None:
    began = time.process_time()
    label_ranges(text)
    # Linear code needs well under a second on a slow machine; what backtracks needs minutes.
    assert time.process_time() - began < 3
