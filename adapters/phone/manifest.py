"""What the phone channel is and can; light to import."""

from bus.adapter.contract import Manifest

__all__ = ["MANIFEST"]

MANIFEST = Manifest(
    name="phone",
    kind="live-media",
    identity_kinds=("phone",),
    capabilities=("keys", "handover", "callback", "voicemail", "delivery-status"),
    max_text_characters=4_000,
    max_raw_bytes=64 * 1024,
    # The form lies in `Contact.native`; as a blob it would keep what redaction takes out.
    keep_raw=False,
    # A call keeps the ids of what it was given to say.
    resolve_unknown="idempotent",
    replies_per_minute=60_000,
)
