"""Web chat: a socket that resumes, a widget without a build step, and the protocol between them (README.md)."""

from typing import Any

from adapters.chat.config import ChatConfig
from adapters.chat.normalise import MANIFEST, normalise, raw_from_file
from bus.adapter.contract import ChannelAdapter, ChannelPlugin, Services

__all__ = ["plugin"]


def _create(config: Any, services: Services) -> ChannelAdapter:
    # Imported here: naming the plugin must not load the web server's side.
    from adapters.chat.adapter import ChatAdapter

    return ChatAdapter(config, services)


plugin = ChannelPlugin(
    manifest=MANIFEST, config_type=ChatConfig, normalise=normalise, create=_create, raw_from_file=raw_from_file
)
