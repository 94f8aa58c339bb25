"""The e-mail channel: mail in by SMTP, replies out through a relay.

Kept light: the parser, the SMTP server and the sender are imported when they are first used.
"""

from typing import TYPE_CHECKING

from adapters.email.config import EmailConfig
from bus.adapter.contract import ChannelAdapter, ChannelPlugin, Manifest, Normalised, Raw, Services
from bus.message import Contact

if TYPE_CHECKING:
    from adapters.email.adapter import EmailAdapter

__all__ = ["EmailConfig", "create_email", "normalise_email", "plugin", "raw_from_file"]

MANIFEST = Manifest(
    name="email",
    kind="deferred",
    identity_kinds=("email",),
    capabilities=("attachments", "html", "subject", "threading", "delivery-status"),
    max_text_characters=100_000,
    max_raw_bytes=26_214_400,
    normalise_in_process=True,
    normalise_seconds=5.0,
    normalise_megabytes=512,
    keep_raw=True,
    # The Message-ID is derived from the reply's id: a mailbox or a relay that looks at it knows the twin.
    resolve_unknown="resend-same-id",
    # A relay beside us takes more than a thousand a second; whoever writes faster than this is a fault, not a day.
    replies_per_minute=6_000,
)


def normalise_email(raw: Raw, config: EmailConfig) -> Normalised:
    """See `adapters.email.normalise.normalise_mail`."""
    from adapters.email.normalise import normalise_mail

    return normalise_mail(raw, config)


def outline_email(raw: Raw, config: EmailConfig) -> Contact:
    """See `adapters.email.normalise.outline_mail`."""
    from adapters.email.normalise import outline_mail

    return outline_mail(raw, config)


def create_email(config: EmailConfig, services: Services) -> "EmailAdapter":
    """A running adapter for one mailbox."""
    from adapters.email.adapter import EmailAdapter

    return EmailAdapter(config, services, MANIFEST)


def raw_from_file(data: bytes, name: str, config: EmailConfig) -> Raw:
    """See `adapters.email.normalise.raw_from_file`."""
    from adapters.email import normalise

    return normalise.raw_from_file(data, name, config)


def _create(config: EmailConfig, services: Services) -> ChannelAdapter:
    return create_email(config, services)


plugin = ChannelPlugin(
    manifest=MANIFEST,
    config_type=EmailConfig,
    normalise=normalise_email,
    create=_create,
    raw_from_file=raw_from_file,
    outline=outline_email,
)
