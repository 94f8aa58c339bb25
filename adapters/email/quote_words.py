"""What mail programs write around quoted, forwarded and appended text, in German, Norwegian and English.

Data for `quotes`: every expression is matched against single lines of limited length, so none of them can be made slow.
"""

import re

__all__ = [
    "ATTRIBUTION_START",
    "ATTRIBUTION_VERB",
    "DATE_OR_TIME",
    "DISCLAIMER_WORDS",
    "FORWARD_LINE",
    "HEADER_LABELS",
    "LABEL_LINE",
    "MOBILE_FOOTER",
    "REPLY_LINE",
    "SEE_BELOW",
    "TOLD_NOT_QUOTED",
]

_RULER = r"\s*[-_–—*=]{2,60}\s*"

REPLY_LINE = re.compile(
    _RULER + r"(?:Ursprüngliche Nachricht|Urspr\. Nachricht|Original-?[ ]?Nachricht|Originalnachricht|Original Message|"
    r"Original e-?mail|Opprinnelig melding|Original melding|Opphavleg melding|Opprinnelig e-post|Originalmeddelande|"
    r"Oprindelig meddelelse|Antwort(?:e-?mail)?|Reply message|Original-E-Mail)" + r"\s*[-_–—*=]{2,60}\s*",
    re.IGNORECASE,
)
"""`-----Ursprüngliche Nachricht-----`"""

FORWARD_LINE = re.compile(
    r"(?:" + _RULER + r"(?:Weitergeleitete Nachricht|Forwarded message|Forwarded Message|Videresendt melding|"
    r"Vidaresend melding|Videresendt e-post|Vidarebefordrat meddelande|Videresendt meddelelse|Weitergeleitete E-Mail)"
    r"(?: (?:von|from|fra)[^-]{1,100})?\s*[-_–—*=]{2,60}\s*"
    r"|\s*(?:Anfang der weitergeleiteten (?:Nachricht|E-Mail)|Begin forwarded message|"
    r"Start på videresendt melding|Videresendt melding)\s*:\s*)",
    re.IGNORECASE,
)
"""`---------- Forwarded message ---------`, `Anfang der weitergeleiteten Nachricht:`"""

HEADER_LABELS: tuple[dict[str, str], ...] = (
    {
        "von": "from", "absender": "from", "gesendet": "sent", "gesendet am": "sent", "datum": "sent", "an": "to",
        "cc": "cc", "kopie": "cc", "betreff": "subject", "betr": "subject", "antwort an": "other",
        "wichtigkeit": "other", "priorität": "other", "bcc": "cc", "date": "sent",
    },
    {
        "fra": "from", "frå": "from", "avsender": "from", "sendt": "sent", "dato": "sent", "til": "to", "kopi": "cc",
        "cc": "cc", "emne": "subject", "viktighet": "other", "prioritet": "other", "svar til": "other",
        "från": "from", "skickat": "sent", "till": "to", "ämne": "subject", "date": "sent",
    },
    {
        "from": "from", "sent": "sent", "date": "sent", "sent on": "sent", "to": "to", "cc": "cc", "bcc": "cc",
        "subject": "subject", "reply-to": "other", "reply to": "other", "importance": "other",
    },
)  # fmt: skip
"""Labels of the header that Outlook and many phones put above what they quote, one table per language."""

LABEL_LINE = re.compile(r"[ \t]{0,8}\*{0,2}([A-Za-zÄÖÜäöüåøæÅØÆ][A-Za-zÄÖÜäöüåøæ.\- ]{1,13}?)\s?:\*{0,2}(?:\s(.*))?$")

ATTRIBUTION_VERB = re.compile(r"\b(?:schrieb|geschrieben|wrote|writes|skrev|skreiv)\b", re.IGNORECASE)

ATTRIBUTION_START = re.compile(
    r"\s*(?:am|on|den|på|il|op|le)\s+\S"
    r"|\s*(?:mo|di|mi|do|fr|sa|so|man|tir|tor|ons|fre|lør|søn|mon|tue|wed|thu|fri|sat|sun)[a-zø]{0,7}[.,]?\s+\d|\s*\d{1,4}[./-]",
    re.IGNORECASE,
)

DATE_OR_TIME = re.compile(r"\d{1,2}\s?[./-]\s?\d{1,2}\s?[./-]|\b(?:19|20)\d\d\b|\b\d{1,2}[:.]\d{2}\b")

TOLD_NOT_QUOTED = re.compile(
    r"\b(?:schrieb|wrote|skrev|skreiv)\s+(?:ich|wir|jeg|eg|vi|i|we|mir|uns|mich|sie|ihnen|ihr|ihre|ihr|er|es|man|meg|"
    r"oss|you|your|me|us|he|she|they|de|dere|deres|du|han|hun|ho|der|die|das|one|to|that|zurück)\b"
    r"|\b(?:ich|wir|i|we|you|they|jeg|vi|du|dere)\s+(?:schrieb|schrieben|wrote|skrev)\b",
    re.IGNORECASE,
)
"""`Am 3.5. um 10:15 schrieb ich Ihnen:` is somebody telling, not a program quoting."""

_DEVICE = r"(?:iPhone|iPad|Mac|Samsung|Galaxy|Huawei|Xiaomi|BlackBerry|Pixel|Nokia|Sony|Android|Windows)[^.,!?:;]{0,30}"
_ANY_PHONE = r"(?:Handy|Smartphone|Mobiltelefon|Mobilgerät|mobil|mobilen|telefon|phone|mobile|mobile device)"
_PROGRAM = (
    r"(?:Samsung Mobile|Samsung Galaxy|Outlook|Mail|Windows Mail|Yahoo Mail|Telekom Mail|GMX Mail|WEB\.DE Mail|freenet|"
    r"Gmail|Proton Mail|Spark|Posteo|BlueMail|Mailbird|Superhuman|E-post)[^,!?:;]{0,40}"
)

MOBILE_FOOTER = re.compile(
    r"\s*(?:"
    rf"Von meine[mr] (?:{_DEVICE}|{_ANY_PHONE}) gesendet"
    rf"|Gesendet von meine[mr] (?:{_DEVICE}|{_ANY_PHONE})"
    rf"|(?:Gesendet (?:mit|von|über)(?: der| dem)? {_PROGRAM}|Von {_PROGRAM} gesendet)"
    r"|Diese (?:Nachricht|E-Mail|Mail) wurde von meine[mr] .{1,60} gesendet"
    r"|Outlook für (?:iOS|Android|Mac)(?:\s?<https?://[^>\s]{1,200}>)? beziehen|Holen Sie sich Outlook für .{1,40}"
    r"|Laden Sie Outlook für .{1,60} herunter"
    rf"|Sendt fra (?:min|mitt|en) (?:{_DEVICE}|{_ANY_PHONE})"
    rf"|Sendt (?:fra|med|via) {_PROGRAM}"
    r"|(?:Hent|Få|Skaff deg) Outlook for .{1,40}"
    rf"|Sent from my (?:{_DEVICE}|{_ANY_PHONE})"
    rf"|Sent (?:from|with|via) {_PROGRAM}"
    r"|Get (?:Outlook|BlueMail) for .{1,40}"
    r")(?:\s?<https?://[^>\s]{1,200}>)?\s*\.?\s*",
    re.IGNORECASE,
)

SEE_BELOW = re.compile(
    r"\b(?:siehe (?:unten|im text)|s\. ?u\.|(?:meine )?antworten (?:stehen )?(?:unten|im text|in rot|in blau)|"
    r"se (?:under|nedenfor)|svar(?:et|ene)? (?:mine )?(?:står )?(?:under|nedenfor)|"
    r"(?:see|answers?|comments?|replies|reply|answered|replied) (?:\w{1,10} )?(?:below|inline|in red|in blue))\b",
    re.IGNORECASE,
)

DISCLAIMER_WORDS: tuple[re.Pattern[str], ...] = tuple(
    re.compile(words, re.IGNORECASE)
    for words in (
        r"vertraulich|confidential|konfidensiel|fortrolig|privileged|rechtlich geschützt|taushet",
        r"empfänger|adressat|recipient|addressee|mottaker|intended (?:only )?for",
        r"e-?mail|e-post|nachricht|message|melding|anhäng|attachment|vedlegg",
        r"irrtümlich|versehentlich|in error|by mistake|ved en feil|feilaktig|feilsend|fälschlich",
        r"vernichten|löschen|lösch|destroy|delete|slett|unbefugt|unauthori[sz]ed|nicht gestattet|prohibited|"
        r"ikke tillatt|notify|informieren sie",
    )
)
