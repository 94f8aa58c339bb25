"""Records between the workers: a contact with its case, what was understood of it, and timers of a case."""

import msgspec

from bus.message import Contact

__all__ = ["CaseTimer", "Entity", "Identified", "Intent", "Look", "Matter", "Understanding", "WorkItem"]


class Identified(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Intake's result, on `contact.identified` under the case id.

    `person` is whose identity the sender's address is (claimed, not proven); `link` says how the case was found:
    new, token, thread, number, or claimed (somebody names a case that is not theirs: a new case, `claims` names the
    other one and nothing of it is shown).
    """

    contact: Contact
    case: str
    person: str
    link: str = "new"
    claims: str = ""


class Entity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something found in the text: kind (order, invoice, case, amount, date, code, email, phone, iban, choice),
    normalised value, where, and whether its own checks (check digit, pattern) hold. `value` of an amount is
    `<minor units> <currency>`, of a date ISO 8601.
    """

    kind: str
    value: str
    start: int = 0
    end: int = 0
    valid: bool = True


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A label `family.leaf` of the pack and its calibrated probability."""

    label: str
    confidence: float


class Matter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A further matter of a contact, as sure as the first one: its label, who deals with it, and the entities in the
    words that name it. `legal` as in `Understanding`.
    """

    label: str
    confidence: float
    department: str
    legal: str = ""
    entities: tuple[Entity, ...] = ()


class Understanding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Triage's result.

    `decision`: accept (the first intent is sure enough), ask (a live channel: put one question built from
    `question`), person (a human decides). `answer`: yes, no or empty, when the text can be read as an answer to a
    question; `done`: thanks, that was all. `tone`: calm, upset, angry, abusive. `urgency` 0..3. `legal`: withdraw,
    defect, terminate, privacy or empty. `reasons` are the words or rules that decided, for people to read.
    """

    language: str
    language_by: str = ""
    department: str = "desk"
    intents: tuple[Intent, ...] = ()
    decision: str = "person"
    question: tuple[str, ...] = ()
    answering: bool = False
    """The text belongs to the question that the case waits on; its intents are then no new request."""
    answer: str = ""
    done: bool = False
    request_person: bool = False
    stop_contact: bool = False
    danger: str = ""
    """emergency (fire, injury), self-harm, threat (against somebody's life or safety), or nothing."""
    praise: bool = False
    """The text praises whoever served the customer, and takes nothing of it back."""
    legal: str = ""
    tone: str = "calm"
    urgency: int = 0
    entities: tuple[Entity, ...] = ()
    also: tuple[Matter, ...] = ()
    """Further matters in the same words, each of which becomes a case of its own."""
    reasons: tuple[str, ...] = ()

    @property
    def intent(self) -> str:
        """The first intent's label, or nothing."""
        return self.intents[0].label if self.intents else ""

    def first(self, kind: str) -> str:
        """The value of the first valid entity of a kind, or nothing."""
        return next((entity.value for entity in self.entities if entity.kind == kind and entity.valid), "")


class WorkItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A contact ready to be worked on, on `work.<department>.<lane>` under the case id."""

    contact: Contact
    case: str
    person: str
    understanding: Understanding
    link: str = "new"
    claims: str = ""


class CaseTimer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A timer of a case that fired, on `case.timer` under the case id. `kind`: closing-notice, reminder, hold,
    promise, promise-warning, service, survey, callback, came-back."""

    tenant: str
    case: str
    kind: str
    detail: str = ""


class Look(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something about the work of a tenant's people has changed, on `case.offers` under the tenant: one at a time."""

    tenant: str
