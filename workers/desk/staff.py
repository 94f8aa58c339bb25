"""Who works here: names, role, languages, departments, skills with levels, and how much at once.

The link that signs somebody in names the person; what he or she may do follows from the row of that name. It is short
and never changes, for it stands in timelines and ledgers; what colleagues and customers read is the display name. A
company that has entered nobody yet is one person: whoever can start the product may do everything.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from sqlalchemy import bindparam, select

from bus.clock import Clock, to_micros
from bus.delivery.outcome import Outcome, Write
from bus.errors import Conflict
from bus.message import decode
from bus.store.port import Effect, Row, Store
from workers.case.changes import Draft
from workers.case.commands import SHARED_DESK
from workers.case.events import Assigned
from workers.case.model import CLOSED, CaseState
from workers.case.praise import Colleague
from workers.case.schema import cases
from workers.desk import roles
from workers.desk.offer_schema import ALL_STAFF, KEEP_STAFF, ONE_STAFF, REMOVE_STAFF

__all__ = ["MOST_SKILL", "People", "Staff", "colleague_of", "staff_of"]

MOST_SKILL = 3
"""Levels of a skill: 1 can help, 2 knows it well, 3 teaches the others. More grades nobody keeps up to date."""

ATTEMPTS = 8
"""A case changes a few times a second at most; more rounds than that mean something is wrong."""

_IN_HAND = select(cases.c.snapshot).where(
    cases.c.tenant == bindparam("tenant"), cases.c.assignee == bindparam("name"), cases.c.status != CLOSED
)

_Level = Annotated[int, msgspec.Meta(ge=1, le=MOST_SKILL)]
_Name = Annotated[str, msgspec.Meta(pattern=r"^[^\W_](?:[^\W_]|-){0,63}$")]
_DisplayName = Annotated[str, msgspec.Meta(pattern=r"^$|^[^\W\d_](?:[\w .,'’-]{0,78}[\w.])?$")]
"""As it is written: Jürgen Müller, Anne-Lise O'Brien, Dr. Øyvind Åsen jr."""
_Phone = Annotated[str, msgspec.Meta(pattern=r"^$|^\+[0-9]{6,15}$")]


class Staff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who works here.

    `name` signs in; `display_name` is what people read, `name` itself when it is empty (`shown`). `languages` and
    `departments` empty mean all of them. `skills`: family of a request (the part of an issue's label before the point)
    to level. `chats` and `mails` are how many of them one can have in hand at once: two chats leave
    no customer waiting a minute while the other is answered, and a pile of mails in one hand is work that nobody else
    sees. `phone` (E.164) is dialled first in a call-back.
    """

    name: _Name
    display_name: _DisplayName = ""
    role: str = roles.REPRESENTATIVE
    mail: str = ""
    phone: _Phone = ""
    languages: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()
    skills: dict[str, _Level] = {}
    chats: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2
    mails: Annotated[int, msgspec.Meta(ge=0, le=50)] = 3

    def __post_init__(self) -> None:
        if self.role not in roles.ROLES:
            raise ValueError(f"role: {self.role!r} is none of {', '.join(roles.ROLES)}")

    @property
    def shown(self) -> str:
        """What colleagues and customers read."""
        return self.display_name or self.name


class People:
    """The list of those who work here, of any tenant."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def all(self, tenant: str) -> Sequence[Staff]:
        """Everybody who works here now, by name."""
        return [staff_of(row) for row in await self._store.all(ALL_STAFF, {"tenant": tenant}) if not row["removed"]]

    async def shown(self, tenant: str) -> Mapping[str, str]:
        """What people read, by name; also of those who have left, whose words stay."""
        staff = map(staff_of, await self._store.all(ALL_STAFF, {"tenant": tenant}))
        return {one.name: one.shown for one in staff}

    async def one(self, tenant: str, name: str) -> Staff | None:
        """Somebody who works here now."""
        row = await self._store.one(ONE_STAFF, {"tenant": tenant, "name": name})
        return None if row is None or row["removed"] else staff_of(row)

    async def keep(self, tenant: str, staff: Staff) -> None:
        """Enter somebody, or change what is known of a name; who had left is back."""
        write = Write(
            statement=KEEP_STAFF,
            params={
                "tenant": tenant, "name": staff.name, "display_name": staff.display_name, "role": staff.role,
                "mail": staff.mail, "phone": staff.phone,
                "languages": _json(staff.languages), "departments": _json(staff.departments),
                "skills": _json(staff.skills), "chats": staff.chats, "mails": staff.mails, "removed": 0,
                "changed": to_micros(self._clock.now()),
            },
        )  # fmt: skip
        await self._store.apply([Effect(outcome=Outcome(writes=(write,)))])

    async def remove(self, tenant: str, name: str) -> bool:
        """Somebody has left: open sessions end with the next request, and the cases that he or she had are everybody's
        again. False when nobody of that name works here. Raises Conflict when those change too fast: ask again."""
        params = {"b_tenant": tenant, "b_name": name, "b_at": to_micros(self._clock.now())}
        write = Write(statement=REMOVE_STAFF, params=params, expect=1)
        (result,) = await self._store.apply([Effect(outcome=Outcome(writes=(write,)))])
        for _ in range(ATTEMPTS):
            if await self._let_go(tenant, name):
                return result.applied
        raise Conflict("the cases of somebody who has left change faster than they can be given back")

    async def _let_go(self, tenant: str, name: str) -> bool:
        """Give the cases of somebody back to all. False when some of them changed meanwhile."""
        rows = await self._store.all(_IN_HAND, {"tenant": tenant, "name": name})
        effects: list[Effect] = []
        for row in rows:
            draft = Draft(decode(row["snapshot"].encode(), CaseState), self._clock.now())
            draft.tell(Assigned(at=draft.now, to=""))
            effects.append(Effect(outcome=draft.outcome()))
        return all(result.applied for result in await self._store.apply(effects)) if effects else True

    async def role(self, tenant: str, name: str) -> str:
        """The role of whoever is signed in under a name; empty for somebody who may do nothing (any more)."""
        row = await self._store.one(ONE_STAFF, {"tenant": tenant, "name": name})
        if row is not None:
            return "" if row["removed"] else str(row["role"])
        if name == SHARED_DESK:
            return roles.MANAGER
        anybody = await self._store.one(ALL_STAFF, {"tenant": tenant})
        return roles.MANAGER if anybody is None else ""


def staff_of(row: Row) -> Staff:
    """A row of `desk_staff`."""
    return Staff(
        name=row["name"], display_name=row["display_name"], role=row["role"], mail=row["mail"], phone=row["phone"],
        languages=tuple(msgspec.json.decode(row["languages"])),
        departments=tuple(msgspec.json.decode(row["departments"])),
        skills=msgspec.json.decode(row["skills"]), chats=row["chats"], mails=row["mails"],
    )  # fmt: skip


def colleague_of(staff: Staff) -> Colleague:
    """What praise needs to know of somebody."""
    return Colleague(name=staff.name, shown=staff.shown, mail=staff.mail, role=staff.role)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
