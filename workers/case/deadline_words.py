"""How German, Norwegian and English name a time by which something is done: leads, days, times of day, spans.

Words and patterns only; what follows from them is worked out in `workers.case.promised`.
"""

import re
from collections.abc import Iterable, Mapping

import msgspec

__all__ = ["END_OF_WEEK", "LANGUAGES", "MONTHS", "NUMBERS", "PARTS", "SENTENCE", "WEEKDAYS", "Language"]

WEEKDAYS: Mapping[str, int] = {
    name: day
    for day, names in enumerate(
        (
            "montag mandag monday", "dienstag tirsdag tuesday", "mittwoch onsdag wednesday",
            "donnerstag torsdag thursday", "freitag fredag friday", "samstag sonnabend lørdag saturday",
            "sonntag søndag sunday",
        )
    )
    for name in names.split()
}  # fmt: skip
MONTHS: Mapping[str, int] = {
    name: number
    for number, names in enumerate(
        (
            "januar january", "februar february", "märz mars march", "april", "mai may", "juni june", "juli july",
            "august", "september", "oktober october", "november", "dezember desember december",
        ), start=1,
    )
    for name in names.split()
}  # fmt: skip
NUMBERS: Mapping[str, int] = {
    "ein": 1, "eine": 1, "einem": 1, "einer": 1, "eines": 1, "eins": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5,
    "sechs": 6, "sieben": 7, "acht": 8, "neun": 9, "zehn": 10, "elf": 11, "zwölf": 12, "vierzehn": 14,
    "en": 1, "et": 1, "ett": 1, "to": 2, "tre": 3, "fire": 4, "fem": 5, "seks": 6, "sju": 7, "syv": 7, "åtte": 8,
    "ni": 9, "ti": 10, "elleve": 11, "tolv": 12, "fjorten": 14,
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "fourteen": 14,
}  # fmt: skip
END_OF_WEEK = frozenset(
    {
        "ende der woche", "ende dieser woche", "wochenende", "utgangen av uken", "utgangen av uka", "uken", "uka",
        "end of the week", "end of this week", "this week",
    }
)  # fmt: skip

_EARLY, _NOON, _AFTERNOON, _EVENING, _MIDNIGHT = (60 * hour for hour in (10, 12, 18, 21, 24))
"""Where the parts of a day end, in minutes. "Früh" comes before the forenoon; after 21 o'clock nobody is called."""

PARTS: Mapping[str, int] = {
    **dict.fromkeys(("früh", "tidlig"), _EARLY),
    **dict.fromkeys(("morgen", "morgens", "vormittag", "vormittags", "mittag", "mittags"), _NOON),
    **dict.fromkeys(("morgenen", "formiddag", "formiddagen", "midt på dagen", "lunsj"), _NOON),
    **dict.fromkeys(("morning", "noon", "midday", "lunch", "lunchtime"), _NOON),
    **dict.fromkeys(("nachmittag", "nachmittags", "ettermiddag", "ettermiddagen", "afternoon"), _AFTERNOON),
    **dict.fromkeys(("abend", "abends", "kveld", "kvelden", "evening", "tonight", "night"), _EVENING),
    **dict.fromkeys(("mitternacht", "midnatt", "midnight"), _MIDNIGHT),
}


class Language(msgspec.Struct, frozen=True, kw_only=True):
    """The words and patterns of one language.

    A deadline is a `lead`, and behind it a `day` and a `time` in either order, with words of `between` among them. A
    lead with the group `weak` is a day that counts only with a time ("Friday at three"). `within` finds spans. A
    sentence promises with `undertakes` in it and without `asks`. `ahead`: words for days, and how far away they are.
    `half_before`: "half four" is half past three, as in German and Norwegian.

    Groups of `day`: word; day, month, year; d, m, y. Of `time`: hour and minute, or alone and exact, with late or
    early; half, or quarter and way, with of; part. Of `within`: count, half, unit.
    """

    ahead: Mapping[str, int]
    lead: re.Pattern[str]
    day: re.Pattern[str]
    time: re.Pattern[str]
    between: re.Pattern[str]
    within: re.Pattern[str]
    undertakes: re.Pattern[str]
    asks: re.Pattern[str]
    half_before: bool


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


def _day(ahead: Iterable[str]) -> re.Pattern[str]:
    return _pattern(
        # Nobody says "tomorrow" with "am Morgen"; "Freitagnachmittag" is one word.
        rf"(?P<word>(?<!am )(?:{_any((*ahead, *END_OF_WEEK))})\b|(?:{_any(WEEKDAYS)})(?=\b|{_any(PARTS)}))"
        rf"|(?P<day>[0-3]?[0-9])(?:\.|st|nd|rd|th)?\s?(?:of )?(?P<month>{_any(MONTHS)})\b(?: (?P<year>20[0-9]{{2}}))?"
        r"|(?P<d>[0-3]?[0-9])\.\s?(?P<m>[01]?[0-9])\.\s?(?P<y>20[0-9]{2})?"
    )


_FIGURES = r"[01]?[0-9]|2[0-4]"
_MINUTES = r"[0-5][0-9]"
_WORDS = _any(word for word, number in NUMBERS.items() if number <= 12 and word not in ("a", "an", "eine", "einem"))
_WEEKDAYS = _any(WEEKDAYS)
_PART = rf"(?P<part>{_any(PARTS)})\b"
_NUMBER = rf"[0-9]{{1,2}}|{_any(NUMBERS)}"
_COUNT = rf"(?:(?:{_NUMBER})\s?(?:-|–|bis|oder|til|eller|to|or)\s?)?(?P<count>{_NUMBER})"
"""Of "two to three days" the larger number counts."""

LANGUAGES: Mapping[str, Language] = {
    "de": Language(
        ahead={"heute": 0, "ende des tages": 0, "morgen": 1, "übermorgen": 2},
        lead=_pattern(
            r"\b(?<!gestern )(?:bis spätestens|spätestens bis|spätestens|bis|noch|am|im laufe|vor|um|gegen)\s+"
            r"|\b(?<!guten )(?<!am )(?<!jeden )(?=(?:morgen|übermorgen|heute noch)\b)"
            rf"|\b(?P<weak>(?=heute\b|{_WEEKDAYS}))"
        ),
        day=_day(("heute", "ende des tages", "morgen", "übermorgen")),
        time=_pattern(
            rf"(?P<hour>{_FIGURES}|{_WORDS})(?:(?:[:.](?P<minute>{_MINUTES}))?\s?(?:uhr|h)\b|:(?P<exact>{_MINUTES})\b)"
            r"(?:\s(?P<late>nachmittags|abends)|\s(?P<early>früh|morgens|vormittags|mittags))?"
            rf"|(?:(?<=um )|(?<=gegen ))(?P<alone>{_FIGURES}|{_WORDS})"
            r"(?=\s*(?:[,;!?]|\.?$|\b(?:an|bei|mit|zurück|wieder|am|heute)\b))"
            rf"|(?:(?P<half>halb)|(?P<quarter>viertel)\s(?P<way>vor|nach))\s(?P<of>{_FIGURES}|{_WORDS})\b(?:\suhr\b)?"
            rf"|{_PART}"
        ),
        between=_pattern(
            r"[\s,]+|\b(?:zum|zu|am|des|der|diesen|kommenden|nächsten|bis|spätestens|noch|um|gegen|vor|ca\.)(?=\s)"
        ),
        within=_pattern(
            rf"\b(?:innerhalb|binnen|in)\s+(?:(?:von|der|den|nächsten|kommenden)\s+)*{_COUNT}\s+(?P<half>halben\s+)?"
            r"(?P<unit>minuten?|stunden?|tag(?:en?|es)?|werktag(?:en?|es)?|arbeitstag(?:en?|es)?|wochen?)\b"
        ),
        undertakes=_pattern(r"\b(?:ich|wir|(?:erhalten|bekommen|hören|haben) sie|sie (?:erhalten|bekommen|hören))\b"),
        asks=_pattern(
            r"\bbitten? (?:sie|um)\b|\bbitte (?!entschuldigen)|\b(?:können|könnten|müssen) sie\b|geschlossen|geöffnet"
            r"|erreichbar|für sie da|\bvon [\w:.]+ (?:uhr )?bis\b"
            r"|\bsie (?:müssen|können|haben zeit)\b|\b(?:senden|schicken|geben|teilen|melden|antworten) sie\b"
        ),
        half_before=True,
    ),
    "nb": Language(
        ahead={"i dag": 0, "dagen": 0, "utgangen av dagen": 0, "i morgen": 1, "i overmorgen": 2},
        lead=_pattern(
            r"\b(?:senest innen|innen|senest|før|på|i løpet av|allerede|rundt)\s+"
            r"|\b(?=i (?:dag|morgen|overmorgen|kveld|formiddag|ettermiddag)\b)"
            rf"|\b(?<!i går )(?<!fra )(?<!til )(?=(?:kl|klokken|klokka|halv (?:{_WORDS})|kvart (?:på|over))\b)"
            rf"|\b(?P<weak>(?={_WEEKDAYS}))"
        ),
        day=_day(("i dag", "dagen", "utgangen av dagen", "i morgen", "i overmorgen")),
        time=_pattern(
            rf"(?:(?:kl\.?|klokken|klokka)\s?(?P<hour>{_FIGURES}|{_WORDS})(?:[:.]?(?P<minute>{_MINUTES}))?\b"
            rf"|(?P<alone>{_FIGURES}):(?P<exact>{_MINUTES})\b)"
            r"(?:\s(?P<late>om (?:kvelden|ettermiddagen))|\s(?P<early>om (?:morgenen|formiddagen)))?"
            r"|(?:(?:kl\.?|klokken|klokka)\s)?(?:(?P<half>halv)|(?P<quarter>kvart)\s(?P<way>på|over))"
            rf"\s(?P<of>{_FIGURES}|{_WORDS})\b"
            rf"|(?:(?:i|om|på)\s)?{_PART}"
        ),
        between=_pattern(r"[\s,]+|\b(?:førstkommende|kommende|den|innen|senest|før|på|rundt|ca\.|i løpet av)(?=\s)"),
        within=_pattern(
            rf"\b(?:innen|i løpet av|om)\s+(?:(?:de|den|neste|nærmeste)\s+)*{_COUNT}\s+(?P<half>halv\s+)?"
            r"(?P<unit>minutt(?:er)?|halvtime|timer?|dag(?:er)?|virkedag(?:er)?|arbeidsdag(?:er)?|uker?)\b"
        ),
        undertakes=_pattern(r"\b(?:jeg|vi|du (?:får|hører|mottar)|(?:får|hører|mottar) du)\b"),
        asks=_pattern(
            r"\bvennligst\b|\b(?:kan|må) du\b|\bdu (?:må|kan)\b|\bber (?:deg|om)\b|stengt|åpent|tilgjengelig"
            r"|(?:^|\n)\s*(?:send|gi|ring|svar|returner|lever)\b"
        ),
        half_before=True,
    ),
    "en": Language(
        ahead={
            "today": 0,
            "end of the day": 0,
            "end of today": 0,
            "tomorrow": 1,
            "day after tomorrow": 2,
        },
        lead=_pattern(
            r"\b(?<!yesterday )(?:by|before|no later than|on|at the latest by|at|around)\s+"
            r"|\bin\s+(?=the\s+(?:morning|afternoon|evening)\b)"
            r"|\b(?=(?:today|tomorrow|tonight|the day after tomorrow|this (?:week|morning|afternoon|evening))\b)"
            rf"|\b(?P<weak>(?={_WEEKDAYS}))"
        ),
        day=_day(("today", "end of the day", "end of today", "tomorrow", "day after tomorrow")),
        time=_pattern(
            rf"(?P<hour>{_FIGURES}|{_WORDS})(?::(?P<minute>{_MINUTES})|\.(?P<exact>{_MINUTES})(?=\s?[ap]\.?m))?"
            r"(?:\s?(?:(?P<early>a\.?m\b\.?)|(?P<late>p\.?m\b\.?)|o['’]?clock\b)|(?<=:[0-5][0-9])\b)"
            rf"|(?<=at )(?P<alone>{_FIGURES}|{_WORDS})(?=\s*(?:[,;!?]|\.?$|\b(?:on|today|tomorrow)\b))"
            r"|(?:(?P<half>half)(?:\spast)?|(?:a\s)?(?P<quarter>quarter)\s(?P<way>to|past))"
            rf"\s(?P<of>{_FIGURES}|{_WORDS})\b"
            rf"|{_PART}"
        ),
        between=_pattern(
            r"[\s,]+|\b(?:the|this|next|coming|end|of|on|at|in|by|before|around|no later than|at the latest by)(?=\s)"
        ),
        within=_pattern(
            rf"\b(?:within|in)\s+(?:(?:the|next|coming)\s+)*(?P<half>half\s+)?{_COUNT}\s+"
            r"(?P<unit>minutes?|hours?|days?|working days?|business days?|weeks?)\b"
        ),
        undertakes=_pattern(r"\b(?:i|we|i['’]ll|we['’]ll|you(?: will|['’]ll) (?:have|get|receive|hear))\b"),
        asks=_pattern(
            r"\bplease (?!be assured)|\b(?:could|can|would) you\b|\byou (?:need|have|must|can)\b|\blet us know\b"
            r"|\bclosed\b|\bopen\b|\bavailable\b|\bsend us\b"
        ),
        half_before=False,
    ),
}
# "Kl. 15. Vi" ends a sentence, "3. Dezember" and "3 p.m. Friday" do not.
SENTENCE = re.compile(
    r"(?<=[!?])\s+"
    r"|(?<=\D\.)(?<![ap]\.m\.)\s+(?=[A-ZÄÖÜÆØÅ])"
    rf"|(?:(?<=\d\.)|(?<=[ap]\.m\.))\s+(?=[A-ZÄÖÜÆØÅ])(?!(?i:{_any((*MONTHS, *WEEKDAYS))})\b)"
    r"|\n+"
)
