"""Every document of every state in every language against the grammar, and the grammar against the library."""

import json
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

import adapters.phone.simulator.grammar as grammar_module
from adapters.phone.call import Call, Event, Line
from adapters.phone.config import PhoneConfig
from adapters.phone.languages import LANGUAGES
from adapters.phone.phrases import load_phrases
from adapters.phone.render import NOTHING, Renderer
from adapters.phone.simulator import problems_of
from adapters.phone.simulator.introspect import introspect
from adapters.phone.twiml import document, element, text

BASE = "https://phone.shop.example/phone/shop"
STATES = ("ask", "think", "queue", "callback", "voicemail", "goodbye", "over", "busy")
NASTY = 'Ä æøå <b>&amp; "quoted" \x00\x07\x1b\ud800\ufffe\U0001f600 ]]> \u2028 ' + "Satz. " * 900


def call(state: str, language: str, words: str = "Guten Tag.", **more: Any) -> Call:
    return Call(
        tenant="shop", sid="CA" + "a" * 32, line="+49301234567", caller="+49305550144", language=language, began_at=0,
        state=state, step=7, queue_step=5, saying=(Line(text=words, language=language),), **more,
    )  # fmt: skip


@pytest.mark.parametrize("music", ["", "https://phone.shop.example/hold.wav"])
@pytest.mark.parametrize(("state", "language"), list(product(STATES, LANGUAGES)))
def test_every_document_keeps_to_the_grammar(state: str, language: str, music: str) -> None:
    renderer = Renderer(PhoneConfig(hold_music_url=music, hotline="+493012345"), BASE)
    for words, parked, question, misses in product(("Guten Tag.", NASTY, ""), (False, True), (False, True), (0, 1)):
        shown = call(state, language, words, question=question, misses=misses)
        shown = replace(shown, saying=(replace(shown.saying[0], slow=misses > 0),) if words else ())
        answer = renderer.document(shown, parked=parked)
        assert problems_of(answer, parked=parked) == []
        assert renderer.document(shown, parked=parked) == answer
        heard = "".join(ElementTree.fromstring(answer).itertext())
        if words.startswith("Ä") and state in ("ask", "goodbye", "callback") and not (parked and state == "ask"):
            assert '<b>&amp; "quoted"' in heard
            assert heard.count("Satz.") == 900


@pytest.mark.parametrize("number", ["+49301234567", "+4721234567", "+442071234567", "unknown"])
@pytest.mark.parametrize("hotline", ["", "+493012345"])
def test_documents_of_last_resort_need_no_state(number: str, hotline: str) -> None:
    renderer = Renderer(PhoneConfig(hotline=hotline), BASE)
    assert problems_of(renderer.fallback(number)) == []
    for route, step in (("said", 3), ("arrive", 0), ("wait", 4), ("key", 9), ("key", 41)):
        event = Event(route=route, step=step, at=0, form={"To": number})
        answer = renderer.trouble(event, "CA" + "a" * 32)
        assert problems_of(answer, parked=event.parked) == []
        assert b"<Say" in answer
        assert (b"<Hangup" in answer) == (step > 40)
    assert problems_of(NOTHING) == []


def test_norwegian_has_three_codes() -> None:
    answer = Renderer(PhoneConfig(), BASE).document(call("ask", "nb"), parked=False).decode()
    assert '<Gather input="speech dtmf"' in answer
    assert 'language="no-NO"' in answer
    assert '<Say language="nb-NO" voice="Polly.Ida-Neural">' in answer


def test_listening_never_hides_rough_words() -> None:
    # The provider's filter would turn them into asterisks, and nobody would see that somebody is upset.
    for language in LANGUAGES:
        answer = Renderer(PhoneConfig(), BASE).document(call("ask", language), parked=False)
        assert b'profanityFilter="false"' in answer


def test_zero_acts_at_once_and_numbers_have_time() -> None:
    renderer = Renderer(PhoneConfig(), BASE)
    assert b'numDigits="1"' in renderer.document(call("ask", "de"), parked=False)
    question = renderer.document(call("ask", "de", question=True), parked=False)
    assert b"numDigits" not in question
    assert b'finishOnKey="#"' in question


def test_addresses_carry_the_repetition_rules_and_no_query() -> None:
    answer = Renderer(PhoneConfig(), BASE).document(call("queue", "de"), parked=False)
    enqueue = ElementTree.fromstring(answer).find("Enqueue")
    assert enqueue is not None
    for name in ("action", "waitUrl"):
        address, _, fragment = enqueue.get(name, "").partition("#")
        assert "?" not in address
        assert fragment == "rt=4500&rc=2&rp=ct,rt,5xx&e=frankfurt"


@pytest.mark.parametrize(
    ("wrong", "parked", "what"),
    [
        (document(element("Gather", language="nb-NO", action="https://a.b/c")), False, "language"),
        (document(element("Say", (text("Hei"),), language="no-NO")), False, "language"),
        (document(element("Say", (text("Hei"),), language="no")), False, "language"),
        (document(element("Gather", input="dtmf")), False, "without an action"),
        (document(element("Say", (text("Hei"),), speed="fast")), False, "no attribute speed"),
        (document(element("Say", (text("x" * 5000),))), False, "characters"),
        (document(element("Say")), False, "says nothing"),
        (document(element("Play", (text("https://a.b/c.wav"),), loop=0)), False, "for ever"),
        (document(element("Gather", (element("Hangup"),), action="https://a.b/c")), False, "not allowed in Gather"),
        (document(element("Gather", action="ftp://a.b/c")), False, "not a web address"),
        (document(element("Gather", action="https://a.b/c", timeout=0)), False, "whole number"),
        (document(element("Gather", action="https://a.b/c#rt=9000&rc=2")), False, "would need"),
        (document(element("Gather", action="https://a.b/c#rc=9")), False, "overrides rc"),
        (document(element("Enqueue", (text("q"),), action="https://a.b/c")), False, "waitUrl"),
        (document(element("Record", action="https://a.b/c")), True, "not allowed inside a queue"),
        (document(element("Enqueue", (text("q"),), waitUrl="/w", action="/a")), True, "not allowed inside a queue"),
        (document(element("Sing", (text("la"),))), False, "no element"),
        (
            document(element("Gather", action="/a", speechModel="experimental_conversations", speechTimeout="auto")),
            False,
            "speechTimeout",
        ),
        (b"<Response><Say>a</Say>", False, "not XML"),
        (b"<Say>a</Say>", False, "root"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><Response/>', False, "document type"),
        (b"<Response>" + b" " * 70_000 + b"</Response>", False, "bytes"),
    ],
)
def test_the_check_finds_what_the_provider_would_refuse(wrong: bytes, parked: bool, what: str) -> None:
    assert any(what in problem for problem in problems_of(wrong, parked=parked))


def test_the_grammar_is_that_of_the_installed_library() -> None:
    stored = json.loads(Path(grammar_module.__file__).with_name("grammar.json").read_text("utf-8"))
    assert stored == introspect()


def test_every_spoken_phrase_is_filled_in() -> None:
    for language, phrases in load_phrases().items():
        assert "{" not in phrases.greeting_of("Nordlicht Handel")
        assert "Nordlicht Handel" in phrases.greeting_of("Nordlicht Handel")
        for cycle, reason, callback in product((1, 2, 3, 4), phrases.reason, (True, False)):
            words = phrases.announcement(cycle, reason, can_call_back=callback)
            assert "{" not in words
            assert phrases.reason[reason] in words
            assert len(words) / 13 < 30, (language, words)
