"""Whether somebody may be contacted: one pure function over what the consent ledger knows.

Answers to what a customer asks are always allowed. Everything that begins with us has a purpose with rules of its own:

    purpose     needs consent                       ends with "stop"    hours and days of rest
    marketing   yes                                 yes                 yes
    callback    no, it was asked for                yes                 yes
    survey      no, it ends the customer's matter   yes                 no
    any other   as marketing

The law behind it: section 7 UWG (Germany: advertising by telephone and electronic mail only after express consent),
markedsføringsloven section 15 (Norway: the same for electronic mail, text and calls by machine), the Privacy and
Electronic Communications Regulations 2003, regulations 19 to 22 (United Kingdom). All three let consent be withdrawn
at any time; none asks for a form in which that is said.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta

import msgspec

from bus.calendar import is_public_holiday, zone_of

__all__ = [
    "CALLBACK",
    "EVERYTHING",
    "MARKETING",
    "SERVICE",
    "SURVEY",
    "Entry",
    "QuietHours",
    "Verdict",
    "country_of",
    "may_contact",
]

SERVICE = "service"
MARKETING = "marketing"
SURVEY = "survey"
CALLBACK = "callback"
EVERYTHING = ""
"""The purpose of a "stop": all but answers."""

_LOOK_AHEAD_DAYS = 31
"""No country rests for a month."""

_IN_WRITING_ON_PAPER = frozenset({"post"})
"""A letter wakes nobody."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the ledger. An empty `purpose` or `channel` means all of them; `expires_at` None: never."""

    purpose: str
    channel: str
    given: bool
    at: datetime
    expires_at: datetime | None = None
    evidence: str = ""


class QuietHours(msgspec.Struct, frozen=True, kw_only=True):
    """When nobody is disturbed, by the clock of the addressee: before `earliest_hour`, from `latest_hour` on, and on
    Sundays and public holidays when `rest_days`.

    9 to 20 lies within what Norway allows for selling by telephone (working days from 9 to 21) and what courts and
    regulators elsewhere take for decent.
    """

    earliest_hour: int = 9
    latest_hour: int = 20
    rest_days: bool = True


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`reason` of a refusal: withdrawn, expired, no consent. With `not_before` it is permitted from then on, if nothing
    is said until then."""

    permitted: bool
    reason: str = ""
    not_before: datetime | None = None


class _Rule(msgspec.Struct, frozen=True, kw_only=True):
    needs_consent: bool
    quiet: bool


_STRICT = _Rule(needs_consent=True, quiet=True)
_RULES = {
    MARKETING: _STRICT,
    CALLBACK: _Rule(needs_consent=False, quiet=True),
    SURVEY: _Rule(needs_consent=False, quiet=False),
}


def may_contact(
    entries: Iterable[Entry],
    purpose: str,
    channel: str,
    when: datetime,
    quiet: QuietHours,
    country: str,
    is_holiday: Callable[[date, str], bool] = is_public_holiday,
) -> Verdict:
    """Whether a person may be contacted for a purpose on a channel at an aware moment.

    `entries` is all that the ledger knows of the person; `country` (ISO 3166) is the addressee's. The newest entry for
    the purpose and the channel decides; of two at the same moment the withdrawal. What was withdrawn counts at once,
    also when the clock of another host is ahead of ours.
    """
    if purpose == SERVICE:
        return Verdict(permitted=True)
    rule = _RULES.get(purpose, _STRICT)
    meant = [
        entry
        for entry in entries
        if entry.purpose in (purpose, EVERYTHING)
        and entry.channel in (channel, "")
        # A withdrawal for a time is over after it; consent that ran out is still the newest word, and said so.
        and (entry.given or entry.expires_at is None or entry.expires_at > when)
    ]
    newest = max(meant, key=lambda entry: (entry.at, not entry.given), default=None)
    if newest is not None and not newest.given:
        return Verdict(permitted=False, reason="withdrawn")
    if rule.needs_consent:
        if newest is None:
            return Verdict(permitted=False, reason="no consent")
        if all(e.expires_at is not None and e.expires_at <= when for e in _given_since_withdrawn(meant)):
            return Verdict(permitted=False, reason="expired")
    if not rule.quiet or channel in _IN_WRITING_ON_PAPER:
        return Verdict(permitted=True)
    moment = _awake(when, quiet, country, is_holiday)
    return Verdict(permitted=moment <= when, not_before=moment if moment > when else None)


def _given_since_withdrawn(meant: Iterable[Entry]) -> list[Entry]:
    """Consent that was given after the last withdrawal."""
    ordered = sorted(meant, key=lambda entry: (entry.at, not entry.given))
    last = max((place for place, entry in enumerate(ordered) if not entry.given), default=-1)
    return ordered[last + 1 :]


def _awake(when: datetime, quiet: QuietHours, country: str, is_holiday: Callable[[date, str], bool]) -> datetime:
    """`when` itself if nobody is disturbed by then, else the next moment at which nobody is."""
    zone = zone_of(country)
    local = when.astimezone(zone)
    for ahead in range(_LOOK_AHEAD_DAYS):
        day = local.date() + timedelta(days=ahead)
        if quiet.rest_days and (day.weekday() == 6 or is_holiday(day, country)):
            continue
        opens = datetime.combine(day, time(quiet.earliest_hour), zone)
        if ahead or local < opens:
            return opens.astimezone(when.tzinfo)
        if local.hour < quiet.latest_hour:
            return when
    raise ValueError("quiet hours: nobody may be contacted within a month")


_CALLING_CODES = {"+49": "DE", "+43": "AT", "+47": "NO", "+44": "GB"}


def country_of(country: str, address: str) -> str:
    """The addressee's country as far as it is known: as given, else by the calling code of a number, else unknown."""
    return country or next((name for code, name in _CALLING_CODES.items() if address.startswith(code)), "")
