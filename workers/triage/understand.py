"""From rules and prediction to an understanding. Pure: the same text in the same case is understood the same way.

Order of voices: what the channel knows (a key pressed), rules that no probability may overrule (a person, stop, danger,
legal acts), the question that the case waits on, the model.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from workers.case.work import Intent, Understanding
from workers.packs import Pack
from workers.triage.model import Prediction
from workers.triage.reading import Reading
from workers.triage.thresholds import ASK_FLOOR, Thresholds, same_work

__all__ = ["Context", "understand"]

RULE = 0.99
"""The confidence given to what a rule decided: rules are wrong at times too."""

_TALK_OF = {"yes": "talk.yes", "no": "talk.no", "thanks": "talk.thanks_done", "done": "talk.thanks_done",
            "greeting": "talk.greeting"}  # fmt: skip
_LEGAL_OF = {
    "return.withdraw": "withdraw", "return.defect": "defect", "account.terminate": "terminate",
    "privacy.access": "privacy", "privacy.erase": "privacy", "sales.stop_contacting_me": "",
}  # fmt: skip
_REQUESTS = {"callback": "escalation.call_back", "voicemail": "escalation.call_back", "person": "escalation.human"}
_PRIVACY = ("privacy.access", "privacy.erase")
PRAISE = "feedback.praise"
_OFFERS = ("sales.accept_offer", "sales.decline")
_PENDING_WITHOUT_REQUEST = ("fact", "proof", "choice", "confirm", "tried")
_OFFER = 0.6
_SWITCH = 0.15
"""While the case waits on an answer, another request must be so much surer than else to count as one."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beside the text.

    `live`: somebody waits this moment. `pending`: the kind of question the case waits on (`workers.case.model`),
    `about` its facts, options or labels. `department`: of the open case. `request` and `digits`: from the channel.
    """

    live: bool = False
    pending: str = ""
    about: tuple[str, ...] = ()
    department: str = ""
    request: str = ""
    digits: str = ""
    automatic: bool = False


def understand(
    reading: Reading, context: Context, prediction: Prediction, pack: Pack, thresholds: Thresholds
) -> Understanding:
    """The understanding of one contact."""
    common: dict[str, Any] = {
        "language": reading.language,
        "language_by": reading.language_by,
        "entities": reading.entities,
        "tone": reading.tone,
        "danger": _danger(reading),
        "praise": bool(reading.praise) and not reading.takes_back and not context.automatic,
    }
    fixed = _fixed(reading, context)
    if fixed is not None:
        label, reasons, extra = fixed
        top = prediction.intents[0] if prediction.intents else None
        if label in ("talk.yes", "talk.no") and top is not None and top.label in _OFFERS and top.confidence >= _OFFER:
            # "Not interested" is a no and says to what.
            label = top.label
        return _accepted(pack, common, label, reasons, reading, context, **extra)
    intents, boosted = _with_rules(reading, prediction)
    answer = _answer(reading, context)
    if context.pending and _is_answer(reading, context, answer, intents, pack, thresholds, legal=bool(boosted)):
        department = context.department or _department(pack, intents)
        if reading.bare:
            intents = _first(_TALK_OF[reading.bare], intents)
        return Understanding(
            **common,
            department=department,
            intents=intents,
            decision="accept",
            answering=True,
            answer=answer,
            done=reading.done or reading.bare in ("done", "thanks"),
            urgency=_urgency(pack, "", reading),
            reasons=(f"answers the question ({context.pending})", *reading.tone_words),
        )
    decision, question = _decide(intents, prediction.shares, context, pack, thresholds, sure=bool(boosted))
    label = intents[0].label if intents else ""
    if label == PRAISE and decision == "accept":
        # Thanking for a complaint that began politely would be worse than to have a person read it.
        decision = "person" if reading.takes_back else decision
        common["praise"] = not reading.takes_back
    department = _department(pack, intents)
    if decision != "accept" and context.department:
        # Not sure what it is: it stays with those who know the case.
        department = context.department
    return Understanding(
        **common,
        department=department,
        intents=intents,
        decision=decision,
        question=question,
        answer=answer,
        done=reading.done,
        request_person=label in ("escalation.human", "escalation.supervisor") and decision == "accept",
        legal=(_LEGAL_OF.get(label, "") if boosted or decision == "accept" else ""),
        urgency=_urgency(pack, label if decision == "accept" else "", reading),
        reasons=(*((f"rule: {boosted}",) if boosted else ()), *prediction.words, *reading.tone_words),
    )


def _fixed(reading: Reading, context: Context) -> tuple[str, tuple[str, ...], dict[str, Any]] | None:
    """What needs no model: (label, reasons, fields), or None."""
    if context.automatic or (reading.out_of_office and not context.pending and not context.live):
        why = "sent by a machine" if context.automatic else f"rule: {reading.out_of_office}"
        return "noise.auto_reply", (why,), {}
    if context.request == "confirm":
        return "", ("confirmed by link",), {"answer": "yes"}
    if context.request == "ended":
        return "", ("left the channel",), {}
    if context.request in _REQUESTS:
        label = _REQUESTS[context.request]
        return label, (f"channel: {context.request}",), {"request_person": context.request == "person"}
    if reading.self_harm:
        return "escalation.human", (f"danger: {reading.self_harm}",), {"request_person": True, "urgency": 3}
    if reading.stop:
        return "sales.stop_contacting_me", (f"rule: {reading.stop}",), {"stop_contact": True}
    if reading.emergency:
        return "escalation.human", (f"danger: {reading.emergency}",), {"request_person": True, "urgency": 3}
    if reading.person:
        return "escalation.human", (f"rule: {reading.person}",), {"request_person": True}
    if not context.pending and reading.bare:
        done = reading.bare in ("done", "thanks")
        answer = reading.bare if reading.bare in ("yes", "no") else reading.answer
        return _TALK_OF[reading.bare], (f"nothing but {reading.bare}",), {"answer": answer, "done": done}
    return None


def _accepted(
    pack: Pack,
    common: Mapping[str, Any],
    label: str,
    reasons: tuple[str, ...],
    reading: Reading,
    context: Context,
    **extra: Any,
) -> Understanding:
    intents = (Intent(label=label, confidence=RULE),) if label else ()
    department = _department(pack, intents)
    if context.department and (not label or label.startswith("talk.")):
        department = context.department
    extra.setdefault("urgency", _urgency(pack, label, reading))
    return Understanding(
        **common,
        department=department,
        intents=intents,
        decision="accept",
        reasons=(*reasons, *reading.tone_words),
        **extra,
    )


def _with_rules(reading: Reading, prediction: Prediction) -> tuple[tuple[Intent, ...], str]:
    """The model's intents with a legal act first where its words stand, and the words."""
    intents = prediction.intents
    if intents and intents[0].label in _PRIVACY and (reading.privacy_access or reading.privacy_erase):
        # Which of the two rights is meant, the model tells better than single words.
        return _first(intents[0].label, intents), reading.privacy_erase or reading.privacy_access
    for words, label in (
        (reading.privacy_erase, "privacy.erase"),
        (reading.privacy_access, "privacy.access"),
        (reading.withdraw, "return.withdraw"),
        (reading.terminate, "account.terminate"),
    ):
        if words:
            return _first(label, intents), words
    if reading.fraud and any(intent.label == "account.fraud_report" for intent in intents):
        return _first("account.fraud_report", intents), reading.fraud
    if reading.callback and any(intent.label == "escalation.call_back" for intent in intents):
        return _first("escalation.call_back", intents), reading.callback
    return intents, ""


def _first(label: str, intents: Sequence[Intent]) -> tuple[Intent, ...]:
    others = [intent for intent in intents if intent.label != label]
    return (Intent(label=label, confidence=RULE), *others[:2])


def _answer(reading: Reading, context: Context) -> str:
    if context.pending == "tried" and reading.helped:
        # "No, it works now" means that it helped.
        return reading.helped
    if context.pending in ("confirm", "tried") and context.digits in ("1", "2"):
        return "yes" if context.digits == "1" else "no"
    return reading.answer


def _is_answer(
    reading: Reading,
    context: Context,
    answer: str,
    intents: Sequence[Intent],
    pack: Pack,
    thresholds: Thresholds,
    *,
    legal: bool,
) -> bool:
    """Whether a text belongs to the question that the case waits on, and is no new request."""
    if reading.bare or context.digits:
        return True
    top = intents[0] if intents else None
    if context.pending == "anything-else":
        return bool(reading.done) or (answer == "no" and not legal)
    if context.pending not in _PENDING_WITHOUT_REQUEST:
        return False
    if context.pending in ("confirm", "tried") and answer:
        return True
    if context.pending == "choice" and any(entity.kind == "choice" for entity in reading.entities):
        return True
    kinds = {"fact": ("order", "invoice", "receipt", "email", "date", "amount"), "proof": ("code", "order", "email")}
    if any(entity.kind in kinds.get(context.pending, ()) for entity in reading.entities):
        return True
    if legal or top is None:
        return top is None
    sure = thresholds.of(pack.issue(top.label).risk) + _SWITCH
    return top.confidence < sure or top.label.startswith(("talk.", "other.", "noise."))


def _decide(
    intents: Sequence[Intent],
    shares: Mapping[str, float],
    context: Context,
    pack: Pack,
    thresholds: Thresholds,
    *,
    sure: bool,
) -> tuple[str, tuple[str, ...]]:
    """accept, ask or person, and the labels to ask about."""
    if not intents:
        return "person", ()
    top = intents[0]
    if sure:
        return "accept", ()
    together = sum(share for label, share in shares.items() if same_work(pack, top.label, label))
    if max(top.confidence, together) >= thresholds.of(pack.issue(top.label).risk):
        return "accept", ()
    askable = [intent for intent in intents if not intent.label.startswith(("talk.", "noise.", "other."))]
    if context.live and len(askable) > 1 and askable[0].confidence + askable[1].confidence >= ASK_FLOOR:
        return "ask", _different(askable, pack)
    return "person", ()


def _different(intents: Sequence[Intent], pack: Pack) -> tuple[str, ...]:
    """The two best labels that lead to different work: asking between two that do not would waste a turn."""
    first = intents[0].label
    second = next((other.label for other in intents[1:] if not same_work(pack, first, other.label)), "")
    return (first, second) if second else (first,)


def _department(pack: Pack, intents: Sequence[Intent]) -> str:
    issue = pack.issues.get(intents[0].label) if intents else None
    return issue.department if issue is not None else "desk"


def _danger(reading: Reading) -> str:
    """What somebody's life or safety may hang on, the nearest first."""
    if reading.self_harm:
        return "self-harm"
    if reading.threat:
        return "threat"
    return "emergency" if reading.emergency else ""


def _urgency(pack: Pack, label: str, reading: Reading) -> int:
    """0 to 3: danger and money that is leaving now, then who has waited and asked before, then the issue's own."""
    if _danger(reading) or label == "account.fraud_report":
        return 3
    issue = pack.issues.get(label)
    urgency = issue.urgency if issue is not None else 0
    if reading.urgent or (reading.repeated and reading.tone in ("angry", "upset")) or reading.legal_threat:
        urgency = max(urgency, 2)
    return urgency
