"""What a hosted channel is given of the house."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bus.adapter.contract import ChannelPlugin, Services
from deploy import channels
from deploy.core import open_core
from deploy.settings import ProductSettings, load


async def test_times_that_a_channel_names_are_counted_in_the_hours_of_the_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Services] = {}
    load_plugin = channels.load_plugin

    def noting(name: str) -> ChannelPlugin:
        plugin = load_plugin(name)

        def create(config: Any, services: Services) -> Any:
            given[name] = services
            return plugin.create(config, services)

        return replace(plugin, create=create)

    monkeypatch.setattr(channels, "load_plugin", noting)
    core = await open_core(load(None, {}, {}), ProductSettings(data=str(tmp_path)), public_url="http://127.0.0.1")
    channels.host(core, ("chat", "phone"), {"languages": core.pack.languages})
    hours = core.pack.policy.service.hours
    assert {name: services.hours for name, services in given.items()} == {"chat": hours, "phone": hours}
    await core.close()
