"""What the bus does for every adapter: raw store, normalising, redaction, deduplication and the durable yes."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog

from bus import faultpoints
from bus.adapter.contract import Acceptance, ChannelPlugin, Normalised, Raw
from bus.adapter.redaction import redact
from bus.adapter.sandbox import Sandbox, SandboxFailure
from bus.clock import Clock
from bus.delivery.doubt import status_record
from bus.errors import Overloaded, StorageFull
from bus.log.embedded_append import MAX_RECORD_BYTES
from bus.log.port import Record
from bus.log.topics import CONTACT_RECEIVED
from bus.message import BlobRef, Contact, Party, Quality, Status, derive_id, encode, envelope
from bus.message.envelope import traceparent_of
from bus.store.blobs import Blobs, digest_of
from bus.telemetry import Metrics

__all__ = ["Door", "Intake", "contact_record"]

log = structlog.get_logger()

DISK_FLOOR_BYTES = 512 * 1024 * 1024
"""Below this much free space nothing new is accepted: what was accepted still has to be worked on and answered."""

_MAX_WAITING = 256
"""Contacts of one channel being accepted at once; more is refused with "later" rather than kept in memory."""


class Door(Protocol):
    """Where contacts become durable before the channel says yes: the log itself, or a spool in front of it."""

    async def append(self, records: Sequence[Record], *, once: bool = False) -> Sequence[int | None]:
        """As `bus.log.port.Log.append`."""
        ...


class Intake:
    """The accepting side of one channel."""

    def __init__(
        self,
        plugin: ChannelPlugin,
        config: Any,
        *,
        log_port: Door,
        blobs: Blobs,
        clock: Clock,
        metrics: Metrics,
        data_dir: Path,
        free_bytes: Callable[[Path], int] | None = None,
        children: int = 1,
    ) -> None:
        self._plugin = plugin
        self._config = config
        self._log = log_port
        self._blobs = blobs
        self._clock = clock
        self._metrics = metrics
        self._data_dir = data_dir
        self._free_bytes = free_bytes or _free_bytes
        self._sandbox = Sandbox(plugin, config, children=children) if plugin.manifest.normalise_in_process else None
        self._waiting = 0

    async def accept(self, raw: Raw) -> Acceptance:
        """Make a contact durable; the adapter says yes only after this returns.

        Input that cannot be normalised is accepted all the same, as a contact of quality `unreadable` for a person.
        Raises Overloaded or StorageFull: the sender shall come back.
        """
        manifest = self._plugin.manifest
        if self._waiting >= _MAX_WAITING:
            self._metrics.contacts_refused.labels(manifest.name, "overloaded").inc()
            raise Overloaded(f"{self._waiting} contacts are being accepted already")
        if self._free_bytes(self._data_dir) < DISK_FLOOR_BYTES:
            self._metrics.contacts_refused.labels(manifest.name, "disk").inc()
            raise StorageFull("free disk space is below the floor")
        self._waiting += 1
        try:
            return await self._accept(raw)
        finally:
            self._waiting -= 1

    async def _accept(self, raw: Raw) -> Acceptance:
        manifest = self._plugin.manifest
        faultpoints.reached("accept.begun", manifest.name)
        reference = None
        if manifest.keep_raw:
            digest = await self._blobs.put(raw.data)
            reference = BlobRef(digest=digest, media_type=raw.media_type, size=len(raw.data))
        normalised = await self._normalise(raw)
        for data in normalised.blobs.values():
            await self._blobs.put(data)
        faultpoints.reached("accept.stored", manifest.name)
        contact = msgspec.structs.replace(normalised.contact, raw=reference or normalised.contact.raw)
        contact = _redacted(_within(contact, manifest.max_text_characters))
        record = contact_record(contact)
        if len(record.value) > MAX_RECORD_BYTES:
            # No log carries it, so its sender would be told "later" for ever: a person gets the raw object.
            bare = (await self._unreadable(raw, "size")).contact
            contact = _redacted(msgspec.structs.replace(bare, raw=contact.raw))
            record = contact_record(contact)
        (offset,) = await self._log.append([record], once=True)
        faultpoints.reached("accept.durable", manifest.name)
        duplicate = offset is None
        self._metrics.contacts_accepted.labels(contact.tenant, contact.channel, str(duplicate).lower()).inc()
        log.info(
            "contact accepted",
            channel=contact.channel,
            contact=contact.id,
            state=contact.quality.status,
            reason="duplicate" if duplicate else "new",
        )
        return Acceptance(contact=contact.id, duplicate=duplicate, quality=contact.quality)

    async def _normalise(self, raw: Raw) -> Normalised:
        try:
            if self._sandbox is not None:
                return await self._sandbox.normalise(raw)
            return self._plugin.normalise(raw, self._config)
        except SandboxFailure as failure:
            log.warning("input could not be normalised", channel=self._plugin.manifest.name, reason=failure.reason)
            return await self._unreadable(raw, failure.reason)
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            log.warning("input could not be normalised", channel=self._plugin.manifest.name, exc_info=error)
            return await self._unreadable(raw, "crash")

    async def _unreadable(self, raw: Raw, reason: str) -> Normalised:
        # In a thread: what took a limited process too long must not hold up everybody else here.
        return Normalised(contact=await asyncio.to_thread(unreadable, self._plugin, self._config, raw, reason))

    async def warm(self) -> None:
        """Start what the first contact would otherwise wait for."""
        if self._sandbox is not None:
            await self._sandbox.warm()

    async def report_status(self, status: Status) -> None:
        """Append what a channel learnt about a reply later."""
        await self._log.append([status_record(status)], once=True)
        faultpoints.reached("status.durable", status.channel)

    async def close(self) -> None:
        """End the processes."""
        if self._sandbox is not None:
            await self._sandbox.close()


_REASONS = {
    "size": "larger than what can be carried, the whole is kept",
    "time": "took longer to read than the limit allows",
    "memory": "needed more memory to read than the limit allows",
}


def unreadable(plugin: ChannelPlugin, config: Any, raw: Raw, reason: str) -> Contact:
    """A contact without its content: a person looks at the raw object, and its sender is answered all the same, unless
    the outline (where the channel gives one) says that a machine wrote it. Never raises."""
    channel = plugin.manifest.name
    quality = Quality(status="unreadable", reasons=(_REASONS.get(reason, "could not be read"),))
    if plugin.outline is not None:
        try:
            return msgspec.structs.replace(plugin.outline(raw, config), quality=quality)
        except Exception as error:
            # The input has broken one reader already; that it breaks this one, too, must not cost the contact.
            log.warning("input has no outline", channel=channel, exc_info=error)
    return Contact(
        id=derive_id("c", raw.tenant, channel, "unreadable", digest_of(raw.data)),
        tenant=raw.tenant,
        channel=channel,
        account=raw.account,
        sender=Party(kind=channel, address=str(raw.native.get("mail_from") or raw.native.get("from") or "unknown")),
        case_token=str(raw.native.get("case_token") or ""),
        # An envelope without a sender: a bounce or an automatic answer, whatever else it is.
        automatic=raw.native.get("mail_from") == "",
        occurred_at=raw.received_at,
        received_at=raw.received_at,
        quality=quality,
    )


def contact_record(contact: Contact) -> Record:
    """The record of a contact on `contact.received`; contacts of one conversation share a lane."""
    thread = contact.case_token or contact.conversation or contact.sender.address
    return Record(
        topic=CONTACT_RECEIVED,
        key=f"{contact.tenant}/{contact.channel}/{thread}",
        value=encode(contact),
        id=contact.id,
        headers={
            **envelope(
                record_id=contact.id,
                kind="contact",
                source=f"channel/{contact.channel}/{contact.account}",
                tenant=contact.tenant,
                at=contact.received_at,
                deadline=contact.deadline,
                traceparent=traceparent_of("contact", contact.id),
            ),
            "contact-at": contact.received_at.isoformat(),
        },
    )


def _within(contact: Contact, limit: int) -> Contact:
    """The contact with no more text than its channel announces: adapters of others may forget."""
    if len(contact.text) <= limit:
        return contact
    quality = msgspec.structs.replace(
        contact.quality,
        status="degraded" if contact.quality.status == "ok" else contact.quality.status,
        reasons=(*contact.quality.reasons, "the text was cut"),
    )
    ranges = tuple(
        msgspec.structs.replace(span, end=min(span.end, limit)) for span in contact.ranges if span.start < limit
    )
    return msgspec.structs.replace(contact, text=contact.text[:limit], ranges=ranges, quality=quality)


def _redacted(contact: Contact) -> Contact:
    text, found = redact(contact.text)
    subject, found_in_subject = redact(contact.subject)
    if not found and not found_in_subject:
        return contact
    return msgspec.structs.replace(contact, text=text, subject=subject)


def _free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
