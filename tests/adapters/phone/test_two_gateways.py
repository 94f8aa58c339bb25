"""One call on two gateways: the request is held by one, the answer is given to the call by the other."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.phone import door
from adapters.phone.config import PhoneConfig
from adapters.phone.simulator import Say, simulate_call
from bus.log.embedded import EmbeddedEngine
from bus.message import Reply

HOLD_S = 3.0


class Alternating:
    """Requests of one call, now to one gateway and now to the other."""

    def __init__(self, *transports: Any) -> None:
        self._transports = transports
        self.posts = 0

    async def post(self, url: str, body: bytes, headers: Any) -> Any:
        self.posts += 1
        return await self._transports[self.posts % len(self._transports)].post(url, body, headers)


@pytest.mark.parametrize("hinted", [True, False])
async def test_an_answer_reaches_the_request_that_another_gateway_holds(
    phone: Any, engine: EmbeddedEngine, tmp_path: Path, hinted: bool
) -> None:
    """With the hint of a planned reply at once; without it when the hold is over, and never later."""
    planned: asyncio.Queue[Reply] = asyncio.Queue()

    async def follow() -> AsyncIterator[Reply]:
        while True:
            yield await planned.get()

    config = PhoneConfig(think_hold_s=HOLD_S)
    clock = phone.LoopClock()
    here, workers = phone.build(
        tmp_path, clock=clock, store=engine, config=config, workers=phone.Workers(delay_s=lambda _: None),
        follow=follow if hinted else None,
    )  # fmt: skip
    _, elsewhere = phone.build(tmp_path, clock=clock, store=engine, config=config)
    following = asyncio.create_task(here.receive())
    transport = phone.DirectTransport(here)
    call = asyncio.create_task(
        simulate_call(
            phone.BASE, phone.JONAS, phone.GERMAN, [Say("Hallo")], auth_token=phone.TOKEN, transport=transport, seed=1
        )
    )
    try:
        async with asyncio.timeout(10):
            while not here._door._held:
                await asyncio.sleep(0.01)
        (contact,) = workers.contacts
        planned.put_nowait(reply_to(contact))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        # Whichever gateway owns the lane of replies gives it to the call: here the other one.
        await elsewhere.send(contact, text="Guten Tag.", kind="goodbye")
        transcript = await asyncio.wait_for(call, 20)
        took = time.monotonic() - began
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert transcript.problems == []
    assert "Guten Tag." in [heard.say for heard in transcript.heard[1:]]
    assert took < (HOLD_S / 2 if hinted else 2 * HOLD_S)


async def test_a_call_whose_requests_alternate_is_one_call(phone: Any, engine: EmbeddedEngine, tmp_path: Path) -> None:
    clock = phone.LoopClock()
    gateways = [phone.build(tmp_path, clock=clock, store=engine) for _ in range(2)]
    transport = Alternating(*(phone.DirectTransport(adapter) for adapter, _ in gateways))
    transcript = await simulate_call(
        phone.BASE, phone.JONAS, phone.GERMAN, [Say("Meine Maschine ist defekt."), Say("Nein, danke.")],
        auth_token=phone.TOKEN, transport=transport, seed=1,
    )  # fmt: skip
    assert transcript.problems == []
    assert transport.posts >= 3
    said = [contact.text for _, workers in gateways for contact in workers.contacts if contact.text]
    assert sorted(said) == ["Meine Maschine ist defekt.", "Nein, danke."]
    spoken = [heard.say for heard in transcript.heard]
    assert sum("Verstanden" in words for words in spoken) == 1
    assert "Gern geschehen" in spoken[-1]


def test_what_the_other_gateway_clears_is_not_remembered_for_ever(
    phone: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "_MOST_REPORTED", 2)
    table = phone.MemoryCalls()
    gateways = [phone.build(tmp_path, clock=phone.LoopClock(), calls=table)[0] for _ in range(2)]
    transport = Alternating(*(phone.DirectTransport(adapter) for adapter in gateways))
    turns = [Say(f"Frage {number}") for number in range(12)]
    call = simulate_call(
        phone.BASE, phone.JONAS, phone.GERMAN, turns, auth_token=phone.TOKEN, clock="real", transport=transport, seed=1
    )
    assert phone.run(call).problems == []
    assert all(len(adapter._door._reported) <= 3 for adapter in gateways)


def reply_to(contact: Any) -> Reply:
    """What a worker plans."""
    return Reply(
        id="r-1", tenant="shop", case="k-1", channel="phone", account=contact.account, to=contact.sender,
        text="Guten Tag.", language="de", conversation=contact.conversation,
    )  # fmt: skip
