"""What the commands share: options, output as people or programs want it, errors with their fix."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from bus.config import Layered
from bus.errors import ConfigurationError
from deploy.settings import ProductSettings, load

__all__ = [
    "async_command", "clip", "data_flags", "data_options", "fail", "json_option", "limit_option", "print_json",
    "print_table", "read_settings",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])

limit_option = click.option("--limit", metavar="N", type=click.IntRange(min=1), help="The oldest N only.")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def data_options(function: F) -> F:
    """`--data` and `--config` of every command that looks into a data folder."""
    function = click.option(
        "--config", "config_file", type=click.Path(path_type=Path), help="Configuration file (TOML)."
    )(function)
    return click.option("--data", type=click.Path(path_type=Path), help="Data folder; default contactbus-data.")(
        function
    )


def data_flags(data: Path | None) -> dict[str, Any]:
    """The settings that `--data` stands for."""
    return {"product": {"data": str(data)} if data else {}}


def clip(text: str, width: int) -> str:
    """One line of at most `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def read_settings(config_file: Path | None, flags: dict[str, Any]) -> tuple[Layered, ProductSettings]:
    """All layers and the product's section; a wrong setting ends the command with its fix."""
    try:
        layers = load(config_file, dict(os.environ), flags)
        return layers, layers.section("product", ProductSettings)
    except ConfigurationError as error:
        fail(str(error), code=2)


def fail(message: str, *, code: int = 1) -> NoReturn:
    """End the command: 1 failed, 2 wrong use."""
    click.echo(f"contactbus: {message}", err=True)
    raise SystemExit(code)


def print_json(value: Any) -> None:
    """One JSON document."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str) -> None:
    """Aligned columns; `empty` is said when there is nothing."""
    if not rows:
        click.echo(empty)
        return
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(column), *(len(row[i]) for row in texts)) for i, column in enumerate(columns)]
    click.echo(
        "  ".join(click.style(column.ljust(width), bold=True) for column, width in zip(columns, widths, strict=True))
    )
    for row in texts:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def async_command(function: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a coroutine as the body of a command; an interrupt is no error."""
    import functools

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory(kwargs)) as runner:
                runner.run(function(*args, **kwargs))
        except KeyboardInterrupt:
            sys.exit(130)
        except ConfigurationError as error:
            fail(str(error), code=2)

    return run


def _loop_factory(arguments: Mapping[str, Any]) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """How the event loop is made that a command's settings name; None for Python's own, and without settings."""
    if "config_file" not in arguments:
        return None
    _, settings = read_settings(_settings_file(arguments), {})
    if settings.event_loop == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        fail('[product] event_loop is "uvloop", which is not installed: pip install "contactbus[uvloop]"', code=2)
    return uvloop.new_event_loop


def _settings_file(arguments: Mapping[str, Any]) -> Path | None:
    """The settings of a command: those of `--config`, or of the one tenant of a file of groups that it works for."""
    groups, tenant = arguments.get("groups_file"), arguments.get("tenant")
    if groups is None:
        return arguments["config_file"]
    from deploy.departments import GROUPS
    from deploy.groups import load_groups

    tenants = load_groups(groups, tuple(GROUPS)).tenants
    meant = [one for name, one in tenants.items() if tenant in ("", name)]
    return groups.parent / meant[0].config if len(meant) == 1 else None
