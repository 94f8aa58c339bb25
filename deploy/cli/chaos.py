"""`contactbus chaos`: the proof from outside. The program lies beside the tests, so it needs a checkout."""

import os
import subprocess
import sys
from pathlib import Path

import click

from deploy.cli.common import fail, json_option

__all__ = ["chaos"]

_CHECKOUT = Path(__file__).parents[2]
_PROGRAM = Path("tests") / "faults"


@click.command()
@click.option("--seconds", type=click.FloatRange(min=5), default=60, show_default=True, help="Time of disturbances.")
@click.option("--seed", type=click.IntRange(min=0), help="Repeat the schedule of a run; default a new one.")
@click.option(
    "--bus",
    type=click.Choice(("embedded", "kafka")),
    default="embedded",
    show_default=True,
    help="What carries records: one file, or brokers and a database of its own.",
)
@click.option("--keep", type=click.Path(file_okay=False), help="Folder for logs; default kept only after a failure.")
@json_option
def chaos(seconds: float, seed: int | None, bus: str, keep: str | None, as_json: bool) -> None:
    """Offer contacts on all channels, kill and cut what carries them, and judge what came back. Exit 1 when it broke.

    Builds a house of its own, with servers where the bus needs them; nothing that runs is touched.
    """
    if not (_CHECKOUT / _PROGRAM / "proof").is_dir():
        fail(f"chaos runs from a checkout of the sources: {_PROGRAM} is not installed with the product", code=2)
    arguments = ["--seconds", str(seconds), "--bus", bus]
    if seed is not None:
        arguments += ["--seed", str(seed)]
    if keep is not None:
        arguments += ["--keep", str(Path(keep).resolve())]
    if as_json:
        arguments.append("--json")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(_CHECKOUT / _PROGRAM), str(_CHECKOUT)))}
    command = [sys.executable, "-m", "proof", *arguments]
    raise SystemExit(subprocess.run(command, cwd=_CHECKOUT, env=environment, check=False).returncode)  # noqa: S603
