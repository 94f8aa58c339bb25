"""The command `contactbus`. Heavy imports live inside commands, so that `--help` answers at once."""

import click

from deploy.cli.lazy import LazyGroup

__all__ = ["main"]


@click.group(
    cls=LazyGroup,
    commands_by_module={
        "deploy.cli.run": ("up", "serve", "demo"),
        "deploy.cli.workers": ("workers",),
        "deploy.cli.look": ("contacts", "replies", "dead-letters"),
        "deploy.cli.cases": ("cases",),
        "deploy.cli.people": ("people",),
        "deploy.cli.consent": ("consent",),
        "deploy.cli.talk": ("chat", "phone"),
        "deploy.cli.understand": ("normalise", "triage"),
        "deploy.cli.decide": ("policy", "campaigns"),
        "deploy.cli.report": ("reports",),
        "deploy.cli.staff": ("staff",),
        "deploy.cli.operate": ("doctor", "config", "migrate"),
        "deploy.cli.measure": ("bench",),
        "deploy.cli.replay": ("replay",),
        "deploy.cli.chaos": ("chaos",),
        "deploy.cli.topics": ("topics",),
    },
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="contactbus", prog_name="contactbus")
def main() -> None:
    """Every customer is heard at once, treated well and helped to the end: by phone, e-mail, letter and chat.

    \b
    Start here:
      contactbus up --demo        everything in one process, with demo customers
      contactbus doctor           what is missing, and how to mend it
    """
