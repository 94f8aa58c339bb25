"""A contact with several matters: the first stays where it is, each further one gets its own case."""

from workers.case import events
from workers.case.model import Procedure
from workers.case.work import Matter
from workers.dialogue.conversation import procedure_name
from workers.dialogue.engine import REMEMBERED_CHARACTERS
from workers.dialogue.matters import further, give_work, item_of, open_sibling
from workers.dialogue.recording import record_contact
from workers.dialogue.steps import ORDER
from workers.dialogue.turn import Turn

__all__ = ["part", "tell_of_parts"]


async def part(turn: Turn) -> tuple[tuple[Matter, str], ...]:
    """Open the cases of further matters, and let them be worked on at once or wait; each with its number.

    People who answer a case read the whole contact: for them nothing is parted.
    """
    if turn.state.with_person or turn.contact.automatic:
        return ()
    parted: list[tuple[Matter, str]] = []
    for matter in further(turn.understanding):
        draft = await open_sibling(turn, matter)
        parted.append((matter, draft.state.number))
        if not turn.live:
            give_work(turn, draft, matter)
            continue
        # Somebody on the line talks of one thing at a time: this one waits, with all that was said of it.
        item = item_of(turn, draft.state.id, matter)
        own = Turn(house=turn.house, item=item, draft=draft, department=matter.department)
        record_contact(own)
        _keep(own, matter)
        turn.waiting.append(draft.state)
    return tuple(parted)


def _keep(own: Turn, matter: Matter) -> None:
    """Keep what was said of a matter until its turn comes, and ask then whether to go on with it."""
    name = procedure_name(own.pack.issues.get(matter.label))
    order = next(filter(None, map(own.understanding.first, ORDER.kinds)), "")
    if name:
        facts = {"said": own.contact.own_text()[:REMEMBERED_CHARACTERS]} | ({"order": order} if order else {})
        progress = Procedure(name=name, facts=facts)
        own.draft.tell(events.ProcedureMoved(at=own.now, department=matter.department, procedure=progress))
    own.ask("next", (matter.label,))


def tell_of_parts(turn: Turn, parted: tuple[tuple[Matter, str], ...]) -> None:
    """Tell the customer what becomes of the further matters, unless the reply has come to them already."""
    for matter, number in parted:
        if turn.live and all(state.number != number for state in turn.waiting):
            continue
        issue = turn.pack.issues.get(matter.label)
        name = issue.names.get(turn.language, matter.label) if issue is not None else matter.label
        turn.say_before_the_end("matter.later" if turn.live else "matter.apart", name=name, number=number)
