"""Runs procedures turn by turn: gather facts, prove, decide, ask or report."""

import re

from workers.case import events
from workers.case.model import Procedure as Progress
from workers.dialogue import proof
from workers.dialogue.steps import ORDER, Choose, Confirm, NeedFacts, NeedProof, Person, Procedure, Report, Step, Try
from workers.dialogue.turn import Turn

__all__ = ["MAX_FRUITLESS", "advance", "answered_choice", "begin"]

MAX_FRUITLESS = 2
"""Questions that brought nothing new before a person helps: asking a third time is an insult."""

REMEMBERED_CHARACTERS = 1000
"""Of the first words of a request: a wish stands at the beginning, and snapshots stay small."""

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


async def begin(turn: Turn, procedure: Procedure) -> None:
    """Start a procedure with what the contact says already."""
    running = turn.state.procedure
    if running is not None:
        # Somebody on the line who turns to something else comes back to it; only what is begun anew is over.
        comes_back = turn.live and procedure.name not in (running.name, "join") and running.name != "join"
        result = "paused" if comes_back else "replaced"
        turn.draft.tell(events.ProcedureEnded(at=turn.now, name=running.name, result=result))
    turn.draft.tell(
        events.ProcedureMoved(at=turn.now, department=turn.department, procedure=Progress(name=procedure.name))
    )
    turn.step = ""
    # What was wished at first is often only worked on after the proof, two messages later.
    turn.facts["said"] = turn.contact.own_text()[:REMEMBERED_CHARACTERS]
    await advance(turn, procedure)


async def advance(turn: Turn, procedure: Procedure) -> None:
    """Take the running procedure one turn further."""
    progress = turn.state.procedure
    assert progress is not None
    known = dict(progress.facts)
    turn.facts = {**known, **turn.facts, **_facts_in(turn, procedure)}
    turn.step = turn.step or progress.step
    if procedure.needs_proof and not turn.proven:
        await _need_proof(turn, procedure, fruitful=turn.facts != known)
        return
    if turn.proven and turn.customer is None:
        turn.customer = await turn.records.customer(turn.tenant, turn.state.customer)
    await _find_order(turn, procedure)
    missing = tuple(fact for fact in procedure.facts if fact.name not in turn.facts)
    step: Step = NeedFacts(missing) if missing else await procedure.decide(turn)
    fruitful = turn.facts != known
    if isinstance(step, NeedProof):
        await _need_proof(turn, procedure, fruitful=fruitful, step=step.step)
        return
    _apply(turn, procedure, step, fruitful=fruitful)


async def _need_proof(turn: Turn, procedure: Procedure, *, fruitful: bool, step: str = "") -> None:
    asked = _asked(turn, fruitful=fruitful)
    if asked > MAX_FRUITLESS:
        turn.say("proof.person")
        _hand_over(turn, procedure, "could not confirm who writes")
        return
    authorises = procedure.authorises if not turn.live else ""
    await proof.request_proof(turn, authorises=authorises)
    if not turn.state.with_person:
        _keep(turn, procedure, step or turn.step, asked)


async def _find_order(turn: Turn, procedure: Procedure) -> None:
    """The only order of a proven customer need not be asked for."""
    if turn.customer is None or "order" in turn.facts or all(fact.name != "order" for fact in procedure.facts):
        return
    orders = await turn.records.orders_of(turn.tenant, turn.customer.id)
    if len(orders) == 1:
        turn.facts["order"] = orders[0].id


def _apply(turn: Turn, procedure: Procedure, step: Step, *, fruitful: bool) -> None:
    match step:
        case NeedProof():
            raise AssertionError("proof is asked for before a step is applied")
        case NeedFacts():
            _need_facts(turn, procedure, step, fruitful=fruitful)
        case Confirm():
            _keep(turn, procedure, step.step, 0)
            if not turn.live:
                turn.say("confirm.how")
            turn.ask("confirm")
        case Choose():
            _keep(turn, procedure, step.step, 0)
            turn.ask("choice", step.options)
        case Try():
            _keep(turn, procedure, step.step, 0)
            turn.ask("tried")
        case Report():
            turn.settle()
            turn.draft.tell(events.ProcedureEnded(at=turn.now, name=procedure.name, result=step.result))
            turn.draft.tell(events.OutcomeChosen(at=turn.now, outcome=step.outcome))
            turn.ask_anything_else()
        case Person():
            if step.say:
                turn.say(step.say)
            _hand_over(turn, procedure, step.reason)


def _need_facts(turn: Turn, procedure: Procedure, step: NeedFacts, *, fruitful: bool) -> None:
    asked = _asked(turn, fruitful=fruitful)
    if asked > MAX_FRUITLESS:
        _hand_over(turn, procedure, "did not get what was asked for")
        return
    # Somebody on the line is asked one thing at a time; a letter asks for everything at once.
    wanted = step.facts[:1] if turn.live else step.facts
    for fact in wanted:
        turn.say(fact.ask)
    _keep(turn, procedure, turn.step, asked)
    turn.ask("fact", tuple(fact.name for fact in wanted))


def _hand_over(turn: Turn, procedure: Procedure, reason: str) -> None:
    turn.settle()
    turn.draft.tell(events.ProcedureEnded(at=turn.now, name=procedure.name, result="handed-over"))
    turn.hand_over(reason)


def _asked(turn: Turn, *, fruitful: bool) -> int:
    progress = turn.state.procedure
    return 1 if fruitful or progress is None else progress.asked + 1


def _keep(turn: Turn, procedure: Procedure, step: str, asked: int) -> None:
    progress = Progress(name=procedure.name, step=step, facts=turn.facts, asked=asked)
    turn.draft.tell(events.ProcedureMoved(at=turn.now, department=turn.department, procedure=progress))


def _facts_in(turn: Turn, procedure: Procedure) -> dict[str, str]:
    """What the text says of the facts that are wanted; the newest word counts."""
    found: dict[str, str] = {}
    for fact in (*procedure.facts, ORDER):
        for kind in fact.kinds:
            value = turn.understanding.first(kind)
            if value and fact.name not in found:
                found[fact.name] = value
    pending = turn.state.pending
    if pending is not None and pending.kind in ("fact", "proof") and "email" in (*pending.about, "email"):
        address = turn.understanding.first("email") or _first_email(turn.contact.own_text())
        if address:
            found["email"] = address
    return found


def _first_email(text: str) -> str:
    match = _EMAIL.search(text)
    return match[0] if match is not None else ""


def answered_choice(turn: Turn, options: tuple[str, ...]) -> str:
    """Which of the options the customer names: by its number, or by one of its words in the pack."""
    text = turn.contact.own_text().casefold()
    digits = str(turn.contact.native.get("digits", "")) or (text.strip() if text.strip().isdigit() else "")
    entity = turn.understanding.first("choice")
    for given in (digits, entity):
        if given.isdigit() and 1 <= int(given) <= len(options):
            return options[int(given) - 1]
        if given in options:
            return given
    found = [
        option
        for option in options
        if any(word.strip() in text for word in turn.phrase(f"choice.{option}").casefold().split(","))
    ]
    return found[0] if len(found) == 1 else ""
