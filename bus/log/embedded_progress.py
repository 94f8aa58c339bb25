"""How far one member has finished one partition, in memory beside the row that keeps it."""

import threading
from collections import deque
from collections.abc import Sequence

import msgspec

__all__ = ["PartitionProgress", "pack_offsets", "unpack_offsets"]

_pack = msgspec.msgpack.Encoder()
_unpack = msgspec.msgpack.Decoder(list[int])


def pack_offsets(base: int, offsets: Sequence[int]) -> bytes:
    """Offsets above `base` as small numbers: distances, packed. Nothing for none."""
    return _pack.encode([offset - base for offset in offsets]) if offsets else b""


def unpack_offsets(base: int, packed: bytes) -> list[int]:
    """The offsets of `pack_offsets`."""
    return [base + distance for distance in _unpack.decode(packed)] if packed else []


class PartitionProgress:
    """Which records of a partition were handed out and which of them are finished.

    The event loop hands out, the writer's thread finishes; a lock held for microseconds keeps both honest.
    """

    def __init__(self, *, partition_id: int, generation: int, next_offset: int, finished_above: bytes) -> None:
        self.partition_id = partition_id
        self.generation = generation
        self.position = next_offset
        """The next offset to read."""
        self._lock = threading.Lock()
        self._handed_out: deque[int] = deque()
        self._open: set[int] = set()
        self._finished: set[int] = set(unpack_offsets(next_offset, finished_above))

    def hand_out(self, offsets: Sequence[int]) -> set[int]:
        """Move on past these offsets, just read in order; returns those among them that are finished already."""
        if not offsets:
            return set()
        with self._lock:
            known = self._finished.intersection(offsets)
            self.position = offsets[-1] + 1
            fresh = [offset for offset in offsets if offset not in known]
            self._handed_out.extend(fresh)
            self._open.update(fresh)
            return known

    def finish(self, offset: int) -> bool:
        """Count a record as finished; False when it is not out (it was finished before, or never fetched)."""
        with self._lock:
            if offset not in self._open:
                return False
            self._open.discard(offset)
            self._finished.add(offset)
            return True

    def unfinish(self, offset: int) -> None:
        """Take `finish` back: its transaction was undone."""
        with self._lock:
            self._finished.discard(offset)
            self._open.add(offset)

    def to_keep(self) -> tuple[int, bytes]:
        """What the row shall say: the offset below which everything is finished, and what is finished above it."""
        with self._lock:
            next_offset = next((offset for offset in self._handed_out if offset in self._open), self.position)
            above = sorted(offset for offset in self._finished if offset >= next_offset)
            return next_offset, pack_offsets(next_offset, above)

    def settle(self) -> None:
        """Forget what lies below the watermark; called when it is durable."""
        with self._lock:
            while self._handed_out and self._handed_out[0] not in self._open:
                self._handed_out.popleft()
            watermark = self._handed_out[0] if self._handed_out else self.position
            self._finished = {offset for offset in self._finished if offset >= watermark}
