"""Who else is at a case, over two processes of the product; drafts that survive the page and the machine."""

import asyncio
import json

from sqlalchemy import select

from bus.clock import to_micros
from bus.testing.clock import FakeClock
from workers.desk.presence import GONE_AFTER, Presence, Viewer
from workers.desk.schema import desk_draft


async def post(client, house, path, body):
    answer = await client.post(f"/desk/api/{path}", data=json.dumps(body), headers=house.headers)
    return answer.status, await answer.json()


async def told(answer, case):
    """The people at a case as the feed tells next."""
    kind = ""
    async with asyncio.timeout(10):
        while True:
            name, _, value = (await answer.content.readline()).decode().rstrip("\n").partition(": ")
            if name == "event":
                kind = value
            elif name == "data" and kind == "here":
                data = json.loads(value)
                if data["case"] == case:
                    return data["people"]


async def test_colleagues_at_another_process_are_seen_and_strangers_are_not(house, other_process):
    case = await house.make_case()
    mina = await house.sign_in(person="Mina")
    ole = await other_process.sign_in(person="Ole")
    eva = await other_process.sign_in(tenant="bank", person="Eva")
    feed = await mina.get("/desk/api/feed?page=page-of-mina")
    here = {"page": "page-of-mina", "case": case}
    assert (await post(mina, house, "here", here))[0] == 200
    assert (await post(eva, other_process, "here", {"page": "page-of-eva", "case": case}))[0] == 200
    assert (await post(ole, other_process, "here", {"page": "page-of-ole", "case": case}))[0] == 200
    # Neither her own page nor another company's.
    assert await told(feed, case) == [{"person": "Ole", "writing": False}]
    await post(ole, other_process, "here", {"page": "page-of-ole", "case": case, "writing": True})
    assert await told(feed, case) == [{"person": "Ole", "writing": True}]
    # A second page of hers is not hidden, and one person is named once.
    await post(mina, house, "here", {"page": "other-page", "case": case})
    assert await told(feed, case) == [{"person": "Mina", "writing": False}, {"person": "Ole", "writing": True}]
    await post(mina, house, "here", {"page": "other-page", "case": ""})
    await post(ole, other_process, "here", {"page": "page-of-ole", "case": ""})
    last = await told(feed, case)
    assert last == [] or await told(feed, case) == []
    feed.close()
    for client in (mina, ole, eva):
        await client.close()


async def test_a_page_may_not_call_itself_anything(house):
    client = await house.sign_in()
    wrong = [{"page": name, "case": "k"} for name in ("", "a b", "x" * 65)]
    wrong += [{"page": "x", "case": "k" * 101}, {"page": "x"}, {"page": "x", "case": "k", "person": "Ole"}]
    for body in wrong:
        assert await post(client, house, "here", body) == (400, {"error": "form"})
    await client.close()


async def test_whoever_is_connected_stays_and_whoever_is_not_is_gone(engine, monkeypatch):
    """A page that is connected is renewed; one that went without a word is forgotten after its time."""
    clock = FakeClock()
    monkeypatch.setattr("workers.desk.presence._RENEW_S", 0.0)
    monkeypatch.setattr("workers.desk.presence._LOOK_S", 0.01)
    presence = Presence(store=engine, clock=clock)
    await presence.show("shop", "stays", "Mina", "k-1", writing=False)
    await presence.show("shop", "vanished", "Ole", "k-1", writing=True)
    async with presence.connected("shop", "stays"), presence.connected("shop", "watcher") as watch:
        async with asyncio.timeout(10):
            assert await watch.changes() == {"k-1": (viewer("Mina"), viewer("Ole", writing=True))}
            for _ in range(3):
                clock.advance(GONE_AFTER.total_seconds() / 2)
                while not any(row["seen"] == to_micros(clock.now()) for row in presence.rows("shop")):
                    await asyncio.sleep(0.005)
            assert await watch.changes() == {"k-1": (viewer("Mina"),)}


def viewer(person, *, writing=False):
    return Viewer(person=person, writing=writing)


async def test_a_draft_goes_with_the_person_to_another_machine_until_it_is_sent(house, other_process):
    case = await house.make_case()
    mina, again = await house.sign_in(person="Mina"), await other_process.sign_in(person="Mina")
    ole = await house.sign_in(person="Ole")

    async def drafts(client):
        return (await (await client.get(f"/desk/api/cases/{case}")).json())["drafts"]

    assert await drafts(mina) == {}
    assert (await post(mina, house, f"cases/{case}/draft", {"mode": "reply", "text": "Guten T"}))[0] == 200
    assert (await post(mina, house, f"cases/{case}/draft", {"mode": "reply", "text": "Guten Tag"}))[0] == 200
    assert (await post(mina, house, f"cases/{case}/draft", {"mode": "note", "text": "Karte?"}))[0] == 200
    assert {mode: draft["text"] for mode, draft in (await drafts(again)).items()} == {
        "reply": "Guten Tag", "note": "Karte?"
    }  # fmt: skip
    assert await drafts(ole) == {}
    # A reply that is refused leaves the draft alone.
    version = (await house.state(case)).version
    await house.write_in(case, "Noch etwas.")
    body = {"text": "Guten Tag", "channel": "email", "language": "de", "seen": version}
    assert (await post(mina, house, f"cases/{case}/reply", body))[0] == 409
    assert "reply" in await drafts(mina)
    body["seen"] = (await house.state(case)).version
    assert (await post(mina, house, f"cases/{case}/reply", body))[0] == 200
    assert set(await drafts(again)) == {"note"}
    await post(again, other_process, f"cases/{case}/note", {"text": "Karte?"})
    assert await drafts(mina) == {}
    assert await house.engine.all(select(desk_draft)) == []
    for client in (mina, again, ole):
        await client.close()


async def test_a_draft_belongs_to_a_case_of_the_own_company(house):
    case = await house.make_case()
    eva = await house.sign_in(tenant="bank", person="Eva")
    body = {"mode": "reply", "text": "x"}
    assert await post(eva, house, f"cases/{case}/draft", body) == (404, {"error": "gone"})
    mina = await house.sign_in()
    for wrong in ({"mode": "secret", "text": "x"}, {"mode": "reply"}, {"mode": "reply", "text": "x" * 20_001}):
        assert (await post(mina, house, f"cases/{case}/draft", wrong))[0] == 400
    await eva.close()
    await mina.close()
