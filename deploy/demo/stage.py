"""Sets the demo up around the product, plays it, and prints what happened."""

import asyncio
from pathlib import Path
from typing import Any

import click
import structlog

from adapters.email.mailbox import Mailbox
from adapters.phone.config import TOKEN_FILE
from bus.config import Layered
from deploy.core import Core
from deploy.demo.plays import PLAYS, Play, Played, Scene
from deploy.settings import DemoSettings, ProductSettings
from workers.case.listing import list_cases
from workers.records.demo import load_demo

__all__ = ["Stage"]

log = structlog.get_logger()

_COMPANY = {
    "names": {"de": "Nordlicht Handel", "nb": "Nordlys Handel", "en": "Northlight Store"},
    "address": ["Hafenstraße 7", "20457 Hamburg"],
    "phone": "+49 30 1234567",
    "email": "hilfe@shop.example",
    "web": "shop.example",
}
"""The return address of the demo's letters; nobody lives there."""

_WAITS_FOR = {
    "proof": "asked for a confirmation",
    "fact": "asked for what is missing",
    "confirm": "proposed a solution",
    "choice": "offered a choice",
    "tried": "gave the first steps",
    "anything-else": "settled, asked if there is more",
    "intent": "asked what is meant",
}
"""What a case waits for, as what was just done."""


class Stage:
    """The customers' mailbox and the demo data; the relay of the product while the demo runs."""

    def __init__(self, mailbox: Mailbox, wanted: bool) -> None:
        self.mailbox = mailbox
        self.wanted = wanted
        """Whether the four customers shall get in touch."""

    @classmethod
    async def open(cls, layers: Layered) -> "Stage":
        """Open the mailbox and make it the relay, unless a relay was named."""
        settings: DemoSettings = layers.section("demo", DemoSettings)
        product: ProductSettings = layers.section("product", ProductSettings)
        mailbox = Mailbox(settings.mailbox_host, settings.mailbox_port, folder=product.data_dir / "mailbox")
        await mailbox.start()
        host, port = mailbox.address
        if "relay_host" not in layers.names("adapters.email"):
            layers.overlay({"adapters": {"email": {"relay_host": host, "relay_port": port}}}, "demo")
        if "company" not in layers.names("adapters.post"):
            layers.overlay({"adapters": {"post": {"company": _COMPANY}}}, "demo")
        return cls(mailbox, settings.play)

    async def prepare(self, core: Core) -> None:
        """Put the demo customers into the records; again and again changes nothing."""
        await load_demo(core.engine, core.clock)

    async def play(self, core: Core, ready: Any, *, quiet: bool) -> None:
        """Play every channel at once and tell, as each is answered, what was understood and done."""
        scene = Scene(
            http=ready.http,
            smtp=ready.smtp,
            drop_folder=Path(ready.drop_folder),
            letter_tray=Path(ready.letter_tray),
            phone_token=(core.data_dir / TOKEN_FILE).read_text("ascii").strip(),
            tenant=core.settings.tenant,
            mailbox=self.mailbox,
            clock=core.clock,
            mail_address=_address(core),
            number=lambda language: next(n for n, spoken in ready.phone_numbers.items() if spoken == language),
        )
        before = {case["id"] for case in await list_cases(core.engine, core.settings.tenant)}
        if not quiet:
            click.echo("Four customers get in touch now, one on each channel:\n")
            click.echo(f"  {'channel':<8} {'language':<9} {'understood':<26} {'done':<34} first answer after")
        await asyncio.gather(*(self._one(core, scene, before, quiet, *one) for one in PLAYS))
        if not quiet:
            click.echo("\nNow it is your turn: the start page shows how to write, drop a letter, chat and call.")

    async def _one(
        self, core: Core, scene: Scene, before: set[str], quiet: bool, channel: str, language: str, play: Play
    ) -> None:
        try:
            played: Played | None = await play(scene)
        except Exception as error:
            # The demo goes on without this customer; the log says what happened.
            log.error("a play of the demo failed", channel=channel, exc_info=error)
            played = None
        if quiet:
            return
        if played is None:
            click.echo(f"  {channel:<8} {language:<9} {'':<26} {'no answer: see the log and contactbus doctor':<34}")
            return
        cases = await list_cases(core.engine, core.settings.tenant)
        case = next((c for c in cases if c["id"] not in before and c["channel"] in (channel, "link")), None)
        understood = case["intents"][0] if case and case["intents"] else "-"
        click.echo(f"  {channel:<8} {language:<9} {understood:<26} {_done(case):<34} {played.seconds:.1f} s")

    async def close(self) -> None:
        """Close the mailbox."""
        await self.mailbox.close()


def _done(case: dict[str, Any] | None) -> str:
    if case is None:
        return "-"
    if case["status"] == "waiting-person":
        return "handed to a person"
    if case["status"] == "closed":
        return f"closed: {case['outcome'] or 'done'}"
    return _WAITS_FOR.get(case["pending"], str(case["status"]))


def _address(core: Core) -> str:
    from deploy.channels import load_plugin, plugin_config

    return str(plugin_config(core.layers, load_plugin("email")).address)
