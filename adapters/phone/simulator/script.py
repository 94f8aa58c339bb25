"""What a simulated caller does, turn by turn."""

import msgspec

__all__ = ["Keys", "Say", "Turn", "Wait"]


class Say(msgspec.Struct, frozen=True):
    """Speak when the line listens and has finished speaking. `confidence` is what recognition reports."""

    text: str
    confidence: float = 0.93


class Keys(msgspec.Struct, frozen=True):
    """Press keys: once the line has asked for something or while waiting in the queue. With `hurry` at the first
    opportunity, into the middle of a sentence."""

    digits: str
    hurry: bool = False


class Wait(msgspec.Struct, frozen=True):
    """Do nothing for so many seconds of the call. As the last turn: then hang up."""

    seconds: float


Turn = Say | Keys | Wait
