"""What a measurement is told of, and the row in which it answers."""

from collections.abc import Mapping
from typing import Any

import msgspec

from bus.errors import ConfigurationError

__all__ = ["Missing", "Options", "Row", "row"]

Row = Mapping[str, Any]
"""name, value, unit, goal and met; goal and met are None where a figure only explains others."""


class Missing(ConfigurationError):
    """Something that this measurement needs is not installed; the text says how to get it."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says. A measurement reads what concerns it."""

    bus: str = "embedded"
    minutes: float = 10.0


def row(
    name: str,
    value: float,
    unit: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    digits: int = 1,
) -> Row:
    """A figure and, where there is one, its goal."""
    met = None
    if at_least is not None:
        met = value >= at_least
    elif at_most is not None:
        met = value <= at_most
    goal = at_most if at_least is None else at_least
    return {"name": name, "value": round(value, digits), "unit": unit, "goal": goal, "met": met}
