"""Commands that list and show what is there: `contacts`, `cases`, `replies`, `dead-letters`."""

from pathlib import Path
from typing import Any

import click

from deploy.cli.common import async_command, data_options, fail, json_option, print_json, print_table, read_settings

__all__ = ["cases", "contacts", "dead_letters", "replies"]

_limit = click.option("--limit", type=click.IntRange(min=1), help="The oldest N only.")


def _flags(data: Path | None) -> dict[str, Any]:
    return {"product": {"data": str(data)} if data else {}}


def _clip(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


@click.group()
def contacts() -> None:
    """Contacts that came in."""


@contacts.command("list")
@_limit
@data_options
@json_option
@async_command
async def contacts_list(limit: int | None, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Every contact, oldest first."""
    from deploy.looking import contact_list, opened

    async with opened(*read_settings(config_file, _flags(data))) as core:
        found = await contact_list(core, limit)
    if as_json:
        print_json(found)
        return
    print_table(
        ("received", "channel", "from", "language", "quality", "text"),
        [
            (
                f"{c.received_at:%Y-%m-%d %H:%M:%S}",
                c.channel,
                _clip(c.sender.name or c.sender.address, 28),
                c.language or "-",
                c.quality.status,
                _clip(c.subject or c.own_text(), 60),
            )
            for c in found
        ],
        empty="nobody has written or called yet",
    )


@click.group()
def cases() -> None:
    """Cases and their timelines."""


@cases.command("list")
@_limit
@data_options
@json_option
@async_command
async def cases_list(limit: int | None, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Every case, oldest first."""
    from deploy.looking import opened
    from workers.case.listing import list_cases

    async with opened(*read_settings(config_file, _flags(data))) as core:
        found = await list_cases(core.engine, core.settings.tenant, limit)
    if as_json:
        print_json(found)
        return
    print_table(
        ("number", "id", "status", "department", "language", "channel", "outcome"),
        [
            (
                c["number"],
                c["id"],
                c["status"],
                c["department"] or "-",
                c["language"] or "-",
                c["channel"],
                c["outcome"] or "-",
            )
            for c in found
        ],
        empty="there are no cases yet",
    )


@cases.command("show")
@click.argument("case_id")
@data_options
@json_option
@async_command
async def cases_show(case_id: str, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """One case with its timeline; CASE_ID is its id or its number."""
    from deploy.looking import opened
    from workers.case.listing import show_case

    async with opened(*read_settings(config_file, _flags(data))) as core:
        found = await show_case(core.engine, core.settings.tenant, case_id.replace(" ", ""))
    if found is None:
        fail(f"there is no case {case_id}; `contactbus cases list` names them")
    if as_json:
        print_json(found)
        return
    for key in ("id", "number", "status", "department", "language", "outcome"):
        click.echo(f"{key:<12}{found[key] or '-'}")
    click.echo()
    for event in found["timeline"]:
        click.echo(f"{event['at']}  {event['actor']:<10} {event['kind']:<20} {_clip(event.get('text', ''), 90)}")


@click.group()
def replies() -> None:
    """Replies and what became of them."""


@replies.command("list")
@_limit
@data_options
@json_option
@async_command
async def replies_list(limit: int | None, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Every reply, oldest first."""
    from deploy.looking import opened, reply_list

    async with opened(*read_settings(config_file, _flags(data))) as core:
        found = await reply_list(core, limit)
    if as_json:
        print_json(found)
        return
    print_table(
        ("case", "channel", "kind", "state", "language", "text"),
        [(r["case"], r["channel"], r["kind"], r["state"], r["language"], _clip(r["text"], 70)) for r in found],
        empty="nothing has been answered yet",
    )


@click.group("dead-letters")
def dead_letters() -> None:
    """Records that could not be handled. Each has a case at the desk as well."""


@dead_letters.command("list")
@data_options
@json_option
@async_command
async def dead_letters_list(data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Every dead letter, oldest first."""
    from bus.clock import from_micros
    from bus.delivery.dead_letters import list_dead_letters
    from deploy.looking import opened

    async with opened(*read_settings(config_file, _flags(data))) as core:
        rows = [{**row, "value": None} for row in map(dict, await list_dead_letters(core.engine))]
    for row in rows:
        del row["value"]
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
@async_command
async def dead_letters_show(letter: str, data: Path | None, config_file: Path | None) -> None:
    """The record of one dead letter and what people did with it, as JSON."""
    from bus.delivery.dead_letters import audit_of, show
    from deploy.looking import opened

    async with opened(*read_settings(config_file, _flags(data))) as core:
        row = await show(core.engine, letter)
        audit = await audit_of(core.engine, letter)
    if row is None:
        fail(f"there is no dead letter {letter}; `contactbus dead-letters list` names them")
    print_json({**dict(row), "value": bytes(row["value"]).decode("utf-8", "replace"), "audit": audit})


async def _settle(action: str, letters: tuple[str, ...], data: Path | None, config_file: Path | None) -> None:
    import getpass

    from bus.delivery import dead_letters as module
    from deploy.looking import opened

    settle = getattr(module, action)
    async with opened(*read_settings(config_file, _flags(data))) as core:
        refused = [
            letter
            for letter in letters
            if not await settle(core.engine, letter, actor=getpass.getuser(), now=core.clock.now())
        ]
    if refused:
        fail(f"{', '.join(refused)}: no open dead letter; `contactbus dead-letters list` names them")
    click.echo("done")


@dead_letters.command("retry")
@click.argument("letters", nargs=-1, required=True, metavar="LETTER...")
@data_options
@async_command
async def dead_letters_retry(letters: tuple[str, ...], data: Path | None, config_file: Path | None) -> None:
    """Let the group that gave records up handle them once more."""
    await _settle("retry", letters, data, config_file)


@dead_letters.command("discard")
@click.argument("letters", nargs=-1, required=True, metavar="LETTER...")
@data_options
@async_command
async def dead_letters_discard(letters: tuple[str, ...], data: Path | None, config_file: Path | None) -> None:
    """Give dead letters up; their rows and an audit entry stay."""
    await _settle("discard", letters, data, config_file)
