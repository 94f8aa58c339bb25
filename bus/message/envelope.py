"""CloudEvents attributes beside the record, never inside it (CloudEvents Kafka binding 3.1, binary mode)."""

import hashlib
from datetime import datetime

__all__ = ["envelope", "traceparent_of"]


def traceparent_of(*parts: str) -> str:
    """The W3C trace context of something that begins here, derived as ids are: received twice, it is one trace."""
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=24).hexdigest()
    return f"00-{digest[:32]}-{digest[32:]}-01"


def envelope(
    *,
    record_id: str,
    kind: str,
    source: str,
    tenant: str,
    at: datetime,
    subject: str = "",
    key_id: str = "",
    deadline: datetime | None = None,
    traceparent: str = "",
) -> dict[str, str]:
    """Headers of a record. `kind` is the record's type (contact, work, reply, status, timer, case-event).

    `key_id` names the encryption key of the person's texts; it travels from the first day on, because it cannot be
    added to records that were already written. `traceparent` is that of what the record follows from; one that follows
    from nothing, at the door or at its time, begins a trace (`traceparent_of`), and the runner hands it on.
    """
    headers = {
        "ce_specversion": "1.0",
        "ce_id": record_id,
        "ce_type": f"contactbus.{kind}.v1",
        "ce_source": source,
        "ce_time": at.isoformat().replace("+00:00", "Z"),
        "content-type": "application/json",
        "tenant": tenant,
        "key-id": key_id or tenant,
    }
    if subject:
        headers["ce_subject"] = subject
    if deadline is not None:
        headers["deadline"] = deadline.isoformat().replace("+00:00", "Z")
    if traceparent:
        headers["traceparent"] = traceparent
    return headers
