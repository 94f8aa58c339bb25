"""Calls through Twilio Voice: callers are heard, answered, and never left in silence."""

from typing import Any

from adapters.phone.config import PhoneConfig
from adapters.phone.manifest import MANIFEST
from adapters.phone.normalise import normalise, raw_from_file
from bus.adapter.contract import ChannelAdapter, ChannelPlugin, Services

__all__ = ["PhoneConfig", "plugin"]


def _create(config: Any, services: Services) -> ChannelAdapter:
    from adapters.phone.adapter import PhoneAdapter

    return PhoneAdapter(config, services)


plugin = ChannelPlugin(
    manifest=MANIFEST,
    config_type=PhoneConfig,
    normalise=normalise,
    create=_create,
    raw_from_file=raw_from_file,
)
