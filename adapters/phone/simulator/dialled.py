"""A call as the provider conducts it: fetches documents, plays them to the caller, sends what the caller does."""

from collections.abc import Collection, Mapping
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

from adapters.phone.hold_music import HOLD_MUSIC_S
from adapters.phone.render import CHARACTERS_PER_SECOND
from adapters.phone.simulator.caller import Caller
from adapters.phone.simulator.grammar import problems_of
from adapters.phone.simulator.network import Network
from adapters.phone.simulator.pace import Pace
from adapters.phone.simulator.script import Keys, Say
from adapters.phone.simulator.transcript import Heard, Request, Transcript

__all__ = ["SimulatedCall"]

_REACTION_S = 0.5
"""Between the end of a sentence and the caller's answer.

With the silence by which the provider knows that a speaker has finished (`speechTimeout`, 1 s) about 1.5 s pass from an
answer to the next words that reach the product. It is the time of people and of the provider, and real also with the
virtual clock: nothing of it is the product's."""
_BARGE_IN_S = 1.0
"""How long a caller in a hurry listens before pressing a key."""
_QUESTION_S = 4
"""A Gather for keys that leaves less time than this is a courtesy, not a question; only the hurried press into it."""
_PLAY_S = float(HOLD_MUSIC_S)
"""Length of a recording; that of our own music, for the simulator does not fetch any."""
_TALK_S = 60.0
"""Length of a talk with a person who was dialled."""
_MAX_DOCUMENTS = 500
"""No conversation has so many; a circle of redirects does."""


class _Over(Exception):
    """The call has ended."""

    def __init__(self, how: str) -> None:
        self.how = how


class _Goto(Exception):
    """The call goes on with another document."""

    def __init__(self, url: str, form: Mapping[str, str]) -> None:
        self.url, self.form = url, form


class _Left(Exception):
    """The caller has left the queue."""


class SimulatedCall:
    """One call. `run` conducts it to its end and returns the transcript."""

    def __init__(
        self, *, network: Network, pace: Pace, caller: Caller, transcript: Transcript, from_: str, to: str,
        voice_url: str, status_url: str, answering: Collection[str] = (),
    ) -> None:  # fmt: skip
        self._network = network
        self._pace = pace
        self._caller = caller
        self._transcript = transcript
        self._voice_url = voice_url
        self._status_url = status_url
        self._answering = answering
        self._began = pace.now()
        self._quiet_since = self._began
        self._documents = 0
        self._base = {
            "AccountSid": "AC" + "0" * 32, "ApiVersion": "2010-04-01", "CallSid": transcript.call_sid,
            "CallStatus": "in-progress", "Called": to, "Caller": from_, "Direction": "inbound", "From": from_,
            "To": to,
        }  # fmt: skip

    async def run(self) -> Transcript:
        """Conduct the call."""
        transcript = self._transcript
        url, form = self._voice_url, {"CallStatus": "ringing"}
        try:
            while True:
                try:
                    await self._play(await self._fetch(url, form), url, parked=False)
                except _Goto as step:
                    url, form = step.url, dict(step.form)
                    continue
                raise _Over("ran-out")
        except _Over as over:
            transcript.ended = over.how
        self._note_gap()
        transcript.seconds = self._at()
        transcript.left_over = self._caller.left_over
        if transcript.ended == "ran-out":
            transcript.problems.append("the document ran out and the call was dropped")
        await self._network.request(self._status_url, self._base | {"CallStatus": "completed", "SequenceNumber": "0"})
        transcript.problems += self._network.problems
        return transcript

    # ---- documents

    async def _fetch(self, url: str, form: Mapping[str, str], *, parked: bool = False) -> ElementTree.Element:
        self._documents += 1
        if self._documents > _MAX_DOCUMENTS:
            self._transcript.problems.append("the call goes round in circles")
            raise _Over("error")
        answer, tries = await self._network.request(url, self._base | dict(form))
        path = urlsplit(url).path
        self._transcript.requests.append(Request(at=self._at(), path=path, status=answer.status, tries=tries))
        if not answer.good:
            self._transcript.problems.append(f"{path} was answered {answer.status} after {tries} tries")
            raise _Over("error")
        if "xml" not in answer.media_type:
            self._transcript.problems.append(f"{path} was answered as {answer.media_type or 'nothing'}")
        found = problems_of(answer.body, parked=parked)
        self._transcript.problems += [f"{path}: {problem}" for problem in found]
        try:
            return ElementTree.fromstring(answer.body)  # noqa: S314 - problems_of has looked
        except ElementTree.ParseError:
            raise _Over("error") from None

    async def _play(self, document: ElementTree.Element, url: str, *, parked: bool) -> None:
        """Play every verb in turn. Leaves by _Goto, _Left or _Over, or returns when the document has run out."""
        for verb in document:
            match verb.tag:
                case "Say":
                    await self._say(verb)
                case "Play":
                    await self._pace.speech(_PLAY_S)
                case "Pause":
                    await self._pause(float(verb.get("length", "1")))
                case "Gather":
                    await self._gather(verb, url, parked=parked)
                case "Redirect":
                    raise _Goto(urljoin(url, (verb.text or "").strip()), {})
                case "Enqueue":
                    await self._enqueue(verb, url)
                case "Leave":
                    raise _Left
                case "Record":
                    await self._record(verb, url)
                case "Dial":
                    await self._dial(verb, url)
                case "Hangup":
                    raise _Over("hang-up")
                case "Reject":
                    raise _Over("reject")
                case other:
                    self._transcript.problems.append(f"the simulator does not know {other}")
                    raise _Over("error")

    # ---- what is heard

    async def _say(self, verb: ElementTree.Element, *, until: float | None = None) -> bool:
        """Speak; False when the caller cut in at `until`."""
        words = " ".join("".join(verb.itertext()).split())
        self._note_gap()
        self._transcript.heard.append(Heard(at=round(self._at(), 2), say=words, verb="Say"))
        seconds = len(words) / CHARACTERS_PER_SECOND
        whole = until is None or self._pace.now() + seconds <= until
        await self._pace.speech(seconds if until is None or whole else max(0.0, until - self._pace.now()))
        self._quiet_since = self._pace.now()
        return whole

    async def _pause(self, seconds: float) -> None:
        await self._pace.silence(seconds)

    def _note_gap(self) -> None:
        gap = self._pace.now() - self._quiet_since
        self._transcript.longest_gap_s = max(self._transcript.longest_gap_s, gap)

    def _at(self) -> float:
        return self._pace.now() - self._began

    # ---- what the caller does

    async def _gather(self, verb: ElementTree.Element, url: str, *, parked: bool) -> None:
        kinds = (verb.get("input") or "dtmf").split()
        timeout = float(verb.get("timeout", "5"))
        asked = parked or "speech" in kinds or timeout >= _QUESTION_S
        heard_out = True
        for child in verb:
            if child.tag == "Say":
                heard_out = await self._say(child, until=self._presses_at(asked=asked and parked))
            elif child.tag == "Play":
                await self._pace.speech(_PLAY_S)
            else:
                await self._pause(float(child.get("length", "1")))
            if not heard_out:
                break
        action = urljoin(url, verb.get("action") or url)
        input_ = await self._input(verb, kinds, timeout, asked=asked, at_once=not heard_out)
        if input_ is None:
            if self._caller.leaves(self._pace.now(), asked="speech" in kinds):
                raise _Over("caller")
            if verb.get("actionOnEmptyResult") != "true":
                return
        raise _Goto(action, input_ or {})

    def _presses_at(self, *, asked: bool) -> float | None:
        """The moment in the middle of a sentence at which keys are pressed."""
        now = self._pace.now()
        turn = self._caller.peek(now)
        if isinstance(turn, Keys):
            return now + _BARGE_IN_S if turn.hurry else None
        return self._caller.acts_at(now) if asked and turn is None else None

    async def _input(
        self, verb: ElementTree.Element, kinds: list[str], timeout: float, *, asked: bool, at_once: bool
    ) -> dict[str, str] | None:
        """What the caller does within the time of a Gather, or None."""
        now = self._pace.now()
        ends = now + timeout
        if self._caller.leaves(now, asked="speech" in kinds):
            raise _Over("caller")
        begins = self._caller.acts_at(now)
        if begins is not None and begins > now:
            if begins > ends:
                await self._pause(timeout)
                return None
            await self._pause(begins - now)
            now = self._pace.now()
            if self._caller.leaves(now, asked=False):
                raise _Over("caller")
        turn = self._caller.peek(now)
        if isinstance(turn, Say) and "speech" in kinds:
            return await self._speaks(turn, verb)
        if isinstance(turn, Keys) and "dtmf" in kinds and (asked or turn.hurry):
            return await self._presses(turn, verb, at_once=at_once)
        await self._pause(ends - now)
        return None

    async def _speaks(self, turn: Say, verb: ElementTree.Element) -> dict[str, str]:
        await self._pause(_REACTION_S)
        await self._pace.speech(len(turn.text) / CHARACTERS_PER_SECOND)
        self._quiet_since = self._pace.now()
        self._caller.done(self._pace.now())
        self._transcript.said.append(turn.text)
        ended = verb.get("speechTimeout", "1")
        await self._pause(float(ended) if ended.isdigit() else 1.0)
        self._transcript.said_at.append(round(self._at(), 2))
        return {"SpeechResult": turn.text, "Confidence": str(turn.confidence)}

    async def _presses(self, turn: Keys, verb: ElementTree.Element, *, at_once: bool) -> dict[str, str]:
        if not at_once:
            await self._pause(_REACTION_S)
        wanted = int(verb.get("numDigits", "0"))
        finish = verb.get("finishOnKey", "#")
        digits = turn.digits
        ended = bool(finish) and finish in digits
        if ended:
            digits = digits.partition(finish)[0]
        if wanted and len(digits) > wanted:
            self._transcript.problems.append(f"only {wanted} of the keys {digits} were listened to")
            digits = digits[:wanted]
        self._caller.done(self._pace.now())
        if not ended and len(digits) != wanted:
            await self._pause(float(verb.get("timeout", "5")))
        return {"Digits": digits, **({"FinishedOnKey": finish} if ended else {})}

    # ---- queue, recording, dialling

    async def _enqueue(self, verb: ElementTree.Element, url: str) -> None:
        wait_url = urljoin(url, verb.get("waitUrl") or url)
        action = urljoin(url, verb.get("action") or url)
        entered = self._pace.now()
        step, form = wait_url, {"QueueTime": "0", "QueuePosition": "1"}
        result = "leave"
        try:
            while True:
                try:
                    await self._play(await self._fetch(step, form, parked=True), step, parked=True)
                    step, form = wait_url, {}
                except _Goto as goto:
                    step, form = goto.url, dict(goto.form)
        except _Left:
            pass
        except _Over as over:
            if over.how == "error":
                raise
            ended = self._base | {"CallStatus": "completed", "QueueResult": "hangup"}
            await self._network.request(action, ended)
            raise
        waited = str(int(self._pace.now() - entered))
        raise _Goto(action, {"QueueResult": result, "QueueTime": waited})

    async def _record(self, verb: ElementTree.Element, url: str) -> None:
        now = self._pace.now()
        turn = self._caller.peek(now)
        if not isinstance(turn, Say):
            await self._pause(float(verb.get("timeout", "5")))
            if self._caller.leaves(self._pace.now(), asked=True):
                raise _Over("caller")
            return
        seconds = len(turn.text) / CHARACTERS_PER_SECOND
        await self._pace.speech(seconds)
        self._quiet_since = self._pace.now()
        self._caller.done(self._pace.now())
        sid = "RE" + self._transcript.call_sid[2:]
        form = {
            "RecordingSid": sid, "RecordingDuration": str(round(seconds)), "Digits": verb.get("finishOnKey", "#")[:1],
            "RecordingUrl": f"https://api.twilio.com/2010-04-01/Recordings/{sid}",
        }  # fmt: skip
        raise _Goto(urljoin(url, verb.get("action") or url), form)

    async def _dial(self, verb: ElementTree.Element, url: str) -> None:
        """Ring; a telephone that answers is talked to for a minute, any other rings in vain."""
        number = "".join(verb.itertext()).strip()
        self._transcript.dialled.append(number)
        result = "completed" if number in self._answering else "no-answer"
        if result == "completed":
            await self._pace.speech(_TALK_S)
            self._quiet_since = self._pace.now()
        else:
            await self._pause(float(verb.get("timeout", "30")))
        if verb.get("action"):
            raise _Goto(urljoin(url, verb.get("action") or url), {"DialCallStatus": result})
