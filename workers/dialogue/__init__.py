"""Dialogue: procedures that departments declare, run turn by turn on every channel."""

from workers.dialogue.steps import (
    ORDER,
    Choose,
    Confirm,
    Fact,
    NeedFacts,
    NeedProof,
    Person,
    Procedure,
    Report,
    Step,
    Try,
)
from workers.dialogue.turn import Turn
from workers.dialogue.worker import DepartmentWorker

__all__ = [
    "ORDER",
    "Choose",
    "Confirm",
    "DepartmentWorker",
    "Fact",
    "NeedFacts",
    "NeedProof",
    "Person",
    "Procedure",
    "Report",
    "Step",
    "Try",
    "Turn",
]
