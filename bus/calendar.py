"""Days and hours where somebody lives: the zone of a country and its public holidays."""

from datetime import date
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

__all__ = ["is_public_holiday", "zone_of"]

_ELSEWHERE = "DE"
"""Whose days count for a country that the house does not serve."""

_ZONES = {
    "DE": ZoneInfo("Europe/Berlin"), "AT": ZoneInfo("Europe/Vienna"), "NO": ZoneInfo("Europe/Oslo"),
    "GB": ZoneInfo("Europe/London"),
}  # fmt: skip


def zone_of(country: str) -> ZoneInfo:
    """The zone of a country (ISO 3166)."""
    return _ZONES.get(country, _ZONES[_ELSEWHERE])


def is_public_holiday(day: date, country: str) -> bool:
    """Whether the whole country rests; holidays of single states are not counted."""
    return day in _holidays(country if country in _ZONES else _ELSEWHERE)


@cache
def _holidays(country: str) -> Any:
    # Costs 50 ms to import; needed only when a day is promised or advertising is to be sent.
    import holidays

    return holidays.country_holidays(country, subdiv="ENG" if country == "GB" else None)
