"""The command `reports`: figures of a span of days, computed from the timelines of the cases."""

from datetime import datetime
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

__all__ = ["reports"]

_DAY = click.DateTime(["%Y-%m-%d"])

_COLUMNS = {
    "cases": "cases",
    "first_answer_median_s": "answer s",
    "first_answer_90_s": "answer 90 % s",
    "resolved": "resolved",
    "resolution_median_s": "resolution s",
    "promises_kept_percent": "kept %",
    "longest_hold_s": "hold s",
    "satisfaction_mean": "satisfied",
    "praise": "praise",
    "abandoned": "abandoned",
}
"""What fits on a line of a terminal; JSON and CSV have everything."""


@click.command()
@click.option("--since", type=_DAY, metavar="YYYY-MM-DD", help="First day; default six days before the last.")
@click.option("--until", type=_DAY, metavar="YYYY-MM-DD", help="Last day, included; default today.")
@click.option("--by", default="day", show_default=True, help="Of day, channel, department, language, operator.")
@click.option("--only", multiple=True, metavar="DIMENSION=VALUE", help="Count this alone; again for another dimension.")
@click.option("--csv", "as_csv_", is_flag=True, help="Print CSV, safe for spreadsheets.")
@data_options
@json_option
@async_command
async def reports(
    since: datetime | None, until: datetime | None, by: str, only: tuple[str, ...], as_csv_: bool, data: Path | None,
    config_file: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Figures of a span of days: first answer, resolution, promises, holds, satisfaction, praise, abandoned.

    `--by channel,day` tells apart by several; `--by ""` adds everything up. Times are seconds, days those of the
    company's zone.

    \b
    Such as
      contactbus reports --since 2026-03-01 --until 2026-03-31 --by operator,channel
      contactbus reports --by "" --only channel=email --json
    """
    from deploy.looking import opened
    from workers.desk.report_asked import Asked, asked_for, read_asked
    from workers.desk.report_csv import as_csv

    try:
        asked: Asked = asked_for(_iso(since), _iso(until), by, _chosen(only))
    except ValueError as error:
        fail(_WRONG[str(error)], code=2)
    flags = data_flags(data)
    async with opened(*read_settings(config_file, flags)) as core:
        hours = core.pack.policy.service.hours
        report = await read_asked(core.engine, core.settings.tenant, asked, now=core.clock.now(), hours=hours)
    if report is None:
        fail(_WRONG["span"], code=2)
    if as_json:
        print_json(report)
    elif as_csv_:
        click.echo(as_csv(report), nl=False)
    else:
        rows = [(*row.of.values(), *_cells(row.figures)) for row in report.rows]
        rows.append((*(("total", *report.by[1:]) if report.by else ()), *_cells(report.total)))
        print_table((*report.by, *_COLUMNS.values()), rows, empty="")


def _chosen(only: tuple[str, ...]) -> dict[str, str]:
    parts = [each.partition("=") for each in only]
    if not all(value for _, _, value in parts):
        raise ValueError("only")
    return {name: value for name, _, value in parts}


_WRONG = {
    "day": "a day is written as 2026-03-27",
    "by": "--by takes day, channel, department, language and operator, separated by commas",
    "only": "--only takes channel, department, language or operator, as in --only channel=email",
    "span": "the last day is not before the first, and at most 400 days lie between them",
}


def _iso(day: datetime | None) -> str:
    return "" if day is None else day.date().isoformat()


def _cells(figures: Any) -> list[str]:
    values = (getattr(figures, name) for name in _COLUMNS)
    return ["-" if value is None else str(value) for value in values]
