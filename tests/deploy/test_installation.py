"""What hosts have in common: noted down once, and compared by whoever comes later."""

from pathlib import Path

import pytest

from bus.errors import ConfigurationError
from bus.log.embedded import EmbeddedEngine
from deploy.installation import agree
from deploy.settings import ProductSettings


def host(folder: Path, key: bytes = b"k" * 32) -> ProductSettings:
    folder.mkdir()
    settings = ProductSettings(data=str(folder))
    settings.signing_key_file.write_bytes(key)
    settings.blobs_dir.mkdir()
    return settings


async def test_a_host_with_another_key_or_other_blobs_does_not_start(engine: EmbeddedEngine, tmp_path: Path) -> None:
    first = host(tmp_path / "first")
    await agree(engine, first)
    await agree(engine, first)
    with pytest.raises(ConfigurationError, match="folder of blobs"):
        await agree(engine, host(tmp_path / "second"))
    with pytest.raises(ConfigurationError, match="signing key"):
        await agree(engine, host(tmp_path / "third", b"x" * 32))


async def test_a_mark_that_is_just_being_written_is_not_noted_as_nothing(
    engine: EmbeddedEngine, tmp_path: Path
) -> None:
    first = host(tmp_path / "first")
    mark = first.blobs_dir / "house-id"
    mark.touch()
    await agree(engine, first)
    mark.write_text("written by another process")
    await agree(engine, first)
    with pytest.raises(ConfigurationError, match="folder of blobs"):
        await agree(engine, host(tmp_path / "second"))
