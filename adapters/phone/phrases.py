"""The line's own words, from `phrases.toml`: typed, checked when loaded, picked by pure functions."""

import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from adapters.phone.languages import LANGUAGES
from bus.opening_hours import OpeningHours, add_open_time

__all__ = ["Key", "Phrases", "callback_due", "load_phrases", "spoken_number", "spoken_when", "with_number"]

_ZONE = "Europe/Berlin"
"""Where nobody has said when people work, times are told as most of our callers read them."""

QUEUE_REASONS = ("asked", "handover", "slow", "unheard", "overloaded", "trouble")
"""Why somebody waits for a person. Each has its honest words."""


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key of the menu: what is said about it, and what pressing it says to us."""

    key: str
    prompt: str
    means: str


class Phrases(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One language. Fields are the names in `phrases.toml`."""

    company: str
    greeting: str
    not_understood: str
    again: str
    menu: str
    menu_person: str
    fillers: tuple[str, ...]
    connecting: str
    slow: str
    unheard: str
    overloaded: str
    direct: str
    trouble: str
    hold: tuple[str, ...]
    choices: str
    choices_without_number: str
    meanwhile: str
    callback: str
    callback_failed: str
    bridge: str
    bridge_dials: str
    bridge_ends: str
    bridge_missed: str
    too_long: str
    voicemail: str
    voicemail_empty: str
    voicemail_thanks: str
    goodbye: str
    given_up: str
    fallback: str
    when_today: str
    when_tomorrow: str
    when_day: str
    days: tuple[str, ...]
    hints: str
    reason: dict[str, str]
    keys: tuple[Key, ...]

    def __post_init__(self) -> None:
        missing = [name for name in QUEUE_REASONS if name not in self.reason]
        if missing or not self.fillers or not self.hold or len(self.days) != 7:
            raise ValueError(f"phrases: reasons {missing} missing, or no fillers, hold lines or seven days")
        if "{reason}" not in "".join(self.hold) or not all("{reason}" in line for line in self.hold):
            raise ValueError("phrases: every hold line needs its {reason}")
        if "{number}" not in self.direct:
            raise ValueError("phrases: direct needs its {number}")

    def greeting_of(self, company: str) -> str:
        """The first words: that a machine speaks, and how to reach a person."""
        return self.greeting.format(company=company or self.company)

    def filler(self, number: int) -> str:
        """The words for the `number`th pause of a turn, from 1."""
        return self.fillers[(number - 1) % len(self.fillers)]

    def announcement(self, cycle: int, reason: str, *, can_call_back: bool) -> str:
        """What a waiting caller hears in the `cycle`th announcement, from 1: apology, reason, ways out."""
        apology = self.hold[(cycle - 1) % len(self.hold)].format(reason=self.reason[reason])
        choices = self.choices if can_call_back else self.choices_without_number
        words = f"{apology} {choices}"
        return f"{self.connecting} {words}" if cycle == 1 and reason == "asked" else words

    def keys_menu(self) -> str:
        """The menu for callers who cannot be heard."""
        return " ".join((self.menu, *(key.prompt for key in self.keys), self.menu_person))

    def meaning_of(self, digit: str) -> str:
        """What a key of the menu says, or nothing."""
        return next((key.means for key in self.keys if key.key == digit), "")


@cache
def load_phrases() -> Mapping[str, Phrases]:
    """All languages. Raises msgspec.ValidationError naming what is wrong in the file."""
    data = tomllib.loads(Path(__file__).with_name("phrases.toml").read_text("utf-8"))
    return {language: msgspec.convert(data[language], Phrases) for language in LANGUAGES}


def spoken_number(number: str) -> str:
    """A telephone number digit by digit, in groups that an ear can keep: `plus 4 9, 3 0 5, 5 5 0, 1 0 1`."""
    digits = number.lstrip("+")
    groups = [digits[:2], *(digits[start : start + 3] for start in range(2, len(digits), 3))]
    if len(groups) > 2 and len(groups[-1]) == 1:
        groups[-2:] = [groups[-2] + groups[-1]]
    return ("plus " if number.startswith("+") else "") + ", ".join(" ".join(group) for group in groups)


def with_number(words: str, phrases: Phrases, hotline: str) -> str:
    """The words, and the number under which a person can be reached, where there is one."""
    return f"{words} {phrases.direct.format(number=spoken_number(hotline))}" if hotline else words


def callback_due(now: datetime, within: timedelta, hours: OpeningHours | None) -> datetime:
    """Until when a call-back asked for at `now` is promised: after `within` of open time, rounded up to a quarter.

    Without `hours` people call at any time.
    """
    return _to_quarter(now + within if hours is None else add_open_time(hours, now, within))


def spoken_when(due: datetime, now: datetime, hours: OpeningHours | None, language: str) -> str:
    """`due` in words of the caller's language and the company's zone: "heute bis 16 Uhr 30"."""
    phrases = load_phrases()[language]
    zone = ZoneInfo(_ZONE if hours is None else hours.zone)
    local, today = due.astimezone(zone), now.astimezone(zone).date()
    time = _spoken_time(local, language)
    if local.date() == today:
        return phrases.when_today.format(time=time)
    if local.date() == today + timedelta(days=1):
        return phrases.when_tomorrow.format(time=time)
    return phrases.when_day.format(day=phrases.days[local.weekday()], time=time)


def _spoken_time(local: datetime, language: str) -> str:
    if language == "de":
        return f"{local.hour} Uhr {local.minute}" if local.minute else f"{local.hour} Uhr"
    if language == "nb":
        return f"{local.hour}.{local.minute:02d}"
    hour = local.hour % 12 or 12
    half = "a.m." if local.hour < 12 else "p.m."
    return f"{hour}:{local.minute:02d} {half}" if local.minute else f"{hour} {half}"


def _to_quarter(moment: datetime) -> datetime:
    rest = timedelta(minutes=moment.minute % 15, seconds=moment.second, microseconds=moment.microsecond)
    return moment - rest + timedelta(minutes=15) if rest else moment
