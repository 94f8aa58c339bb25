"""Post: scanned letters in through a drop folder, printed letters out through a tray.

`plugin` is looked up on demand: the children that open strangers' files import this package and need none of it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.post.adapter import plugin

__all__ = ["plugin"]


def __getattr__(name: str) -> Any:
    if name == "plugin":
        from adapters.post.adapter import plugin

        return plugin
    raise AttributeError(name)
