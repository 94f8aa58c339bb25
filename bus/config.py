"""Configuration: defaults, TOML files, environment, flags; every value knows the layer it came from.

One struct per section, unknown keys refused with their path, limits as types. The environment overlays with
`CONTACTBUS_SECTION__KEY` (two underscores between levels); values are TOML where they parse as such, else text.
"""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from bus.errors import ConfigurationError

__all__ = ["Layered", "Secret", "load_layers"]

_PREFIX = "CONTACTBUS_"


class Secret(str):
    """Text that does not show itself in a dump."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(•••)"


class Layered:
    """Merged settings with the origin of each value."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._origins: dict[tuple[str, ...], str] = {}

    def overlay(self, values: Mapping[str, Any], origin: str) -> None:
        """Put a layer over what is there; tables merge, everything else replaces."""
        self._merge(self._values, values, (), origin)

    def section(self, path: str, kind: type[Any]) -> Any:
        """The struct of a section such as `adapters.email`.

        Raises ConfigurationError naming path, value and layer for an unknown key or an unaffordable value.
        """
        try:
            return msgspec.convert(self._node(path), kind, strict=False)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"[{path}] {error}; {self._where(path, str(error))}") from None

    def origin(self, path: str) -> str:
        """The layer that a value came from; `default` when no layer names it."""
        return self._origins.get(tuple(path.split(".")), "default")

    def names(self, path: str) -> Sequence[str]:
        """The keys given below a path; below "" the sections."""
        return sorted(self._node(path))

    def refuse_others(self, path: str, known: Collection[str]) -> None:
        """Raise ConfigurationError for a key below `path` ("": the sections themselves) that is none of `known`."""
        for name in self.names(path):
            if name not in known:
                full = f"{path}.{name}" if path else name
                given = (o for keys, o in self._origins.items() if ".".join(keys).startswith(f"{full}."))
                origin = self.origin(full) if self.origin(full) != "default" else next(given, "an empty table")
                raise ConfigurationError(f"[{full}] is unknown, it comes from {origin}; known are {', '.join(known)}")

    def _node(self, path: str) -> dict[str, Any]:
        node: dict[str, Any] = self._values
        for name in path.split(".") if path else ():
            below = node.get(name)
            node = cast(dict[str, Any], below) if isinstance(below, dict) else {}
        return node

    def _where(self, path: str, error: str) -> str:
        for key, origin in self._origins.items():
            if ".".join(key[:-1]) == path and f"`{key[-1]}`" in error:
                return f"it comes from {origin}"
            if ".".join(key).startswith(path) and f"$.{key[-1]}" in error:
                return f"it comes from {origin}"
        return "look at the files and environment variables that `contactbus config show --origin` lists"

    def _merge(self, into: dict[str, Any], values: Mapping[str, Any], path: tuple[str, ...], origin: str) -> None:
        for key, value in values.items():
            here = (*path, key)
            if isinstance(value, Mapping):
                below = into.setdefault(key, {})
                if not isinstance(below, dict):
                    raise ConfigurationError(f"{'.'.join(here)} is a value in one layer and a table in {origin}")
                self._merge(cast(dict[str, Any], below), cast(Mapping[str, Any], value), here, origin)
            else:
                into[key] = value
                self._origins[here] = origin


def load_layers(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Layered:
    """Defaults < file < files in `<file without .toml>.d/` < environment < flags.

    Raises ConfigurationError for a file that is missing or no TOML.
    """
    layers = Layered()
    if file is not None:
        for path in (file, *sorted(file.with_suffix(".d").glob("*.toml"))):
            layers.overlay(_read(path), f"file {path}")
    for name, text in sorted(environment.items()):
        if name.startswith(_PREFIX) and "__" in name:
            keys = name.removeprefix(_PREFIX).lower().split("__")
            layers.overlay(_nest(keys, _value(text)), f"environment {name}")
    layers.overlay(flags, "flag")
    return layers


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"the configuration file {path} does not exist") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the configuration file {path} is no TOML: {error}") from None


def _nest(keys: Sequence[str], value: Any) -> dict[str, Any]:
    for key in reversed(keys):
        value = {key: value}
    return value


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
