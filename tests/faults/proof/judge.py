"""The verdict: a pure function of what was offered and what was received.

| invariant | judged by |
|---|---|
| 1 every acknowledged contact in exactly one case, nothing un-offered | answers; then lists of contacts and cases |
| 2 an outcome in time, none closed before the customer said that this was all or let the notice pass | answers; cases |
| 3 each reply reaches its customer exactly once | what the receiving sides kept |
| 4 effects in the order in which the customer spoke | matters of the answers, in the order received |
| 9 nothing left behind after the faults | `workers list`, `dead-letters list` |
| 10 an unbroken record in which every change has an actor | `cases show` |
| 12 no answer to automatic mail, none to an address that refuses it | what the receiving sides kept |
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

from proof.ledger import Asked, Closing, Ledger, Offer, Receipt

__all__ = ["DOUBT_S", "NOTICE_S", "Finding", "Judgement", "judge"]

NOTICE_S = 600.0
"""A live conversation may be closed when "anything else?" was left unanswered for so long."""

_CLOCKS_S = 5.0
"""How far apart the house's clock and ours may be."""

DOUBT_S = 20.0
"""A reply whose sender was disturbed this shortly before may honestly come again under the same id."""


@dataclass(frozen=True)
class Finding:
    """One broken promise. `kind`: lost, doubled, out_of_order, stray, late, unwanted, behind, record, closed."""

    kind: str
    invariant: int
    customer: str
    what: str


@dataclass
class Judgement:
    """All that was found, and what was counted on the way."""

    findings: list[Finding] = field(default_factory=list[Finding])
    answered: int = 0
    with_a_person: int = 0
    """Messages without an answer whose case a person has been promised for, who is not part of this proof."""
    twins: int = 0
    """Replies that came again under the same id after their yes was lost: mail programs show them once."""
    waits: list[float] = field(default_factory=list[float])
    """Seconds from each yes to its answer."""

    def count(self, kind: str) -> int:
        return sum(finding.kind == kind for finding in self.findings)

    @property
    def held(self) -> bool:
        return not self.findings


def judge(ledger: Ledger, asked: Asked | None = None) -> Judgement:
    """The verdict; with `asked` also on what only the product's own commands show."""
    found = Judgement()
    offers: defaultdict[tuple[str, str], list[Offer]] = defaultdict(list)
    receipts: defaultdict[tuple[str, str], list[Receipt]] = defaultdict(list)
    for offer in ledger.offers:
        offers[offer.channel, offer.customer].append(offer)
    for receipt in ledger.receipts:
        receipts[receipt.channel, receipt.customer].append(receipt)
    for key in receipts:
        if key not in offers:
            found.findings.append(Finding("stray", 1, key[1], f"{len(receipts[key])} replies to nobody by {key[0]}"))
    handed = set[str]() if asked is None else _handed_over(asked)
    for (channel, customer), said in offers.items():
        talk = _Talk(customer, said, receipts[channel, customer], handed)
        _CHANNELS[channel](found, talk, ledger)
    found.findings += [Finding("record", 1, "", problem) for problem in ledger.problems]
    if asked is not None:
        found.findings += [*_ask_contacts(ledger, asked), *_ask_cases(ledger, asked)]
    return found


def _handed_over(asked: Asked) -> set[str]:
    """The marks of what lies with a person."""
    mark_of = dict(asked.contacts)
    return {mark_of[contact] for case in asked.with_person for contact in asked.cases[case] if contact in mark_of}


# --- one conversation, by channel


@dataclass(frozen=True)
class _Talk:
    """What one customer said and got; `handed`: the marks of whatever lies with a person."""

    customer: str
    said: Sequence[Offer]
    got: Sequence[Receipt]
    handed: Set[str]


def _mail(found: Judgement, talk: _Talk, ledger: Ledger) -> None:
    """Mails name what they answer; copies under one id count once."""
    customer, said, got = talk.customer, talk.said, talk.got
    if not any(offer.wants_answer for offer in said):
        if got:
            found.findings.append(Finding("unwanted", 12, customer, f"{len(got)} mails to whom none may be sent"))
        return
    first = _without_twins(found, customer, got, ledger)
    by_reference = {offer.reference: offer for offer in said}
    for receipt in first:
        offer = by_reference.get(receipt.answers)
        if offer is None:
            found.findings.append(Finding("stray", 1, customer, f"{receipt.reply} answers what was never asked"))
        elif receipt.matters and receipt.matters[-1] != offer.matter:
            what = f"turn {offer.turn} about {offer.matter} was answered about {' '.join(receipt.matters)}"
            found.findings.append(Finding("out_of_order", 4, customer, what))
    answered = {receipt.answers for receipt in first}
    taken = [offer for offer in said if offer.acknowledged is not None or offer.reference in answered]
    _in_sequence(found, talk, taken, first)


def _without_twins(found: Judgement, customer: str, got: Sequence[Receipt], ledger: Ledger) -> list[Receipt]:
    first: dict[str, Receipt] = {}
    for receipt in got:
        before = first.setdefault(receipt.reply, receipt)
        if before is receipt:
            continue
        doubt = not before.sure or any(
            broken.until >= before.at - DOUBT_S and broken.at <= receipt.at for broken in ledger.broken
        )
        if doubt:
            found.twins += 1
        else:
            found.findings.append(Finding("doubled", 3, customer, f"{receipt.reply} came twice, undisturbed"))
    return list(first.values())


def _chat(found: Judgement, talk: _Talk, _: Ledger) -> None:
    """The window shows both sides in one order: own words as sent, answers after their questions."""
    customer, said, got = talk.customer, talk.said, talk.got
    ids = Counter(receipt.reply for receipt in got)
    for reply, times in ids.items():
        if times > 1:
            found.findings.append(Finding("doubled", 3, customer, f"{reply} is shown {times} times"))
    shown = [receipt.answers for receipt in got if receipt.kind == "own"]
    offered = [offer.reference for offer in said]
    for reference in shown:
        if reference not in offered:
            found.findings.append(Finding("stray", 1, customer, f"a message {reference} that was never said"))
    for offer in said:
        if offer.acknowledged is not None and offer.reference not in shown:
            found.findings.append(Finding("lost", 1, customer, f"turn {offer.turn} is not in the conversation"))
    if [reference for reference in offered if reference in shown] != list(dict.fromkeys(shown)):
        found.findings.append(Finding("out_of_order", 4, customer, "own messages are shown in another order"))
    taken = [offer for offer in said if offer.reference in shown]
    _in_sequence(found, talk, taken, got)
    asked = answered = 0
    for receipt in got:
        asked += receipt.kind == "own"
        answered += len(receipt.matters) if receipt.kind == "answer" else 0
        if answered > asked:
            found.findings.append(Finding("out_of_order", 4, customer, f"{receipt.reply} stands before its question"))


def _in_sequence(found: Judgement, talk: _Talk, taken: Sequence[Offer], got: Sequence[Receipt]) -> None:
    """Each question answered once, in the order in which they were asked."""
    customer = talk.customer
    answers = [(matter, receipt) for receipt in got if receipt.kind == "answer" for matter in receipt.matters or ("",)]
    asked_in_order = [offer.matter for offer in taken]
    answered_in_order = [matter for matter, _ in answers]
    wanted, given = Counter(asked_in_order), Counter(answered_in_order)
    too_many, missing = given - wanted, wanted - given
    for matter, number in too_many.items():
        what = f"{number} answers too many about {matter or 'something else'}"
        found.findings.append(Finding("doubled", 3, customer, what))
    if any(receipt.kind == "person" for receipt in got):
        # Whoever is with a person gets no more from the machine; what was answered before must still be right.
        found.with_a_person += missing.total()
    else:
        for matter, number in missing.items():
            about_it = [offer for offer in taken if offer.matter == matter]
            unsure = sum(offer.acknowledged is None for offer in about_it)
            handed = sum(offer.acknowledged is not None and offer.mark in talk.handed for offer in about_it)
            found.with_a_person += min(handed, max(0, number - unsure))
            if number > unsure + handed:
                what = f"{number - unsure - handed} questions about {matter}"
                found.findings.append(Finding("lost", 2, customer, what))
    if too_many or not _is_within(answered_in_order, asked_in_order):
        if not too_many:
            what = f"asked {' '.join(asked_in_order)}, answered {' '.join(answered_in_order)}"
            found.findings.append(Finding("out_of_order", 4, customer, what))
        return
    found.answered += len(answers)
    if not missing:
        for offer, (_, receipt) in zip(taken, answers, strict=True):
            _note_wait(found, offer, receipt)


def _is_within(part: Sequence[str], whole: Sequence[str]) -> bool:
    rest = iter(whole)
    return all(any(each == other for other in rest) for each in part)


def _phone(found: Judgement, talk: _Talk, _: Ledger) -> None:
    """A call has no second copy of anything: what is heard, is heard once and in order, unless the line was cut."""
    cut = any(receipt.kind == "cut" for receipt in talk.got)
    heard = [receipt for receipt in talk.got if receipt.kind in ("answer", "person")]
    questions = [offer for offer in talk.said if offer.matter]
    if cut:
        heard = [*heard, Receipt("phone", talk.customer, "person", at=0.0)]
    _in_sequence(found, talk, questions, heard)


def _post(found: Judgement, talk: _Talk, _: Ledger) -> None:
    """One letter, however often its scan was dropped, and one answer."""
    customer, said, got = talk.customer, talk.said, talk.got
    if len(got) > 1:
        found.findings.append(Finding("doubled", 3, customer, f"{len(got)} letters were printed"))
    taken = next((offer for offer in said if offer.acknowledged is not None), None)
    if taken is None:
        return
    if not got and taken.mark in talk.handed:
        found.with_a_person += 1
    elif not got:
        found.findings.append(Finding("lost", 2, customer, "no letter came back"))
    else:
        found.answered += 1
        _note_wait(found, taken, got[0])


_CHANNELS = {"email": _mail, "chat": _chat, "phone": _phone, "post": _post}


def _note_wait(found: Judgement, offer: Offer, receipt: Receipt) -> None:
    # In a simulated call time is not ours.
    if offer.acknowledged is not None and offer.channel != "phone":
        found.waits.append(max(0.0, receipt.at - offer.acknowledged))


# --- what only the product's own commands show


def _ask_contacts(ledger: Ledger, asked: Asked) -> Iterator[Finding]:
    """Invariant 1, a second time: by the lists of contacts and cases."""
    by_mark: defaultdict[str, set[str]] = defaultdict(set)
    for contact, mark in asked.contacts:
        by_mark[mark].add(contact)
    doubled = [contact for contact, times in Counter(contact for contact, _ in asked.contacts).items() if times > 1]
    yield from (Finding("doubled", 1, contact, "is in the log twice") for contact in doubled)
    marks = {offer.mark for offer in ledger.offers}
    for mark, contacts in by_mark.items():
        if mark not in marks:
            yield Finding("stray", 1, mark or "nobody", f"contacts that nobody offered: {sorted(contacts)[:3]}")
        elif len(contacts) > 1:
            yield Finding("doubled", 1, mark, f"is {len(contacts)} contacts: {sorted(contacts)[:3]}")
    home: defaultdict[str, list[str]] = defaultdict(list)
    for case, contacts in asked.cases.items():
        for contact in contacts:
            home[contact].append(case)
    for offer in ledger.offers:
        if offer.acknowledged is None:
            continue
        contacts = by_mark.get(offer.mark, set())
        if not contacts:
            yield Finding("lost", 1, offer.customer, f"turn {offer.turn} was said yes to and is no contact")
        elif offer.contact and offer.contact not in contacts:
            yield Finding("lost", 1, offer.customer, f"{offer.contact} was promised, {sorted(contacts)} is there")
        for contact in contacts:
            if len(home[contact]) != 1:
                kind = "doubled" if home[contact] else "lost"
                yield Finding(kind, 1, offer.customer, f"{contact} belongs to {len(home[contact])} cases")


def marks_of(asked: Asked, case: str) -> list[str]:
    """What was offered that is in this case."""
    mark_of = dict(asked.contacts)
    return [mark_of[contact] for contact in asked.cases.get(case, ()) if contact in mark_of]


def _notice_passed(closing: Closing | None, said: Sequence[Offer]) -> bool:
    """Whether the customer of a live conversation was asked, and said nothing for as long as the notice runs."""
    if closing is None or closing.asked is None or any(offer.channel not in ("chat", "phone") for offer in said):
        return False
    last_word = max((offer.at for offer in said), default=closing.asked)
    return closing.closed - max(last_word, closing.asked) >= NOTICE_S - _CLOCKS_S


def _ask_cases(ledger: Ledger, asked: Asked) -> Iterator[Finding]:
    """Invariants 2, 9 and 10."""
    if asked.behind:
        yield Finding("behind", 9, "", f"{asked.behind} records are still waiting")
    if asked.dead_letters:
        yield Finding("behind", 9, "", f"{asked.dead_letters} dead letters")
    offers = {offer.mark: offer for offer in ledger.offers}
    for case in asked.closed:
        marks = marks_of(asked, case)
        said = [offers[mark] for mark in marks if mark in offers]
        if not any(offer.closes for offer in said) and not _notice_passed(asked.closings.get(case), said):
            yield Finding("closed", 2, case, "was closed though nobody said that this was all")
    for case, entries in asked.timelines.items():
        if [sequence for sequence, _ in entries] != list(range(1, len(entries) + 1)):
            yield Finding("record", 10, case, "has gaps in its record")
        if not all(actor for _, actor in entries):
            yield Finding("record", 10, case, "has a change that nobody made")
    for case, why in asked.changed.items():
        yield Finding("record", 10, case, f"is not what its record says: {why}")
