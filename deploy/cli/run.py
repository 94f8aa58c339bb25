"""Commands that run the product: `up`, `serve`, `demo`."""

from pathlib import Path
from typing import Any

import click

from deploy.cli.common import (
    async_command,
    data_flags,
    data_options,
    fail,
    json_option,
    print_json,
    print_table,
    read_settings,
)

__all__ = ["demo", "serve", "up"]


def _address(value: str, option: str) -> tuple[str, int]:
    host, colon, port = value.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        fail(f"{option} wants HOST:PORT, such as 127.0.0.1:8080, not {value!r}", code=2)
    return host.strip("[]") or "127.0.0.1", int(port)


@click.command()
@click.option("--pack", help="Company pack; default shop.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder; default contactbus-data.")
@click.option("--http", metavar="HOST:PORT", help="Address of pages, chat and phone; default 127.0.0.1:8080.")
@click.option("--smtp", metavar="HOST:PORT", help="Address that takes mail; default 127.0.0.1:2525.")
@click.option("--relay", metavar="HOST:PORT", help="Mail host that replies go through.")
@click.option("--demo", "with_demo", is_flag=True, help="Add demo customers and play one contact per channel.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file (TOML).")
@json_option
@async_command
async def up(
    pack: str | None,
    data: Path | None,
    http: str | None,
    smtp: str | None,
    relay: str | None,
    with_demo: bool,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Run everything in one process: all channels, all workers, desk and start page.

    With --json the first line says when it is ready, and where everything is.
    """
    from deploy.up import run_up

    flags: dict[str, Any] = {"product": {}, "http": {}, "adapters": {"email": {}}}
    if pack:
        flags["product"]["pack"] = pack
    if data:
        flags["product"]["data"] = str(data)
    if http:
        flags["http"]["host"], flags["http"]["port"] = _address(http, "--http")
    if smtp:
        flags["adapters"]["email"]["smtp_host"], flags["adapters"]["email"]["smtp_port"] = _address(smtp, "--smtp")
    if relay:
        flags["adapters"]["email"]["relay_host"], flags["adapters"]["email"]["relay_port"] = _address(relay, "--relay")
    layers, settings = read_settings(config_file, flags)
    await run_up(layers, settings, with_demo=with_demo, as_json=as_json)


@click.command()
@click.argument("channels", nargs=-1, required=True, metavar="CHANNEL...")
@click.option("--http", metavar="HOST:PORT", help="Address of pages, chat and phone; default 127.0.0.1:8080.")
@click.option("--smtp", metavar="HOST:PORT", help="Address that takes mail; default 127.0.0.1:2525.")
@data_options
@json_option
@async_command
async def serve(
    channels: tuple[str, ...],
    http: str | None,
    smtp: str | None,
    data: Path | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Run channels in this process; workers run in others.

    \b
    Such as
      contactbus serve email chat phone post link
      contactbus workers run all --members 2

    With --json the first line says when it is ready.
    """
    from deploy.up import run_part

    flags = {**data_flags(data), "http": {}, "adapters": {"email": {}}}
    if http:
        flags["http"]["host"], flags["http"]["port"] = _address(http, "--http")
    if smtp:
        flags["adapters"]["email"]["smtp_host"], flags["adapters"]["email"]["smtp_port"] = _address(smtp, "--smtp")
    layers, settings = read_settings(config_file, flags)
    await run_part(layers, settings, channels=channels, as_json=as_json)


@click.group()
def demo() -> None:
    """The demo's customers."""


@demo.command("show")
@json_option
def demo_show(as_json: bool) -> None:
    """The demo customers: addresses, numbers, orders, and what is wrong with them."""
    from workers.records.demo import demo_customers

    customers = demo_customers()
    if as_json:
        print_json(customers)
        return
    print_table(
        ("name", "language", "mail", "phone", "order", "what is wrong"),
        [
            (c["name"], c["language"], c["email"], c["phone"], ", ".join(o["number"] for o in c["orders"]), c["story"])
            for c in customers
        ],
        empty="there are none",
    )
