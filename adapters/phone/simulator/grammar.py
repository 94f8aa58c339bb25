"""A check of TwiML documents: what the provider would refuse, or would let a caller suffer for."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

__all__ = ["PARKED_VERBS", "problems_of"]

PARKED_VERBS = frozenset({"Play", "Say", "Pause", "Hangup", "Redirect", "Leave", "Gather"})
"""Allowed in a document that is played inside a queue (Twilio, "TwiML Enqueue", waitUrl)."""

_MAX_SAY_CHARACTERS = 4096
_MAX_HINTS = 500
_MAX_HINT_CHARACTERS = 100
_MAX_DOCUMENT_BYTES = 64 * 1024

_LANGUAGE = re.compile(r"[a-z]{2,3}-[A-Z]{2}")
_NOT_FOR_SPEAKING = frozenset({"no-NO", "nn-NO"})
_NOT_FOR_LISTENING = frozenset({"nb-NO", "nn-NO"})
_NUMBERS = frozenset({"timeout", "numDigits", "maxLength", "length", "timeLimit", "maxQueueSize"})
_BOOLEANS = frozenset({"actionOnEmptyResult", "profanityFilter", "playBeep", "bargeIn", "transcribe", "enhanced"})
_URLS = frozenset({"action", "waitUrl", "recordingStatusCallback", "statusCallback", "partialResultCallback"})
_OVERRIDES = {"ct": (100, 10000), "rt": (100, 15000), "tt": (100, 15000), "rc": (0, 5)}
_TOTAL_MS = 15_000


def problems_of(document: bytes, *, parked: bool = False) -> list[str]:
    """Everything that is wrong with a document; empty when it is fine."""
    if len(document) > _MAX_DOCUMENT_BYTES:
        return [f"the document has {len(document)} bytes, {_MAX_DOCUMENT_BYTES} are allowed"]
    if b"<!DOCTYPE" in document or b"<!ENTITY" in document:
        return ["a document type is not allowed"]
    try:
        root = ElementTree.fromstring(document)  # noqa: S314 - no document type, bounded above
    except ElementTree.ParseError as error:
        return [f"not XML: {error}"]
    if root.tag != "Response":
        return [f"the root is {root.tag}, not Response"]
    found = list(_nesting(root))
    if parked:
        found += [f"{verb.tag} is not allowed inside a queue" for verb in root if verb.tag not in PARKED_VERBS]
    for verb in root.iter():
        found += _values(verb)
    return found


@cache
def _grammar() -> dict[str, dict[str, frozenset[str]]]:
    data = json.loads(Path(__file__).with_name("grammar.json").read_text("utf-8"))
    return {name: {kind: frozenset(words) for kind, words in rules.items()} for name, rules in data.items()}


def _nesting(element: ElementTree.Element) -> Iterator[str]:
    rules = _grammar().get(element.tag)
    if rules is None:
        yield f"{element.tag} is no element of TwiML"
        return
    for name in element.attrib:
        if name not in rules["attributes"]:
            yield f"{element.tag} has no attribute {name}"
    for child in element:
        if child.tag in _grammar() and child.tag not in rules["children"]:
            yield f"{child.tag} is not allowed in {element.tag}"
        else:
            yield from _nesting(child)


def _values(verb: ElementTree.Element) -> Iterator[str]:
    for name, value in verb.attrib.items():
        where = f"{verb.tag} {name}={value!r}"
        if name in _NUMBERS and not (value.isascii() and value.isdigit() and 0 < int(value) <= 86_400):
            yield f"{where} is not a whole number above 0"
        elif name in _BOOLEANS and value not in ("true", "false"):
            yield f"{where} is neither true nor false"
        elif name.lower().endswith("method") and value not in ("GET", "POST"):
            yield f"{where} is neither GET nor POST"
        elif name in _URLS:
            yield from _address(value, where)
        elif name == "loop" and value == "0":
            yield f"{where} repeats for ever"
        elif name == "language":
            yield from _language(verb, value, where)
    yield from _VERB_CHECKS.get(verb.tag, _nothing)(verb)


def _language(verb: ElementTree.Element, value: str, where: str) -> Iterator[str]:
    wrong = _NOT_FOR_LISTENING if verb.tag == "Gather" else _NOT_FOR_SPEAKING
    if not _LANGUAGE.fullmatch(value) or value in wrong:
        yield f"{where} is not a code that the provider knows here"


def _address(value: str, where: str) -> Iterator[str]:
    parts = urlsplit(value)
    if parts.scheme not in ("", "http", "https") or (parts.scheme and not parts.netloc):
        yield f"{where} is not a web address"
    overrides = dict(parse_qsl(parts.fragment))
    tries, each_ms = 1, 0
    for name, text in overrides.items():
        if name in ("rp", "e"):
            continue
        low, high = _OVERRIDES.get(name, (1, 0))
        if not (text.isdigit() and low <= int(text) <= high):
            yield f"{where} overrides {name} with {text}"
        elif name == "rc":
            tries += int(text)
        elif name == "rt":
            each_ms = int(text)
    if tries * each_ms > _TOTAL_MS:
        yield f"{where} would need {tries * each_ms} ms, the provider gives {_TOTAL_MS}"


def _gather(verb: ElementTree.Element) -> Iterator[str]:
    if not verb.get("action"):
        yield "Gather without an action asks the same document again for ever"
    if not set((verb.get("input") or "dtmf").split()) <= {"speech", "dtmf"}:
        yield f"Gather input={verb.get('input')!r}"
    explicit = verb.get("speechModel", "default") not in ("default", "numbers_and_commands", "phone_call")
    if explicit and verb.get("speechTimeout", "auto") == "auto":
        yield "Gather with a speech model needs a speechTimeout in seconds, not auto"
    hints = [hint for hint in (verb.get("hints") or "").split(",") if hint]
    if len(hints) > _MAX_HINTS or any(len(hint) > _MAX_HINT_CHARACTERS for hint in hints):
        yield "Gather has too many or too long hints"


def _say(verb: ElementTree.Element) -> Iterator[str]:
    words = "".join(verb.itertext())
    if not words.strip():
        yield "Say says nothing"
    if len(words) > _MAX_SAY_CHARACTERS:
        yield f"Say has {len(words)} characters, {_MAX_SAY_CHARACTERS} are allowed"


def _redirect(verb: ElementTree.Element) -> Iterator[str]:
    yield from _address((verb.text or "").strip(), "Redirect")


def _enqueue(verb: ElementTree.Element) -> Iterator[str]:
    if not verb.get("waitUrl"):
        yield "Enqueue without a waitUrl leaves the caller with the provider's music"
    if not verb.get("action"):
        yield "Enqueue without an action ends the call with the queue"


def _nothing(_: ElementTree.Element) -> Iterator[str]:
    yield from ()


_VERB_CHECKS = {"Gather": _gather, "Say": _say, "Redirect": _redirect, "Enqueue": _enqueue}
