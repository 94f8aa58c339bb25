"""Committing a member's progress to the group, collected over moments, each commit one request for all partitions."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiokafka.errors import CommitFailedError, IllegalStateError  # pyright: ignore[reportMissingTypeStubs]

from bus import faultpoints
from bus.errors import TransientError
from bus.log.kafka_client import Partition, within
from bus.log.kafka_records import metadata_of
from bus.log.port import Fenced, TopicPartition
from bus.log.progress import PartitionProgress

__all__ = ["Commits"]

log = structlog.get_logger()

_COMMIT_EVERY_S = 0.05
"""How long finished work collects before it is committed: what a crash lets the next owner look at again."""

_BEFORE_TRYING_AGAIN_S = 0.5


class Commits:
    """Commits what `progress` says is finished. `seated` tells whether the member has the seat that it was given."""

    def __init__(
        self,
        consumer: Any,
        *,
        prefix: str,
        group: str,
        progress: Mapping[TopicPartition, PartitionProgress],
        seated: Callable[[], bool],
        deadline_s: float,
    ) -> None:
        self._consumer = consumer
        self._prefix = prefix
        self._group = group
        self._progress = progress
        self._seated = seated
        self._deadline_s = deadline_s
        self._dirty: set[TopicPartition] = set()
        self._wanted = asyncio.Event()
        self._busy = asyncio.Lock()

    def note(self, place: TopicPartition) -> None:
        """Records of a partition were finished on its progress: to be committed within the next moments."""
        self._dirty.add(place)
        self._wanted.set()

    async def flush(self) -> None:
        """Commit now. Raises Fenced when the group is being shared anew, TransientError when it is in doubt."""
        async with self._busy:
            dirty = self._dirty & self._progress.keys()
            self._dirty -= dirty
            if not dirty:
                return
            try:
                if not self._seated():
                    # Without a seat a commit counts as one from outside, which an empty group takes from anybody.
                    raise Fenced(f"the seat in group {self._group} is lost")
                offsets = {
                    Partition(self._prefix + place.topic, place.partition): metadata_of(
                        self._progress[place].standing()
                    )
                    for place in dirty
                }
                faultpoints.reached("commit.before", self._group)
                await within(self._deadline_s, self._consumer.commit(offsets))
            except (Fenced, CommitFailedError, IllegalStateError) as error:
                self._dirty |= dirty
                raise Fenced(f"the group {self._group} is being shared anew") from error
            except Exception as error:
                self._dirty |= dirty
                raise TransientError(f"a commit is in doubt: {type(error).__name__}") from error

    async def run(self) -> None:
        """Commit whenever something was finished, until cancelled."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(_COMMIT_EVERY_S)
            self._wanted.clear()
            try:
                await self.flush()
            except TransientError as error:
                log.warning("progress could not be committed yet", group=self._group, error=type(error).__name__)
                await asyncio.sleep(_BEFORE_TRYING_AGAIN_S)
                self._wanted.set()
