"""Commands of people: `people show`, `merge`, `split`."""

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
)  # fmt: skip

__all__ = ["people"]

_reason = click.option("--reason", required=True, help="Why, for the ledger.")

_WHY = {
    "reason": "say why with --reason, in up to 500 characters",
    "person": "one of them is not there; a person is an id, an address or a number, an identity is KIND:ADDRESS",
    "same": "they are one person already",
    "alone": "this person was not merged into anybody",
}


@click.group()
def people() -> None:
    """Who wrote and called. A person is named by id, mail address, phone number or customer number."""


@people.command("show")
@click.argument("name")
@data_options
@json_option
@async_command
async def people_show(name: str, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Show one person: identities, cases, conflicts, changes. Whoever was merged in is shown with him."""
    from deploy.looking import opened
    from workers.case.merging import find_person, show_person

    async with opened(*read_settings(config_file, data_flags(data))) as core:
        tenant = core.settings.tenant
        found = await show_person(core.engine, tenant, await find_person(core.engine, tenant, name))
    if found is None:
        fail(f"there is nobody called {name}")
    if as_json:
        print_json(found)
        return
    for key in ("id", "name", "customer", "language", "open_cases"):
        click.echo(f"{key:<12}{getattr(found, key) or '-'}")
    for conflict in found.conflicts:
        values = "; ".join(f"{value} ({person})" for person, value in conflict.values.items())
        click.echo(f"{'conflict':<12}{conflict.field}: {values}")
    click.echo()
    rows = [(i["kind"], i["address"].replace("\n", ", "), i["level"], i["person"]) for i in found.identities]
    print_table(("kind", "address", "proof", "person"), rows, empty="no identities")
    click.echo()
    rows = [(c["number"], c["status"], c["channel"], c["person"]) for c in found.cases]
    print_table(("case", "status", "channel", "person"), rows, empty="no cases")
    for change in found.changes:
        way = "into" if change["kind"] == "merged" else "out of"
        what = f"{change['person']} {way} {change['into']}" if change["into"] else ", ".join(change["moved"].identities)
        click.echo(f"{change['at']:%Y-%m-%d %H:%M:%S}  {change['actor']} {change['kind']} {what}: {change['reason']}")


@people.command("merge")
@click.argument("name")
@click.argument("into")
@_reason
@data_options
@json_option
@async_command
async def people_merge(
    name: str, into: str, reason: str, data: Path | None, config_file: Path | None, as_json: bool
) -> None:
    """Note that NAME turned out to be INTO. Nothing is moved or overwritten, so it can be split again."""
    await _change("merge", (name, into), reason, data, config_file, as_json)


@people.command("split")
@click.argument("name")
@_reason
@data_options
@json_option
@async_command
async def people_split(name: str, reason: str, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Undo a merge: NAME is somebody else after all."""
    await _change("split", (name,), reason, data, config_file, as_json)


@people.command("vouch")
@click.argument("identity", metavar="KIND:ADDRESS")
@_reason
@data_options
@json_option
@async_command
async def people_vouch(identity: str, reason: str, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Note that somebody saw whose an address is. It is shown to people and opens nothing.

    Such as email:grete.ohlsen@kunde.example or phone:+49305550144.
    """
    await _change("vouch", (identity,), reason, data, config_file, as_json)


async def _change(
    action: str, names: tuple[str, ...], reason: str, data: Path | None, config_file: Path | None, as_json: bool
) -> None:
    import getpass

    from bus.store.port import Effect
    from deploy.looking import opened
    from workers.case import merging
    from workers.case.rules import Refused

    decide: Any = getattr(merging, action)
    async with opened(*read_settings(config_file, data_flags(data))) as core:
        store, tenant = core.engine, core.settings.tenant
        ids = [await merging.find_person(store, tenant, name) for name in names]
        try:
            # An identity is named by itself, not by whose it is.
            given = names if action == "vouch" else ids
            outcome = await decide(store, tenant, *given, actor=getpass.getuser(), reason=reason, now=core.clock.now())
        except Refused as refused:
            fail(_WHY[refused.missing[0]])
        [result] = await store.apply([Effect(outcome=outcome)])
        if not result.applied:
            fail("somebody else has just changed one of them; look again")
        found = await merging.show_person(store, tenant, ids[0])
    if as_json:
        print_json(found)
    else:
        click.echo("done")
