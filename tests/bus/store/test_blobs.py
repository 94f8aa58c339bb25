"""Blobs are there wholly or not at all."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from bus.errors import StorageFull
from bus.store.blobs import Blobs, digest_of


async def test_what_is_put_is_got_by_digest(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    digest = await blobs.put(b"letter")
    assert digest == "sha256:" + hashlib.sha256(b"letter").hexdigest() == digest_of(b"letter")
    assert await blobs.get(digest) == b"letter"
    assert await blobs.put(b"letter") == digest
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [digest.removeprefix("sha256:")]


@pytest.mark.parametrize("name", ["", "sha256:", "sha256:../../etc/passwd", "md5:" + "a" * 64, "sha256:" + "A" * 64])
def test_no_path_can_be_smuggled_in(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="digest"):
        Blobs(tmp_path).path(name)


async def test_a_folder_that_cannot_be_written_is_a_clear_refusal(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    digest = digest_of(b"x")
    blobs.path(digest).parent.write_bytes(b"a file where the folder should be")
    with pytest.raises(StorageFull):
        await blobs.put(b"x")


async def test_a_full_disk_is_not_filled_further_by_what_could_not_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("bus.store.blobs.os.fsync", full)
    with pytest.raises(StorageFull):
        await Blobs(tmp_path).put(b"letter")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
