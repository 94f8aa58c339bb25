"""While the shared database is away: mail, letters and confirmations are taken, callers and visitors hear something."""

import asyncio
import time

import aiohttp
import pytest
from gatehouse.guests import Told, confirm, frame, letter, mail, phone
from gatehouse.house import HOTLINE, Gatehouse

from adapters.chat.client import ChatClient
from adapters.phone.phrases import load_phrases


@pytest.mark.parametrize("how", ["refuses", "hangs"])
async def test_no_door_waits_for_it(house: Gatehouse, scan: bytes, how: str) -> None:
    told = Told()
    async with ChatClient(house.url, "de") as visitor:
        await visitor.tell("vorher")
        house.store.away = how

        assert await mail(house, "weg", told) == 250
        assert (await confirm(house, "c-1~k-1", told))[0] == 200
        assert await letter(house, "brief.pdf", scan, told)
        assert list(house.drop_folder.joinpath("done").iterdir())

        call = await phone(house, "weg", told, answering=[HOTLINE])
        assert call.problems == []
        assert call.dialled == [HOTLINE]
        assert load_phrases()["de"].overloaded in call.heard[1].say
        assert told.worst("phone") < 1.0

        async with aiohttp.ClientSession(headers={"Origin": house.url}) as http:
            began = time.monotonic()
            session = await (await http.post(f"{house.url}/chat/session", json={})).json()
            async with http.ws_connect(f"{house.url}/chat/socket", compress=0) as socket:
                await socket.send_json({"t": "hello", "v": 1, "token": session["token"]})
                drain = frame((await socket.receive()).data)
                assert drain["t"] == "drain"
                assert drain["reconnect_after_ms"] <= 20_000
            assert time.monotonic() - began < 3.0

        # Who was here already stays, and what they say meanwhile is taken when it can be.
        later = asyncio.create_task(visitor.tell("währenddessen", timeout_s=60))
        await asyncio.sleep(0.5)
        assert not later.done()
        house.store.away = ""
        await later

    contacts = await house.accepted()
    said = {channel: [c.text for c in contacts if c.channel == channel] for channel in ("chat", "phone")}
    assert said == {"chat": ["vorher", "währenddessen"], "phone": ["Frage weg", ""]}
    assert sorted({c.channel for c in contacts}) == ["chat", "email", "link", "phone", "post"]
