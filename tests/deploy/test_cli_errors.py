"""How a command ends that could not do what it was asked for."""

from typing import NoReturn

import pytest
from click.testing import CliRunner

from bus.errors import ConfigurationError, TransientError
from deploy.cli.lazy import LazyGroup


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ConfigurationError("[bus] engine is wrong"), 2, "contactbus: [bus] engine is wrong\n"),
        (TransientError("the database is away"), 1, "contactbus: the database is away; try again in a moment\n"),
    ],
)
def test_what_we_know_of_is_told_in_our_own_words(error: Exception, code: int, told: str) -> None:
    assert ended(error) == (code, told)


def test_of_anything_else_only_kind_and_place_are_told() -> None:
    code, told = ended(ValueError("grete.ohlsen@kunde.example"))
    assert code == 1
    assert told.startswith("contactbus: this was not foreseen: ValueError at fails:")
    assert "grete" not in told


def ended(error: Exception) -> tuple[int, str]:
    """Exit code and words of a command that raises."""

    def fails() -> NoReturn:
        raise error

    group = LazyGroup("contactbus", commands_by_module={}, invoke_without_command=True, callback=fails)
    result = CliRunner().invoke(group, [])
    return result.exit_code, result.stderr
