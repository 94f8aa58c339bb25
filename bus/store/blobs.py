"""Content-addressed blobs: claim checks for raw input, attachments, scans and letters.

A record carries `sha256:<hex>`; the bytes lie in a folder by digest. A blob is there wholly or not at all: temporary
file, fsync, rename, fsync of the folder.
"""

import asyncio
import hashlib
import os
from pathlib import Path

from bus.errors import StorageFull

__all__ = ["Blobs", "digest_of"]


def digest_of(data: bytes) -> str:
    """`sha256:<hex>` of the bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Blobs:
    """A folder of blobs. Safe for several processes: names are digests, so writers agree."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    async def put(self, data: bytes) -> str:
        """Store bytes durably and return their digest. Raises StorageFull when the disk is full."""
        return await asyncio.to_thread(self.put_now, data)

    def put_now(self, data: bytes) -> str:
        """As `put`, in the calling thread."""
        digest = digest_of(data)
        path = self.path(digest)
        if path.exists():
            return digest
        try:
            path.parent.mkdir(exist_ok=True)
            temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
            try:
                with temporary.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.rename(path)
            except OSError:
                # On a full disk every try would leave its part, and keep the disk full.
                temporary.unlink(missing_ok=True)
                raise
            _fsync_folder(path.parent)
            _fsync_folder(self._folder)
        except OSError as error:
            raise StorageFull(f"blob of {len(data)} bytes could not be kept: {error.strerror}") from error
        return digest

    async def get(self, digest: str) -> bytes:
        """The bytes of a digest. Raises FileNotFoundError."""
        return await asyncio.to_thread(self.path(digest).read_bytes)

    def path(self, digest: str) -> Path:
        """Where a blob lies. Raises ValueError for anything that is not a digest (so no path can be smuggled in)."""
        algorithm, _, name = digest.partition(":")
        if algorithm != "sha256" or len(name) != 64 or not all(c in "0123456789abcdef" for c in name):
            raise ValueError(f"not a blob digest: {digest[:80]!r}")
        return self._folder / name[:2] / name


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
