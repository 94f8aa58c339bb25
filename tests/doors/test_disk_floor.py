"""Below the floor of free disk each door says "later" in its own manner, and afterwards everything is taken."""

import asyncio
from typing import Any

import aiohttp
import pytest
from gatehouse.guests import Told, confirm, frame, letter, mail, phone
from gatehouse.house import HOTLINE, Gatehouse

from adapters.phone.phrases import load_phrases
from bus.adapter import hosting


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Free bytes of the data folder, as the doors see them."""
    free = {"bytes": hosting.DISK_FLOOR_BYTES * 2}
    monkeypatch.setattr(hosting, "_free_bytes", lambda folder: free["bytes"])
    return free


async def test_every_door_refuses_in_its_own_manner(disk: dict[str, int], house: Gatehouse, scan: bytes) -> None:
    disk["bytes"] = hosting.DISK_FLOOR_BYTES - 1
    told = Told()

    assert await mail(house, "voll", told) == 452
    assert told.no[0].startswith("452 4.3.1 ")

    for language, words in {"de": "Einen Moment bitte", "nb": "Et øyeblikk", "en": "One moment"}.items():
        status, page = await confirm(house, "c-1~k-1", told, language=language)
        assert status == 503
        assert words in page

    async with aiohttp.ClientSession(headers={"Origin": house.url}) as http:
        session = await (await http.post(f"{house.url}/chat/session", json={})).json()
        async with http.ws_connect(f"{house.url}/chat/socket", compress=0) as socket:
            await socket.send_json({"t": "hello", "v": 1, "token": session["token"], "lang": "de"})
            assert frame((await socket.receive()).data)["t"] == "welcome"
            await socket.send_json({"t": "send", "cid": "m1", "text": "Hallo"})
            while (answer := frame((await socket.receive()).data))["t"] != "nack":
                pass
            assert (answer["code"], answer["final"]) == ("later", False)
            assert answer["retry_after_s"] > 0

            call = await phone(house, "voll", told, answering=[HOTLINE])
            assert call.problems == []
            assert call.dialled == [HOTLINE]
            assert load_phrases()["de"].overloaded in call.heard[1].say

            assert not await letter(house, "brief.pdf", scan, told, patience_s=3.0)
            assert (house.drop_folder / "brief.pdf").read_bytes() == scan
            assert await house.accepted() == []

            # Room again: the same doors, the same guests.
            disk["bytes"] = hosting.DISK_FLOOR_BYTES * 2
            assert await mail(house, "voll", told) == 250
            assert (await confirm(house, "c-1~k-1", told))[0] == 200
            await socket.send_json({"t": "send", "cid": "m1", "text": "Hallo"})
            while (answer := frame((await socket.receive()).data))["t"] != "sent":
                pass
    assert await taken(house, "brief.pdf")
    channels = sorted({contact.channel for contact in await house.accepted()})
    assert channels == ["chat", "email", "link", "post"]


async def taken(house: Gatehouse, name: str) -> bool:
    """Whether the folder let go of a file that was refused before."""
    async with asyncio.timeout(60):
        while (house.drop_folder / name).exists():
            await asyncio.sleep(0.1)
    return True


async def test_the_spool_s_own_floor_is_heard_as_well(house: Gatehouse, monkeypatch: Any) -> None:
    """Below both floors, that of the door and that of the file under the spool, which lies on another disk."""
    monkeypatch.setattr(house.spool.engine._writer, "_floor_bytes", 1 << 62)
    told = Told()
    assert await mail(house, "voll", told) == 452
    call = await phone(house, "voll", told, answering=[HOTLINE])
    assert call.dialled == [HOTLINE]
    assert await house.accepted() == []
