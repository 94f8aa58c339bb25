"""Acknowledgements to writers who have proven nothing, counted so that two machines never answer each other for ever.

The rule is the bus's one loop guard; this asks it before such a reply leaves a turn. A case that gets none lies at the
desk with its promise all the same.
"""

from datetime import timedelta

import structlog
from sqlalchemy import bindparam, exists, update

from bus.adapter.acknowledging import (
    Acknowledgement,
    acknowledged,
    acknowledgement_keys,
    acknowledgements,
    history,
    may_acknowledge,
)
from bus.clock import from_micros, to_micros
from bus.delivery.outcome import Write
from workers.dialogue.turn import Turn

__all__ = ["keep_from_looping"]

log = structlog.get_logger()

_REMEMBERED = timedelta(hours=24)
"""What the rule looks back on."""

_other = acknowledgements.alias("other")
_only_one = (
    update(acknowledgements)
    .where(
        acknowledgements.c.tenant == bindparam("b_tenant"),
        acknowledgements.c.case_id == bindparam("b_case"),
        ~exists().where(
            _other.c.tenant == bindparam("b_tenant"),
            _other.c.domain_key == bindparam("b_domain"),
            _other.c.address_key == bindparam("b_address"),
            _other.c.case_id != bindparam("b_case"),
            _other.c.at > bindparam("b_since"),
        ),
    )
    .values(at=bindparam("b_at"))
)
"""Touches the new row only where no other case has acknowledged to the address: cases are worked on side by side, and
of thirty that were decided at once one may answer."""


async def keep_from_looping(turn: Turn) -> None:
    """Count the acknowledgement that this turn is about to give, or take it back."""
    if not turn.acknowledges or turn.route is None:
        return
    address, case = turn.route.address.address, turn.state.id
    address_key, domain_key = acknowledgement_keys(address)
    since = to_micros(turn.now - _REMEMBERED)
    rows = await turn.house.store.all(
        history, {"tenant": turn.tenant, "case_id": case, "domain_key": domain_key, "since": since}
    )
    past = [
        Acknowledgement(
            case=row["case_id"], address_key=row["address_key"], domain_key=row["domain_key"], at=from_micros(row["at"])
        )
        for row in rows
    ]
    why_not = may_acknowledge(past, turn.now, case=case, address=address)
    if why_not:
        if why_not == "breaker":
            log.warning("acknowledgements to one domain have been stopped for an hour", domain=domain_key, case=case)
        turn.be_silent()
        return
    turn.draft.writes.append(acknowledged(turn.tenant, case, address, turn.now))
    guard = {
        "b_tenant": turn.tenant, "b_case": case, "b_domain": domain_key, "b_address": address_key, "b_since": since,
        "b_at": to_micros(turn.now),
    }  # fmt: skip
    turn.draft.writes.append(Write(statement=_only_one, params=guard, expect=1))
