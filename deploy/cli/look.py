"""Commands that list and show what is there: `contacts`, `replies`, `dead-letters`."""

from pathlib import Path

import click

from deploy.cli.common import (
    async_command,
    clip,
    data_flags,
    data_options,
    fail,
    json_option,
    limit_option,
    print_json,
    print_table,
    read_settings,
)  # fmt: skip

__all__ = ["contacts", "dead_letters", "replies"]


@click.group()
def contacts() -> None:
    """Contacts that came in."""


@contacts.command("list")
@limit_option
@data_options
@json_option
@async_command
async def contacts_list(limit: int | None, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Every contact, oldest first. `open_cases` are the numbers of its cases that are not closed; null: none yet."""
    import msgspec

    from bus.message import encode
    from deploy.looking import contact_list, opened
    from workers.case.contacts import contact_cases
    from workers.case.model import CLOSED

    async with opened(*read_settings(config_file, data_flags(data))) as core:
        found = await contact_list(core, limit)
        links = await contact_cases(core.engine, core.settings.tenant, [c.id for c in found]) if as_json else {}
    if as_json:
        still = {contact: [case.number for case in of if case.status != CLOSED] for contact, of in links.items()}
        # Through JSON: the body of a contact is kept as its sender's adapter wrote it.
        print_json([msgspec.json.decode(encode(c)) | {"open_cases": still.get(c.id)} for c in found])
        return
    print_table(
        ("received", "channel", "from", "language", "quality", "text"),
        [
            (
                f"{c.received_at:%Y-%m-%d %H:%M:%S}",
                c.channel,
                clip(c.sender.name or c.sender.address, 28),
                c.language or "-",
                c.quality.status,
                clip(c.subject or c.own_text(), 60),
            )
            for c in found
        ],
        empty="nobody has written or called yet",
    )


@click.group()
def replies() -> None:
    """Replies and what became of them."""


@replies.command("list")
@limit_option
@data_options
@json_option
@async_command
async def replies_list(limit: int | None, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Every reply, oldest first."""
    from deploy.looking import opened, reply_list

    async with opened(*read_settings(config_file, data_flags(data))) as core:
        found = await reply_list(core, limit)
    if as_json:
        print_json(found)
        return
    print_table(
        ("case", "channel", "kind", "state", "language", "text"),
        [(r["case"], r["channel"], r["kind"], r["state"], r["language"], clip(r["text"], 70)) for r in found],
        empty="nothing has been answered yet",
    )


_spool_option = click.option(
    "--spool", is_flag=True, help="Those of this host's spool instead: what the brokers refused to take."
)


@click.group("dead-letters")
def dead_letters() -> None:
    """Records that could not be handled. Those that carry a contact have a case at the desk as well."""


@dead_letters.command("list")
@data_options
@_spool_option
@json_option
@async_command
async def dead_letters_list(data: Path | None, config_file: Path | None, spool: bool, as_json: bool) -> None:
    """Every dead letter, oldest first."""
    from bus.clock import from_micros
    from bus.delivery.dead_letters import list_dead_letters
    from deploy.looking import opened_letters

    async with opened_letters(*read_settings(config_file, data_flags(data)), spool=spool) as (store, _):
        rows = [{name: row[name] for name in row if name != "value"} for row in await list_dead_letters(store)]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("id", "at", "group", "topic", "reason", "attempts", "state"),
        [
            (
                r["id"],
                f"{from_micros(r['at']):%Y-%m-%d %H:%M:%S}",
                r["group_name"],
                r["topic"],
                r["reason"],
                r["attempts"],
                r["state"],
            )
            for r in rows
        ],
        empty="there are none",
    )


@dead_letters.command("show")
@click.argument("letter")
@data_options
@_spool_option
@async_command
async def dead_letters_show(letter: str, data: Path | None, config_file: Path | None, spool: bool) -> None:
    """Show one dead letter and what people did with it, as JSON."""
    from bus.delivery.dead_letters import audit_of, show
    from deploy.looking import opened_letters

    async with opened_letters(*read_settings(config_file, data_flags(data)), spool=spool) as (store, _):
        row = await show(store, letter)
        audit = await audit_of(store, letter)
    if row is None:
        fail(f"there is no dead letter {letter}; `contactbus dead-letters list` names them")
    print_json({**dict(row), "value": bytes(row["value"]).decode("utf-8", "replace"), "audit": audit})


async def _settle(
    action: str, letters: tuple[str, ...], data: Path | None, config_file: Path | None, *, spool: bool
) -> None:
    import getpass

    from bus.delivery import dead_letters as module
    from deploy.looking import opened_letters

    settle = getattr(module, action)
    async with opened_letters(*read_settings(config_file, data_flags(data)), spool=spool) as (store, clock):
        refused = [
            letter for letter in letters if not await settle(store, letter, actor=getpass.getuser(), now=clock.now())
        ]
    if refused:
        fail(f"{', '.join(refused)}: no open dead letter; `contactbus dead-letters list` names them")
    click.echo("done")


@dead_letters.command("retry")
@click.argument("letters", nargs=-1, required=True, metavar="LETTER...")
@data_options
@_spool_option
@async_command
async def dead_letters_retry(
    letters: tuple[str, ...], data: Path | None, config_file: Path | None, spool: bool
) -> None:
    """Let the group that gave records up handle them once more."""
    await _settle("retry", letters, data, config_file, spool=spool)


@dead_letters.command("discard")
@click.argument("letters", nargs=-1, required=True, metavar="LETTER...")
@data_options
@_spool_option
@async_command
async def dead_letters_discard(
    letters: tuple[str, ...], data: Path | None, config_file: Path | None, spool: bool
) -> None:
    """Give dead letters up; their rows and an audit entry stay."""
    await _settle("discard", letters, data, config_file, spool=spool)
