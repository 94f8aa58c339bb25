"""The current state of a call as a TwiML document: a pure function, so the same state gives the same bytes.

Two places need two documents: on the line itself every verb is allowed, inside the provider's queue only Say, Play,
Pause, Gather, Redirect, Leave and Hangup are (Twilio, "TwiML Enqueue", waitUrl). A call that has other plans leaves
the queue first, and hears what they are when the provider asks for the next document.
"""

import re
from collections.abc import Sequence

from adapters.phone.call import Call, Event, Line
from adapters.phone.config import PhoneConfig
from adapters.phone.languages import codes
from adapters.phone.phrases import load_phrases, with_number
from adapters.phone.twiml import document, element, text

__all__ = ["CHARACTERS_PER_SECOND", "GIVE_UP_STEPS", "NOTHING", "OVERRIDE", "Renderer"]

NOTHING = document()
"""The answer to a request whose answer nobody plays (a status)."""

OVERRIDE = "rt=4500&rc=2&rp=ct,rt,5xx"
"""How the provider shall repeat a request (Twilio, "Webhooks: connection overrides"): 3 tries of 4.5 s stay below its
15 s; without it only failed connections are repeated, and a slow answer ends the call."""

CHARACTERS_PER_SECOND = 13
"""How fast the voices speak, for planning the length of an announcement."""

_ANNOUNCE_MARGIN_S = 2
"""For the request between two announcements."""

_LEAST_SILENCE_S = 3
"""After an announcement there must be time to find the key."""

_MAX_SAY_CHARACTERS = 3000
"""Below the 4,096 that one Say may carry, with room for escapes."""

GIVE_UP_STEPS = 40
"""Announcements (about 20 minutes) after which a house that cannot read its own state says goodbye honestly."""

_RING_S = 25
"""How long a person's telephone rings; then the caller hears words again, well within the promised 60 s."""

_SAY_S = 8
"""For the key that says how a call-back went: the telephone is at the ear, not in front of the eyes."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


class Renderer:
    """Documents of one tenant; `base` is the public address of the channel, `.../phone/<tenant>`."""

    def __init__(self, config: PhoneConfig, base: str) -> None:
        self._config = config
        self._base = base
        edge = f"&e={config.edge}" if config.edge else ""
        self._override = f"#{OVERRIDE}{edge}"

    def document(self, call: Call, *, parked: bool) -> bytes:
        """What the caller shall hear now. `parked`: the answer is played inside the provider's queue."""
        match call.state:
            case "queue" if parked:
                return self._wait(call)
            case "ask" | "think" | "voicemail" if parked:
                return document(element("Leave"))
            case "ask":
                return self._ask(call)
            case "think":
                return self._think(call)
            case "queue":
                return self._enqueue(call)
            case "voicemail":
                return self._voicemail(call)
            case "callback" | "goodbye":
                return document(*self._says(call.saying), element("Hangup"))
            case "busy" if not parked:
                return document(element("Reject", reason="busy"))
            case _:
                return document(element("Hangup"))

    def trouble(self, event: Event, sid: str) -> bytes:
        """What is said when nothing can be decided: an apology, and on towards a person; at last an honest goodbye.

        Needs the request alone. As soon as the house works again, the call is found by its step.
        """
        language = self._config.language_of(event.form.get("To", ""))
        words = load_phrases()[language]
        if event.step >= GIVE_UP_STEPS:
            return document(*self._says((Line(text=words.given_up, language=language),)), element("Hangup"))
        if event.route == "dialled" and event.was_connected:
            return document(element("Hangup"))
        if event.route == "dialled":
            return document(self._queue_verb(sid, event.step + 1))
        if not event.parked:
            apology = Line(text=with_number(words.overloaded, words, self._config.hotline), language=language)
            dial = self._dial(sid, event.step + 1)
            return document(*self._says((apology,)), *dial, self._queue_verb(sid, event.step + 1))
        hold = words.announcement(max(2, event.step), "overloaded", can_call_back=False)
        hold = with_number(hold, words, self._config.hotline)
        action = self._url(sid, "key", event.step + 1)
        return document(self._announcement(action, (Line(text=hold, language=language),)), self._redirect(action))

    def bridge_asks(self, language: str, number: str, action: str) -> bytes:
        """To a representative whose telephone rang for a call-back. Only a key connects: no mailbox can press it."""
        words = load_phrases()[language].bridge.format(number=" ".join(number))
        action += self._override
        gather = element(
            "Gather", self._says((Line(text=words, language=language),)), input="dtmf", action=action, method="POST",
            numDigits=1, timeout=8, finishOnKey="", actionOnEmptyResult="true",
        )  # fmt: skip
        return document(gather, element("Hangup"))

    def bridge_dials(self, language: str, line: str, customer: str, *, done: str, leg: str) -> bytes:
        """The representative is there: now the customer's telephone rings, and shows the number that was called."""
        words = (Line(text=load_phrases()[language].bridge_dials, language=language),)
        number = element(
            "Number", (text(customer),), statusCallback=leg + self._override, statusCallbackMethod="POST",
            statusCallbackEvent="answered",
        )  # fmt: skip
        dial = element(
            "Dial", (number,), callerId=line, action=done + self._override, method="POST", timeout=_RING_S,
            hangupOnStar="true",
        )  # fmt: skip
        return document(*self._says(words), dial)

    def bridge_ends(self, language: str, action: str) -> bytes:
        """The customer's leg is over, and somebody or something had picked up: did they talk?"""
        words = (Line(text=load_phrases()[language].bridge_ends, language=language),)
        return document(self._keys(action + self._override, self._says(words), _SAY_S), element("Hangup"))

    def hung_up(self, language: str = "", words: str = "") -> bytes:
        """The end of a call out, with a last word where there is one."""
        says = self._says((Line(text=words, language=language),)) if words else ()
        return document(*says, element("Hangup"))

    def fallback(self, number: str) -> bytes:
        """The document for the number's fallback address: static, better kept on another host."""
        language = self._config.language_of(number)
        words = load_phrases()[language]
        apology = self._says((Line(text=words.fallback, language=language),))
        dial = ()
        if self._config.hotline:
            dial = (element("Dial", self._hotline(), timeout=_RING_S),)
        record = element("Record", maxLength=self._config.voicemail_s, timeout=5, playBeep="true", finishOnKey="#")
        bye = self._says((Line(text=words.goodbye, language=language),))
        return document(*dial, *apology, record, *bye, element("Hangup"))

    def _ask(self, call: Call) -> bytes:
        action = self._url(call.sid, "said", call.step)
        # One digit acts at once; only a question can be answered by a number, which needs # or a pause to end.
        digits = {"finishOnKey": "#"} if call.question else {"numDigits": 1}
        gather = element(
            "Gather", self._says(call.saying), input="speech dtmf", action=action, method="POST",
            language=codes(call.language).listening, speechModel="experimental_conversations",
            speechTimeout=2 if call.misses else 1, timeout=4 if call.question else 6, **digits,
            profanityFilter="false", actionOnEmptyResult="true", hints=load_phrases()[call.language].hints,
        )  # fmt: skip
        return document(gather, self._redirect(action))

    def _think(self, call: Call) -> bytes:
        """Words and a pause during which the keys work; the pause is the Gather's own."""
        action = self._url(call.sid, "think", call.step)
        return document(
            self._keys(action, self._says(call.saying), self._config.filler_pause_s), self._redirect(action)
        )

    def _enqueue(self, call: Call) -> bytes:
        dial = self._dial(call.sid, call.step) if call.reason == "overloaded" and not call.dialled else ()
        return document(*self._says(call.saying), *dial, self._queue_verb(call.sid, call.queue_step))

    def _dial(self, sid: str, step: int) -> tuple[str, ...]:
        """A person's telephone, where one is configured; `action` says whether they talked."""
        if not self._config.hotline:
            return ()
        action = self._url(sid, "dialled", step)
        return (element("Dial", self._hotline(), action=action, method="POST", timeout=_RING_S),)

    def _hotline(self) -> tuple[str, ...]:
        return (element("Number", (text(self._config.hotline),)),)

    def _queue_verb(self, sid: str, step: int) -> str:
        """A queue of its own for every call: the provider parks the caller, the order is ours."""
        return element(
            "Enqueue", (text(sid),), action=self._url(sid, "left", step), method="POST",
            waitUrl=self._url(sid, "wait", step), waitUrlMethod="POST", maxQueueSize=1,
        )  # fmt: skip

    def _wait(self, call: Call) -> bytes:
        action = self._url(call.sid, "key", call.step)
        return document(self._announcement(action, call.saying), self._redirect(action))

    def _announcement(self, action: str, lines: Sequence[Line]) -> str:
        """Words, then music or silence during which the keys work, so long that the next words come in time."""
        spoken_s = sum(len(line.text) for line in lines) / CHARACTERS_PER_SECOND
        silence_s = max(_LEAST_SILENCE_S, int(self._config.hold_announce_s - _ANNOUNCE_MARGIN_S - spoken_s))
        says = self._says(lines)
        music_s = self._config.hold_music_s
        if music_s + _LEAST_SILENCE_S > silence_s:
            return self._keys(action, says, silence_s)
        music = element("Play", (text(self._config.hold_music_url or f"{self._base}/hold.wav"),))
        return self._keys(action, (*says, music), silence_s - music_s)

    def _voicemail(self, call: Call) -> bytes:
        action = self._url(call.sid, "recorded", call.step)
        record = element(
            "Record", action=action, method="POST", maxLength=self._config.voicemail_s, timeout=5, playBeep="true",
            trim="trim-silence", finishOnKey="#",
        )  # fmt: skip
        # Without a word the provider goes on to the next verb, and the caller must not be dropped.
        return document(*self._says(call.saying), record, self._redirect(action))

    def _keys(self, action: str, says: Sequence[str], timeout_s: int) -> str:
        return element(
            "Gather", says, input="dtmf", action=action, method="POST", numDigits=1, timeout=timeout_s,
            finishOnKey="", actionOnEmptyResult="true",
        )  # fmt: skip

    def _redirect(self, action: str) -> str:
        """The safety net behind a verb that posts to `action`: should it fail, the call goes on all the same."""
        return element("Redirect", (text(action),), method="POST")

    def _says(self, lines: Sequence[Line]) -> tuple[str, ...]:
        return tuple(self._say(part, line) for line in lines for part in _parts(line.text))

    def _say(self, words: str, line: Line) -> str:
        content = element("prosody", (text(words),), rate="slow") if line.slow else text(words)
        return element(
            "Say", (content,), language=codes(line.language).speaking, voice=self._config.voices[line.language]
        )

    def _url(self, sid: str, route: str, step: int) -> str:
        return f"{self._base}/{sid}/{route}/{step}{self._override}"


def _parts(words: str) -> Sequence[str]:
    """Text in pieces that one Say can carry, cut between sentences where there are any."""
    parts: list[str] = []
    current = ""
    for sentence in _SENTENCE_END.split(words.strip()):
        while len(sentence) > _MAX_SAY_CHARACTERS:
            parts.append(sentence[:_MAX_SAY_CHARACTERS])
            sentence = sentence[_MAX_SAY_CHARACTERS:]
        if len(current) + len(sentence) > _MAX_SAY_CHARACTERS:
            parts.append(current)
            current = ""
        current = f"{current} {sentence}".strip()
    return [part for part in (*parts, current) if part]
