"""Dialogue: procedures that departments declare, run turn by turn on every channel."""

from workers.dialogue.steps import Choose, Confirm, Fact, NeedFacts, Person, Procedure, Report, Step, Try
from workers.dialogue.turn import Turn
from workers.dialogue.worker import DepartmentWorker

__all__ = [
    "Choose",
    "Confirm",
    "DepartmentWorker",
    "Fact",
    "NeedFacts",
    "Person",
    "Procedure",
    "Report",
    "Step",
    "Try",
    "Turn",
]
