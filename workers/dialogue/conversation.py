"""What a contact means in its case: an answer, a confirmation, a new request, or something for a person."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from workers.case import events, model
from workers.case.closing import AUTOMATIC
from workers.case.promises import PROMISING
from workers.case.rules import Close
from workers.case.work import Understanding
from workers.dialogue import ending, engine, proof
from workers.dialogue.articles import AnswerFromArticle
from workers.dialogue.manners import (
    abused,
    in_danger,
    pass_on_praise,
    rated,
    written_down,
)
from workers.dialogue.matters import interrupt, tell_siblings
from workers.dialogue.recording import QUIET_REQUESTS
from workers.dialogue.steps import Fact, Person, Procedure, Report, Step
from workers.dialogue.turn import Turn
from workers.packs import Issue

__all__ = ["Conversation", "Join", "procedure_name"]

PRIVACY_TIME = timedelta(days=28)
"""One month (Regulation 2016/679 Art. 12(3)), and no month is shorter."""

_BY_LABEL = {
    "feedback.praise": "praise",
    "sales.product_question": "article",
    "support.how_to": "article",
}
"""Procedures that every department has; what an article cannot answer goes to a person."""

_PERSON_INTENTS = ("escalation.human", "escalation.supervisor")


class Join:
    """Somebody names a case that is not (yet) his: he proves to be its customer, then what he wrote goes there."""

    name = "join"
    facts: tuple[Fact, ...] = ()
    needs_proof = True
    authorises = ""

    async def decide(self, turn: Turn) -> Step:
        return Person("the customer added something to this case")


class Praise:
    """Praise is thanked for, written down, and seen by the people it is about."""

    name = "praise"
    facts: tuple[Fact, ...] = ()
    needs_proof = False
    authorises = ""

    async def decide(self, turn: Turn) -> Step:
        turn.act("praise", turn.contact.id, ())
        if not turn.praised:
            turn.say("praise.thanks")
        return Report("praised", "thanked")


def _asks_for(understood: Understanding, *labels: str) -> bool:
    """A sure request, not an answer whose words look like one."""
    return understood.decision == "accept" and not understood.answering and understood.intent in labels


def procedure_name(issue: Issue | None) -> str:
    """The procedure that a reason for contact leads to; empty when a person deals with it."""
    if issue is None:
        return ""
    return issue.procedure or _BY_LABEL.get(issue.label, "article" if issue.answers else "")


def _told_time(turn: Turn) -> datetime:
    """Until when the channel has told the caller that somebody calls back; else the company's own time."""
    told = str(turn.contact.native.get("callback_by", ""))
    try:
        until = datetime.fromisoformat(told)
    except ValueError:
        until = None
    if until is not None and until.tzinfo is not None and until > turn.now:
        return until
    return turn.callback_by()


class Conversation:
    """The rules of a conversation, the same in every department."""

    def __init__(self, department: str, procedures: Mapping[str, Procedure]) -> None:
        self._department = department
        everywhere: tuple[Procedure, ...] = (Join(), Praise(), AnswerFromArticle())
        self.procedures: Mapping[str, Procedure] = {**{p.name: p for p in everywhere}, **procedures}

    async def take(self, turn: Turn) -> None:
        """Decide what this contact leads to. The contact is in the case's timeline already."""
        contact, understood, state = turn.contact, turn.understanding, turn.state
        request = str(contact.native.get("request", ""))
        if contact.automatic:
            # Kept and shown, never answered: two machines would write to each other for ever.
            if not state.routes:
                turn.draft.do(Close(outcome=AUTOMATIC))
            return
        if rated(turn):
            return
        turn.praised = await pass_on_praise(turn)
        if request == "ended":
            ending.left(turn)
        elif request == "confirm":
            await self._confirmed(turn)
        elif request in QUIET_REQUESTS:
            turn.hand_over(request, what=request, until=_told_time(turn), quiet=True)
        elif understood.danger == "self-harm":
            in_danger(turn)
        elif understood.stop_contact or _asks_for(understood, "sales.stop_contacting_me"):
            await ending.stop(turn)
        elif understood.tone == "abusive" or understood.danger == "threat":
            await abused(turn)
        elif ending.says_goodbye(turn):
            await ending.goodbye(turn)
        elif ending.thanks_after_the_end(turn):
            ending.end_again(turn)
        elif state.with_person:
            if request == "person" and turn.live:
                turn.hand_over("asked for a person")
            elif state.hold is not None and _asks_for(understood, "escalation.call_back"):
                turn.call_back_instead()
            elif state.ended and turn.live:
                written_down(turn)
            else:
                turn.await_person()
        elif request == "person" or understood.request_person or _asks_for(understood, *_PERSON_INTENTS):
            turn.settle()
            turn.hand_over("asked for a person")
        elif _asks_for(understood, "escalation.call_back"):
            turn.settle()
            turn.hand_over("callback", what="callback", until=turn.callback_by())
        elif contact.quality.status == "unreadable":
            turn.say("unreadable")
            turn.hand_over("unreadable")
        elif state.pending is not None:
            await self._answer(turn, state.pending)
        else:
            await self._request(turn)

    async def _confirmed(self, turn: Turn) -> None:
        progress = turn.state.procedure
        turn.facts = dict(progress.facts) if progress is not None else {}
        turn.answer = ""  # The button says who somebody is, not yes to whatever is asked by then.
        if not await proof.confirm_by_link(turn):
            if not turn.silent:
                turn.hand_over("confirmation came too late")
            return
        await tell_siblings(turn)
        await self._go_on(turn)

    async def _go_on(self, turn: Turn) -> None:
        """After the proof: what was asked for goes on; without anything to go on, ask."""
        if turn.state.pending is not None:
            turn.settle("confirmed")
        progress = turn.state.procedure
        procedure = self.procedures.get(progress.name) if progress is not None else None
        if procedure is not None:
            await engine.advance(turn, procedure)
        elif turn.state.with_person:
            turn.await_person()
        else:
            turn.say("what-else")
            turn.ask("request")

    async def _answer(self, turn: Turn, pending: model.Question) -> None:
        """Something is asked: is this the answer?"""
        progress = turn.state.procedure
        procedure = self.procedures.get(progress.name) if progress is not None else None
        kind = pending.kind
        if kind == "anything-else":
            turn.draft.tell(events.AnythingElseAnswered(at=turn.now, actor="customer", answer="yes"))
            await self._request(turn)
            return
        if kind == "intent":
            await self._which(turn, pending)
            return
        if kind == "next":
            await self._go_on_with(turn, pending)
            return
        if procedure is None or kind == "request":
            turn.settle()
            await self._request(turn, asked_before=kind == "request")
            return
        assert progress is not None
        if self._turns_to_something_else(turn, procedure.name):
            if procedure.name == Join.name:
                # Nothing was begun yet that could be forgotten: only whose case it is was asked.
                turn.settle()
                await self._request(turn)
            else:
                await self._turn_to(turn)
            return
        turn.facts = dict(progress.facts)
        if turn.unseen and kind in ("confirm", "tried"):
            # Nobody agrees to what he has not read: this "yes" belongs to something else.
            turn.answer = ""
        if kind == "proof":
            proven = await proof.confirm_by_code(turn)
            if proven:
                await self._go_on(turn)
            if proven is not None:
                return
            await self._again(turn, procedure, "proof.again")
            return
        if kind == "choice":
            by_number = turn.unseen and turn.contact.own_text().strip().isdigit()
            turn.choice = "" if by_number else engine.answered_choice(turn, pending.about)
            if not turn.choice:
                await self._again(turn, procedure, "again.choice")
                return
        if kind in ("confirm", "tried") and turn.answer not in ("yes", "no"):
            # A new word on the matter (another order number) starts the procedure over with it.
            if any(turn.understanding.first(word) for fact in procedure.facts for word in fact.kinds):
                turn.settle()
                await engine.begin(turn, procedure)
                return
            await self._again(turn, procedure, f"again.{kind}")
            return
        turn.settle(turn.choice or turn.answer)
        await engine.advance(turn, procedure)

    def _turns_to_something_else(self, turn: Turn, running: str) -> bool:
        """A sure request of another kind that is no answer to what was asked."""
        understood = turn.understanding
        if understood.answering or understood.answer or understood.decision != "accept" or not understood.intents:
            return False
        if understood.intent.startswith("talk."):
            return False
        return procedure_name(turn.pack.issues.get(understood.intent)) != running

    async def _turn_to(self, turn: Turn) -> None:
        """A sure request of another kind is followed, and what was begun is not forgotten.

        By mail and post, and when others have to deal with it, it gets a case of its own. Who talks with this very
        department stays in this case, whose lane keeps the answers in the order of the questions: it is paused.
        """
        if turn.live and turn.understanding.department == self._department:
            turn.settle()
            await self._request(turn)
        else:
            await interrupt(turn)

    async def _go_on_with(self, turn: Turn, pending: model.Question) -> None:
        """Another matter of this conversation is done; is this one to go on now?"""
        paused = turn.state.paused[-1] if turn.state.paused else None
        understood, progress = turn.understanding, turn.state.procedure or paused
        label = pending.about[0] if pending.about else ""
        if understood.done or turn.answer == "no":
            turn.settle("no")
            if progress is not None:
                turn.draft.tell(events.ProcedureEnded(at=turn.now, name=progress.name, result="declined"))
            turn.say("matter.left")
            if not turn.state.outcome:
                turn.draft.tell(events.OutcomeChosen(at=turn.now, outcome="withdrawn"))
            turn.ask_anything_else()
            return
        running = progress.name if progress is not None else procedure_name(turn.pack.issues.get(label))
        if self._turns_to_something_else(turn, running):
            await self._turn_to(turn)
            return
        turn.settle("yes")
        procedure = self.procedures.get(progress.name) if progress is not None else None
        if progress is None or procedure is None:
            await self._start(turn, label)
            return
        # "Yes" says that it shall go on, and agrees to nothing that the procedure may have proposed before.
        turn.answer = ""
        turn.facts = dict(progress.facts)
        turn.draft.tell(events.ProcedureMoved(at=turn.now, department=self._department, procedure=progress))
        await engine.advance(turn, procedure)

    async def _again(self, turn: Turn, procedure: Procedure, key: str) -> None:
        """Not an answer to what was asked: ask once more in other words, then let a person help."""
        progress = turn.state.procedure
        pending = turn.state.pending
        assert progress is not None
        assert pending is not None
        new_address = key == "proof.again" and self._names_somebody_else(turn)
        if new_address:
            turn.settle()
            await engine.advance(turn, procedure)
            return
        if turn.unseen:
            # The question is still on its way, and goes out now: nothing is asked twice.
            turn.let_stand()
            return
        if progress.asked >= engine.MAX_FRUITLESS:
            turn.settle()
            turn.draft.tell(events.ProcedureEnded(at=turn.now, name=procedure.name, result="handed-over"))
            turn.hand_over("answers did not fit the question")
            return
        turn.say(key)
        turn.draft.tell(
            events.ProcedureMoved(
                at=turn.now,
                department=self._department,
                procedure=model.Procedure(
                    name=progress.name, step=progress.step, facts=progress.facts, asked=progress.asked + 1
                ),
            )
        )
        turn.ask(pending.kind, pending.about)

    def _names_somebody_else(self, turn: Turn) -> bool:
        """While a code is awaited: another order number or address than before, so the code must go elsewhere."""
        number = next((turn.understanding.first(kind) for kind in ("order", "invoice", "receipt")
                       if turn.understanding.first(kind)), "")  # fmt: skip
        return bool(number) and number != turn.facts.get("order", "")

    async def _which(self, turn: Turn, pending: model.Question) -> None:
        """Which of two requests: the words of one, its number, or yes to the first."""
        labels = pending.about
        understood = turn.understanding
        if turn.unseen and understood.intent not in labels and understood.decision != "accept":
            turn.let_stand()
            return
        turn.settle()
        text = turn.contact.own_text().casefold()
        digits = str(turn.contact.native.get("digits", "")) or text.strip()
        if not turn.unseen and digits.isdigit() and 1 <= int(digits) <= len(labels):
            await self._start(turn, labels[int(digits) - 1])
            return
        if not turn.unseen and turn.understanding.answer == "yes":
            await self._start(turn, labels[0])
            return
        if turn.understanding.intent in labels:
            await self._start(turn, turn.understanding.intent)
            return
        if turn.understanding.decision == "accept":
            await self._request(turn)
            return
        turn.hand_over("unclear request")

    async def _request(self, turn: Turn, *, asked_before: bool = False) -> None:
        """A new request in this case."""
        understood = turn.understanding
        sure = understood.decision == "accept" and not understood.answering
        if understood.intent.startswith("talk.") or (understood.answer == "yes" and not sure):
            # "Yes, please" alone, a greeting, a thank you: kind words, and what the request is.
            turn.say("what-else" if turn.state.disclosed else "welcome")
            turn.ask("request")
            return
        vague = understood.decision == "person" or understood.intent == "other.out_of_scope"
        if vague and turn.live and not asked_before and not understood.legal:
            turn.say("rephrase")
            turn.ask("request")
            return
        if understood.decision == "ask" and understood.question:
            names = [self._issue_name(turn, label) for label in understood.question[:2]]
            turn.say("which" if len(names) > 1 else "is-it", first=names[0], second=names[-1])
            turn.ask("intent", understood.question[:2])
            return
        if sure or understood.legal:
            await self._start(turn, understood.intent)
            return
        await self._to_person(turn, "not understood")

    async def _start(self, turn: Turn, label: str) -> None:
        turn.label = label
        procedure = self._procedure(turn.pack.issues.get(label))
        if procedure is None:
            await self._to_person(turn, label or "no procedure")
            return
        if turn.state.claims and not turn.proven and not procedure.needs_proof and not turn.understanding.legal:
            procedure = self.procedures[Join.name]
        await engine.begin(turn, procedure)

    async def _to_person(self, turn: Turn, reason: str) -> None:
        if turn.state.claims and not turn.proven:
            await engine.begin(turn, self.procedures[Join.name])
            return
        words = f"ack.{reason}"
        if turn.pack.has_phrase(turn.language, words):
            turn.say(words)
        if words in PROMISING:
            # People have to do more than to answer, and to say when it is done.
            turn.promise(PROMISING[words], turn.now + PRIVACY_TIME)
        turn.hand_over(reason)

    def _procedure(self, issue: Issue | None) -> Procedure | None:
        if issue is None:
            return None
        return self.procedures.get(procedure_name(issue))

    def _issue_name(self, turn: Turn, label: str) -> str:
        issue = turn.pack.issues.get(label)
        return issue.names.get(turn.language, label) if issue is not None else label
