"""A click group that imports a module of commands only when one of them is called."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import click

__all__ = ["SHORT_HELP", "LazyGroup"]

SHORT_HELP = {
    "up": "Run everything in one process.",
    "serve": "Run channels in this process.",
    "workers": "Run and list groups of workers.",
    "demo": "The demo's customers.",
    "contacts": "Contacts that came in.",
    "cases": "Cases and their timelines.",
    "replies": "Replies and what became of them.",
    "dead-letters": "Records that could not be handled.",
    "chat": "Be a visitor in the chat.",
    "phone": "Be a caller on the phone.",
    "normalise": "Turn native input into contacts.",
    "triage": "What is understood, and how well.",
    "doctor": "Check this installation, with fixes.",
    "config": "Settings and where each came from.",
    "bench": "Measure this machine.",
}
"""Shown by `--help` without importing the command."""


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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, SHORT_HELP[name]) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        return [
            CompletionItem(name, help=SHORT_HELP[name]) for name in self._module_of if name.startswith(incomplete)
        ] + click.Command.shell_complete(self, ctx, incomplete)
