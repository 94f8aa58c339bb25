"""What follows when nobody knows whether a reply went out: the channel's rule, and nothing else, decides.

One place for both ways of getting there: an adapter that cannot tell, and an attempt that was cut off. The rule is the
manifest's `resolve_unknown`.
"""

from datetime import datetime, timedelta
from typing import Literal

from bus.adapter.contract import Manifest
from bus.delivery.ledger import doubt
from bus.delivery.outcome import Outcome, SetTimer
from bus.log.port import Record
from bus.log.topics import REPLY_STATUS, reply_topic
from bus.message import Reply, Status, encode, envelope
from bus.store.port import Row

__all__ = ["IN_DOUBT_S", "NOT_KNOWN", "again", "in_doubt", "rest_s", "status_record"]

IN_DOUBT_S = 900.0
"""An attempt in doubt rests so long before it is repeated under the same id: a mail host's queue has spoken by then."""

NOT_KNOWN = "it is not known whether the reply arrived"
"""Why a reply in doubt counts as failed: the only failure after which it may have arrived all the same."""

_ASK_AGAIN_S = 5.0
"""Before a channel that knows the reply again is asked again: time for a process to come back."""

_DOUBTS = {"idempotent": 5, "resend-same-id": 2, "person": 1}
"""Doubts after which a person decides. A lost reply is worse than a twin, a third twin is worse than both; a channel
that makes no twins is asked a few times, because each of them may be the process going down again."""


def rest_s(manifest: Manifest, in_doubt_s: float) -> float:
    """Seconds between a doubt and the next attempt."""
    return in_doubt_s if manifest.resolve_unknown == "resend-same-id" else _ASK_AGAIN_S


def in_doubt(
    reply: Reply,
    row: Row,
    manifest: Manifest,
    now: datetime,
    *,
    why: Literal["answered", "interrupted"],
    reason: str,
    in_doubt_s: float,
) -> Outcome:
    """The outcome of an attempt (`row` is in `sending`) of which the end is not known.

    `answered`: the adapter itself says that it cannot tell; `interrupted`: it was cut off, or raised.
    """
    rule = manifest.resolve_unknown
    by_person = row["doubts"] + 1 >= _DOUBTS[rule] or (rule == "idempotent" and why == "answered")
    if by_person:
        write = doubt(reply.id, row["attempt"], "failed", now, reason=reason)
        status = Status(
            reply=reply.id, tenant=reply.tenant, case=reply.case, channel=reply.channel, state="failed", at=now,
            reason=NOT_KNOWN, permanent=True,
        )  # fmt: skip
        return Outcome(writes=(write,), emit=(status_record(status),))
    write = doubt(reply.id, row["attempt"], "unknown", now, reason=reason)
    return Outcome(writes=(write,), timers=(again(reply, now, rest_s(manifest, in_doubt_s)),))


def again(reply: Reply, now: datetime, after_s: float) -> SetTimer:
    """Look at a reply again after so many seconds. One reply has one such timer."""
    return SetTimer(
        id=f"send-{reply.id}",
        due=now + timedelta(seconds=after_s),
        topic=reply_topic(reply.channel),
        key=reply.case,
        kind="reply",
        value=encode(reply),
        tenant=reply.tenant,
    )


def status_record(status: Status) -> Record:
    """The record of a status on `reply.status`, in the lane of its case."""
    record_id = f"{status.reply}/{status.state}"
    return Record(
        topic=REPLY_STATUS,
        key=status.case,
        value=encode(status),
        id=record_id,
        headers=envelope(
            record_id=record_id, kind="status", source=f"channel/{status.channel}", tenant=status.tenant, at=status.at
        ),
    )
