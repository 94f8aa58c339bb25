"""A click group that imports a module of commands only when one of them is called."""

import errno
import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

__all__ = ["SHORT_HELP", "LazyGroup"]

SHORT_HELP = {
    "up": "Run everything in one process.",
    "serve": "Run channels in this process.",
    "workers": "Run, list and drain groups of workers.",
    "demo": "The demo's customers.",
    "contacts": "Contacts that came in.",
    "cases": "Cases and their timelines.",
    "people": "Who wrote and called: look up, merge, split.",
    "consent": "What somebody has said about being contacted, and what follows.",
    "replies": "Replies and what became of them.",
    "dead-letters": "Records that could not be handled.",
    "chat": "Be a visitor in the chat.",
    "phone": "Be a caller on the phone.",
    "normalise": "Turn native input into contacts.",
    "triage": "What is understood, and how well.",
    "policy": "What the rules say to a proposal.",
    "campaigns": "Mails to customers who agreed to them.",
    "staff": "Who works here, and what each may do.",
    "reports": "Figures by day, channel, department, language and operator.",
    "doctor": "Check this installation, with fixes.",
    "config": "Settings and where each came from.",
    "migrate": "Carry a data folder over to Kafka and PostgreSQL.",
    "bench": "Measure this machine.",
    "replay": "Decide again what lies in the log.",
    "chaos": "Break everything, and judge what comes back.",
    "topics": "Topics on the Kafka brokers.",
}
"""Shown by `--help` without importing the command."""


_WHOLE = "CONTACTBUS_TRACEBACK"
"""Set it to see an unforeseen error whole, for a report."""


_EXTRA_OF = {"psycopg": "postgres"}
"""Which extra brings a package that the base installation does without."""


def _told(error: Exception) -> str:
    """What went wrong, without the words of an error that is not ours: they may quote a customer."""
    from bus.errors import TransientError

    if isinstance(error, TransientError) and str(error):
        return f"{error}; try again in a moment"
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRA_OF:
        return f'{error.name} is not installed: pip install "contactbus[{_EXTRA_OF[error.name]}]"'
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    import traceback

    (place,) = traceback.extract_tb(error.__traceback__)[-1:] or (None,)
    where = f" at {place.name}:{place.lineno}" if place is not None else ""
    return f"this was not foreseen: {type(error).__name__}{where}; set {_WHOLE}=1 to see all of it"


class LazyGroup(click.Group):
    """Commands by the module that defines them."""

    def __init__(self, *args: Any, commands_by_module: Mapping[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._module_of = {name: module for module, names in commands_by_module.items() for name in names}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._module_of)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = self._module_of.get(cmd_name)
        if module is None:
            return None
        return getattr(importlib.import_module(module), cmd_name.replace("-", "_"))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Whatever it did not foresee ends it with 1 and one line; operators need no traceback."""
        # Only now, and light: `--help` must not wait for it.
        from bus.errors import ConfigurationError
        from bus.telemetry import configure_logging

        # What is not told otherwise logs to standard output, where programs read our answers.
        configure_logging("ERROR")
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except ConfigurationError as error:
            click.echo(f"contactbus: {error}", err=True)
            raise SystemExit(2) from None
        except Exception as error:
            if os.environ.get(_WHOLE) or (isinstance(error, OSError) and error.errno == errno.EPIPE):
                raise
            click.echo(f"contactbus: {_told(error)}", err=True)
            raise SystemExit(1) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, SHORT_HELP[name]) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        return [
            CompletionItem(name, help=SHORT_HELP[name]) for name in self._module_of if name.startswith(incomplete)
        ] + click.Command.shell_complete(self, ctx, incomplete)
