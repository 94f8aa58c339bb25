"""The desk's share of the bus: contacts that no software department answers become work for people."""

from workers.dialogue import DepartmentWorker

__all__ = ["DeskWorker"]


class DeskWorker(DepartmentWorker):
    """Group `desk`: a department without procedures.

    So the conversation's own rules remain: one acknowledgement with the time by which a person answers, call-backs and
    voicemails as promises of the case, and nothing said while people are at it.
    """

    group = "desk"
    procedures = ()
