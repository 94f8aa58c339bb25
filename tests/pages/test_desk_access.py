"""Who gets in, who may change something, and that two companies never see each other."""

import asyncio
import json

import aiohttp
import pytest

from bus.delivery.outcome import Outcome, Write
from bus.store.blobs import digest_of
from bus.store.port import Effect
from workers.desk.login import Sessions, login_url
from workers.desk.schema import INSERT_FILE


async def test_a_login_link_works_once(house):
    link = house.link()
    token = link.split("token=")[1]

    async def use():
        async with aiohttp.ClientSession() as client:
            answer = await client.post(
                f"{house.base}/desk/login", data={"token": token}, headers={"Origin": house.base}, allow_redirects=False
            )
            return answer.headers["Location"], answer.headers.get("Set-Cookie", "")

    answers = await asyncio.gather(*(use() for _ in range(5)))
    opened = [cookie for location, cookie in answers if location == "/desk"]
    assert len(opened) == 1
    assert "HttpOnly" in opened[0]
    assert "SameSite=Strict" in opened[0]
    assert [location for location, _ in answers].count("/desk/login?problem=used") == 4


async def test_looking_at_the_link_does_not_use_it_up(house):
    link = house.link()
    async with aiohttp.ClientSession() as client:
        assert (await client.get(link)).status == 200
        assert (await client.get(link)).status == 200
    client = await house.sign_in()
    await client.close()


@pytest.mark.parametrize("minutes", [14, 15, 16])
async def test_a_link_is_good_for_fifteen_minutes(engine, house, minutes):
    from bus.testing.clock import FakeClock

    clock = FakeClock()
    sessions = Sessions(store=engine, signer=house.signer, clock=clock)
    token = login_url(signer=house.signer, clock=clock, tenant="shop", base_url="x").split("token=")[1]
    clock.advance(minutes * 60)
    assert (await sessions.open(token) is not None) == (minutes < 15)


async def test_a_forged_link_opens_nothing(engine, house):
    sessions = Sessions(store=engine, signer=house.signer, clock=house.clock)
    token = house.link().split("token=")[1]
    assert await sessions.open(token.replace("shop", "bank")) is None
    assert await sessions.open(token[:-1] + ("a" if token[-1] != "a" else "b")) is None
    assert await sessions.open("") is None


async def test_a_session_ends_after_a_day_of_work_and_on_signing_out(engine, house):
    from bus.testing.clock import FakeClock

    clock = FakeClock()
    sessions = Sessions(store=engine, signer=house.signer, clock=clock)

    async def secret():
        return await sessions.open(
            login_url(signer=house.signer, clock=clock, tenant="shop", base_url="x").split("token=")[1]
        )

    first, second = await secret(), await secret()
    session = await sessions.find(first)
    await sessions.close(session)
    assert await sessions.find(first) is None
    assert (await sessions.find(second)).tenant == "shop"
    clock.advance(12 * 3600)
    assert await sessions.find(second) is None


READS = ["me", "queue", "feed", "cases/{case}", "cases/{case}/files/sha256:{zeros}", "cases/{case}/files/x/picture"]
CHANGES = ["reply", "note", "take", "release", "assign", "kept", "answered", "hold", "close"]


async def test_nothing_is_shown_without_a_session(house):
    case = await house.make_case()
    async with aiohttp.ClientSession() as client:
        for path in READS:
            answer = await client.get(f"{house.base}/desk/api/" + path.format(case=case, zeros="0" * 64))
            assert answer.status == 401, path
            assert await answer.json() == {"error": "session"}
        for action in CHANGES:
            answer = await client.post(
                f"{house.base}/desk/api/cases/{case}/{action}", data=b"{}", headers=house.headers
            )
            assert answer.status == 401, action
        page = await client.get(f"{house.base}/desk", allow_redirects=False)
        assert (page.status, page.headers["Location"]) == (303, "/desk/login")


@pytest.mark.parametrize(
    "broken",
    [
        {"X-Contactbus-Desk": None},
        {"Origin": "https://evil.example"},
        {"Origin": None},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Content-Type": "text/plain"},
    ],
)
async def test_only_our_own_page_may_change_something(house, broken):
    case = await house.make_case()
    client = await house.sign_in()
    headers = {name: value for name, value in {**house.headers, **broken}.items() if value is not None}
    before = (await house.state(case)).version
    for action in CHANGES:
        answer = await client.post(
            f"/desk/api/cases/{case}/{action}", data=json.dumps({"text": "x"}), headers=headers,
            skip_auto_headers={"Content-Type"},
        )  # fmt: skip
        assert answer.status in (403, 415), action
    assert (await house.state(case)).version == before
    await client.close()


async def test_a_login_from_a_foreign_page_is_refused(house):
    token = house.link().split("token=")[1]
    async with aiohttp.ClientSession() as client:
        answer = await client.post(
            f"{house.base}/desk/login", data={"token": token}, headers={"Origin": "https://evil.example"}
        )
        assert answer.status == 403


async def test_two_companies_do_not_see_each_other(house):
    mine = await house.make_case("grete", text="ours alone")
    theirs = await house.make_case("tom", tenant="bank", text="canary-of-the-bank")
    secret = b"%PDF-1.4 canary-of-the-bank"
    digest = await house.blobs.put(secret)
    row = {"tenant": "bank", "case_id": theirs, "contact": "c-1", "digest": digest, "role": "raw", "name": "b.pdf",
           "media_type": "application/pdf", "size": len(secret), "at": 1}  # fmt: skip
    await house.engine.apply([Effect(outcome=Outcome(writes=(Write(statement=INSERT_FILE, params=row),)))])
    before = (await house.state(theirs, "bank")).version
    client = await house.sign_in("shop")
    for path in (
        "queue", "queue?view=software", "queue?view=closed", f"cases/{theirs}",
        f"cases/{theirs}/files/{digest}", f"cases/{mine}/files/{digest}", f"cases/{mine}/files/{digest}/picture",
    ):  # fmt: skip
        body = await (await client.get(f"/desk/api/{path}")).text()
        assert "canary-of-the-bank" not in body, path
        assert "Tom Baker" not in body, path
    for action in CHANGES:
        body = {
            "text": "x", "channel": "chat", "language": "en", "seen": 99
        } if action in ("reply",) else {"text": "x"} if action == "note" else {}  # fmt: skip
        answer = await client.post(f"/desk/api/cases/{theirs}/{action}", data=json.dumps(body), headers=house.headers)
        assert answer.status == 404, action
    assert (await house.state(theirs, "bank")).version == before
    bank = await house.sign_in("bank")
    answer = await bank.get(f"/desk/api/cases/{theirs}/files/{digest}")
    assert await answer.read() == secret
    await client.close()
    await bank.close()


async def test_files_are_saved_and_never_shown(house):
    case = await house.make_case()
    data = b"<script>parent.steal()</script>"
    digest = await house.blobs.put(data)
    name = 'evil".html\r\nX-Evil: 1'
    row = {"tenant": "shop", "case_id": case, "contact": f"c-{case}-1", "digest": digest, "role": "attachment",
           "name": name, "media_type": "text/html", "size": len(data), "at": 1}  # fmt: skip
    await house.engine.apply([Effect(outcome=Outcome(writes=(Write(statement=INSERT_FILE, params=row),)))])
    client = await house.sign_in()
    answer = await client.get(f"/desk/api/cases/{case}/files/{digest}")
    assert await answer.read() == data
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert "X-Evil" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert (await client.get(f"/desk/api/cases/{case}/files/{digest}/picture")).status == 404
    assert (await client.get(f"/desk/api/cases/{case}/files/{digest_of(b'other')}")).status == 404
    assert (await client.get(f"/desk/api/cases/{case}/files/..%2F..%2Fsigning.key")).status == 404
    await client.close()


async def test_pages_carry_a_policy_without_any_inline_code(house):
    client = await house.sign_in()
    for path in ("/desk", "/desk/login"):
        policy = (await client.get(path)).headers["Content-Security-Policy"]
        assert "unsafe-inline" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
    await client.close()
