"""Records as they lie on Kafka, and progress as it lies in a commit.

The record's id travels as `ce_id`, as the house's envelope has it, or in a header of its own where it differs. The
partition is computed here and given to the client, whose own hash is the same and ten times slower.
"""

import binascii
from base64 import b64decode, b64encode
from typing import Any

import msgspec
import structlog

from bus.errors import PermanentError
from bus.log.embedded_append import MAX_RECORD_BYTES
from bus.log.port import Record, StoredRecord
from bus.log.progress import Standing

__all__ = ["METADATA_BYTES", "Wire", "metadata_of", "standing_of", "stored", "wire"]

log = structlog.get_logger()

METADATA_BYTES = 4_096
"""What a broker takes beside a committed offset, by default (`offset.metadata.max.bytes`)."""

_ID = "record-id"
_ENVELOPE_ID = "ce_id"

Wire = tuple[bytes, bytes, list[tuple[str, bytes]]]
"""Key, value and headers as the client sends them."""


def wire(record: Record) -> Wire:
    """A record made ready to be sent. Raises PermanentError for one that no log could carry."""
    if type(record.value) is not bytes or len(record.value) > MAX_RECORD_BYTES:
        raise PermanentError(f"the value of record {record.id!r} must be bytes, at most {MAX_RECORD_BYTES}")
    try:
        headers = [(name, value.encode()) for name, value in record.headers.items()]
        if record.headers.get(_ENVELOPE_ID) != record.id:
            headers.append((_ID, record.id.encode()))
        return record.key.encode(), record.value, headers
    except (UnicodeEncodeError, AttributeError) as error:
        raise PermanentError(f"record {record.id!r} cannot be written: {type(error).__name__}") from error


def stored(message: Any, topic: str, generation: int) -> StoredRecord:
    """A record as the client read it. Whoever wrote it: what is no text is read as far as it is."""
    try:
        headers: dict[str, str] = {name: value.decode() for name, value in message.headers}
    except (UnicodeDecodeError, AttributeError):
        headers = {name: value.decode("utf-8", "replace") if value else "" for name, value in message.headers}
    record_id = headers.pop(_ID, None)
    if record_id is None and (record_id := headers.get(_ENVELOPE_ID)) is None:
        record_id = f"{topic}/{message.partition}/{message.offset}"
    return StoredRecord(
        topic=topic,
        partition=message.partition,
        offset=message.offset,
        at=message.timestamp * 1000,
        key=message.key.decode("utf-8", "replace") if message.key else "",
        value=message.value or b"",
        id=record_id,
        headers=headers,
        generation=generation,
    )


def metadata_of(standing: Standing) -> tuple[int, str]:
    """Offset and metadata of a commit. What does not fit is called unfinished: the inbox knows better."""
    while True:
        text = b64encode(standing.pack()).decode("ascii")
        if len(text) <= METADATA_BYTES:
            return standing.next_offset, text
        standing = standing.first(len(standing.unfinished) // 2)


def standing_of(offset: int, metadata: str | None) -> Standing:
    """From a commit. A negative offset is none; metadata of another program says nothing."""
    if offset < 0:
        return Standing(0)
    try:
        return Standing.of(offset, b64decode(metadata or "", validate=True))
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        log.warning("metadata of a commit is not ours", offset=offset)
        return Standing(offset)
