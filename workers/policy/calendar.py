"""Days that count: working days per country."""

from datetime import date, datetime, timedelta

from bus.calendar import is_public_holiday, zone_of

__all__ = ["add_days", "add_working_days", "end_of_day", "is_working_day", "next_working_day"]


def is_working_day(day: date, country: str) -> bool:
    """Monday to Friday and no public holiday (in Regulation 1182/71 Saturdays are none either)."""
    return day.weekday() < 5 and not is_public_holiday(day, country)


def next_working_day(moment: datetime, country: str) -> datetime:
    """The moment itself on a working day, else the same hour of the next one: a period ends on no day of rest."""
    while not is_working_day(moment.astimezone(zone_of(country)).date(), country):
        moment = add_days(moment, 1, country)
    return moment


def add_days(moment: datetime, days: int, country: str) -> datetime:
    """The same hour that many days later by the country's clock. A day of 23 or 25 hours leads to no other day."""
    local = moment.astimezone(zone_of(country)) + timedelta(days=days)
    return local.astimezone(moment.tzinfo)


def add_working_days(moment: datetime, days: int, country: str) -> datetime:
    """The same hour that many working days later."""
    for _ in range(days):
        moment = next_working_day(add_days(moment, 1, country), country)
    return moment


def end_of_day(moment: datetime, country: str) -> datetime:
    """The last second of the day: periods in days end with the day (Regulation 1182/71 Art. 3)."""
    local = moment.astimezone(zone_of(country))
    return local.replace(hour=23, minute=59, second=59, microsecond=0).astimezone(moment.tzinfo)
