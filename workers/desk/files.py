"""Keeps, for each case, the list of files that came with its contacts: the original mail, the scan, the attachments.

The log forgets after days; people need the letter as long as the case is there.
"""

from collections.abc import Sequence

from bus.clock import to_micros
from bus.delivery.outcome import NOTHING, Outcome, Write
from bus.log.port import StoredRecord
from bus.log.topics import CONTACT_IDENTIFIED
from bus.message import Contact, decode
from workers.case.work import Identified
from workers.desk.schema import INSERT_FILE

__all__ = ["FileKeeper"]


class FileKeeper:
    """Worker: one row per original and attachment of a contact, under the case that intake found."""

    group = "desk-files"
    topics: Sequence[str] = (CONTACT_IDENTIFIED,)

    async def prepare(self, batch: Sequence[StoredRecord]) -> None:
        """Nothing to load."""

    async def handle(self, record: StoredRecord) -> Outcome:
        """The rows of one contact; none when nothing came with it. Raises PoisonError."""
        identified = decode(record.value, Identified)
        rows = tuple(
            Write(statement=INSERT_FILE, params={"case_id": identified.case, **row})
            for row in _rows(identified.contact)
        )
        return Outcome(writes=rows) if rows else NOTHING


def _rows(contact: Contact) -> list[dict[str, object]]:
    common = {"tenant": contact.tenant, "contact": contact.id, "at": to_micros(contact.received_at)}
    rows: list[dict[str, object]] = [
        {
            **common,
            "digest": part.digest,
            "role": "attachment",
            "name": part.name,
            "media_type": part.media_type,
            "size": part.size,
        }
        for part in contact.attachments
    ]
    if contact.raw is not None and contact.raw.digest not in {part.digest for part in contact.attachments}:
        raw = contact.raw
        named = {"role": "raw", "name": "", "media_type": raw.media_type, "size": raw.size}
        rows.append({**common, "digest": raw.digest, **named})
    return rows
