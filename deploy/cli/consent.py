"""The command `consent show`."""

from pathlib import Path

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

__all__ = ["consent"]


@click.group()
def consent() -> None:
    """Who agreed to be contacted for what, and who wants to be left alone."""


@consent.command("show")
@click.argument("name", metavar="PERSON|ADDRESS")
@data_options
@json_option
@async_command
async def consent_show(name: str, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Show what a person agreed to, and what may be sent now.

    The entries of the ledger, and for each purpose and address what follows from them, and why.

    A person is named by id, mail address, phone number or customer number.
    """
    from deploy.looking import opened
    from workers.case.permission_view import permissions
    from workers.records import SqlRecords

    async with opened(*read_settings(config_file, data_flags(data))) as core:
        found = await permissions(
            core.engine, SqlRecords(core.engine), core.settings.tenant, name,
            quiet=core.pack.policy.sales.quiet(), now=core.clock.now(),
        )  # fmt: skip
    if found is None:
        fail(f"nothing is known of {name}")
    if as_json:
        print_json(found)
        return
    click.echo(f"person  {found.person or '-'}")
    click.echo()
    said = [
        (
            f"{each.entry.at:%Y-%m-%d %H:%M}", "given" if each.entry.given else "withdrawn",
            each.entry.purpose or "all but answers", each.entry.channel or "all",
            f"{each.entry.expires_at:%Y-%m-%d}" if each.entry.expires_at else "-", each.about or each.person,
            each.entry.evidence,
        )
        for each in found.entries
    ]  # fmt: skip
    print_table(("at", "said", "purpose", "channel", "until", "of", "evidence"), said, empty="nothing was ever said")
    click.echo()
    rows = [
        (
            each.purpose, each.channel, each.address.replace("\n", ", "), "yes" if each.permitted else "no",
            each.reason, f"{each.not_before:%Y-%m-%d %H:%M}" if each.not_before else "-", each.by or "-",
        )
        for each in found.permissions
    ]  # fmt: skip
    headings = ("purpose", "channel", "address", "may", "why", "from", "evidence")
    print_table(headings, rows, empty="no address to write to")
