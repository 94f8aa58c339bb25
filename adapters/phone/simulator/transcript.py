"""What a simulated call was like: heard, requested, and what was wrong with it."""

from dataclasses import dataclass, field

import msgspec

__all__ = ["Heard", "Request", "Transcript"]


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """Words that the caller heard: `at` seconds after the call began; `verb` that spoke them."""

    at: float
    say: str
    verb: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request to the product. `tries` counts from 1."""

    at: float
    path: str
    status: int
    tries: int


@dataclass
class Transcript:
    """`problems` names every broken rule: documents, addresses, differing repetitions, a call dropped.

    `ended`: hang-up (the product's), caller (the caller's), reject, ran-out, error; empty while it lasts.
    """

    call_sid: str
    heard: list[Heard] = field(default_factory=list[Heard])
    requests: list[Request] = field(default_factory=list[Request])
    problems: list[str] = field(default_factory=list[str])
    ended: str = ""
    seconds: float = 0.0
    longest_gap_s: float = 0.0
    """The longest time without anybody speaking."""
    said: list[str] = field(default_factory=list[str])
    """What the caller said when asked."""
    said_at: list[float] = field(default_factory=list[float])
    """When each of these was on its way to the product, in seconds after the call began: the caller had finished, and
    the provider knew it."""
    dialled: list[str] = field(default_factory=list[str])
    """Telephones that the product called for the caller."""
    left_over: int = 0
    """Turns of the caller for which the call gave no opportunity."""

    @property
    def text(self) -> str:
        """All that was heard, one line each."""
        return "\n".join(f"{heard.at:7.1f}  {heard.say}" for heard in self.heard)
