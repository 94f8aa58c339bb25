"""A pressed button becomes a contact. Pure."""

from datetime import UTC, datetime

import msgspec

from bus.adapter.contract import Manifest, Normalised, Raw
from bus.message import Contact, Party, Proof, Quality, derive_id

__all__ = ["MANIFEST", "LinkConfig", "normalise", "raw_from_file"]

MANIFEST = Manifest(
    name="link",
    kind="deferred",
    identity_kinds=("link",),
    max_text_characters=0,
    max_raw_bytes=4_096,
    keep_raw=False,
    resolve_unknown="idempotent",
)


class LinkConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The link has no settings of its own; its address is the server's."""


def normalise(raw: Raw, config: LinkConfig) -> Normalised:
    """`<challenge>~<case>~...`, whose signature the adapter has checked, as the confirmation of that challenge.

    The same challenge confirmed again is the same contact. That it is used once and in time is for who made it.
    """
    challenge, case, *_ = (*raw.data.decode("utf-8", "replace").split("~"), "")
    return Normalised(
        contact=Contact(
            id=derive_id("c", raw.tenant, "link", challenge),
            tenant=raw.tenant,
            channel="link",
            account=raw.account,
            conversation=challenge,
            case_token=case,
            sender=Party(kind="link", address=challenge or "unknown"),
            proof=Proof(level="confirmed", by="link") if case else Proof(),
            quality=Quality() if case else Quality(status="unreadable", reasons=("not a confirmation",)),
            language=str(raw.native.get("lang", "")),
            occurred_at=raw.received_at,
            received_at=raw.received_at,
            native={"request": "confirm", "challenge": challenge} if case else {},
        )
    )


def raw_from_file(data: bytes, name: str, config: LinkConfig) -> Raw:
    """A file cannot carry our signature, so what it confirms is nothing: its contact is marked unreadable."""
    return Raw(
        tenant="shop",
        account="link",
        media_type="text/plain",
        data=data.partition(b"~")[0],
        received_at=datetime(1970, 1, 1, tzinfo=UTC),
    )
