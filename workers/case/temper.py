"""Anger and abuse are two things. Who is angry has a reason and is helped, by somebody with more to offer if need be;
who abuses is asked, calmly and once, to stop, and the matter itself is worked on all the same. Pure.
"""

from workers.case.model import CaseState

__all__ = ["TONES", "rises", "supervisor_for"]

TONES = ("calm", "upset", "angry", "abusive")
"""What triage hears, each above the one before."""

RISES = 2
"""Somebody who became more upset twice within a case has not been helped the first time."""


def rises(state: CaseState, tone: str) -> int:
    """How often the tone has risen in this case, with a contact of `tone`."""
    return state.rises + (_rank(tone) > _rank(state.tone))


def supervisor_for(state: CaseState, tone: str, level: str, *, danger: bool = False) -> str:
    """Why a supervisor is called after a contact of `tone`: danger, abuse, angry, or nothing.

    `level` is the tone from which on the company wants its supervisors to know at once; `danger` to somebody's life is
    said however often a supervisor was called for less.
    """
    if danger:
        return "" if state.supervisor == "danger" else "danger"
    if state.supervisor:
        return ""
    if tone == "abusive":
        return "abuse"
    if _rank(tone) >= _rank(level):
        return "angry"
    return "angry" if rises(state, tone) >= RISES and _rank(tone) > _rank(state.tone) else ""


def _rank(tone: str) -> int:
    return TONES.index(tone) if tone in TONES else 0
