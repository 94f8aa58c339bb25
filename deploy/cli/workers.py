"""Commands of worker groups: `workers run`, `list`, `drain`, `rewind`."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from bus.config import Layered
    from deploy.groups import Share
    from deploy.settings import ProductSettings

__all__ = ["workers"]

_groups_option = click.option(
    "--groups", "groups_file", type=click.Path(path_type=Path), help="File of groups (TOML), the same on every host."
)
_tenant_option = click.option("--tenant", default="", help="Of the file's tenants this one only.")


@click.group()
def workers() -> None:
    """Run, list and drain groups of workers."""


@workers.command("run")
@click.argument("group")
@_groups_option
@_tenant_option
@click.option("--members", type=click.IntRange(1, 64), help="Processes to start; default 1, or what the file says.")
@click.option("--ordinal", type=int, hidden=True, help="Which of several processes this one is.")
@click.option("--with-parent", is_flag=True, hidden=True, help="Leave when standard input ends.")
@data_options
@json_option
@async_command
async def workers_run(
    group: str,
    groups_file: Path | None,
    tenant: str,
    members: int | None,
    ordinal: int | None,
    with_parent: bool,
    data: Path | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Run a group of workers until it is told to leave.

    GROUP is one of the file of --groups; without a file it is `all`, or one worker: intake, triage, case, billing,
    returns, sales, support, desk, desk-files or offers. Several members or tenants are as many processes under this
    one. With --json the first line says when all are ready.
    """
    from deploy.up import run_part

    flags = data_flags(data)
    if groups_file is not None:
        if config_file is not None:
            fail("--groups names the settings of its tenants itself; leave --config out", code=2)
        shares, settings = _of_file(groups_file, group, tenant, members, config_file, flags)
    elif tenant:
        fail("--tenant names one of the file's tenants; name the file with --groups", code=2)
    else:
        shares = _built_in(group, members or 1)
        settings = {"": read_settings(config_file, flags)}
    if ordinal is not None:
        shares = [share for share in shares if share.ordinal == ordinal and share.tenant == tenant]
    if len(shares) == 1:
        (share,) = shares
        layers, product = settings[share.tenant]
        await run_part(layers, product, share=share, as_json=as_json, with_parent=with_parent)
        return
    from deploy.herd import run_herd

    def command(share: "Share") -> Sequence[str]:
        given: dict[str, object] = {
            "--groups": groups_file, "--tenant": share.tenant, "--members": members, "--data": data,
            "--config": config_file, "--ordinal": str(share.ordinal),
        }  # fmt: skip
        options = [text for name, value in given.items() if value for text in (name, str(value))]
        return ["workers", "run", group, *options, "--json", "--with-parent"]

    await run_herd(shares, command, as_json=as_json)


@workers.command("list")
@_groups_option
@_tenant_option
@data_options
@json_option
@async_command
async def workers_list(
    groups_file: Path | None, tenant: str, data: Path | None, config_file: Path | None, as_json: bool
) -> None:
    """Show who runs which group, and what waits there.

    For each group its members, the records behind, the age of the oldest in seconds, parked keys and dead letters.
    """
    from deploy.looking import group_rows, opened

    rows: list[dict[str, Any]] = []
    for layers, product in _looked_at(groups_file, tenant, data, config_file):
        async with opened(layers, product) as core:
            rows += await group_rows(core)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("tenant", "group", "members", "behind", "oldest s", "parked", "dead letters"),
        [
            (
                row["tenant"],
                row["group"],
                len(row["members"]),
                row["behind"],
                f"{row['oldest_s']:.0f}",
                row["parked"],
                row["dead_letters"],
            )
            for row in rows
        ],
        empty="no group has read anything yet",
    )


@workers.command("drain")
@click.argument("name")
@click.option(
    "--wait",
    "wait_s",
    metavar="SECONDS",
    type=float,
    default=40.0,
    show_default=True,
    help="How long to wait until they left.",
)
@_groups_option
@_tenant_option
@data_options
@json_option
@async_command
async def workers_drain(
    name: str,
    wait_s: float,
    groups_file: Path | None,
    tenant: str,
    data: Path | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Let members take no more work, finish and leave.

    NAME is a running member, or a group: then all of its members. `contactbus workers list --json` names them.
    """
    import asyncio

    from deploy.looking import opened
    from deploy.presence import ask_to_drain, present

    told: dict[str, bool] = {}
    for layers, product in _looked_at(groups_file, tenant, data, config_file):
        async with opened(layers, product) as core:
            chosen = {each.member for each in await ask_to_drain(core.engine, core.clock, product.tenant, name)}
            ends = time.monotonic() + wait_s
            left = chosen
            while left and time.monotonic() < ends:
                await asyncio.sleep(0.25)
                left = chosen & {each.member for each in await present(core.engine, core.clock, product.tenant)}
            told |= {member: member not in left for member in sorted(chosen)}
    if not told:
        fail(f"no running member or group is called {name!r}; `contactbus workers list --json` names them")
    if as_json:
        print_json([{"member": member, "left": left} for member, left in told.items()])
    else:
        for member, left in told.items():
            click.echo(f"{member}  {'has left' if left else 'was told, and is still finishing'}")
    if not all(told.values()):
        raise SystemExit(1)


@workers.command("rewind")
@click.option(
    "--to", "moment", required=True, help="Moment with zone, such as 2026-11-22T08:00:00Z: shortly before the copy."
)
@data_options
@json_option
@async_command
async def workers_rewind(moment: str, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Let all groups begin again at a moment.

    For a database that was restored from a copy. Nothing may run meanwhile.
    """
    from datetime import datetime

    from bus.clock import SystemClock
    from bus.log.kafka_settings import KafkaSettings, check_settings
    from bus.telemetry import configure_logging
    from deploy.departments import topics_by_group
    from deploy.rewind import rewind
    from deploy.settings import BusSettings

    configure_logging("ERROR")
    layers, settings = read_settings(config_file, data_flags(data))
    bus: BusSettings = layers.section("bus", BusSettings)
    if bus.engine != "kafka":
        fail("the embedded engine keeps records and progress in one file: there is nothing to rewind", code=2)
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        fail(f"--to wants a moment such as 2026-11-22T08:00:00Z, not {moment!r}", code=2)
    if at.tzinfo is None:
        fail("--to wants a moment with its zone, such as 2026-11-22T08:00:00Z", code=2)
    kafka: KafkaSettings = layers.section("kafka", KafkaSettings)
    check_settings(kafka)
    moved = await rewind(kafka, topics_by_group(settings.channels), at, SystemClock())
    if as_json:
        print_json([{"group": group, "records": records} for group, records in moved.items()])
        return
    print_table(("group", "records again"), list(moved.items()), empty="no group had come any further")


def _built_in(name: str, members: int) -> "list[Share]":
    from deploy.departments import GROUPS
    from deploy.groups import Share

    if name != "all" and name not in GROUPS:
        fail(
            f"no group is called {name!r}; there are {', '.join(GROUPS)} and all, or name a file with --groups", code=2
        )
    chosen = tuple(GROUPS) if name == "all" else (name,)
    return [Share(group=name, workers=chosen, ordinal=ordinal) for ordinal in range(members)]


def _of_file(
    path: Path, name: str, tenant: str, members: int | None, config_file: Path | None, flags: dict[str, Any]
) -> "tuple[list[Share], dict[str, tuple[Layered, ProductSettings]]]":
    """The processes of a group of a file, and the settings by tenant."""
    from deploy.departments import GROUPS
    from deploy.groups import load_groups, refuse_elsewhere, shares
    from deploy.settings import BusSettings
    from deploy.tenants import settings_of_tenants

    file = load_groups(path, tuple(GROUPS))
    found = shares(file, name, tenant=tenant, members=members)
    settings = {
        each.name: (each.layers, each.product)
        for each in settings_of_tenants(file, path, dict(os.environ), flags).values()
    } or {"": read_settings(config_file, flags)}
    for share in found:
        bus: BusSettings = settings[share.tenant][0].section("bus", BusSettings)
        refuse_elsewhere(file, name, bus.region)
    return found, settings


def _looked_at(
    groups_file: Path | None, tenant: str, data: Path | None, config_file: Path | None
) -> "list[tuple[Layered, ProductSettings]]":
    """The houses that a command looks at: of the settings, or of the tenants of a file."""
    flags = data_flags(data)
    if groups_file is None:
        return [read_settings(config_file, flags)]
    from deploy.departments import GROUPS
    from deploy.groups import load_groups
    from deploy.tenants import settings_of_tenants

    file = load_groups(groups_file, tuple(GROUPS))
    found = settings_of_tenants(file, groups_file, dict(os.environ), flags)
    if tenant and tenant not in found:
        fail(f"{groups_file} has no tenant {tenant!r}", code=2)
    chosen = [each for name, each in found.items() if tenant in ("", name)]
    return [(each.layers, each.product) for each in chosen] or [read_settings(config_file, flags)]
