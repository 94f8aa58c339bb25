"""How far one member has finished one partition, in memory beside what keeps it: a row, or the metadata of a commit.

What is kept names what is *unfinished*: the first unfinished offset, the offset up to which records were handed out,
and the unfinished ones between. That is never longer than what is in flight, however long one record is retried while
thousands of other keys pass it by.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence

import msgspec

__all__ = ["PartitionProgress", "Standing"]

_pack = msgspec.msgpack.Encoder()
_unpack = msgspec.msgpack.Decoder(list[int])


class Standing(msgspec.Struct, frozen=True):
    """What is kept of progress: finished is everything below `high` but for `unfinished`, which is in order."""

    high: int
    unfinished: tuple[int, ...] = ()

    @property
    def next_offset(self) -> int:
        """Everything below it is finished."""
        return self.unfinished[0] if self.unfinished else self.high

    def pack(self) -> bytes:
        """The rest, beside `next_offset`: distances, which are small numbers."""
        if not self.unfinished:
            return b""
        base = self.next_offset
        return _pack.encode([self.high - base, *(offset - base for offset in self.unfinished[1:])])

    @classmethod
    def of(cls, next_offset: int, packed: bytes) -> "Standing":
        """From the two parts. Raises msgspec.MsgspecError, ValueError for parts that `pack` never made."""
        if not packed:
            return cls(next_offset)
        distance, *rest = _unpack.decode(packed)
        return cls(next_offset + distance, (next_offset, *(next_offset + each for each in rest)))

    def first(self, count: int) -> "Standing":
        """The same with `count` unfinished offsets at most, by calling more unfinished than is: never the reverse."""
        if len(self.unfinished) <= count:
            return self
        return Standing(self.unfinished[count], self.unfinished[:count])


class PartitionProgress:
    """Which records of a partition were handed out to this member and are not finished.

    The event loop hands out, the writer's thread finishes; a lock held for microseconds keeps both honest.
    `partition_id` is the engine's own number of the partition, 0 where it has none.
    """

    def __init__(self, *, generation: int, standing: Standing, partition_id: int = 0) -> None:
        self.partition_id = partition_id
        self.generation = generation
        self.position = standing.next_offset
        """The next offset to read."""
        self._lock = threading.Lock()
        self._high = standing.high
        self._left_by_others = standing.unfinished
        self._open: set[int] = set()

    def hand_out(self, offsets: Sequence[int]) -> set[int]:
        """Move on past these offsets, just read in order; returns those among them that were finished by others."""
        if not offsets:
            return set()
        with self._lock:
            known: set[int] = set()
            if offsets[0] < self._high:
                known = {offset for offset in offsets if offset < self._high}.difference(self._left_by_others)
            # What others finished is leapt over, so that a read always begins with a record that is still to do.
            self.position = next(self._still_left(offsets[-1] + 1), max(offsets[-1] + 1, self._high))
            self._open.update(offset for offset in offsets if offset not in known)
            return known

    def is_out(self, offset: int) -> bool:
        """Whether a record was handed out and is not finished."""
        return offset in self._open

    def finish(self, offset: int) -> bool:
        """Count a record as finished; False when it is not out (it was finished before, or never fetched)."""
        with self._lock:
            if offset not in self._open:
                return False
            self._open.discard(offset)
            return True

    def unfinish(self, offset: int) -> None:
        """Take `finish` back: its transaction was undone."""
        with self._lock:
            self._open.add(offset)

    def standing(self) -> Standing:
        """What the row shall say now."""
        with self._lock:
            unfinished = set(self._open)
            unfinished.update(self._still_left(self.position))
            return Standing(max(self.position, self._high), tuple(sorted(unfinished)))

    def _still_left(self, start: int) -> Iterator[int]:
        """What others left unfinished and was not handed out here yet, from `start` on."""
        left = self._left_by_others
        return iter(left[bisect_left(left, start) :])
