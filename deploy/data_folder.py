"""The folder in which a house keeps its data: made, or recognised, and closed to everybody else."""

import stat
from pathlib import Path

from bus.errors import ConfigurationError
from bus.store.sqlite_file import DATABASE_NAME

__all__ = ["claim_data_folder"]

_OURS = frozenset({DATABASE_NAME, "signing.key", "blobs", "spool", "models"})
"""Any of them marks a folder of ours: the first that a start, or training before it, puts there."""

_EMPTY = frozenset({"lost+found"})
"""What a new file system has in it."""


def claim_data_folder(folder: Path) -> None:
    """Make `folder` if there is none, and let nobody else into it (mode 0700): customers' data lie there.

    A folder that others may read and that holds other people's files is left as it is: whoever types `--data /etc`
    shall not lock the machine.

    Raises:
        ConfigurationError: such a folder.
        OSError: it cannot be made or read.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not stat.S_IMODE(folder.stat().st_mode) & 0o077:
        return
    names = {entry.name for entry in folder.iterdir()} - _EMPTY
    if names and not names & _OURS:
        raise ConfigurationError(
            f"{folder} holds other files and is open to others; name a folder of its own with --data, "
            f"or close it if it is meant (chmod 700 {folder})"
        )
    folder.chmod(0o700)
