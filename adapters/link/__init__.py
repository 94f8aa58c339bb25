"""The confirmation link: the smallest channel, a page with one button."""

from typing import Any

from adapters.link.normalise import MANIFEST, LinkConfig, normalise, raw_from_file
from bus.adapter.contract import ChannelAdapter, ChannelPlugin, Services

__all__ = ["plugin"]


def _create(config: Any, services: Services) -> ChannelAdapter:
    # Imported here: naming the plugin must not load the web server's side.
    from adapters.link.adapter import LinkAdapter

    return LinkAdapter(services)


plugin = ChannelPlugin(
    manifest=MANIFEST, config_type=LinkConfig, normalise=normalise, create=_create, raw_from_file=raw_from_file
)
