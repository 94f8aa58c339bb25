"""What is asked about groups, from outside of them: how far they are, who is in them, and who must leave.

Everything is asked anew until a deadline: a coordinator that moves or still loads is the ordinary case here.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import structlog
from aiokafka.admin import RecordsToDelete  # pyright: ignore[reportMissingTypeStubs]
from aiokafka.errors import CoordinatorNotAvailableError  # pyright: ignore[reportMissingTypeStubs]
from aiokafka.errors import for_code as error_of  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
from aiokafka.protocol.group import LeaveGroupRequest  # pyright: ignore[reportMissingTypeStubs]

from bus.errors import TransientError
from bus.log.kafka_client import Admin, KafkaError, Partition, client_options
from bus.log.kafka_records import standing_of
from bus.log.kafka_settings import KafkaSettings
from bus.log.port import TopicPartition
from bus.log.progress import Standing

__all__ = ["GroupsClient"]

log = structlog.get_logger()

T = TypeVar("T")

_AGAIN_S = 0.1
"""Between two tries: a coordinator is found again within some tenths of a second."""


class GroupsClient:
    """A client of the brokers that belongs to no group. Every method raises TransientError after its deadline."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin: Any = None
        self._starting = asyncio.Lock()

    async def standings(
        self, group: str, places: Sequence[TopicPartition], *, deadline_s: float
    ) -> Mapping[TopicPartition, Standing]:
        """How far a group has finished partitions; those of which it never finished anything are left out."""

        async def ask(admin: Any) -> Mapping[TopicPartition, Standing]:
            prefix = self._settings.topic_prefix
            partitions = [Partition(prefix + place.topic, place.partition) for place in places]
            found: Mapping[Partition, Any] = await admin.list_consumer_group_offsets(
                prefix + group, partitions=partitions
            )
            if any(partition not in found for partition in partitions):
                # A coordinator that moved or still loads answers with an error that the client does not look at, and
                # with no partitions. Taken for "never finished anything" it would let a group begin anew.
                raise CoordinatorNotAvailableError()
            return {
                place: standing_of(found[partition].offset, found[partition].metadata)
                for place, partition in zip(places, partitions, strict=True)
                if found[partition].offset >= 0
            }

        return await self._asked(ask, deadline_s) if places else {}

    async def members(self, group: str, *, deadline_s: float) -> Mapping[str, str]:
        """Member ids of a group, and the client's name of each."""

        async def ask(admin: Any) -> Mapping[str, str]:
            (answer,) = await admin.describe_consumer_groups([self._settings.topic_prefix + group])
            group_: Sequence[Any] = answer.groups[0]
            if group_[0]:
                raise error_of(group_[0])()
            return {each[0]: each[1] for each in group_[5]}

        return await self._asked(ask, deadline_s)

    async def remove(self, group: str, member_id: str, *, deadline_s: float) -> None:
        """Let a member leave on its behalf, so that nobody waits for its session to run out."""

        async def ask(admin: Any) -> None:
            name = self._settings.topic_prefix + group
            coordinator = await admin.find_coordinator(name)
            # The client has no public call for it.
            await admin._send_request(LeaveGroupRequest(name, member_id), coordinator)

        await self._asked(ask, deadline_s)

    async def groups(self, *, deadline_s: float) -> Sequence[str]:
        """Every group under our prefix, without it."""

        async def ask(admin: Any) -> Sequence[str]:
            prefix = self._settings.topic_prefix
            found = await admin.list_consumer_groups()
            return sorted(name[len(prefix) :] for name, *_ in found if name.startswith(prefix))

        return await self._asked(ask, deadline_s)

    async def topics(self, *, deadline_s: float) -> Sequence[str]:
        """Every topic under our prefix, without it."""

        async def ask(admin: Any) -> Sequence[str]:
            prefix = self._settings.topic_prefix
            found: Sequence[str] = await admin.list_topics()
            return sorted(name[len(prefix) :] for name in found if name.startswith(prefix))

        return await self._asked(ask, deadline_s)

    async def topic_exists(self, topic: str, *, deadline_s: float) -> bool:
        """Whether the brokers have a topic."""

        async def ask(admin: Any) -> bool:
            (answer,) = await admin.describe_topics([self._settings.topic_prefix + topic])
            return not answer["error_code"]

        return await self._asked(ask, deadline_s)

    async def delete_below(self, offsets: Mapping[TopicPartition, int], *, deadline_s: float) -> None:
        """Delete the records of partitions below an offset each."""
        wanted = {
            Partition(self._settings.topic_prefix + place.topic, place.partition): RecordsToDelete(offset)
            for place, offset in offsets.items()
        }

        async def ask(admin: Any) -> None:
            await admin.delete_records(wanted)

        if wanted:
            await self._asked(ask, deadline_s)

    async def close(self) -> None:
        """Leave the brokers."""
        admin, self._admin = self._admin, None
        if admin is not None:
            await _close(admin)

    async def _asked(self, ask: Callable[[Any], Awaitable[T]], deadline_s: float) -> T:
        last: Exception | None = None
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    try:
                        return await ask(await self._running())
                    except Exception as error:
                        last = error
                        if not isinstance(error, KafkaError):
                            # The client stumbled over a broker that left its metadata: begin with what it knows now.
                            await self._renew()
                    await asyncio.sleep(_AGAIN_S)
        except TimeoutError:
            await self._renew()
            name = type(last).__name__ if last is not None else "no answer"
            raise TransientError(f"the brokers did not answer in time: {name}") from last

    async def _running(self) -> Any:
        async with self._starting:
            if self._admin is None:
                admin = Admin(**client_options(self._settings), client_id="contactbus-groups")
                try:
                    await admin.start()
                except BaseException:
                    await _close(admin)
                    raise
                self._admin = admin
            return self._admin

    async def _renew(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            await _close(admin)


async def _close(admin: Any) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(1.0):
            await admin.close()
