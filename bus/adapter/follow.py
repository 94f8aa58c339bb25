"""Hints for the process that holds a customer's socket or call: a reply was planned, whichever process will send it."""

import asyncio
from collections.abc import AsyncIterator

import structlog

from bus.errors import PoisonError
from bus.log.port import Log
from bus.log.topics import reply_topic
from bus.message import Reply, decode

__all__ = ["follow_replies"]

log = structlog.get_logger()

_AGAIN_S = 1.0
"""After a failure the topic is followed anew; what was planned between is noticed by the channel's own regular look."""


async def follow_replies(log_port: Log, channel: str) -> AsyncIterator[Reply]:
    """Replies of a channel from now on, without a group: every process sees all of them. Never ends, never raises."""
    while True:
        try:
            async for record in log_port.tail([reply_topic(channel)]):
                try:
                    reply = decode(record.value, Reply)
                except PoisonError:
                    # Whoever sends it makes a dead letter of it.
                    continue
                yield reply
        except Exception as error:
            log.warning("replies cannot be followed for the moment", channel=channel, error=type(error).__name__)
        await asyncio.sleep(_AGAIN_S)
