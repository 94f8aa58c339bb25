"""The letter tray: a hot folder that a printing machine or a person empties.

A letter is `<reply id>.pdf` with `<reply id>.json` beside it; the PDF comes last, so whoever sees it sees all. What
became of it comes back as `<reply id>.ack.json`: {"state": "printed" | "posted" | "failed", "at": "...", "reason": ""}.
"""

import contextlib
import os
import re
from pathlib import Path

import msgspec

__all__ = ["Ack", "LetterTray", "Sidecar"]

ACK_END = ".ack.json"
_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")
_ACK_BYTES = 65536


class Sidecar(msgspec.Struct, frozen=True, kw_only=True):
    """What the printer and the post need to know. `to` are the lines in the window."""

    reply: str
    to: tuple[str, ...]
    pages: int
    colour: bool
    duplex: bool
    case_number: str
    language: str
    sha256: str


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a letter. Unknown fields are the machine's own business."""

    state: str
    at: str = ""
    reason: str = ""


class LetterTray:
    """One tray, with `acknowledged` inside it for the answers that were read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = path / "acknowledged"

    def create(self) -> None:
        """Make the folders. Raises OSError."""
        self._read.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def is_name(reply: str) -> bool:
        """Whether a reply's id may be a file name."""
        return bool(_ID.match(reply))

    def holds(self, reply: str) -> bool:
        """Whether the letter lies in the tray, or was answered for."""
        return (self.path / f"{reply}.pdf").exists() or (self.path / f"{reply}{ACK_END}").exists()

    def put(self, sidecar: Sidecar, pdf: bytes) -> None:
        """Lay a letter into the tray, durably; what lies there by that name stays as it is.

        Raises OSError only while the PDF is not there yet."""
        self._write(f"{sidecar.reply}.json", msgspec.json.format(msgspec.json.encode(sidecar), indent=2))
        self._write(f"{sidecar.reply}.pdf", pdf)

    def acks(self) -> list[tuple[str, Ack | None]]:
        """Answers that lie in the tray, by reply; None for one that is not (yet) readable. Raises OSError."""
        found: list[tuple[str, Ack | None]] = []
        with os.scandir(self.path) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
        for name in names:
            reply = name.removesuffix(ACK_END)
            if name.endswith(ACK_END) and self.is_name(reply):
                found.append((reply, self._ack(name)))
        return found

    def acknowledged(self, reply: str) -> None:
        """Put an answer that was dealt with aside; earlier ones of the same letter stay."""
        source = self.path / f"{reply}{ACK_END}"
        number = 1
        while (target := self._read / f"{reply}.{number}{ACK_END}").exists():
            number += 1
        source.rename(target)

    def _ack(self, name: str) -> Ack | None:
        try:
            with (self.path / name).open("rb") as file:
                return msgspec.json.decode(file.read(_ACK_BYTES), type=Ack)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def _write(self, name: str, data: bytes) -> None:
        temporary = self.path / f".{name}.{os.getpid()}.tmp"
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        target = self.path / name
        if target.exists():
            temporary.unlink()
            return
        temporary.rename(target)
        # From here on the letter may be taken at any moment: no error may say that it was not handed over.
        with contextlib.suppress(OSError):
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
