"""A turn of a caller as the common contact message: pure, from the provider's form parameters alone."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from adapters.phone.call import Turn
from adapters.phone.config import PhoneConfig
from adapters.phone.signature import FORM
from adapters.phone.turns import dialable
from bus.adapter.contract import Normalised, Raw
from bus.clock import from_micros
from bus.message import Contact, Party, Proof, Quality, clean_text, derive_id, number_is_valid
from bus.store.blobs import digest_of

__all__ = ["mask_digits", "normalise", "raw_from_file", "raw_of_turn"]

_LONGEST_KEPT = 10
"""Keys longer than this are a card or an account number more often than anything we could ask for."""


def normalise(raw: Raw, config: PhoneConfig) -> Normalised:
    """The contact of one turn. Total: what cannot be read gives a degraded contact."""
    form, readable = _parsed(raw.data)
    native = raw.native
    event = str(native.get("event") or _event_of(form))
    step = str(native.get("step", "0"))
    sid = form.get("CallSid", "")
    line = form.get("To") or raw.account
    caller = form.get("From", "")
    digits = mask_digits(form.get("Digits", "") if event != "voicemail" else "")
    speech = clean_text(form.get("SpeechResult", "")).strip()
    request = str(native.get("request", _REQUESTS.get(event, "")))
    if event == "said" and digits == "0" and not speech:
        request = "person"
    # Only somebody on the line waits; a call-back, a message, or what the bus could not take in time does not hurry.
    answer_awaited = event in ("said", "person") and not native.get("late")
    text = speech or str(native.get("choice", "")) or ("" if request else digits)
    contact = Contact(
        # Without a CallSid only the bytes tell one contact from another.
        id=derive_id("c", raw.tenant, "phone", sid or digest_of(raw.data), event, step),
        tenant=raw.tenant,
        channel="phone",
        account=line,
        conversation=sid,
        sender=Party(kind="phone", address=dialable(caller, line)),
        recipients=(Party(kind="phone", address=line),),
        proof=Proof(),
        text=text,
        language=str(native.get("language") or config.language_of(line)),
        quality=_quality(form, event=event, readable=readable and bool(sid), speech=speech),
        occurred_at=raw.received_at,
        received_at=raw.received_at,
        deadline=raw.received_at + timedelta(seconds=config.give_up_s) if answer_awaited else None,
        native=_native(form, native, digits=digits, request=request),
    )
    return Normalised(contact=contact)


def raw_of_turn(turn: Turn, *, tenant: str, language: str, late: bool = False) -> Raw:
    """The turn as raw input for `accept`. `late`: the bus refused it when it came, its caller was told so."""
    return Raw(
        tenant=tenant,
        account=turn.form.get("To", ""),
        media_type=FORM,
        data=urlencode(turn.form).encode(),
        received_at=from_micros(turn.at),
        native={"event": turn.event, "step": str(turn.step), "language": language, **turn.native}
        | ({"request": turn.request} if turn.request else {})
        | ({"late": "yes"} if late else {}),
    )


def raw_from_file(data: bytes, name: str, config: PhoneConfig) -> Raw:
    """A stored webhook body; without a time of its own it is dated to 1970."""
    form, _ = _parsed(data)
    return Raw(
        tenant="shop", account=form.get("To", ""), media_type=FORM, data=data,
        received_at=datetime.fromtimestamp(0, UTC),
    )  # fmt: skip


def mask_digits(digits: str) -> str:
    """Keys as they may be kept: long ones hidden, but for a case number, whose check digits tell it."""
    if len(digits) <= _LONGEST_KEPT or number_is_valid(digits):
        return digits
    return "*" * len(digits)


_REQUESTS = {"person": "person", "callback": "callback", "voicemail": "voicemail", "ended": "ended"}


def _parsed(data: bytes) -> tuple[Mapping[str, str], bool]:
    try:
        pairs = parse_qsl(data.decode("ascii").strip(), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        pairs = parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True, errors="replace")
        return dict(pairs), False
    return dict(pairs), True


def _event_of(form: Mapping[str, str]) -> str:
    """The event of a webhook body that comes without its address."""
    if form.get("RecordingSid") or form.get("RecordingUrl"):
        return "voicemail"
    return "ended" if form.get("CallStatus") == "completed" else "said"


def _confidence(form: Mapping[str, str]) -> float | None:
    try:
        value = float(form["Confidence"])
    except (KeyError, ValueError):
        return None
    return value if 0.0 <= value <= 1.0 else None


def _quality(form: Mapping[str, str], *, event: str, readable: bool, speech: str) -> Quality:
    if event == "voicemail":
        return Quality(status="unreadable", reasons=("a spoken message, to be listened to",))
    if not readable:
        return Quality(status="degraded", reasons=("the request of the provider is incomplete",))
    return Quality(confidence=_confidence(form) if speech else None)


def _native(form: Mapping[str, str], native: Mapping[str, Any], *, digits: str, request: str) -> dict[str, Any]:
    values: dict[str, Any] = {
        "call_sid": form.get("CallSid", ""),
        "from": form.get("From", ""),
        "to": form.get("To", ""),
        "request": request,
        "digits": digits or str(native.get("digits", "")),
        "confidence": _confidence(form),
        "recording_sid": form.get("RecordingSid", ""),
        "recording_url": form.get("RecordingUrl", ""),
        "recording_s": form.get("RecordingDuration", ""),
        "case_number": digits if number_is_valid(digits) else "",
    }
    for name in ("choice", "callback_number", "callback_by", "why", "while", "waited_s"):
        values[name] = native.get(name, "")
    return {name: value for name, value in values.items() if value not in ("", None)}
