"""`contactbus up` and its smaller siblings: build a process, say that it is ready, serve until told to stop."""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from bus.config import Layered
from bus.delivery.worker import Worker
from bus.errors import ConfigurationError
from bus.http import HttpServer
from bus.telemetry import Metrics, configure_logging
from deploy.channels import HostedChannel, host, load_plugin, plugin_config
from deploy.core import Core, open_core
from deploy.dead_letter_case import desk_case
from deploy.departments import GROUPS, build
from deploy.groups import InLanes, Share
from deploy.process import Process
from deploy.settings import HttpSettings, ProductSettings
from deploy.stopping import Stop
from workers.packs import load

__all__ = ["Ready", "run_part", "run_up"]

_READY_S = 60.0
"""How long the doors may take to open; the model is trained on the first start."""


_QUICK_S = 3.0
"""A model that was trained before is loaded by then."""


class Ready(msgspec.Struct, kw_only=True):
    """The ready line: a contract with scripts. What a process does not run is empty."""

    ready: bool
    http: str
    smtp: str = ""
    drop_folder: str = ""
    letter_tray: str = ""
    desk_url: str = ""
    mailbox_url: str = ""
    phone_numbers: dict[str, str] = {}


class PartReady(Ready, kw_only=True):
    """The ready line of a process that runs a part of the house: which one, besides."""

    tenant: str
    member: str
    group: str
    channels: tuple[str, ...]
    workers: tuple[str, ...]


def _options(core: Core) -> dict[str, Any]:
    return {"company": dict(core.pack.file.company), "languages": core.pack.languages}


class _Build:
    """A process under construction: its address is taken before anything needs to name it."""

    def __init__(
        self,
        layers: Layered,
        settings: ProductSettings,
        channels: Sequence[str],
        *,
        workers: bool,
        name: str,
    ) -> None:
        configure_logging(settings.log_level)
        # Whatever is wrong in the settings is said before anything is made, opened or changed.
        for channel in channels:
            plugin_config(layers, load_plugin(channel))
        load(settings.pack)
        self.layers, self.settings = layers, settings
        self.http_settings: HttpSettings = layers.section("http", HttpSettings)
        self.process: Process | None = None
        self._role: dict[str, Any] = {"doors": bool(channels), "workers": workers, "name": name}

    async def open(self) -> Core:
        host_name, port = self.http_settings.host, self.http_settings.port

        async def readiness() -> dict[str, str]:
            return await self.process.readiness() if self.process else {"process": "starting"}

        metrics = Metrics()
        self.server = HttpServer(host_name, port, metrics=metrics, readiness=readiness)
        try:
            bound = self.server.bind()
        except OSError as error:
            raise ConfigurationError(
                f"http {host_name}:{port} cannot be listened on ({os.strerror(error.errno or 0)}); "
                "choose another with --http"
            ) from None
        self.base_url = f"http://{host_name}:{bound}"
        public_url = self.settings.public_url or self.base_url
        return await open_core(self.layers, self.settings, public_url=public_url, metrics=metrics, **self._role)


async def run_up(layers: Layered, settings: ProductSettings, *, with_demo: bool, as_json: bool) -> None:
    """Everything in one process until SIGTERM or SIGINT."""
    stop = Stop()
    build_up = _Build(layers, settings, settings.channels, workers=True, name="up")
    demo: Any = None
    if with_demo:
        from deploy.demo.stage import Stage

        demo = await Stage.open(layers)
    core = await build_up.open()
    if demo is not None:
        await demo.prepare(core)
    channels = host(core, settings.channels, _options(core))
    workers = [build(core, group) for group in GROUPS]
    process = Process(
        core,
        channels=channels,
        workers=workers,
        http=build_up.server,
        desk_case=desk_case(core.clock, core.pack),
        base_url=build_up.base_url,
        asked_to_leave=stop.ask,
    )
    build_up.process = process
    from deploy.pages import add_pages

    pages = add_pages(process, base_url=build_up.base_url, mailbox=demo.mailbox if demo is not None else None)
    await _wait_for_minds(workers)
    stop.in_hand()
    await process.start()
    await _wait_for_doors(channels)
    ready = _ready(core, channels, build_up.base_url, with_mailbox=demo is not None)
    click.echo(msgspec.json.encode(ready).decode() if as_json else _welcome(ready))
    play: asyncio.Task[None] | None = None
    if demo is not None and demo.wanted:
        play = asyncio.create_task(demo.play(core, ready, quiet=as_json))
    await stop.wait()
    if play is not None:
        play.cancel()
        await asyncio.gather(play, return_exceptions=True)
    await pages.close()
    await process.stop()
    if demo is not None:
        await demo.close()


async def run_part(
    layers: Layered,
    settings: ProductSettings,
    *,
    channels: Sequence[str] = (),
    share: Share | None = None,
    as_json: bool = False,
    with_parent: bool = False,
) -> None:
    """Some channels, or a share of the workers, beside other processes of the same house."""
    stop = Stop()
    if with_parent:
        stop.with_parent()
    share = share or Share(group="doors", workers=())
    part = _Build(layers, settings, channels, workers=bool(share.workers), name=f"{share.group}-{share.ordinal}")
    if not channels:
        # Workers alone serve health and metrics on an address of their own.
        part.http_settings = HttpSettings(host=part.http_settings.host, port=0)
    core = await part.open()
    if not channels:
        http = layers.section("http", HttpSettings)
        core.public_url = settings.public_url or f"http://{http.host}:{http.port}"
    hosted = host(core, channels, _options(core))
    minds = [build(core, name) for name in share.workers]
    process = Process(
        core,
        channels=hosted,
        workers=[InLanes(mind, share.lanes) for mind in minds] if share.lanes else minds,
        http=part.server,
        desk_case=desk_case(core.clock, core.pack),
        group=share.group,
        base_url=part.base_url,
        asked_to_leave=stop.ask,
    )
    part.process = process
    from deploy.pages import add_desk

    desk = add_desk(process) if channels else None
    await _wait_for_minds(minds)
    stop.in_hand()
    await process.start()
    await _wait_for_doors(hosted)
    ready = _ready(core, hosted, part.base_url, with_mailbox=False, with_desk=desk is not None)
    if as_json:
        told = PartReady(
            **msgspec.structs.asdict(ready), tenant=core.settings.tenant, member=core.member, group=share.group,
            channels=tuple(channels), workers=share.workers,
        )  # fmt: skip
        click.echo(msgspec.json.encode(told).decode())
    else:
        what = ", ".join((*channels, *share.workers))
        click.echo(f"running {what}; health and metrics on {part.base_url}", err=True)
        if desk is not None:
            click.echo(f"desk (works once, within 15 minutes): {ready.desk_url}", err=True)
    await stop.wait()
    if desk is not None:
        await desk.close()
    await process.stop()


async def _wait_for_minds(workers: Sequence[Worker]) -> None:
    """Until every worker that has to learn first has: a door that opens earlier would let its first customers wait."""
    for worker in workers:
        learning = getattr(worker, "ready", None)
        if learning is None:
            continue
        task = asyncio.ensure_future(learning())
        done, _ = await asyncio.wait({task}, timeout=_QUICK_S)
        if not done:
            click.echo("Learning from the pack's examples; this happens once and takes a moment.", err=True)
        await task


async def _wait_for_doors(channels: Sequence[HostedChannel]) -> None:
    """Until every channel that listens by itself does; a door that stays closed is told by readiness and doctor."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_READY_S):
            for channel in channels:
                listening = getattr(channel.adapter, "listening", None)
                if listening is not None:
                    await listening()


def _ready(
    core: Core, channels: Sequence[HostedChannel], base_url: str, *, with_mailbox: bool, with_desk: bool = True
) -> Ready:
    from workers.desk.login import login_url

    adapters = {channel.plugin.manifest.name: channel for channel in channels}
    ready = Ready(ready=True, http=base_url)
    if with_desk:
        ready.desk_url = login_url(signer=core.signer, clock=core.clock, tenant=core.settings.tenant, base_url=base_url)
    if with_mailbox:
        ready.mailbox_url = f"{base_url}/mailbox"
    if "email" in adapters:
        mail: Any = adapters["email"].adapter
        if mail.smtp_address is not None:
            ready.smtp = ":".join(map(str, mail.smtp_address))
    if "post" in adapters:
        post: Any = adapters["post"].adapter
        ready.drop_folder, ready.letter_tray = str(post.drop_folder.resolve()), str(post.letter_tray.resolve())
    if "phone" in adapters:
        ready.phone_numbers = dict(adapters["phone"].config.numbers)
    return ready


def _welcome(ready: Ready) -> str:
    lines = [
        "",
        "contactbus is running. Press Ctrl+C to stop.",
        "",
        f"  start page   {ready.http}/",
        f"  desk         {ready.desk_url}",
        "               (works once, within 15 minutes)",
        f"  chat         {ready.http}/chat/demo",
        f"  mail to      {ready.smtp}",
        f"  letters in   {ready.drop_folder}",
        f"  letters out  {ready.letter_tray}",
    ]
    if ready.mailbox_url:
        lines.append(f"  mailbox      {ready.mailbox_url}   (what the demo's customers receive)")
    lines += [f"  phone        {number} ({language})" for number, language in ready.phone_numbers.items()]
    return "\n".join((*lines, ""))
