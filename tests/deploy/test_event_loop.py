"""The event loop of a process is the one that its settings name."""

import asyncio
import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import uvloop

from deploy import migrations
from deploy.cli.common import async_command
from deploy.departments import GROUPS


@pytest.mark.parametrize(
    ("text", "kind"),
    [("", asyncio.SelectorEventLoop), ('[product]\nevent_loop = "uvloop"\n', uvloop.Loop)],
    ids=["asyncio", "uvloop"],
)
def test_a_command_runs_on_the_loop_of_its_settings(tmp_path: Path, text: str, kind: type) -> None:
    config = tmp_path / "contactbus.toml"
    config.write_text(text)
    seen: list[asyncio.AbstractEventLoop] = []

    @async_command
    async def command(config_file: Path | None) -> None:
        seen.append(asyncio.get_running_loop())

    command(config_file=config)
    (loop,) = seen
    assert isinstance(loop, kind)
    assert loop.is_closed()


@pytest.mark.parametrize(
    ("tenant", "kind"),
    [("shop", uvloop.Loop), ("bank", asyncio.SelectorEventLoop), ("", asyncio.SelectorEventLoop)],
)
def test_a_process_of_a_group_runs_on_the_loop_of_its_tenant(tmp_path: Path, tenant: str, kind: type) -> None:
    (tmp_path / "shop.toml").write_text('[product]\nevent_loop = "uvloop"\n')
    (tmp_path / "bank.toml").write_text("")
    groups = tmp_path / "groups.toml"
    tenants = "".join(f'[tenants.{name}]\nconfig = "{name}.toml"\n' for name in ("shop", "bank"))
    groups.write_text(f"{tenants}[groups.a]\nworkers = {list(GROUPS)}\n")
    seen: list[asyncio.AbstractEventLoop] = []

    @async_command
    async def command(groups_file: Path | None, tenant: str, config_file: Path | None) -> None:
        seen.append(asyncio.get_running_loop())

    command(groups_file=groups, tenant=tenant, config_file=None)
    (loop,) = seen
    assert isinstance(loop, kind)


def test_a_loop_that_is_not_installed_is_named_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "contactbus.toml"
    config.write_text('[product]\nevent_loop = "uvloop"\n')
    load = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "uvloop":
            raise ImportError(name)
        return load(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)

    @async_command
    async def command(config_file: Path | None) -> None:
        raise AssertionError("it ran")

    with pytest.raises(SystemExit) as ended:
        command(config_file=config)
    assert ended.value.code == 2
    assert "contactbus[uvloop]" in capsys.readouterr().err


def test_a_real_command_works_on_it(tmp_path: Path) -> None:
    config = tmp_path / "contactbus.toml"
    config.write_text(f'[product]\nevent_loop = "uvloop"\ndata = "{tmp_path}"\n')
    migrations.upgrade(tmp_path)
    found = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "dead-letters", "list", "--config", str(config)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (found.returncode, found.stdout.strip()) == (0, "there are none"), found.stderr
