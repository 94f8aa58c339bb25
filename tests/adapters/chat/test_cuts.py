"""The line is cut 200 times at random bytes during one dialogue. Nothing may be lost, doubled or reordered."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bus.message import Contact, Reply

OpenDoor = Callable[..., Awaitable[Any]]

CUTS = 200
SHORTEST, LONGEST = 400, 2_600
"""Bytes that a line lives: from within the handshake to a few messages."""


class CuttingProxy:
    """Carries bytes both ways and breaks each line after a random number of them, mid-frame as it comes."""

    def __init__(self, port: int, seed: int) -> None:
        self._port, self._random = port, random.Random(seed)
        self.cuts = 0

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = [self._random.randint(SHORTEST, LONGEST) if self.cuts < CUTS else 1 << 40]
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(4096):
                sink.write(data[: left[0]])
                left[0] -= len(data)
                if left[0] <= 0:
                    self.cuts += 1
                    await sink.drain()
                    return
                await sink.drain()

        ways = {asyncio.ensure_future(pump(reader, up_writer)), asyncio.ensure_future(pump(up_reader, writer))}
        _, unfinished = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in unfinished:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        # Not closed but torn: what lies in the buffers is gone, as on a real line.
        writer.transport.abort()
        up_writer.transport.abort()


@pytest.mark.parametrize("seed", [1, 20261122])
async def test_two_hundred_cuts_lose_double_and_reorder_nothing(open_door: OpenDoor, seed: int) -> None:
    door = await open_door(message_burst=100_000, sockets_per_peer=1000)
    proxy = CuttingProxy(int(door.url.rsplit(":", 1)[1]), seed)
    proxy_url = f"http://127.0.0.1:{await proxy.start()}"
    door.adapter._origins._allowed.add(proxy_url)

    def answer(contact: Contact) -> Reply:
        return door.reply(contact.conversation, f"Antwort auf {contact.text}", name=contact.id)

    door.answer = answer
    client = type(door.client())(proxy_url, "de", jitter=lambda: 0.0)
    told: list[str] = []
    async with asyncio.timeout(50):
        await client.connect()
        while proxy.cuts < CUTS or len(told) < 120:
            # Three at once: a cut may fall between them.
            burst = [f"Nachricht {len(told) + n}" for n in range(3)]
            told += burst
            await asyncio.gather(*(client.tell(text) for text in burst))
        await client._until(lambda: sum(event.kind == "reply" for event in client.events) == len(told), 30)
    session = client.session
    await client.close()
    await proxy.stop()

    assert proxy.cuts >= CUTS
    assert [contact.text for contact in door.contacts.values()] == told, (
        "each once, in the order in which they were said"
    )
    seen = [event.data["text"] for event in client.events]
    assert [text for text in seen if text.startswith("Nachricht")] == told
    assert sorted(text for text in seen if text.startswith("Antwort")) == sorted(f"Antwort auf {text}" for text in told)
    for text in told:
        assert seen.index(text) < seen.index(f"Antwort auf {text}"), "no answer before its question"
    stored: list[str] = []
    while page := await door.adapter._events.after(session, len(stored)):
        stored += [event.data["text"] for event in page]
    assert seen == stored, "what the visitor saw is what lasts, in the same order"
    assert door.duplicates > 0, "the cuts did make the client send again"
