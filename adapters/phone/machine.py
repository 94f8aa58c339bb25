"""The life of a call as pure functions: (call, event, settings) -> what becomes of it. No I/O, no clock.

Every request of the provider is an event at a step. The event that belongs to the current step moves the call on; a
repetition or a latecomer moves nothing, and the caller of these functions renders the current state again. Facts (the
line is dead, a recording exists, the caller is in the queue) count whenever they come.
"""

from collections.abc import Mapping
from datetime import timedelta

from msgspec.structs import replace

from adapters.phone.call import Call, Event, Line, Move, Pending, Turn
from adapters.phone.config import PhoneConfig
from adapters.phone.phrases import Phrases, callback_due, spoken_number, spoken_when, with_number
from adapters.phone.turns import (
    MORE_TO_COME,
    call_form,
    dialable,
    in_one_breath,
    is_said_by_waiting,
    line_of,
    person_turn,
    recording_turn,
    report,
    said_turn,
    wants_the_caller,
)
from bus.clock import from_micros
from bus.opening_hours import OpeningHours

__all__ = ["ENDED_STATUSES", "HUNG_UP", "WAITS_FOR_A_PERSON", "Machine"]

ENDED_STATUSES = ("completed", "busy", "failed", "no-answer", "canceled")
"""Values of CallStatus after which nobody is on the line."""

HUNG_UP = "the caller has hung up"
WAITS_FOR_A_PERSON = "the caller waits for a person"
SAID_BY_WAITING = "the announcement of the queue says it"

_TAKEN_KEPT = 50
"""Replies remembered per call; a call with more turns than this is not one we know."""

_SECOND = 1_000_000

_STATE_OF_ROUTE = {"said": "ask", "think": "think", "wait": "queue", "key": "queue", "left": "queue",
                   "dialled": "queue", "recorded": "voicemail"}  # fmt: skip


class Machine:
    """The rules, with the settings and words of one tenant."""

    def __init__(
        self,
        config: PhoneConfig,
        phrases: Mapping[str, Phrases],
        company: Mapping[str, str],
        hours: OpeningHours | None = None,
    ) -> None:
        self._config = config
        self._phrases = phrases
        self._company = company
        self._hours = hours

    def apply(
        self, call: Call | None, event: Event, *, tenant: str, sid: str, flooded: bool = False, away: bool = False
    ) -> Move | None:
        """What `event` changes, or None when it changes nothing (a repetition, a latecomer).

        `flooded`: the number has called too often, the call is not answered. `away`: no worker will answer for a
        while, so nobody is asked to wait for one.
        """
        if call is None:
            if event.route == "status":
                return None
            call = self._unknown(event, tenant, sid)
            if event.route == "arrive" and flooded:
                return Move(call=self._next(call, event, state="busy"))
            if event.route == "arrive":
                return Move(call=self._next(call, event, state="ask", saying=(self._greeting(call),)))
        elif event.step > call.step and event.route != "status":
            # The step was answered while the store could not keep it: the provider knows better where the caller is.
            call = self._catch_up(call, event)
        if event.route == "status":
            return self._ended(call, event) if event.form.get("CallStatus") in ENDED_STATUSES else None
        if event.route == "recorded":
            return self._recorded(call, event)
        if call.state == "over":
            return None
        if event.route == "left":
            return self._left(call, event)
        if event.route == "wait":
            return self._wait(call, event)
        if event.step != call.step or not call.ready or event.key == call.applied:
            return None
        if event.route == "dialled":
            return self._dialled(call, event)
        if event.route == "said" and call.state == "ask":
            return self._said(call, event, away=away)
        if event.route == "think" and call.state == "think":
            return self._think(call, event, away=away)
        if event.route == "key" and call.state == "queue" and call.parked:
            return self._key(call, event)
        return None

    def resume(self, call: Call, now: int, *, away: bool = False) -> Move | None:
        """The answer to a request that is being held: the reply if it is there, filler words when the hold is over,
        None while there is time left."""
        if call.ready:
            return None
        if call.pending:
            return Move(call=self._speak(replace(call, ready=True)))
        if now < call.hold_until:
            return None
        if now >= call.asked_at + self._config.give_up_s * _SECOND:
            return self._give_up(replace(call, ready=True), now, away=away)
        fillers = call.fillers + 1
        words = self._line(call, self._phrases[call.language].filler(fillers))
        return Move(call=replace(call, ready=True, fillers=fillers, saying=(words,)))

    def take(self, call: Call, pending: Pending) -> Call | str:
        """The call with one more thing to say, or the reason why this call cannot hear it."""
        if pending.reply in call.taken:
            return call
        if call.over:
            return HUNG_UP
        if call.state == "queue" and is_said_by_waiting(pending):
            return replace(
                call, taken=(*call.taken, pending.reply)[-_TAKEN_KEPT:],
                reports=(*call.reports, report(pending, "delivered", SAID_BY_WAITING)),
            )  # fmt: skip
        promised = call.state == "queue" and call.reason in ("asked", "handover")
        if promised and wants_the_caller(pending) and not pending.by_person:
            return WAITS_FOR_A_PERSON
        return replace(call, pending=(*call.pending, pending), taken=(*call.taken, pending.reply)[-_TAKEN_KEPT:])

    def lost(self, call: Call, at: int) -> Move | None:
        """Nothing was heard of the call for so long that it must be over."""
        return self._ended(call, Event(route="status", step=call.step, at=at, form={"CallStatus": "completed"}))

    # ---- where calls begin, and where they are found again

    def _unknown(self, event: Event, tenant: str, sid: str) -> Call:
        line = event.form.get("To", "")
        call = Call(
            tenant=tenant, sid=sid, line=line, caller=dialable(event.form.get("From", ""), line),
            language=self._config.language_of(line), began_at=event.at, asked_at=event.at,
        )  # fmt: skip
        return self._catch_up(call, event)

    def _catch_up(self, call: Call, event: Event) -> Call:
        state = _STATE_OF_ROUTE.get(event.route, call.state)
        found = replace(call, step=event.step, state=state, applied="", ready=True)
        if state != "queue":
            return found
        # Known to wait for a person, but not known to whom it was said: say it (again, the contact has one id).
        wish = Turn(event="person", step=0, at=event.at, form=person_turn(event).form, request="person")
        owed = found.owed if any(turn.request == "person" for turn in found.owed) else (*found.owed, wish)
        return replace(
            found, parked=event.route == "key", reason=call.reason if call.queued_at else "overloaded", owed=owed,
            queue_step=event.step, queued_at=call.queued_at or event.at,
        )  # fmt: skip

    def _greeting(self, call: Call) -> Line:
        words = self._phrases[call.language].greeting_of(self._company.get(call.language, ""))
        return self._line(call, words)

    # ---- listening

    def _said(self, call: Call, event: Event, *, away: bool) -> Move:
        if event.digits == "0":
            return self._to_person(call, event)
        if call.pending and not event.speech and not event.digits:
            return Move(call=self._speak(self._next(call, event)))
        if not event.speech and not event.digits:
            return self._nothing_heard(call, event)
        words = self._phrases[call.language]
        native: dict[str, str] = {}
        if not event.speech and len(event.digits) == 1 and not call.question:
            meaning = words.meaning_of(event.digits)
            if not call.menu or not meaning:
                # A key that nothing was said about: offer the menu rather than guess.
                menu = (self._line(call, words.keys_menu()),)
                return Move(call=self._next(call, event, menu=True, saying=menu))
            native["choice"] = meaning
        turn = said_turn(event, native)
        hold = event.at + int(self._config.think_hold_s * _SECOND)
        # What came in after the caller was asked is spoken at once, as news; the answer to this turn is still to come.
        thinking = self._next(
            self._told(call), event, state="think", turn=call.turn + 1, ready=bool(call.pending), asked_at=event.at,
            hold_until=hold, fillers=0, misses=0, menu=False, question=False,
            saying=tuple(line_of(reply) for reply in call.pending),
        )  # fmt: skip
        queued = self._overloaded(self._next(call, event, turn=call.turn + 1), event.at)
        wish = person_turn(event, why="overloaded")
        if away:
            return Move(call=queued, turns=(turn, wish))
        return Move(call=thinking, turns=(turn,), otherwise=replace(queued, owed=(*queued.owed, wish)))

    def _nothing_heard(self, call: Call, event: Event) -> Move:
        words = self._phrases[call.language]
        misses = call.misses + 1
        if misses == 1:
            repeated = tuple(replace(line, slow=True) for line in call.saying)
            if call.turn == 0:
                repeated = (self._line(call, words.again, slow=True),)
            saying = (self._line(call, words.not_understood), *repeated)
            return Move(call=self._next(call, event, misses=misses, saying=saying))
        if misses == 2:
            saying = (self._line(call, words.keys_menu(), slow=True),)
            return Move(call=self._next(call, event, misses=misses, menu=True, question=False, saying=saying))
        queued = self._queue(self._next(call, event), event.at, "unheard", words.unheard)
        otherwise = self._overloaded(self._next(call, event), event.at) if self._config.hotline else None
        return Move(call=queued, turns=(person_turn(event, why="unheard"),), otherwise=otherwise)

    # ---- thinking

    def _think(self, call: Call, event: Event, *, away: bool) -> Move:
        if event.digits == "0":
            return self._to_person(call, event)
        if call.pending:
            return Move(call=self._speak(self._next(call, event)))
        if event.at >= call.asked_at + self._config.give_up_s * _SECOND:
            return self._give_up(self._next(call, event), event.at, away=away)
        hold = event.at + int(self._config.think_hold_s * _SECOND)
        return Move(call=self._next(call, event, ready=False, hold_until=hold, saying=()))

    def _give_up(self, call: Call, now: int, *, away: bool) -> Move:
        wish = Turn(
            event="person", step=call.step, at=now, form=call_form(call), request="person",
            native={"why": "no answer in time"},
        )  # fmt: skip
        overloaded = self._overloaded(call, now)
        if away:
            return Move(call=overloaded, turns=(wish,))
        slow = self._queue(call, now, "slow", self._phrases[call.language].slow)
        return Move(call=slow, turns=(wish,), otherwise=overloaded if self._config.hotline else None)

    def _speak(self, call: Call) -> Call:
        """The call saying everything that is pending; the last reply decides how it goes on."""
        replies = call.pending
        last = replies[-1]
        lines = tuple(line_of(reply) for reply in replies)
        call = replace(self._told(call), saying=lines, misses=0, menu=False)
        if any(reply.handover for reply in replies):
            waiting_since = call.queued_at or call.asked_at
            return replace(self._queue(call, waiting_since, "handover", ""), saying=call.saying)
        if last.listen or last.kind in ("question", "survey"):
            # Whoever waits again later waits anew.
            return replace(call, state="ask", question=last.kind == "question", language=last.language, queued_at=0)
        if last.kind in MORE_TO_COME:
            # More is to come: the caller hears this as the filler, and the answer as soon as it is there.
            return replace(call, state="think", ready=True)
        return replace(call, state="goodbye")

    # ---- waiting for a person

    def _to_person(self, call: Call, event: Event) -> Move:
        # A software's late answer must not pull somebody out of the queue who has just asked for a person.
        unwanted = tuple(reply for reply in call.pending if wants_the_caller(reply) and not reply.by_person)
        call = replace(
            call, pending=tuple(reply for reply in call.pending if reply not in unwanted),
            reports=(*call.reports, *(report(reply, "failed", WAITS_FOR_A_PERSON) for reply in unwanted)),
        )  # fmt: skip
        call = self._next(call, event)
        # With a number to dial, nobody waits for a person who was not told.
        otherwise = self._overloaded(call, event.at) if self._config.hotline else None
        return Move(call=self._queue(call, event.at, "asked", ""), turns=(person_turn(event),), otherwise=otherwise)

    def _overloaded(self, call: Call, now: int) -> Call:
        """To people because of our own trouble: first to the telephone that is configured, else to the queue alone."""
        words = self._phrases[call.language]
        return self._queue(call, now, "overloaded", with_number(words.overloaded, words, self._config.hotline))

    def _dialled(self, call: Call, event: Event) -> Move | None:
        """Back from the telephone of a person: done, or on to our own queue."""
        if call.state != "queue":
            return None
        if event.was_connected:
            goodbye = (self._line(call, self._phrases[call.language].goodbye),)
            return Move(call=self._hear_nothing_more(self._next(call, event, state="goodbye", saying=goodbye)))
        return Move(call=self._next(call, event, dialled=True, saying=()))

    def _queue(self, call: Call, now: int, reason: str, words: str) -> Call:
        saying = (self._line(call, words),) if words else ()
        stale = tuple(reply for reply in call.pending if is_said_by_waiting(reply))
        return replace(
            call, pending=tuple(reply for reply in call.pending if reply not in stale),
            reports=(*call.reports, *(report(reply, "delivered", SAID_BY_WAITING) for reply in stale)),
            state="queue", reason=reason, saying=saying, queued_at=call.queued_at or now, queue_step=call.step,
            cycle=0, parked=False, menu=False, question=False, misses=0,
        )  # fmt: skip

    def _wait(self, call: Call, event: Event) -> Move | None:
        if call.state != "queue" or call.parked or event.step != call.queue_step:
            return None
        return Move(call=self._announce(replace(call, parked=True), event))

    def _announce(self, call: Call, event: Event, *before: Line) -> Call:
        """The next announcement, with whatever came for the caller meanwhile."""
        words = self._phrases[call.language]
        cycle = call.cycle + 1
        announcement = words.announcement(cycle, call.reason, can_call_back=bool(call.caller))
        if call.reason == "overloaded":
            announcement = with_number(announcement, words, self._config.hotline)
        told = call.pending
        news = tuple(line_of(reply) for reply in told)
        if any(not reply.handover and reply.kind not in MORE_TO_COME for reply in told):
            news = (self._line(call, words.meanwhile), *news)
        saying = in_one_breath((*before, *news, self._line(call, announcement)))
        return self._next(self._told(call), event, cycle=cycle, saying=saying)

    def _key(self, call: Call, event: Event) -> Move:
        if event.digits == "1" and call.caller:
            return self._call_back(call, event)
        if event.digits == "2":
            return Move(call=self._voicemail(call, event))
        if any(wants_the_caller(reply) for reply in call.pending):
            # Somebody has an answer and wants to hear the caller: out of the queue, and listen.
            return Move(call=replace(self._speak(self._next(call, event)), parked=True))
        # By the clock, and by what was heard: a caller who has listened to so many announcements has waited so long.
        waited_s = max((event.at - call.queued_at) // _SECOND, call.cycle * self._config.hold_announce_s)
        if waited_s >= self._config.max_wait_s:
            sorry = self._line(call, self._phrases[call.language].too_long)
            if call.caller:
                return self._call_back(call, event, sorry)
            return Move(call=self._voicemail(call, event, sorry))
        return Move(call=self._announce(call, event))

    def _call_back(self, call: Call, event: Event, *before: Line) -> Move:
        words = self._phrases[call.language]
        now = from_micros(event.at)
        due = callback_due(now, timedelta(minutes=self._config.callback_within_minutes), self._hours)
        when = spoken_when(due, now, self._hours, call.language)
        promise = self._line(call, words.callback.format(number=spoken_number(call.caller), when=when))
        turn = Turn(
            event="callback", step=event.step, at=event.at, form=call_form(call), request="callback",
            native={"callback_number": call.caller, "callback_by": due.isoformat()},
        )  # fmt: skip
        promised = self._hear_nothing_more(self._next(call, event, state="callback", saying=(*before, promise)))
        stays = self._announce(call, event, self._line(call, words.callback_failed))
        return Move(call=promised, turns=(turn,), otherwise=stays)

    def _voicemail(self, call: Call, event: Event, *before: Line) -> Call:
        prompt = self._line(call, self._phrases[call.language].voicemail)
        return self._next(call, event, state="voicemail", saying=(*before, prompt))

    def _left(self, call: Call, event: Event) -> Move | None:
        """The caller left the provider's queue: because we sent them out, hung up, or the queue failed."""
        result = event.form.get("QueueResult", "")
        if result == "hangup" or event.form.get("CallStatus") in ENDED_STATUSES:
            return self._ended(call, event)
        if call.state != "queue":
            return Move(call=replace(call, parked=False)) if call.parked else None
        if event.step != call.queue_step:
            return None
        if result in ("error", "system-error", "queue-full") and call.queue_errors:
            return Move(call=self._voicemail(replace(call, parked=False), event))
        queued = self._next(replace(call, parked=False, queue_errors=call.queue_errors + 1), event)
        return Move(call=self._queue(queued, event.at, "trouble", self._phrases[call.language].trouble))

    # ---- ends

    def _recorded(self, call: Call, event: Event) -> Move | None:
        sid = event.form.get("RecordingSid") or event.form.get("RecordingUrl")
        words = self._phrases[call.language]
        current = call.state == "voicemail" and event.step == call.step and event.key != call.applied
        if sid:
            turn = recording_turn(event)
            thanks = (self._line(call, words.voicemail_thanks),)
            ended = self._hear_nothing_more(self._next(call, event, state="goodbye", saying=thanks))
            return Move(call=ended if current else call, turns=(turn,))
        if not current:
            return None
        queued = self._queue(self._next(call, event), event.at, call.reason, words.voicemail_empty)
        return Move(call=queued)

    def _ended(self, call: Call, event: Event) -> Move | None:
        if call.state in ("over", "busy"):
            return None
        waiting = call.state in ("queue", "think")
        ended = self._hear_nothing_more(replace(call, state="over", applied=event.key, ready=True, parked=False))
        if not waiting:
            return Move(call=ended)
        turn = Turn(
            event="ended", step=0, at=event.at, form=call_form(call), request="ended",
            native={"while": call.state, "waited_s": str((event.at - (call.queued_at or call.asked_at)) // _SECOND)},
        )  # fmt: skip
        return Move(call=ended, turns=(turn,))

    def _hear_nothing_more(self, call: Call) -> Call:
        unheard = tuple(report(reply, "failed", HUNG_UP) for reply in call.pending)
        return replace(call, pending=(), reports=(*call.reports, *unheard))

    # ---- small parts

    @staticmethod
    def _told(call: Call) -> Call:
        """The call with nothing pending: what was is being spoken."""
        return replace(
            call, pending=(), reports=(*call.reports, *(report(reply, "delivered") for reply in call.pending))
        )

    def _next(self, call: Call, event: Event, **changes: object) -> Call:
        return replace(call, step=call.step + 1, applied=event.key, ready=changes.pop("ready", True), **changes)

    def _line(self, call: Call, words: str, *, slow: bool = False) -> Line:
        return Line(text=words, language=call.language, slow=slow)
