"""The workers of the house by group name, and how each is built."""

from collections.abc import Callable, Sequence
from typing import Any

from bus.delivery.worker import Worker
from bus.log.topics import (
    CASE_OFFERS,
    CASE_TIMER,
    CONTACT_IDENTIFIED,
    CONTACT_RECEIVED,
    DEPARTMENTS,
    REPLY_STATUS,
    reply_topic,
    work_topic,
)
from deploy.core import Core

__all__ = ["GROUPS", "build", "topics_by_group"]


def _intake(core: Core) -> Worker:
    from workers.intake.worker import IntakeWorker

    return IntakeWorker(store=core.engine, clock=core.clock)


def _triage(core: Core) -> Worker:
    from workers.triage.worker import TriageWorker

    return TriageWorker(store=core.engine, clock=core.clock, pack=core.pack, data_dir=core.data_dir)


def _case(core: Core) -> Worker:
    from workers.case.worker import CaseWorker

    return CaseWorker(store=core.engine, clock=core.clock, pack=core.pack, metrics=core.metrics)


def _billing(core: Core) -> Worker:
    from workers.billing.worker import BillingWorker

    return BillingWorker(signer=core.signer, public_url=core.public_url, **_department(core))


def _returns(core: Core) -> Worker:
    from workers.returns.worker import ReturnsWorker

    return ReturnsWorker(signer=core.signer, public_url=core.public_url, **_department(core))


def _sales(core: Core) -> Worker:
    from workers.sales.worker import SalesWorker

    return SalesWorker(signer=core.signer, public_url=core.public_url, **_department(core))


def _support(core: Core) -> Worker:
    from workers.support.worker import SupportWorker

    return SupportWorker(signer=core.signer, public_url=core.public_url, **_department(core))


def _desk(core: Core) -> Worker:
    from workers.desk.worker import DeskWorker

    return DeskWorker(**_department(core))


def _department(core: Core) -> dict[str, Any]:
    """What every department is given."""
    from workers.case.praise import Colleague
    from workers.desk.staff import People, colleague_of

    people = People(store=core.engine, clock=core.clock)

    async def colleagues(tenant: str) -> Sequence[Colleague]:
        return [colleague_of(staff) for staff in await people.all(tenant)]

    return {
        "store": core.engine, "clock": core.clock, "pack": core.pack, "metrics": core.metrics,
        "colleagues": colleagues,
    }  # fmt: skip


def _offers(core: Core) -> Worker:
    from workers.desk.offering import OfferWorker

    ready = core.pack.policy.protection.ready_after_break
    return OfferWorker(store=core.engine, clock=core.clock, ready_after_break=ready)


def _files(core: Core) -> Worker:
    from workers.desk.files import FileKeeper

    return FileKeeper()


GROUPS: dict[str, Callable[[Core], Worker]] = {
    "intake": _intake,
    "triage": _triage,
    "case": _case,
    "billing": _billing,
    "returns": _returns,
    "sales": _sales,
    "support": _support,
    "desk": _desk,
    "desk-files": _files,
    "offers": _offers,
}
"""In the order of a contact's way."""


def build(core: Core, group: str) -> Worker:
    """A worker by its group's name. Raises KeyError."""
    return GROUPS[group](core)


def topics_by_group(channels: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Every consumer group of a house with these channels and what it reads, without building a worker: some of them
    learn when they are built.
    """
    read = {
        "intake": (CONTACT_RECEIVED,),
        "triage": (CONTACT_IDENTIFIED,),
        "case": (REPLY_STATUS, CASE_TIMER),
        **{name: (work_topic(name, "live"), work_topic(name, "deferred")) for name in DEPARTMENTS},
        "desk-files": (CONTACT_IDENTIFIED,),
        "offers": (CASE_OFFERS,),
    }
    return {name: read[name] for name in GROUPS} | {f"send-{name}": (reply_topic(name),) for name in channels}
