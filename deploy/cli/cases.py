"""Commands of cases: `cases list`, `show`, `rebuild`, `compare`."""

from datetime import datetime
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
from deploy.cli.replay import Moment

__all__ = ["cases"]


@click.group()
def cases() -> None:
    """Cases and their timelines."""


@cases.command("list")
@limit_option
@data_options
@json_option
@async_command
async def cases_list(limit: int | None, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Every case, oldest first."""
    from deploy.looking import opened
    from workers.case.listing import list_cases

    async with opened(*read_settings(config_file, data_flags(data))) as core:
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

    async with opened(*read_settings(config_file, data_flags(data))) as core:
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
        click.echo(f"{event['at']}  {event['actor']:<10} {event['kind']:<20} {clip(event.get('text', ''), 90)}")


@cases.command("rebuild")
@click.argument("case_id", default="", metavar="[CASE_ID]")
@click.option("--check", is_flag=True, help="Only say what differs: write nothing. Exit 1 when something does.")
@data_options
@json_option
@async_command
async def cases_rebuild(case_id: str, check: bool, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Make every case (or one) anew from its events alone.

    A snapshot that is not what its events say is put right. CASE_ID is an id or a number.
    """
    import msgspec

    from bus.store.port import Effect
    from deploy.looking import opened
    from workers.case.rebuild import Rebuilt, rebuild_cases

    seen, wrong, mended = 0, list[Rebuilt](), 0
    async with opened(*read_settings(config_file, data_flags(data))) as core:
        async for found, right in rebuild_cases(core.engine, core.settings.tenant, case_id.replace(" ", "")):
            seen += 1
            if found.same:
                continue
            wrong.append(found)
            if right is not None and not check:
                [result] = await core.engine.apply([Effect(outcome=right)])
                mended += result.applied
    if case_id and not seen:
        fail(f"there is no case {case_id}; `contactbus cases list` names them")
    if as_json:
        print_json({"cases": seen, "differ": msgspec.to_builtins(wrong), "mended": mended})
    else:
        for each in wrong:
            what = f"events missing: {', '.join(map(str, each.missing))}" if each.missing else ", ".join(each.differs)
            if each.broken:
                what = f"changed after it was written, from entry {each.broken} on"
            click.echo(f"{each.number}  {each.case}  {what}")
        click.echo(f"{seen} cases, {len(wrong)} not what their events say, {mended} put right")
    if len(wrong) > mended:
        raise SystemExit(1)


@cases.command("compare")
@click.option("--since", type=Moment(), required=True, help="Decisions recorded from this time on.")
@click.option("--until", type=Moment(), required=True, help="Decisions recorded before this time.")
@data_options
@json_option
@async_command
async def cases_compare(
    since: datetime, until: datetime, data: Path | None, config_file: Path | None, as_json: bool
) -> None:
    """Ask what the rules of today would have decided otherwise. Nothing is written and nobody is answered.

    Each decision that was recorded is taken again on the state of its moment. What customers wrote and people chose is
    taken as it was; how they would have gone on from another decision is not guessed.
    """
    import msgspec

    from deploy.looking import opened
    from workers.case.comparing import Difference, compare_cases

    decisions, seen, differences = 0, 0, list[Difference]()
    async with opened(*read_settings(config_file, data_flags(data))) as core:
        level = core.pack.policy.service.supervisor_at
        found = compare_cases(core.engine, core.settings.tenant, since=since, until=until, supervisor_at=level)
        async for each in found:
            seen += 1
            decisions += each.decisions
            differences += each.differences
    if as_json:
        kinds = {kind: sum(d.kind == kind for d in differences) for kind in sorted({d.kind for d in differences})}
        listed = msgspec.to_builtins(differences)
        print_json({"cases": seen, "decisions": decisions, "different": kinds, "differences": listed})
        return
    print_table(
        ("number", "at", "decision", "then", "now"),
        [
            (d.number, f"{d.at:%Y-%m-%d %H:%M:%S}", d.kind, ", ".join(d.then) or "-", ", ".join(d.now) or "-")
            for d in differences
        ],
        empty="nothing would have been decided otherwise",
    )
    click.echo(f"{decisions} decisions in {seen} cases, {len(differences)} of them otherwise", err=True)
