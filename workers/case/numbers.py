"""Case numbers: twelve digits and a check, derived from the case, and free."""

from collections.abc import Awaitable, Callable

from sqlalchemy import bindparam, select

from bus.message import derive_number
from bus.store.port import Store
from workers.case.schema import cases

__all__ = ["free_number", "number_of", "taken_in"]

ATTEMPTS = 8
"""12 digits give one number to two of a million cases now and then: then the next one is taken."""

_number = select(cases.c.number).where(
    cases.c.tenant == bindparam("tenant"), cases.c.number == bindparam("number")
)  # fmt: skip


def number_of(tenant: str, case_id: str, attempt: int = 0) -> str:
    """The number that a case has unless it is taken; the next one to try for each further `attempt`."""
    return derive_number(tenant, case_id, str(attempt))


async def free_number(tenant: str, case_id: str, taken: Callable[[str], Awaitable[bool]]) -> str:
    """The first number of a case that is not `taken`. That it is still free is guarded when the case is written."""
    for attempt in range(ATTEMPTS):
        number = number_of(tenant, case_id, attempt)
        if not await taken(number):
            return number
    return number_of(tenant, case_id, ATTEMPTS)


def taken_in(store: Store, tenant: str) -> Callable[[str], Awaitable[bool]]:
    """Asks the store."""

    async def taken(number: str) -> bool:
        return await store.one(_number, {"tenant": tenant, "number": number}) is not None

    return taken
