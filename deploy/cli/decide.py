"""Commands on decisions of the house: `policy judge`, `campaigns start`."""

import sys
from pathlib import Path
from typing import IO, Any

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

__all__ = ["campaigns", "policy"]


@click.group()
def policy() -> None:
    """What the rules say."""


@policy.command("judge")
@click.argument("file", type=click.File("rb"))
@click.option("--pack", default="shop", show_default=True, help="Company pack whose figures count.")
@click.option("--json", "as_json", is_flag=True, help="Accepted for symmetry: the output is JSON lines anyway.")
def policy_judge(file: IO[bytes], pack: str, as_json: bool) -> None:
    """Judge each line of FILE, one verdict per line. FILE may be - for standard input.

    \b
    A line is a JSON object with `facts`, `proposal` and `now`, such as
      {"now": "2026-11-22T09:00:00Z",
       "proposal": {"action": "return", "customer": "C-1", "order": "SO-1", "line": 1},
       "facts": {"proven": "C-1", "owner": "C-1", ...}}
    A line that is none gives {"error": ...} in its place, and the command ends with 1. Empty lines are passed over.
    """
    from bus.errors import ConfigurationError, PoisonError
    from bus.message import encode
    from workers.packs import load
    from workers.policy import judge_line

    try:
        figures = load(pack).policy
    except ConfigurationError as error:
        fail(str(error), code=2)
    wrong = 0
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            verdict = judge_line(line, figures)
        except PoisonError as error:
            wrong += 1
            verdict = encode({"error": f"line {number}: {error.__cause__ or error}"})
        sys.stdout.buffer.write(verdict + b"\n")
    sys.stdout.flush()
    if wrong:
        fail(f"{wrong} lines could not be judged")


@click.group()
def campaigns() -> None:
    """Mails to customers who agreed to them."""


@campaigns.command("start")
@click.argument("file", type=click.File("rb"))
@data_options
@json_option
@async_command
async def campaigns_start(file: IO[bytes], data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Plan the mails of the campaign in FILE. Starting it again plans only what is missing.

    \b
    FILE is TOML:
      name = "autumn-tea"
      account = "hilfe@shop.example"      # if you like: the mailbox it comes from
      [subjects]
      de = "Herbsttee ist da"
      [texts]
      de = "..."

    Only customers who agreed get one, never more than the pack's policy allows in a month, never at night. Whether it
    still stands is asked again as each mail is sent.
    """
    from deploy.channels import load_plugin, plugin_config
    from deploy.looking import opened
    from workers.packs import load
    from workers.sales import campaign_from_toml, start_campaign

    layers, settings = read_settings(config_file, data_flags(data))
    account = plugin_config(layers, load_plugin("email")).address
    campaign = campaign_from_toml(file.read(), load(settings.pack), account=account)
    async with opened(layers, settings) as core:
        result = await start_campaign(
            campaign, store=core.engine, clock=core.clock, pack=core.pack, tenant=core.settings.tenant
        )
    if as_json:
        print_json(result)
        return
    rows: list[tuple[str, Any]] = [("planned", result.planned)]
    print_table(("customers", "number"), rows + sorted(result.left_out.items()), empty="")
