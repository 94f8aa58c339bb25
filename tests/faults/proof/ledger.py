"""What was offered, what was said yes to, and what the customers received. Times are seconds of one monotonic clock."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["Asked", "Broken", "Closing", "Ledger", "Offer", "Receipt"]


@dataclass
class Offer:
    """One thing that a customer said.

    `customer` names the conversation as the customer knows it: address, session, call, name on the letter.
    `acknowledged` is when the yes was heard; None: never, so it may have been taken or not.
    `contact` is the id that came with the yes, where the channel tells one. `reference` is the customer's own id,
    `mark` what finds the contact again in the product's own lists.
    `wants_answer` is False for what must not be answered (automatic mail, an address that refuses our mail).
    """

    channel: str
    customer: str
    turn: int
    matter: str
    at: float
    mark: str = ""
    reference: str = ""
    contact: str = ""
    acknowledged: float | None = None
    wants_answer: bool = True
    closes: bool = False
    """After this the case may be closed: the customer said that this was all, or nobody is there to be asked."""


@dataclass
class Receipt:
    """One thing that a customer received, in the order in which it was received.

    `matters` are those that it answers, in its order.
    `kind`: answer, own (the customer's own words, shown back), person (somebody takes over), other.
    `answers` is the reference that it names, where the channel has such a thing. `sure` is False when we hid the yes
    from the sender: it may honestly come again under the same id.
    """

    channel: str
    customer: str
    kind: str
    at: float
    reply: str = ""
    matters: tuple[str, ...] = ()
    answers: str = ""
    sure: bool = True


@dataclass
class Broken:
    """What was broken, from when until when (a start that lasts is part of it)."""

    kind: str
    target: str
    at: float
    until: float


@dataclass(frozen=True)
class Closing:
    """How a case came to its end without a farewell: `asked` and `closed` on the ledger's clock.

    `asked` is when the customer was last asked whether there is anything else; None: never.
    """

    asked: float | None
    closed: float


@dataclass
class Asked:
    """What the product's own commands say; used where nobody outside can see."""

    contacts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """(contact id, mark by which it was offered) of every record of a contact; an empty mark: by nobody."""
    cases: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Case id -> its contacts."""
    closed: list[str] = field(default_factory=list[str])
    closings: dict[str, Closing] = field(default_factory=dict[str, Closing])
    """Of the closed cases in which nobody said that this was all."""
    with_person: set[str] = field(default_factory=set[str])
    """Cases that somebody has been promised a person for, or that a person has taken."""
    behind: int = 0
    dead_letters: int = 0
    too_late: int = 0
    """Live messages that went to a person because their time was over."""
    timelines: dict[str, list[tuple[int, str]]] = field(default_factory=dict[str, list[tuple[int, str]]])
    """Case id -> (sequence, actor) of each entry of its record."""
    changed: dict[str, str] = field(default_factory=dict[str, str])
    """Case id -> why its record is not what it was when it was written, or does not lead to its state."""


@dataclass
class Ledger:
    """Filled while the customers live; judged afterwards."""

    offers: list[Offer] = field(default_factory=list[Offer])
    receipts: list[Receipt] = field(default_factory=list[Receipt])
    broken: list[Broken] = field(default_factory=list[Broken])
    """Around these moments a sender may honestly not know whether it had sent."""
    problems: list[str] = field(default_factory=list[str])
    """What a receiving side found wrong by itself (a document that is no TwiML, a frame that is none)."""

    def offer(self, offer: Offer) -> Offer:
        self.offers.append(offer)
        return offer

    def receive(self, receipt: Receipt) -> Receipt:
        self.receipts.append(receipt)
        return receipt

    @property
    def acknowledged(self) -> int:
        return sum(offer.acknowledged is not None for offer in self.offers)

    def write(self, path: Path) -> None:
        """One JSON object a line, for looking into a run that failed."""
        with path.open("w", encoding="utf-8") as file:
            for line in self._lines():
                file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _lines(self) -> Iterable[dict[str, object]]:
        for offer in self.offers:
            yield {"type": "offer", **asdict(offer)}
        for receipt in self.receipts:
            yield {"type": "receipt", **asdict(receipt)}
        for broken in self.broken:
            yield {"type": "broken", **asdict(broken)}
