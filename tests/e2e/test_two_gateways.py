"""Two gateways of one house: visitors and calls move between them, answers reach whoever holds the socket or call.

Once on one folder, once as on two hosts that share nothing but brokers, database, blobs and secrets.
"""

import asyncio
import contextlib
import os
import shutil
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from storyhouse.grounds import load_customers, on_kafka

from adapters.chat.client import ChatClient
from adapters.phone.simulator import Answer, Say, simulate_call

QUESTION = "What are your opening hours on Saturday?"

PATIENCE_S = 60.0
"""For an answer on a busy machine; far below `SELDOM_S`."""

SELDOM_S = 240.0
"""The gateways look into the table so seldom here that only a hint can bring another gateway's answer in time."""


class Gateways:
    """Two processes with the doors of chat and phone, one with the workers, one public address before them."""

    def __init__(self, folders: Sequence[Path], ports: tuple[int, int], environment: Mapping[str, str]) -> None:
        self.folders = folders
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.public = "http://gateways.shop.example"
        self.processes: list[asyncio.subprocess.Process] = []
        self.log = folders[0].parent / "gateways.log"
        self._environment = environment

    @property
    def twilio_token(self) -> str:
        return Path(self._environment["CONTACTBUS_ADAPTERS__PHONE__AUTH_TOKEN_FILE"]).read_text("ascii").strip()

    async def start(self) -> None:
        arguments = [("serve", "chat", "phone", "link", "--http", url.removeprefix("http://")) for url in self.urls]
        parts = zip([*arguments, ("workers", "run", "all")], self.folders, strict=True)
        self.processes = list(await asyncio.gather(*(self._run(folder, *given) for given, folder in parts)))

    async def _run(self, folder: Path, *arguments: str) -> asyncio.subprocess.Process:
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "deploy.cli", *arguments, "--data", str(folder), stderr=log,
                env={
                    **os.environ,
                    **self._environment,
                    "CONTACTBUS_PRODUCT__PUBLIC_URL": self.public,
                    "CONTACTBUS_PRODUCT__LOG_LEVEL": "INFO",
                    "CONTACTBUS_ADAPTERS__CHAT__FOLLOW_EVERY_S": str(SELDOM_S),
                },
            )  # fmt: skip
        async with asyncio.timeout(90):
            while b"running " not in self.log.read_bytes():
                assert process.returncode is None, self.log.read_text()[-3000:]
                await asyncio.sleep(0.1)
        if arguments[0] == "serve":
            await self._answering(arguments[-1])
        return process

    async def _answering(self, address: str) -> None:
        async with asyncio.timeout(90), aiohttp.ClientSession() as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"http://{address}/livez") as alive:
                        if alive.status == 200:
                            return
                await asyncio.sleep(0.1)

    def visitor(self, gateway: int, token: str = "", cursor: str = "") -> ChatClient:
        return ChatClient(self.urls[gateway], "en", token=token, cursor=cursor, origin=self.public)

    async def stop(self) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class EitherGateway:
    """A load balancer without memory: one request here, the next there, a repeated one at both."""

    def __init__(self, http: aiohttp.ClientSession, house: Gateways) -> None:
        self._http, self._house = http, house
        self.posts = 0

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        self.posts += 1
        first = await self._to(self.posts % 2, url, body, headers)
        if self.posts % 5 == 0:
            # The provider repeats a request whose answer it did not get: the same document, wherever it asks.
            again = await self._to((self.posts + 1) % 2, url, body, headers)
            assert again.body == first.body
        return first

    async def _to(self, gateway: int, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        target = url.replace(self._house.public, self._house.urls[gateway])
        async with self._http.post(target, data=body, headers=dict(headers)) as response:
            return Answer(status=response.status, media_type=response.content_type, body=await response.read())


@pytest_asyncio.fixture(params=["embedded", "kafka"])
async def house(request: pytest.FixtureRequest, tmp_path: Path, learned: Path, tools: Any) -> AsyncIterator[Gateways]:
    secret = tmp_path / "twilio_auth_token"
    secret.write_text(uuid.uuid4().hex + "\n")
    environment = {"CONTACTBUS_ADAPTERS__PHONE__AUTH_TOKEN_FILE": str(secret)}
    if request.param == "embedded":
        folders = [tmp_path / "data"] * 3
    else:
        folders = [tmp_path / name for name in ("host-a", "host-b", "host-c")]
        environment |= await distributed(request, tmp_path)
    for folder in set(folders):
        shutil.copytree(learned, folder)
    await load_customers(folders[-1], environment)
    blank = tools.product(folders[0], None)
    opened = Gateways(folders, (blank.http_port, blank.smtp_port), environment)
    try:
        await opened.start()
        yield opened
    finally:
        await opened.stop()


async def distributed(request: pytest.FixtureRequest, folder: Path) -> dict[str, str]:
    """Settings of hosts that share brokers, database, blobs and secrets."""
    bootstrap: str = request.getfixturevalue("kafka_bootstrap")
    postgres: Any = request.getfixturevalue("postgres_settings")
    return {
        **await on_kafka(bootstrap, postgres),
        "CONTACTBUS_KAFKA__SESSION_TIMEOUT_S": "6.0",
        "CONTACTBUS_KAFKA__HEARTBEAT_S": "1.0",
        "CONTACTBUS_PRODUCT__BLOBS": str(folder / "blobs"),
        "CONTACTBUS_PRODUCT__SIGNING_KEY": str(folder / "signing.key"),
    }


async def first_answer(chat: ChatClient, text: str) -> float:
    """Seconds from saying something to the first answer."""
    began = time.monotonic()
    known = len(chat.events)
    await chat.tell(text)
    while not any(event.kind != "message" for event in chat.events[known:]):
        assert time.monotonic() - began < PATIENCE_S, "no answer in time"
        await asyncio.sleep(0.005)
    return time.monotonic() - began


@pytest.mark.timeout(300)
async def test_visitors_and_calls_are_at_home_on_both_gateways(house: Gateways) -> None:
    async with house.visitor(0) as chat:
        # The workers have begun.
        await first_answer(chat, QUESTION)

    # Answers: about half of these conversations are answered by the gateway that does not hold the socket.
    waits: list[float] = []
    for number in range(12):
        async with house.visitor(number % 2) as chat:
            waits.append(await first_answer(chat, QUESTION))
    waits.sort()
    print(f"first answer over two gateways: median {waits[6] * 1000:.0f} ms, worst {waits[-1] * 1000:.0f} ms")

    # A call whose every request may come to either gateway, some to both.
    async with aiohttp.ClientSession() as http:
        transport = EitherGateway(http, house)
        call = await simulate_call(
            house.public, "+447700900123", "+442071234567", [Say(QUESTION), Say("No, thank you. Goodbye.")],
            auth_token=house.twilio_token, transport=transport, seed=5,
        )  # fmt: skip
    assert call.problems == []
    assert transport.posts >= 3
    assert len([line for line in call.heard if line.say]) >= 2
    assert call.longest_gap_s <= 35

    # A visitor's gateway dies with the question in hand: the other one has everything, once and in order.
    async with house.visitor(0) as chat:
        await first_answer(chat, QUESTION)
        await chat.tell("And where is your shop?")
        house.processes[0].kill()
        token, cursor, before = chat.token, chat.cursor, [event.id for event in chat.events]
    async with house.visitor(1, token, cursor) as chat:
        async with asyncio.timeout(PATIENCE_S):
            # The lanes of the dead one are taken over when its lease is over.
            while not any(event.kind != "message" for event in chat.events):
                await asyncio.sleep(0.05)
        after = [event.id for event in chat.events]
    assert not set(before) & set(after)
    async with house.visitor(1, token) as chat:
        assert [event.id for event in chat.events] == before + after
