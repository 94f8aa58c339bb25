"""Commands on the topics of the brokers: `topics plan`, `topics apply`."""

from pathlib import Path
from typing import Any

import click

from deploy.cli.common import async_command, json_option, print_json, print_table, read_settings

__all__ = ["topics"]

_config = click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file (TOML).")


@click.group()
def topics() -> None:
    """Topics on the Kafka brokers: what differs, and making it so."""


@topics.command("plan")
@_config
@json_option
@async_command
async def plan(config_file: Path | None, as_json: bool) -> None:
    """Print how the cluster differs from what it must be; change nothing."""
    await _run(config_file, as_json, apply=False)


@topics.command("apply")
@_config
@json_option
@async_command
async def apply(config_file: Path | None, as_json: bool) -> None:
    """Make missing topics and change settings; never add partitions. Prints what was done and what is left by hand."""
    await _run(config_file, as_json, apply=True)


async def _run(config_file: Path | None, as_json: bool, *, apply: bool) -> None:
    from bus.log.kafka_settings import KafkaSettings, check_settings
    from deploy.kafka.topics import apply_plan, declared_topics, make_plan

    layers, settings = read_settings(config_file, {})
    kafka: KafkaSettings = layers.section("kafka", KafkaSettings)
    check_settings(kafka)
    names = declared_topics(settings.channels)
    differences = await (apply_plan if apply else make_plan)(kafka, names)
    rows: list[dict[str, Any]] = [
        {name: getattr(difference, name) for name in ("action", "name", "setting", "now", "wanted", "why")}
        for difference in differences
    ]
    if as_json:
        print_json(rows)
        return
    done = {"create": "made", "change": "changed", "by-hand": "by hand"} if apply else {}
    print_table(
        ("action", "topic", "setting", "now", "wanted", "why"),
        [(done.get(row["action"], row["action"]), *list(row.values())[1:]) for row in rows],
        empty="the cluster is as it must be",
    )
