"""Layers, origins and refusals."""

from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from bus.config import Secret, load_layers
from bus.errors import ConfigurationError


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    hold_s: Annotated[float, msgspec.Meta(le=60)] = 45.0
    name: str = "x"
    port: int = 1


def test_later_layers_win_and_each_value_knows_its_own(tmp_path: Path) -> None:
    file = tmp_path / "bus.toml"
    file.write_text('[a.b]\nhold_s = 30\nname = "file"\nport = 2\n')
    (tmp_path / "bus.d").mkdir()
    (tmp_path / "bus.d" / "shop.toml").write_text('[a.b]\nname = "tenant"\n')
    layers = load_layers(file, {"CONTACTBUS_A__B__PORT": "3", "HOME": "/"}, {"a": {"b": {"hold_s": 20}}})
    assert layers.section("a.b", Section) == Section(hold_s=20, name="tenant", port=3)
    assert layers.origin("a.b.hold_s") == "flag"
    assert layers.origin("a.b.port") == "environment CONTACTBUS_A__B__PORT"
    assert layers.origin("a.b.name").endswith("shop.toml")
    assert layers.origin("a.b.other") == "default"


@pytest.mark.parametrize(
    ("given", "told"),
    [({"hold_s": 61}, "hold_s"), ({"hold_max": 1}, "hold_max"), ({"port": "many"}, "port")],
)
def test_unknown_keys_and_unaffordable_values_are_refused_by_name(given: dict[str, object], told: str) -> None:
    layers = load_layers(None, {}, {"a": given})
    with pytest.raises(ConfigurationError, match=told):
        layers.section("a", Section)


def test_a_missing_or_broken_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_layers(tmp_path / "none.toml", {}, {})
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(ConfigurationError, match="no TOML"):
        load_layers(tmp_path / "bad.toml", {}, {})


def test_environment_values_are_toml_or_text() -> None:
    layers = load_layers(None, {"CONTACTBUS_A__NAME": "plain text", "CONTACTBUS_A__HOLD_S": "12.5"}, {})
    assert layers.section("a", Section) == Section(name="plain text", hold_s=12.5)


def test_a_secret_does_not_show_itself() -> None:
    assert "hunter2" not in repr([Secret("hunter2")])
