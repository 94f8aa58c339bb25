"""What a procedure declares, and what it may answer with.

A procedure never writes to a channel and never keeps state of its own: it looks up, decides, puts sentences on the
turn, and returns the next step. The engine keeps what was learnt in the case.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from workers.dialogue.turn import Turn

__all__ = [
    "ORDER",
    "Choose",
    "Confirm",
    "Fact",
    "NeedFacts",
    "NeedProof",
    "Person",
    "Procedure",
    "Report",
    "Step",
    "Try",
]


@dataclass(frozen=True)
class Fact:
    """Something that must be known. `kinds` are the entities it is read from, `ask` the phrase that asks for it."""

    name: str
    kinds: tuple[str, ...]
    ask: str


ORDER = Fact("order", ("order", "invoice", "receipt"), "ask.order")
"""The order, by any of its numbers."""


@dataclass(frozen=True)
class NeedFacts:
    """These facts are missing; the procedure may have put a sentence that helps on the turn."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class NeedProof:
    """Nothing more may be said before the writer proved to be the customer; `decide` is called again at `step`."""

    step: str = ""


@dataclass(frozen=True)
class Confirm:
    """The proposal is on the turn; a yes is needed. The procedure is called again at `step` with the answer."""

    step: str


@dataclass(frozen=True)
class Choose:
    """One of `options` (words of `choice.<option>` in the pack). Called again at `step` with `turn.choice`."""

    options: tuple[str, ...]
    step: str


@dataclass(frozen=True)
class Try:
    """The customer tries something and says whether it helped. Called again at `step` with the answer."""

    step: str


@dataclass(frozen=True)
class Report:
    """The end: what was done or explained is on the turn. `outcome` is the case's outcome, one word."""

    outcome: str
    result: str = "done"


@dataclass(frozen=True)
class Person:
    """A person must take it. `reason` for people, `say` a phrase for the customer before the promise."""

    reason: str
    say: str = ""


Step = NeedFacts | NeedProof | Confirm | Choose | Try | Report | Person


class Procedure(Protocol):
    """One way to settle one kind of request, the same on all channels.

    `needs_proof`: nothing is decided before the writer proved to be a customer; then `turn.customer` is set. A fact in
    `facts` is asked for before `decide` is called; the order is found by itself when the customer has only one.
    `authorises`: the phrase by which a confirmation through the address on file counts as the yes to what the customer
    asked for, on channels where every round trip costs days; empty: never.
    """

    name: str
    facts: tuple[Fact, ...]
    needs_proof: bool
    authorises: str

    async def decide(self, turn: "Turn") -> Step:
        """The next step, at `turn.step` with `turn.facts`. Pure but for reads."""
        ...
