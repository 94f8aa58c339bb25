"""The figures of `policy.toml`: what the company allows beyond what the law demands.

Money is a table of currency to minor units, so that a limit is never converted by guess. Days are calendar days unless
the name says working days.
"""

from typing import Annotated, Literal

import msgspec

from bus.delivery.consent import QuietHours
from bus.opening_hours import OpeningHours

__all__ = [
    "Defects",
    "Goodwill",
    "Money",
    "Policy",
    "Proof",
    "Protection",
    "Refunds",
    "Returns",
    "Sales",
    "Satisfaction",
    "Service",
    "ServicePromise",
]

Money = dict[str, int]
"""Currency (ISO 4217) to minor units."""


class Returns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Return and exchange.

    `withdrawal_days` is the law's (Directive 2011/83/EU Art. 9: 14 days from possession), `window_days` the
    company's own; the longer one counts. `send_back_days`: the customer's time to send the goods (Art. 14).
    `refund_days`: the company's time to pay (Art. 13). `excluded_categories` cannot be returned once opened.
    """

    withdrawal_days: int
    window_days: int
    exchange_days: int
    exchanges_per_item: int
    send_back_days: int
    refund_days: int
    shipping_free: bool
    excluded_categories: tuple[str, ...]


class Refunds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Refunds of wrong charges. Above `software_limit` a person decides.

    `price_match_tolerance`: a difference of more than this many percent of the shelf price goes to a person.
    """

    software_limit: Money
    price_difference_limit: Money
    price_match_tolerance: int
    arrives_working_days: int


class Goodwill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be given on top, without a duty: per case, and per person and year.

    `by_role`: what a person at the desk may approve per case, by role (`workers.desk.roles`), whatever share of the
    order it is and whatever software gave before that year.
    """

    ceiling: Money
    ceiling_year: Money
    percent_of_order: int
    by_role: dict[str, Money] = {}


class Defects(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Faulty goods. Periods in days by country (ISO 3166) with `default`.

    `durable_categories` are meant to last much longer: there Norway counts `durable_guarantee_days`
    (forbrukerkjøpsloven section 27). Within `presumed_days` the fault counts as there from the start.
    """

    guarantee_days: dict[str, int]
    durable_guarantee_days: dict[str, int]
    durable_categories: tuple[str, ...]
    presumed_days: dict[str, int]
    repair_working_days: int
    replacement_working_days: int
    replace_instead_of_repair_below: Money


class Proof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The confirmation through the address on file: how long link and code hold, and how many tries a code has."""

    link_hours: int
    letter_days: int
    code_minutes: int
    code_tries: int


class Sales(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Outbound: at most `messages_per_month` to one person, only between these hours of the customer's day, and with
    `rest_days` not on Sundays and public holidays. The hours hold for call-backs too.
    """

    messages_per_month: int
    earliest_hour: Annotated[int, msgspec.Meta(ge=0, le=23)]
    latest_hour: Annotated[int, msgspec.Meta(ge=1, le=24)]
    rest_days: bool
    offer_valid_days: int

    def __post_init__(self) -> None:
        if self.earliest_hour >= self.latest_hour:
            raise ValueError("sales: earliest_hour is not before latest_hour")

    def quiet(self) -> QuietHours:
        """When nobody is contacted who did not ask for it."""
        return QuietHours(earliest_hour=self.earliest_hour, latest_hour=self.latest_hour, rest_days=self.rest_days)


class ServicePromise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How soon a contact through a channel is answered for the first time and settled, in time while people work."""

    first_answer_minutes: int
    resolution_hours: int

    def __post_init__(self) -> None:
        if not 0 < self.first_answer_minutes <= self.resolution_hours * 60:
            raise ValueError("service.promises: first_answer_minutes is more than 0 and not above resolution_hours")


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Promises about time: until a person answers per lane, the notice before a case is closed, parcels.

    What a person shall do is counted in `hours`, the time while people of the company work. From the tone
    `supervisor_at` on a supervisor is called at once; else when a customer's tone has risen twice. `promises` by
    channel, with `default` for every other. `again_open_hours` is the new time that is named with the apology for a
    broken promise.
    """

    hours: OpeningHours
    person_minutes_live: int
    person_open_hours_deferred: int
    supervisor_at: Literal["upset", "angry", "abusive"]
    closing_notice_days: int
    callback_open_hours: int
    delivery_working_days: dict[str, int]
    missing_after_working_days: int
    again_open_hours: int
    promises: dict[str, ServicePromise]

    def __post_init__(self) -> None:
        if "default" not in self.promises:
            raise ValueError("service.promises: there is no default for channels without figures of their own")

    def promise_of(self, channel: str) -> ServicePromise:
        """What is promised to those who use a channel."""
        return self.promises.get(channel, self.promises["default"])


class Protection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`break_minutes`: the rest that is offered to whoever had to end an abusive conversation. `ready_after_break`:
    with the end of a break, offers come again by themselves; else only when the person says to be ready.
    """

    break_minutes: Annotated[int, msgspec.Meta(ge=5, le=120)]
    ready_after_break: bool = False


class Satisfaction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`channels` on which a customer is asked at the end; none: nobody is asked. A number that comes within
    `answer_days` is the answer. A score of at most `follow_up_at` has a person follow it up.
    """

    channels: tuple[Literal["email", "chat", "phone", "post"], ...]
    answer_days: Annotated[int, msgspec.Meta(ge=1, le=90)]
    follow_up_at: Annotated[int, msgspec.Meta(ge=0, le=4)]


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`policy.toml`, every section needed."""

    returns: Returns
    refunds: Refunds
    goodwill: Goodwill
    defects: Defects
    proof: Proof
    sales: Sales
    service: Service
    protection: Protection
    satisfaction: Satisfaction
