"""Several matters in one text: found sentence by sentence, and rather overlooked than invented.

A matter that was invented confuses a customer and costs a person time; one that was overlooked is read by whoever
answers the first. So each of two matters must be sure by itself, and they must lead to different departments, or be
about different orders or invoices, each named in its own words. Who says that he comes to something else ("by the way")
is believed sooner than who does not.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from workers.case.work import Entity, Intent, Matter, Understanding
from workers.packs import Issue, Pack

__all__ = ["Part", "Parts", "about_another", "further_matters", "may_have_further", "to_each_its_own"]

MOST_PARTS = 6
"""Parts of a text that are looked at: who has more to say than that is better read by a person."""

LEAST_WORDS = 3
"""A part with fewer words says nothing by itself."""

MOST_FURTHER = 2
"""Further matters of one contact: a list of wishes is better dealt with by a person in one go."""

OBJECTS = ("order", "invoice")
"""Kinds of entities by which two matters of one department are told apart."""

SURE = 0.80
"""Probability from which on a part is a matter of its own."""

SURE_WHEN_SAID = 0.60
"""The same where the customer says that something else follows. Both from `tests/workers/triage/test_matters.py`:
single matters in several sentences are parted in at most one of a hundred."""

_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n+")
_WORD = re.compile(r"\w+")
_NO_MATTER = ("talk.", "noise.", "other.", "escalation.", "feedback.", "privacy.", "account.", "sales.")
"""Families of labels that are no matter beside another one: words of courtesy, wishes how to be dealt with, opinions,
and what changes or ends the customer's relation as a whole, which a person shall see together with the rest."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Characters `start` to `end` of a text. `said`: it begins with words that come to a further matter."""

    start: int
    end: int
    said: bool = False


class Parts:
    """Cuts texts into parts by the word lists of a pack."""

    def __init__(self, pack: Pack) -> None:
        entries = sorted({entry for words in pack.words.values() for entry in words.also}, key=len, reverse=True)
        listed = "|".join(r"\s+".join(map(re.escape, entry.split())) for entry in entries)
        self._also = re.compile(rf"(?<!\w)(?:{listed})(?!\w)", re.IGNORECASE) if listed else re.compile(r"(?!)")

    def of(self, text: str, entities: Sequence[Entity]) -> tuple[Part, ...]:
        """The parts of a text; nothing when it is all one, or too much."""
        inside = [(entity.start, entity.end) for entity in entities]
        said = {match.start() for match in self._also.finditer(text)}
        cuts = {match.end() for match in _SENTENCE_END.finditer(text)} | said
        free = sorted(cut for cut in cuts if not any(start < cut < end for start, end in inside))
        parts: list[Part] = []
        for start, end in zip((0, *free), (*free, len(text)), strict=True):
            begins_anew = any(start <= place < start + _NEAR for place in said)
            if len(_WORD.findall(text[start:end])) >= LEAST_WORDS:
                parts.append(Part(start=start, end=end, said=begins_anew))
        return tuple(parts) if 1 < len(parts) <= MOST_PARTS else ()


_NEAR = 8
"""Characters before the words in question: "And by the way"."""


def may_have_further(understood: Understanding, pack: Pack) -> bool:
    """Whether it is worth looking for further matters beside the first one."""
    main = pack.issues.get(understood.intent)
    if understood.decision != "accept" or understood.answering or main is None or not _is_matter(main):
        return False
    return understood.tone != "abusive" and not understood.stop_contact and not understood.request_person


def further_matters(
    understood: Understanding, parts: Sequence[Part], found: Sequence[Sequence[Intent]], pack: Pack
) -> tuple[Matter, ...]:
    """The matters beside the first one. `found` are the likeliest intents of each part."""
    if not parts or not may_have_further(understood, pack):
        return ()
    main = pack.issues[understood.intent]
    said = any(part.said for part in parts)
    sure = SURE_WHEN_SAID if said else SURE
    tops = [(part, intents[0]) for part, intents in zip(parts, found, strict=True) if intents]
    sure_ones = [(part, top) for part, top in tops if top.confidence >= sure]
    first = next((part for part, top in sure_ones if _department(pack, top.label) == main.department), None)
    if first is None:
        # What the whole was taken for stands in none of its parts: then it is one story after all.
        return ()
    matters: list[Matter] = []
    known = {main.department: [_within(first, understood)]}
    for part, top in sure_ones:
        issue = pack.issues.get(top.label)
        if part is first or issue is None or not _is_matter(issue):
            continue
        within = _within(part, understood)
        others = known.setdefault(issue.department, [])
        if not all(about_another(within, other) for other in others):
            continue
        others.append(within)
        matters.append(
            Matter(
                label=top.label,
                confidence=top.confidence,
                department=issue.department,
                legal=_LEGAL_OF.get(top.label, ""),
                entities=within or understood.entities,
            )
        )
    return tuple(matters)[:MOST_FURTHER]


def _within(part: Part, understood: Understanding) -> tuple[Entity, ...]:
    return tuple(each for each in understood.entities if part.start <= each.start < part.end)


def about_another(one: Sequence[Entity], other: Sequence[Entity]) -> bool:
    """Whether two parts name different orders, or different invoices; an order and an invoice may be one purchase."""
    shared = False
    for kind in OBJECTS:
        mine, theirs = ({each.value for each in part if each.kind == kind and each.valid} for part in (one, other))
        if mine & theirs:
            return False
        shared = shared or bool(mine and theirs)
    return shared


_LEGAL_OF: Mapping[str, str] = {"return.withdraw": "withdraw", "return.defect": "defect"}


def to_each_its_own(understood: Understanding, matters: tuple[Matter, ...]) -> Understanding:
    """The understanding with its further matters, and without what was said of them alone."""
    if not matters:
        return understood
    theirs = {entity for matter in matters if matter.entities != understood.entities for entity in matter.entities}
    own = tuple(entity for entity in understood.entities if entity not in theirs)
    kinds = {entity.kind for entity in own}
    # An order that is named once, in the other's words, is the order of both.
    kept = tuple(entity for entity in understood.entities if entity in own or entity.kind not in kinds)
    return msgspec.structs.replace(understood, entities=kept, also=matters)


def _is_matter(issue: Issue) -> bool:
    return not issue.label.startswith(_NO_MATTER) and bool(issue.procedure or issue.answers)


def _department(pack: Pack, label: str) -> str:
    issue = pack.issues.get(label)
    return issue.department if issue is not None else ""
