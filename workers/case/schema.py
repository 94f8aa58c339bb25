"""Tables of cases, of the people behind them, and of the proof they gave.

`cases` is the snapshot of the newest state with the columns that queues sort by; `case_event` is the timeline. Times
are microseconds since 1970; 0 means never.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, text

from bus.store.schema import metadata

__all__ = [
    "case_event", "cases", "challenge", "contact_case", "identity", "person", "person_change", "thread",
]  # fmt: skip


def _text(name: str, *, primary_key: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=primary_key, nullable=False)


def _number(name: str, *, primary_key: bool = False) -> Column[int]:
    return Column(name, BigInteger, primary_key=primary_key, nullable=False, autoincrement=False)


cases = Table(
    "cases",
    metadata,
    _text("tenant", primary_key=True),
    _text("id", primary_key=True),
    _text("number"),
    _number("version"),
    _text("status"),
    _text("department"),
    _text("language"),
    _text("channel"),
    _text("person"),
    _text("assignee"),
    _text("tone"),
    _text("subject"),
    Column("urgency", Integer, nullable=False),
    _number("due"),
    _number("created"),
    _number("updated"),
    Column("callback", Integer, nullable=False),
    _text("snapshot"),
    Index("uq_cases_tenant_number", "tenant", "number", unique=True),
    Index("ix_cases_tenant_status", "tenant", "status", "due"),
    Index("ix_cases_tenant_person", "tenant", "person"),
    Index(
        "ix_cases_tenant_callback", "tenant", sqlite_where=text("callback = 1"), postgresql_where=text("callback = 1")
    ),
)
"""`snapshot` is `CaseState` as JSON. `due` is the earliest open promise. `callback`: 1 while somebody waits to be
called back; few do, and only those are in its index, so that every contact can ask."""

case_event = Table(
    "case_event",
    metadata,
    _text("tenant", primary_key=True),
    _text("case_id", primary_key=True),
    _number("seq", primary_key=True),
    _number("at"),
    _text("kind"),
    _text("actor"),
    _text("data"),
    _text("chain"),
    Index("ix_case_event_tenant_kind", "tenant", "kind", "at"),
)
"""The timeline. `data` is the event as JSON, `kind` its tag. Reports ask what happened in a span of time: the index
grows at its ends only, so it costs a timeline little."""

contact_case = Table(
    "contact_case",
    metadata,
    _text("tenant", primary_key=True),
    _text("contact", primary_key=True),
    _number("matter", primary_key=True),
    _text("case_id"),
    _text("channel"),
    _number("at"),
    Index("ix_contact_case_case_id", "tenant", "case_id"),
)
"""Which cases a contact belongs to: `matter` 0 is the one that intake linked it to, each further matter of it has
a case of its own."""

thread = Table(
    "thread",
    metadata,
    _text("tenant", primary_key=True),
    _text("channel", primary_key=True),
    _text("conversation", primary_key=True),
    _text("case_id"),
    _text("sender"),
    _number("updated"),
)
"""The channel's own thread and the case it led to. `sender` is the identity that began it (`kind:address`)."""

person = Table(
    "person",
    metadata,
    _text("tenant", primary_key=True),
    _text("id", primary_key=True),
    _text("name"),
    _text("language"),
    _text("customer"),
    _text("merged_into"),
    _number("created"),
    Index("ix_person_tenant_merged_into", "tenant", "merged_into"),
)
"""Somebody who wrote or called. `customer` is the customer record when it was taken over from there. `merged_into` is
the person that this one turned out to be, empty for one who stands alone (`workers.case.merging`)."""

person_change = Table(
    "person_change",
    metadata,
    _text("tenant", primary_key=True),
    _text("id", primary_key=True),
    _number("at"),
    _text("kind"),
    _text("person"),
    _text("into"),
    _text("actor"),
    _text("reason"),
    _text("moved"),
    Index("ix_person_change_tenant_person", "tenant", "person"),
    Index("ix_person_change_tenant_into", "tenant", "into"),
)
"""The ledger of people: rows are only added. `kind` is merged or split (`person` went `into` another one or came out of
it again) or vouched (staff saw to an identity of `person`); `moved` is `workers.case.merging.Moved` as JSON."""

identity = Table(
    "identity",
    metadata,
    _text("tenant", primary_key=True),
    _text("kind", primary_key=True),
    _text("address", primary_key=True),
    _text("person"),
    _number("on_file"),
    _number("proven"),
    _text("level"),
    _number("level_at"),
    _number("created"),
    Index("ix_identity_tenant_person", "tenant", "person"),
)
"""Addresses of a person, normalised (`workers.case.people`). `on_file`: 1 when it stands in the customer record;
`proven`: when somebody last proved to have it. `level` is the best that is known of it (`workers.case.identities`) and
`level_at` since when."""

challenge = Table(
    "challenge",
    metadata,
    _text("tenant", primary_key=True),
    _text("id", primary_key=True),
    _text("case_id"),
    _text("customer"),
    _text("identity"),
    _text("by"),
    _number("tries"),
    _number("used"),
    _number("created"),
    _number("code_expires"),
    _number("link_expires"),
    Index("ix_challenge_tenant_customer", "tenant", "customer", "created"),
)
"""A confirmation that was asked for. `identity` is the writer it proves; `by` is link or code. The code itself is
derived from the signing key and stored nowhere."""
