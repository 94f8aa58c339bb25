"""What a caller did, cut down to what a contact needs, and what became of replies."""

from collections.abc import Mapping, Sequence

from adapters.phone.call import Call, Event, Line, Pending, Report, Turn
from adapters.phone.spoken import spoken

__all__ = [
    "MORE_TO_COME",
    "call_form",
    "dialable",
    "in_one_breath",
    "is_said_by_waiting",
    "line_of",
    "person_turn",
    "recording_turn",
    "report",
    "said_turn",
    "wants_the_caller",
]

MORE_TO_COME = ("acknowledgement", "hold", "notice")
"""Kinds of replies that do not end a turn: the caller goes on waiting for what follows."""

_WITHHELD = ("+266696687", "+7378742833", "+2562533", "+8656696")
"""ANONYMOUS, RESTRICTED, BLOCKED and UNKNOWN, spelled on a keypad: how the provider writes withheld numbers."""

_LINE = ("CallSid", "From", "To")


def dialable(number: str, line: str = "") -> str:
    """The number in E.164 if it is one that can be called, else nothing: words, SIP addresses, withheld numbers.

    Some trunks give a caller's number as it is dialled at home: it is one of the country of the `line` (E.164) that was
    called, so that one caller is one person on every line.
    """
    if number in _WITHHELD:
        return ""
    if line and number.isascii() and number.isdigit():
        return _international(number, line)
    if not (number.startswith("+") and number.isascii() and number[1:].isdigit()):
        return ""
    return number if 7 <= len(number) <= 16 else ""


def _international(number: str, line: str) -> str:
    # Hardly any call needs it, and its tables of numbers are large.
    import phonenumbers

    try:
        country = phonenumbers.region_code_for_number(phonenumbers.parse(line))
        found = phonenumbers.parse(number, country)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_valid_number(found):
        return ""
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)


def said_turn(event: Event, native: Mapping[str, str]) -> Turn:
    """Words, or keys that answer something."""
    form = _kept(event.form, *_LINE, "SpeechResult", "Confidence", "Digits")
    return Turn(event="said", step=event.step, at=event.at, form=form, native=dict(native))


def person_turn(event: Event, *, why: str = "") -> Turn:
    """The wish for a person; `why` if it is ours and not the caller's."""
    native = {"digits": event.digits} | ({"why": why} if why else {})
    form = _kept(event.form, *_LINE)
    return Turn(event="person", step=event.step, at=event.at, form=form, request="person", native=native)


def recording_turn(event: Event) -> Turn:
    """A spoken message."""
    form = _kept(event.form, *_LINE, "RecordingSid", "RecordingUrl", "RecordingDuration")
    return Turn(event="voicemail", step=event.step, at=event.at, form=form, request="voicemail")


def call_form(call: Call) -> dict[str, str]:
    """The parameters of a turn that no request brought."""
    return {"CallSid": call.sid, "From": call.caller, "To": call.line}


def line_of(reply: Pending) -> Line:
    """A reply as it is spoken."""
    return Line(text=spoken(reply.text, reply.language), language=reply.language)


def in_one_breath(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Neighbouring lines of one language and pace as one line, so that they are spoken without a pause."""
    joined: list[Line] = []
    for line in lines:
        last = joined[-1] if joined else None
        if last is not None and (last.language, last.slow) == (line.language, line.slow):
            joined[-1] = Line(text=f"{last.text} {line.text}", language=line.language, slow=line.slow)
        else:
            joined.append(line)
    return tuple(joined)


def report(reply: Pending, state: str, reason: str = "") -> Report:
    """What became of a reply."""
    return Report(reply=reply.reply, case=reply.case, state=state, reason=reason)


def wants_the_caller(reply: Pending) -> bool:
    """Whether a reply can only be given by taking the caller out of the queue."""
    return not reply.handover and reply.kind not in MORE_TO_COME and (reply.by_person or reply.listen)


def is_said_by_waiting(reply: Pending) -> bool:
    """Whether a reply only says that a person is being fetched, which whoever waits for one hears anyway."""
    return reply.handover and not reply.by_person


def _kept(form: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: form[name] for name in names if name in form}
