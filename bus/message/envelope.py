"""CloudEvents attributes beside the record, never inside it (CloudEvents Kafka binding 3.1, binary mode)."""

from datetime import datetime

__all__ = ["envelope"]


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
    added to records that were already written.
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
