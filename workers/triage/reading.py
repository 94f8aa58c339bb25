"""What can be said of a text before the model: its words, language, entities, tone, and the rules that stand above
any model. Pure.
"""

import re
from collections.abc import Mapping

import msgspec

from workers.case.work import Entity
from workers.packs import Pack, Words
from workers.triage.entities import Entities
from workers.triage.language import Hints, Languages
from workers.triage.lists import Index, Phrases, plain

__all__ = ["MAX_CHARACTERS", "Reader", "Reading", "masked_part"]

MAX_CHARACTERS = 6_000
"""So much of a text is read. What a customer wants stands in the first two pages; the rest is for people."""

MAX_SENTENCES = 10
"""Sentences that the model sees one by one, beside the whole."""

LEAST_SENTENCE_WORDS = 3

SHORT_ANSWER_WORDS = 8
"""Up to here a text that begins with yes or no is an answer and not a new request."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_REPEATED_MARKS = re.compile(r"[!?]{2,}")
_SHOUTED_LETTERS = 12
_WHITE = re.compile(r"\s+")

_MASKS = {
    "order": "ordrenr", "invoice": "fakturanr", "receipt": "bonnr", "case": "saksnr", "amount": "beloepet",
    "date": "dato", "email": "epostadr", "phone": "telefonnr", "iban": "ibannr", "code": "kodenr",
}  # fmt: skip


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a text says by rules. `model_texts` is what the model shall see: the whole first, then its sentences."""

    words: str
    language: str
    language_by: str
    entities: tuple[Entity, ...]
    model_texts: tuple[str, ...]
    answer: str = ""
    bare: str = ""
    """yes, no, thanks, done or greeting when the text is nothing else."""
    done: bool = False
    helped: str = ""
    """yes or no when the text says whether a step helped."""
    person: str = ""
    callback: str = ""
    stop: str = ""
    emergency: str = ""
    self_harm: str = ""
    threat: str = ""
    praise: str = ""
    takes_back: str = ""
    """A word after which kind words count no more."""
    fraud: str = ""
    withdraw: str = ""
    terminate: str = ""
    privacy_access: str = ""
    privacy_erase: str = ""
    legal_threat: str = ""
    out_of_office: str = ""
    urgent: str = ""
    repeated: str = ""
    tone: str = "calm"
    tone_words: tuple[str, ...] = ()


class _Lists:
    """The compiled lists of one language."""

    def __init__(self, words: Words) -> None:
        self.by_name: Mapping[str, Phrases] = {
            name: Phrases(getattr(words, name)) for name in words.__struct_fields__ if name != "foreign_words"
        }
        self.polite = Phrases((*words.thanks, *words.greeting, "bitte", "please", "vær så snill", "er du snill"))
        self.negation = frozenset(words.negation)

    def __getitem__(self, name: str) -> Phrases:
        return self.by_name[name]


class Reader:
    """Reads texts by the rules of a pack. Built once, used for every contact."""

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._languages = Languages(pack)
        self._entities = Entities(pack)
        self._lists = {language: _Lists(pack.words[language]) for language in pack.languages}
        self._search = Index(
            {(language, name): lists[name] for language, lists in self._lists.items() for name in _SEARCHED}
        )

    def read(self, text: str, subject: str, hints: Hints) -> Reading:
        """Everything that rules find in what somebody wrote this time."""
        text = text[:MAX_CHARACTERS]
        subject = subject[:200]
        own_words = plain(text)
        words = f"{plain(subject)} {own_words}".strip() if subject else own_words
        language, by = self._languages.decide(own_words or words, hints)
        lists = self._lists[language]
        entities = self._entities.find(text, language)
        tone, tone_words = self._tone(text, words, language)
        bare, answer = _answer(own_words, lists)
        found = self._searched(words, language)
        for name, alone in (("person", "person_alone"), ("stop", "stop_alone")):
            if not found[name] and any(each[alone].is_whole(own_words) for each in self._lists.values()):
                found[name] = own_words
        return Reading(
            words=words,
            language=language,
            language_by=by,
            entities=entities,
            model_texts=self._model_texts(text, subject, entities, lists),
            answer=answer,
            bare=bare,
            done=bool(lists["done"].find(own_words)) and len(own_words.split()) <= 2 * SHORT_ANSWER_WORDS,
            helped=_helped(own_words, lists),
            tone=tone,
            tone_words=tone_words,
            praise=next(iter(_unnegated(lists["praise"], words, lists.negation)), ""),
            takes_back=_takes_back(words, tone, lists),
            **found,
        )

    def _searched(self, words: str, language: str) -> dict[str, str]:
        """The first entry of each list in the text's language, then in the others: what must not be missed may not
        hang on a language that was guessed wrong.
        """
        found: dict[str, str] = dict.fromkeys(_SEARCHED, "")
        possible = self._search.possible(words)
        # The text's own language before the others.
        for each, name in sorted(possible, key=lambda place: (place[0] != language, place)):
            if not found[name]:
                found[name] = self._lists[each][name].find(words)
        return found

    def _tone(self, text: str, words: str, language: str) -> tuple[str, tuple[str, ...]]:
        lists = self._lists[language]
        reasons: list[str] = []
        abusive = lists["abusive"].find(words)
        if abusive:
            return "abusive", (abusive,)
        angry = _unnegated(lists["angry"], words, lists.negation)
        upset = _unnegated(lists["upset"], words, lists.negation)
        repeated = lists["repeated"].all(words)
        capitals = sum(map(str.isupper, text))
        shouted = 2 * capitals > _SHOUTED_LETTERS and _SHOUTED_LETTERS <= sum(map(str.isalpha, text)) < 2 * capitals
        marks = bool(_REPEATED_MARKS.search(text))
        threat = lists["legal_threat"].find(words)
        reasons += [*angry, *upset, *repeated, *([threat] if threat else ())]
        if shouted:
            reasons.append("capitals")
        if marks:
            reasons.append("!!")
        points = 2 * len(angry) + len(upset) + bool(repeated) + shouted + marks + bool(threat)
        if angry or points >= 3:
            return "angry", tuple(reasons)
        return ("upset" if points else "calm"), tuple(reasons)

    def _model_texts(self, text: str, subject: str, entities: tuple[Entity, ...], lists: _Lists) -> tuple[str, ...]:
        masked = _masked(text, entities)
        sentences: list[tuple[str, str]] = []
        for part in _SENTENCE_END.split(masked):
            part = _WHITE.sub(" ", part).strip(" ,;-–")
            if not part:
                continue
            part_words = plain(part)
            if lists["closing"].at_start(part_words):
                # What stands below the closing formula is a name; one above it may still be a request.
                if len(part_words.split()) <= SHORT_ANSWER_WORDS:
                    break
                continue
            greeted = lists["greeting"].at_start(part_words)
            if greeted and len(part_words[greeted:].split()) < LEAST_SENTENCE_WORDS and sentences:
                continue
            sentences.append((part, part_words))
        kept = _without_salutation(sentences, lists)
        texts = [part for part, _ in kept]
        whole = " ".join([*([subject] if subject and not _is_reply(subject) else ()), *texts]) or masked.strip()
        singles = [part for part, words in kept if len(words.split()) >= LEAST_SENTENCE_WORDS][:MAX_SENTENCES]
        return (whole, *singles) if len(singles) > 1 else (whole,)


_SEARCHED = (
    "person", "callback", "stop", "emergency", "fraud", "withdraw", "terminate", "privacy_access", "privacy_erase",
    "legal_threat", "out_of_office", "urgent", "repeated", "self_harm", "threat",
)  # fmt: skip


def _masked(text: str, entities: tuple[Entity, ...]) -> str:
    """Numbers and addresses as one word per kind: the model shall know that there is an order, not which."""
    pieces: list[str] = []
    position = 0
    for entity in entities:
        mask = _MASKS.get(entity.kind)
        if mask is None:
            continue
        pieces += (text[position : entity.start], mask)
        position = entity.end
    pieces.append(text[position:])
    return "".join(pieces)


def masked_part(text: str, entities: tuple[Entity, ...], start: int, end: int) -> str:
    """Characters `start` to `end` of a text as the model shall see them."""
    within = tuple(
        msgspec.structs.replace(entity, start=entity.start - start, end=entity.end - start)
        for entity in entities
        if start <= entity.start and entity.end <= end
    )
    return _WHITE.sub(" ", _masked(text[start:end], within)).strip(" ,;-–")


def _without_salutation(sentences: list[tuple[str, str]], lists: _Lists) -> list[tuple[str, str]]:
    """Sentences, each with its plain words, without the opening line, unless it is all there is."""
    if len(sentences) > 1 and lists["greeting"].at_start(sentences[0][1]):
        first, words = sentences[0]
        if len(words.split()) <= SHORT_ANSWER_WORDS - 1 and not first.rstrip().endswith("?"):
            return sentences[1:]
    return sentences


def _is_reply(subject: str) -> bool:
    return subject.lower().startswith(("re:", "aw:", "sv:", "wg:", "fwd:", "vs:"))


def _unnegated(entries: Phrases, words: str, negation: frozenset[str]) -> list[str]:
    """Entries that no negation stands before, within three words."""
    hits: list[str] = []
    for start, end in entries.spans(words):
        before = words[:start].split()[-3:]
        if not any(word in negation for word in before):
            hits.append(words[start:end])
    return hits


def _takes_back(words: str, tone: str, lists: _Lists) -> str:
    """Who begins with kind words and goes on with "but" has a complaint, and is thanked at the wrong moment if we hear
    the kind words alone: rather no thanks than those."""
    found = (lists[name].find(words) for name in ("but", "not_helped", "repeated"))
    return next((word for word in found if word), "") or ("" if tone == "calm" else tone)


def _answer(words: str, lists: _Lists) -> tuple[str, str]:
    """(what the text is and nothing else, the answer it can be read as)."""
    if not words:
        return "", ""
    rest = lists.polite.consumes(words)
    no, yes = lists["no"], lists["yes"]
    count = len(words.split())
    if not rest:
        return ("thanks" if lists["thanks"].find(words) else "greeting"), ""
    if lists["done"].find(words) and count <= 2 * SHORT_ANSWER_WORDS:
        without = no.consumes(lists["done"].consumes(rest))
        return ("done" if len(without.split()) <= LEAST_SENTENCE_WORDS else ""), ("no" if no.find(words) else "")
    if not no.consumes(rest):
        return "no", "no"
    if not yes.consumes(rest):
        return "yes", "yes"
    starts = words[lists.polite.at_start(words) :].strip() if lists.polite.at_start(words) else words
    if no.at_start(starts):
        return "", "no"
    if yes.at_start(starts) and not no.find(" ".join(starts.split()[:LEAST_SENTENCE_WORDS])):
        return "", "yes"
    if count <= SHORT_ANSWER_WORDS:
        said_no, said_yes = bool(no.find(words)), bool(yes.find(words))
        if said_no != said_yes:
            return "", "no" if said_no else "yes"
    return "", ""


def _helped(words: str, lists: _Lists) -> str:
    if lists["not_helped"].find(words):
        return "no"
    return "yes" if lists["helped"].find(words) else ""
