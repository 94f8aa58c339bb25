"""Topic declarations: what exists, how it is partitioned, kept and hurried.

Names are nouns of the house; the tenant travels in key and header. Work topics have two lanes, `live` for people who
are waiting on a line or in a chat window, `deferred` for mail and post, so that a backlog of letters never stands in
front of a caller.
"""

import msgspec

__all__ = [
    "CASE_LOG",
    "CASE_OFFERS",
    "CASE_TIMER",
    "CONTACT_IDENTIFIED",
    "CONTACT_RECEIVED",
    "DEPARTMENTS",
    "LIVE_CHANNELS",
    "REPLY_STATUS",
    "Topic",
    "is_declared",
    "lane_of",
    "reply_topic",
    "topic",
    "work_topic",
]


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A declared topic.

    Every record of every topic is durable before whoever appends it is told so (docs/adr/0009).
    `lane`: live or deferred. `keep_days`: retention; the log is a way, not an archive. `alike`: its records only say
    that it is time to look, so the decision of one holds for all of its key that were waiting when it was begun.
    """

    name: str
    partitions: int = 8
    lane: str = "deferred"
    keep_days: int = 7
    alike: bool = False


CONTACT_RECEIVED = "contact.received"
CONTACT_IDENTIFIED = "contact.identified"
REPLY_STATUS = "reply.status"
CASE_TIMER = "case.timer"
CASE_LOG = "case.log"
CASE_OFFERS = "case.offers"

LIVE_CHANNELS = frozenset({"phone", "chat", "counter"})
DEPARTMENTS = ("billing", "returns", "sales", "support", "desk")

_CONTACTS_KEPT_DAYS = 28
"""How long contacts lie on the log: four weeks to list and replay them, and no longer, because a log is no archive."""

_FIXED = {
    CONTACT_RECEIVED: Topic(name=CONTACT_RECEIVED, keep_days=_CONTACTS_KEPT_DAYS),
    **{name: Topic(name=name) for name in (CONTACT_IDENTIFIED, REPLY_STATUS, CASE_TIMER, CASE_LOG)},
    CASE_OFFERS: Topic(name=CASE_OFFERS, alike=True),
}


def lane_of(channel: str, kind: str = "") -> str:
    """live for channels on which somebody waits this moment, else deferred. `kind` is the adapter manifest's."""
    return "live" if channel in LIVE_CHANNELS or kind.startswith("live") else "deferred"


def work_topic(department: str, lane: str) -> str:
    """`work.<department>.<lane>`."""
    return f"work.{department}.{lane}"


def reply_topic(channel: str) -> str:
    """`reply.<channel>`."""
    return f"reply.{channel}"


def topic(name: str) -> Topic:
    """The declaration of a topic. Work and reply topics follow their pattern, so a new channel declares itself."""
    # Dead letters and topics of tests: same defaults.
    return _declaration(name) or Topic(name=name)


def is_declared(name: str) -> bool:
    """Whether a topic is one of the house: among the topics of a cluster that others use too, ours are told by it."""
    return _declaration(name) is not None


def _declaration(name: str) -> Topic | None:
    fixed = _FIXED.get(name)
    if fixed is not None:
        return fixed
    if name.startswith("work.") and name.endswith((".live", ".deferred")):
        return Topic(name=name, lane=name.rsplit(".", 1)[1])
    if name.startswith("reply."):
        return Topic(name=name, lane=lane_of(name.split(".", 1)[1]))
    return None
