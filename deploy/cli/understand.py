"""Commands on understanding, without state or network: `normalise`, `triage`."""

from pathlib import Path
from typing import Any

import click

from deploy.cli.common import async_command, fail, json_option, print_json, print_table, read_settings

__all__ = ["normalise", "triage"]


@click.command()
@click.argument("channel")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file (TOML).")
@click.option("--json", "as_json", is_flag=True, help="Accepted for symmetry: the output is JSON lines anyway.")
@async_command
async def normalise(channel: str, files: tuple[Path, ...], config_file: Path | None, as_json: bool) -> None:
    """Turn native input of CHANNEL (a mail, a scan, a webhook form, a chat frame) into contacts, one JSON per line.

    Pure: no state, no network. Input that cannot be read gives a contact that says so.
    """
    import sys

    from bus.adapter.hosting import unreadable
    from bus.adapter.sandbox import Sandbox, SandboxFailure
    from bus.message import encode
    from deploy.channels import load_plugin, plugin_config

    layers, _settings = read_settings(config_file, {})
    plugin = load_plugin(channel)
    config = plugin_config(layers, plugin)
    sandbox = Sandbox(plugin, config)
    try:
        for file in files:
            raw = plugin.raw_from_file(file.read_bytes(), file.name, config)
            try:
                contact = (await sandbox.normalise(raw)).contact
            except SandboxFailure as failure:
                contact = unreadable(plugin, config, raw, failure.reason)
            sys.stdout.buffer.write(encode(contact) + b"\n")
            sys.stdout.flush()
    finally:
        await sandbox.close()


@click.group()
def triage() -> None:
    """What is understood, and how well."""


@triage.command("explain")
@click.argument("text")
@click.option("--lang", help="Language, when it is known: de, nb or en.")
@click.option("--pack", default="shop", show_default=True, help="Company pack.")
@json_option
def triage_explain(text: str, lang: str | None, pack: str, as_json: bool) -> None:
    """What a message means to the house, and because of which words."""
    from workers.packs import load
    from workers.triage.cli_api import explain

    found = explain(text, load(pack), language=lang)
    if as_json:
        print_json(found)
        return
    for key, value in found.items():
        click.echo(f"{key:<16}{_words(value)}")


def _words(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_words(item) for item in value) or "-"  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return " ".join(f"{_words(item)}" for item in value.values())  # pyright: ignore[reportUnknownVariableType]
    return f"{value:.2f}" if isinstance(value, float) else str(value) or "-"


@triage.command("train")
@click.option("--pack", default="shop", show_default=True, help="Company pack.")
@json_option
def triage_train(pack: str, as_json: bool) -> None:
    """Train the pack's model from its examples.

    Says how large it is, and how much of the pack's own test lines it gets right, by language.
    """
    from workers.packs import load
    from workers.triage.cli_api import train

    _print_figures(train(load(pack)), as_json)


@triage.command("evaluate")
@click.option(
    "--train",
    "train_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV to learn from.",
)
@click.option(
    "--test",
    "test_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV to be tried on.",
)
@json_option
def triage_evaluate(train_file: Path, test_file: Path, as_json: bool) -> None:
    """Measure a model trained on one file and tested on another.

    Accuracy, macro-F1, calibration and coverage. Files are CSV with the columns text, label and, if you like, lang.
    """
    from workers.triage.cli_api import evaluate

    try:
        figures = evaluate(train_file, test_file)
    except ValueError as error:
        fail(str(error), code=2)
    _print_figures(figures, as_json)


def _print_figures(figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(figures)
        return
    rows: list[tuple[str, str]] = []
    for name, value in figures.items():
        if isinstance(value, dict):
            parts: dict[str, Any] = value
            rows += [(f"{name} {part}", _words(each)) for part, each in parts.items()]
        else:
            rows.append((name, _words(value)))
    print_table(("figure", "value"), rows, empty="no figures")
