"""What an examination of an installation finds, one thing at a time."""

from collections.abc import Sequence
from typing import Any

from bus.store.port import Row

__all__ = ["finding", "given_up"]


def finding(name: str, ok: bool, detail: str, fix: str = "") -> dict[str, Any]:
    """One line of `contactbus doctor`: what was looked at, whether it is well, what was seen, and how to mend it."""
    return {"name": name, "ok": ok, "detail": detail, "fix": fix}


def given_up(letters: Sequence[Row]) -> dict[str, Any]:
    """The finding about dead letters of which nobody at the desk sees a case."""
    if not letters:
        return finding("given up", True, "nothing that shows in no case")
    places = ", ".join(f"{row['letters']} of {row['topic']} by {row['group_name']}" for row in letters)
    fix = "`contactbus dead-letters list` and `show` say why; `retry` what was mended, `discard` the rest"
    return finding("given up", False, f"{places}: no case shows it", fix)
