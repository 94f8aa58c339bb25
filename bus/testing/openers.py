"""How suites and their child processes open the engines of the house: each from one text, its location."""

from pathlib import Path

from bus.log.embedded import EmbeddedEngine

__all__ = ["embedded"]


async def embedded(location: str) -> EmbeddedEngine:
    """The embedded engine on a folder, with its tables, on the machine's clock."""
    engine = await EmbeddedEngine.open(Path(location))
    await engine.create_schema()
    return engine
