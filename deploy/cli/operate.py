"""Commands of operators: `doctor`, `config`, `migrate`."""

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
)

__all__ = ["config", "doctor", "migrate"]


@click.command()
@data_options
@json_option
@async_command
async def doctor(data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Check this installation: what is missing, what follows from it, and how to mend it. Exit 1 when something is."""
    from deploy.doctor import examine

    layers, settings = read_settings(config_file, data_flags(data))
    findings = await examine(layers, settings)
    if as_json:
        print_json(findings)
    else:
        for finding in findings:
            mark = click.style("ok  ", fg="green") if finding["ok"] else click.style("mend", fg="red")
            click.echo(f"{mark}  {finding['name']:<22} {finding['detail']}")
            if not finding["ok"] and finding["fix"]:
                click.echo(f"      {'':<22} {finding['fix']}")
    if not all(finding["ok"] for finding in findings):
        raise SystemExit(1)


@click.group()
def config() -> None:
    """Settings and where each came from."""


@config.command("show")
@click.option("--origin", is_flag=True, help="Name the layer of each value.")
@data_options
@json_option
def config_show(origin: bool, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Every setting in force. Secrets are not shown."""
    from deploy.showing import setting_rows

    layers, settings = read_settings(config_file, data_flags(data))
    rows = setting_rows(layers, settings)
    if as_json:
        print_json(rows if origin else [{"name": row["name"], "value": row["value"]} for row in rows])
        return
    columns = ("setting", "value", "from") if origin else ("setting", "value")
    print_table(
        columns, [tuple(row[key] for key in ("name", "value", "origin"))[: len(columns)] for row in rows], empty="none"
    )


@click.command()
@click.option("--from", "source", type=click.Path(path_type=Path), required=True, help="Data folder that is left.")
@data_options
@json_option
@async_command
async def migrate(source: Path, data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Carry a data folder over to Kafka and PostgreSQL, with all open work. May be started again when it broke off."""
    from bus.clock import SystemClock
    from bus.errors import TransientError
    from bus.telemetry import configure_logging
    from deploy.migrate import migrate as carry

    configure_logging("ERROR")
    layers, settings = read_settings(config_file, data_flags(data))
    try:
        carried = await carry(layers, settings, source, SystemClock(), lambda text: click.echo(text, err=True))
    except TransientError as error:
        fail(f"a server went away ({type(error).__name__}); start the command again, it goes on where it stopped")
    if as_json:
        print_json(carried)
    else:
        rows, records = sum(carried.rows.values()), sum(carried.records.values())
        click.echo(f"carried over: {rows} rows, {records} open records; {source} is not worked on any more")
