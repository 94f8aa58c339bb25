"""Tables of people and their work: who works here, who is there now, and what is offered to whom.

Times are microseconds since 1970; 0 means never. Lists are JSON.
"""

from sqlalchemy import BigInteger, Column, Index, Table, Text, and_, bindparam, insert, select, update

from bus.store.schema import metadata
from bus.store.sql import insert_ignore, upsert

__all__ = [
    "ADD_OFFER",
    "ADD_ROSTER",
    "ALL_ROSTER",
    "ALL_STAFF",
    "BEAT",
    "KEEP_STAFF",
    "MOVE_OFFER",
    "MOVE_ROSTER",
    "ONE_OFFER",
    "ONE_ROSTER",
    "ONE_STAFF",
    "OPEN_OFFERS",
    "REMOVE_STAFF",
    "desk_offer",
    "desk_roster",
    "desk_staff",
]


def _text(name: str, *, primary_key: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=primary_key, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


desk_staff = Table(
    "desk_staff",
    metadata,
    _text("tenant", primary_key=True),
    _text("name", primary_key=True),
    _text("display_name"),
    _text("role"),
    _text("mail"),
    _text("phone"),
    _text("languages"),
    _text("departments"),
    _text("skills"),
    _number("chats"),
    _number("mails"),
    _number("removed"),
    _number("changed"),
)
"""Who works here (`workers.desk.roster.Staff`). A row stays when somebody leaves (`removed`): a name that was given
away never opens the desk again by an old link."""

desk_roster = Table(
    "desk_roster",
    metadata,
    _text("tenant", primary_key=True),
    _text("name", primary_key=True),
    _number("version"),
    _text("state"),
    _text("reason"),
    _number("since"),
    _number("until"),
    _text("case_id"),
    _number("seen"),
)
"""Who is there now. `seen` is the last heartbeat of an open desk page, `case_id` the case of a wrap-up. Heartbeats
leave `version` alone, so that they disturb nobody's decision."""

desk_offer = Table(
    "desk_offer",
    metadata,
    _text("tenant", primary_key=True),
    _text("case_id", primary_key=True),
    _number("version"),
    _text("state"),
    _text("person"),
    _text("lane"),
    _number("at"),
    _number("expires"),
    _text("declined"),
    Index("ix_desk_offer_tenant_state", "tenant", "state"),
)
"""One row per case, so a case cannot be offered twice at once. `state`: offered, taken (a live conversation that may
end in a wrap-up), free. `declined`: who did not want it, and when (JSON)."""

ALL_STAFF = select(desk_staff).where(desk_staff.c.tenant == bindparam("tenant")).order_by(desk_staff.c.name)
ONE_STAFF = select(desk_staff).where(desk_staff.c.tenant == bindparam("tenant"), desk_staff.c.name == bindparam("name"))
KEEP_STAFF = upsert(desk_staff, ["tenant", "name"])
REMOVE_STAFF = (
    update(desk_staff)
    .where(
        desk_staff.c.tenant == bindparam("b_tenant"),
        desk_staff.c.name == bindparam("b_name"),
        desk_staff.c.removed == 0,
    )
    .values(removed=bindparam("b_at"))
)

_THIS_ROSTER = and_(desk_roster.c.tenant == bindparam("b_tenant"), desk_roster.c.name == bindparam("b_name"))
ALL_ROSTER = select(desk_roster).where(desk_roster.c.tenant == bindparam("tenant"))
ONE_ROSTER = ALL_ROSTER.where(desk_roster.c.name == bindparam("name"))
ADD_ROSTER = insert_ignore(desk_roster, ["tenant", "name"])
MOVE_ROSTER = (
    update(desk_roster)
    .where(_THIS_ROSTER, desk_roster.c.version == bindparam("b_version"))
    .values(
        version=desk_roster.c.version + 1, state=bindparam("b_state"), reason=bindparam("b_reason"),
        since=bindparam("b_since"), until=bindparam("b_until"), case_id=bindparam("b_case"),
    )
)  # fmt: skip
BEAT = update(desk_roster).where(_THIS_ROSTER).values(seen=bindparam("b_seen"))

OPEN_OFFERS = select(desk_offer).where(desk_offer.c.tenant == bindparam("tenant"), desk_offer.c.state != "free")
ONE_OFFER = select(desk_offer).where(
    desk_offer.c.tenant == bindparam("tenant"), desk_offer.c.case_id == bindparam("case_id")
)
ADD_OFFER = insert(desk_offer)
MOVE_OFFER = (
    update(desk_offer)
    .where(
        desk_offer.c.tenant == bindparam("b_tenant"),
        desk_offer.c.case_id == bindparam("b_case"),
        desk_offer.c.version == bindparam("b_version"),
    )
    .values(
        version=desk_offer.c.version + 1, state=bindparam("b_state"), person=bindparam("b_person"),
        lane=bindparam("b_lane"), at=bindparam("b_at"), expires=bindparam("b_expires"),
        declined=bindparam("b_declined"),
    )
)  # fmt: skip
