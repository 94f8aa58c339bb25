"""What a person at the desk may do, by role. Pure.

A right names a part of the desk, a role is a set of rights. The gate asks for the right of an endpoint; nothing else
looks at roles.
"""

from collections.abc import Mapping

__all__ = [
    "MANAGER",
    "REPORTS",
    "REPRESENTATIVE",
    "RIGHTS",
    "ROLES",
    "STAFF",
    "SUPERVISE",
    "SUPERVISOR",
    "TECHNICAL",
    "WALLBOARD",
    "WORK",
    "may",
]  # fmt: skip

WORK = "work"
"""Read cases and answer them, take offers, say whether one is there."""
SUPERVISE = "supervise"
"""See live cases by risk, step in, take over, write notes to colleagues, send somebody on a break."""
REPORTS = "reports"
"""Figures by department and person."""
STAFF = "staff"
"""See and change who works here, with which role and skills."""
WALLBOARD = "wallboard"
"""Numbers without personal data, for the screen on the wall."""
RIGHTS = (WORK, SUPERVISE, REPORTS, STAFF, WALLBOARD)

REPRESENTATIVE, SUPERVISOR, MANAGER, TECHNICAL = "representative", "supervisor", "manager", "technical"

ROLES: Mapping[str, frozenset[str]] = {
    REPRESENTATIVE: frozenset({WORK, WALLBOARD}),
    SUPERVISOR: frozenset({WORK, SUPERVISE, REPORTS, WALLBOARD}),
    MANAGER: frozenset({WORK, SUPERVISE, REPORTS, STAFF, WALLBOARD}),
    # Keeps the machines running: whoever needs no customer's letters for that does not read them.
    TECHNICAL: frozenset({STAFF, WALLBOARD}),
}


def may(role: str, right: str) -> bool:
    """Whether a role has a right; a role that nobody knows has none, and a session alone suffices for no right."""
    return not right or right in ROLES.get(role, frozenset())
