"""The start page: what it tells of a contact's way, the doors it opens, what it keeps to itself without the demo."""

import asyncio
import io
import json

import aiohttp
import pytest
from PIL import Image

from deploy.start.journeys import KEPT, Board


async def events_until(answer, wanted):
    """Events of a feed until `wanted(kind, data)` is true; what that event told."""
    kind = ""
    while True:
        line = (await answer.content.readline()).decode().rstrip("\n")
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data" and wanted(kind, json.loads(value)):
            return json.loads(value)


async def test_a_journey_is_told_stop_by_stop(start):
    async with asyncio.timeout(20), aiohttp.ClientSession(start.base) as client:
        answer = await client.get("/start/api/feed")
        await events_until(answer, lambda kind, data: kind == "board")
        contact = await start.traveller.received("grete")
        told = await events_until(answer, lambda kind, data: kind == "journey")
        assert [step["stop"] for step in told["steps"]] == ["received"]
        assert 0.15 < told["heard_s"] < 30
        case = await start.traveller.understood("grete", contact)
        told = await events_until(answer, lambda kind, data: kind == "journey" and data["department"])
        assert (told["intent"], told["department"], told["case"]) == ("billing.duplicate_charge", "billing", case)
        await start.traveller.answered("grete", contact, case, "Guten Tag")
        told = await events_until(answer, lambda kind, data: kind == "journey" and data["answered_s"])
        assert [step["stop"] for step in told["steps"]] == ["received", "identified", "understood", "reply", "status"]
        assert told["answer"] == "Guten Tag"
        assert 1 <= told["answered_s"] < 60
        answer.close()
        step = told["steps"][0]
        query = {name: str(step[name]) for name in ("topic", "partition", "offset")}
        record = await (await client.get("/start/api/record", params=query)).json()
        assert record["value"]["subject"] == "Doppelt abgebucht"
        for wrong in ({"topic": "case.log"}, {"offset": "999999"}, {"offset": "-1"}, {"partition": "x"}):
            assert (await client.get("/start/api/record", params={**query, **wrong})).status == 404


async def test_a_page_opened_late_sees_what_was(start):
    await start.traveller.whole("grete", "Hallo")
    async with asyncio.timeout(20), aiohttp.ClientSession(start.base) as client:
        answer = await client.get("/start/api/feed")
        board = await events_until(
            answer, lambda kind, data: (kind == "board" and (not data or data[0]["answered_s"])) or kind == "journey"
        )
        shown = board[0] if isinstance(board, list) else board
        assert shown["name"] == "Grete Ohlsen"
        answer.close()


async def test_without_the_demo_nothing_of_customers_is_told(quiet_start):
    start = quiet_start
    async with asyncio.timeout(20), aiohttp.ClientSession(start.base) as client:
        answer = await client.get("/start/api/feed")
        await events_until(answer, lambda kind, data: kind == "counts")
        contact = await start.traveller.whole("grete", "Guten Tag Grete")
        seen = []

        def enough(kind, data):
            seen.append(json.dumps(data))
            return kind == "counts" and data.get("email", {}).get("answered") == 1

        await events_until(answer, enough)
        answer.close()
        about = await (await client.get("/start/api/about")).text()
        for text in ("Grete", "grete.ohlsen", contact.id, "Doppelt"):
            assert text not in "".join(seen)
            assert text not in about
        for path in (
            "/start/api/record?topic=contact.received&partition=0&offset=1", "/start/api/mailbox", "/start/api/letters",
            "/mailbox", "/letters",
        ):  # fmt: skip
            assert (await client.get(path)).status == 404, path
        for door in ("mail", "letter", "scan", "call"):
            assert (await client.post(f"/start/api/{door}", data="{}", headers=start.headers)).status == 404
        assert (await client.post("/start/desk", headers={"Origin": start.base})).status == 404


async def test_doors_open_for_our_own_page_only(start):
    async with aiohttp.ClientSession(start.base) as client:
        for broken in (
            {"Origin": "https://evil.example"},
            {"X-Contactbus-Start": "0"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            headers = {**start.headers, **broken}
            for door in ("mail", "letter", "scan", "call"):
                assert (await client.post(f"/start/api/{door}", data="{}", headers=headers)).status == 403
        evil = await client.post("/start/desk", headers={"Origin": "https://evil.example"}, allow_redirects=False)
        assert evil.status == 403
        own = await client.post("/start/desk", headers={"Origin": start.base}, allow_redirects=False)
        assert (own.status, own.headers["Location"]) == (303, "/desk/login?token=abc")


async def test_a_mail_goes_through_the_mail_door(start):
    async with aiohttp.ClientSession(start.base) as client:
        mail = {"name": "Åse\r\nBcc: evil@x.example", "address": "ase@kunde.example", "subject": "Hei\r\nX-Evil: 1",
                "text": "Blåbær"}  # fmt: skip
        answer = await client.post("/start/api/mail", data=json.dumps(mail), headers=start.headers)
        assert answer.status == 200, await answer.text()
        got = await start.mail_door.wait_for(lambda mail: True)
        assert (got.sender, got.text.strip(), got.rcpt_to) == (
            "ase@kunde.example", "Blåbær", ("hilfe@shop.example",)
        )  # fmt: skip
        assert "x-evil" not in got.headers
        assert "bcc" not in got.headers
        start.mail_door.script = lambda stage, _address: "451 4.3.0 later" if stage == "end" else None
        answer = await client.post("/start/api/mail", data=json.dumps(mail), headers=start.headers)
        assert (answer.status, await answer.json()) == (422, {"error": "door.mail.refused"})


async def test_a_letter_lies_in_the_folder_wholly_or_not_at_all(start):
    async with aiohttp.ClientSession(start.base) as client:
        data = io.BytesIO()
        Image.new("L", (100, 100)).save(data, "PNG")
        headers = {**start.headers, "Content-Type": "application/octet-stream", "X-File-Name": "..%2F..%2Fevil.PNG"}
        answer = await client.post("/start/api/scan", data=data.getvalue(), headers=headers)
        name = (await answer.json())["sent"]
        assert name.startswith("start-")
        assert (start.drop_folder / name).read_bytes() == data.getvalue()
        assert [path.name for path in start.drop_folder.iterdir()] == [name]
        for bad in ("evil.exe", "evil", "evil.pdf.html"):
            refused = await client.post("/start/api/scan", data=b"x", headers={**headers, "X-File-Name": bad})
            assert (refused.status, await refused.json()) == (422, {"error": "door.letter.kind"})
        letter = {"text": "Hei,\n\njeg angrer på kjøpet.", "language": "nb", "sender": ["Kari Lunde", "Storgata 12"]}
        answer = await client.post("/start/api/letter", data=json.dumps(letter), headers=start.headers)
        written = start.drop_folder / (await answer.json())["sent"]
        assert written.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    "body", ["", "[]", '{"number":1}', '{"number":"+49","caller":"x","says":["a"]}', "[" * 100_000]
)
async def test_malformed_forms_are_refused(start, body):
    async with aiohttp.ClientSession(start.base) as client:
        for door in ("mail", "letter", "call"):
            answer = await client.post(f"/start/api/{door}", data=body, headers=start.headers)
            assert (answer.status, await answer.json()) == (400, {"error": "form"}), door


async def test_a_call_to_a_line_that_is_not_ours_is_not_made(start):
    async with aiohttp.ClientSession(start.base) as client:
        call = {"number": "+491111", "caller": "+49222", "says": ["Hallo"]}
        answer = await client.post("/start/api/call", data=json.dumps(call), headers=start.headers)
        assert (answer.status, await answer.json()) == (422, {"error": "door.call.closed"})
        # A line of ours, but nobody picks up: a clear refusal, no fault.
        answer = await client.post(
            "/start/api/call", data=json.dumps({**call, "number": "+49301234567"}), headers=start.headers
        )
        assert (answer.status, await answer.json()) == (422, {"error": "door.call.refused"})


async def test_letters_of_the_tray_are_listed_and_nothing_else_is_read(start):
    data = io.BytesIO()
    Image.new("L", (1240, 1754), 200).save(data, "PDF")
    (start.letter_tray / "r-abc.pdf").write_bytes(data.getvalue())
    (start.letter_tray / "r-abc.json").write_text("{}")
    (start.letter_tray.parent / "secret.pdf").write_bytes(b"%PDF secret")
    async with aiohttp.ClientSession(start.base) as client:
        letters = (await (await client.get("/start/api/letters")).json())["letters"]
        assert [letter["name"] for letter in letters] == ["r-abc"]
        pdf = await client.get("/start/api/letters/r-abc.pdf")
        assert await pdf.read() == data.getvalue()
        assert pdf.headers["Content-Disposition"].startswith("attachment")
        png = await client.get("/start/api/letters/r-abc.png")
        assert (await png.read()).startswith(b"\x89PNG")
        for path in ("..%2Fsecret.pdf", "%2e%2e%2fsecret.pdf", "r-none.pdf", "r-none.png", "..%2Fsecret.png"):
            assert (await client.get(f"/start/api/letters/{path}")).status == 404, path


async def test_the_board_keeps_the_newest_and_forgets_the_rest(start, engine):
    board = Board("shop")
    for number in range(KEPT + 5):
        await start.traveller.received("grete", number)
    for partition in range(8):
        for record in await engine.read("contact.received", partition):
            board.observe(record)
    assert len(board.newest()) == KEPT
    assert board.counts["email"]["heard"] == KEPT + 5


async def test_the_board_of_one_tenant_ignores_another_and_what_it_cannot_read(start, engine):
    await start.traveller.received("grete")
    board = Board("bank")
    records = [record for partition in range(8) for record in await engine.read("contact.received", partition)]
    assert len(records) == 1
    assert board.observe(records[0]) is None
    broken = Board("shop")
    import msgspec

    assert broken.observe(msgspec.structs.replace(records[0], value=b"{")) is None
    assert broken.newest() == []
