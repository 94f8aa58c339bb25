"""What a worker is: topics it consumes, one decision per record."""

from collections.abc import Sequence
from typing import Protocol

from bus.delivery.outcome import Outcome
from bus.log.port import StoredRecord

__all__ = ["Worker"]


class Worker(Protocol):
    """One consumer group.

    `handle` decides one record. It may be called again for the same record (a guard failed, a crash came before the
    commit), and for records of different keys at the same time; records of one key come one after another, in order.
    Raise TransientError to be asked again after a pause, PermanentError or PoisonError for a dead letter with a case
    at the desk; anything else counts as transient until the attempts are used up.
    """

    @property
    def group(self) -> str:
        """The consumer group's name."""
        ...

    @property
    def topics(self) -> Sequence[str]:
        """What the group consumes."""
        ...

    async def prepare(self, batch: Sequence[StoredRecord]) -> None:
        """Called once before the records of a batch are handled: load or compute for all of them at once.

        What is kept is only a cache: `handle` must be right without it.
        """
        ...

    async def handle(self, record: StoredRecord) -> Outcome:
        """Everything that shall happen because of this record."""
        ...
