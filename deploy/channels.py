"""Hosting of channels: every adapter, built-in or foreign, comes in by its entry point and is run the same way."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from bus.adapter.contract import ChannelAdapter, ChannelPlugin, Services
from bus.adapter.follow import follow_replies
from bus.adapter.hosting import Intake
from bus.adapter.prompt_store import PromptStore, deadline_of
from bus.delivery.sender import Sender
from bus.delivery.sending_settings import SendingSettings
from bus.errors import ConfigurationError
from deploy.core import Core

__all__ = ["GROUP", "HostedChannel", "host", "load_plugin", "plugin_config"]

GROUP = "contactbus.adapters"


@dataclass
class HostedChannel:
    """A running channel: its adapter, the accepting side and the worker that sends its replies."""

    plugin: ChannelPlugin
    config: Any
    adapter: ChannelAdapter
    intake: Intake
    sender: Sender

    async def close(self) -> None:
        """Release what the adapter and its normalising processes hold."""
        await self.adapter.close()
        await self.intake.close()


def load_plugin(name: str) -> ChannelPlugin:
    """The plugin that registered under a channel's name. Raises ConfigurationError naming those that did."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise ConfigurationError(f"no channel is called {name!r}; installed are {', '.join(sorted(found)) or 'none'}")
    plugin = found[name].load()
    if not isinstance(plugin, ChannelPlugin):
        raise ConfigurationError(f"the entry point {name!r} of {GROUP} is no ChannelPlugin")
    return plugin


def plugin_config(core_layers: Any, plugin: ChannelPlugin) -> Any:
    """The channel's section, `[adapters.<name>]`."""
    return core_layers.section(f"adapters.{plugin.manifest.name}", plugin.config_type)


def host(core: Core, names: Sequence[str], options: dict[str, Any]) -> list[HostedChannel]:
    """Build channels; nothing runs yet."""
    return [_host(core, load_plugin(name), options) for name in names]


def _host(core: Core, plugin: ChannelPlugin, options: dict[str, Any]) -> HostedChannel:
    name = plugin.manifest.name
    config = plugin_config(core.layers, plugin)
    intake = Intake(
        plugin,
        config,
        log_port=core.door,
        blobs=core.blobs,
        clock=core.clock,
        metrics=core.metrics,
        data_dir=core.data_dir,
        children=core.settings.normalising_processes,
    )

    def background(part_name: str, work: Awaitable[None]) -> None:
        async def once() -> None:
            await work

        # An awaitable can be awaited once only, so such a part is reported when it fails, not started again.
        core.supervisor.run(f"{name}: {part_name}", once, restart=False)

    services = Services(
        clock=core.clock,
        store=PromptStore(core.engine, deadline_of(plugin.manifest.kind)),
        blobs=core.blobs,
        signer=core.signer,
        data_dir=core.data_dir,
        public_url=core.public_url,
        tenant=core.settings.tenant,
        accept=intake.accept,
        status=intake.report_status,
        background=background,
        local=core.opened.local,
        follow=lambda: follow_replies(core.engine, name),
        hours=core.pack.policy.service.hours,
        bus_away=core.opened.bus_away,
        options=options,
    )
    adapter = plugin.create(config, services)
    sender = Sender(
        adapter,
        store=core.engine,
        clock=core.clock,
        metrics=core.metrics,
        in_doubt_s=core.settings.in_doubt_s,
        settings=core.layers.section("sending", SendingSettings),
        quiet=core.pack.policy.sales.quiet(),
    )
    return HostedChannel(plugin=plugin, config=config, adapter=adapter, intake=intake, sender=sender)
