"""What all events of a case have in common."""

from datetime import datetime

import msgspec

from workers.case.model import MACHINE

__all__ = ["CaseEventBase"]


class CaseEventBase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """Common to all events of a case."""

    at: datetime
    actor: str = MACHINE
