"""Working with cases through the desk's interface: queue, reply, what changed meanwhile, closing, the feed."""

import asyncio
import json
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from bus.clock import to_micros
from bus.log.tables import timer
from bus.message import Reply, decode


async def post(client, house, path, body):
    answer = await client.post(f"/desk/api/{path}", data=json.dumps(body), headers=house.headers)
    return answer.status, await answer.json()


def writing(version, **other):
    return {"text": "Guten Tag Frau Ohlsen, das klären wir.", "channel": "email", "language": "de",
            "seen": version, **other}  # fmt: skip


async def replies_in_log(engine, channel):
    found = []
    for partition in range(8):
        found += await engine.read(f"reply.{channel}", partition)
    return [decode(record.value, Reply) for record in found]


async def test_the_queue_is_sorted_by_the_time_left(house):
    late = await house.make_case("grete", minutes=600)
    soon = await house.make_case("kari", minutes=5)
    middle = await house.make_case("tom", minutes=60)
    software = await house.make_case("jonas", with_person=False)
    client = await house.sign_in()
    rows = (await (await client.get("/desk/api/queue")).json())["rows"]
    # Whoever waits before a window comes before every promise.
    assert [row["id"] for row in rows] == [middle, soon, late]
    assert rows[0]["live"] is True
    assert rows[0]["hold"]["reason"] == "busy"
    assert rows[1]["name"] == "Kari Lunde"
    assert rows[1]["language"] == "nb"
    assert rows[1]["channel"] == "post"
    assert rows[1]["intent"] == "return.withdraw"
    assert rows[1]["promised"] < rows[1]["due"]
    assert rows[1]["hold"] is None
    rows = (await (await client.get("/desk/api/queue?view=software")).json())["rows"]
    assert [row["id"] for row in rows] == [software]
    assert (await client.get("/desk/api/queue?view=secret")).status == 400
    await client.close()


async def test_who_has_hung_up_no_longer_waits_on_the_line(house):
    case = await house.make_case("jonas")
    client = await house.sign_in()

    async def live():
        [row] = (await (await client.get("/desk/api/queue")).json())["rows"]
        return row["live"]

    assert await live() is True
    await house.write_in(case, "", request="ended")
    assert await live() is False
    await house.write_in(case, "Da bin ich wieder.")
    assert await live() is True
    await client.close()


async def test_a_reply_goes_back_where_the_contact_came_from_and_is_sent_once(house):
    case = await house.make_case()
    client = await house.sign_in()
    version = (await house.state(case)).version
    bodies = [writing(version) for _ in range(3)]
    answers = await asyncio.gather(*(post(client, house, f"cases/{case}/reply", body) for body in bodies))
    assert {status for status, _ in answers} == {200}
    [reply] = await replies_in_log(house.engine, "email")
    assert reply.to.address == "grete.ohlsen@kunde.example"
    assert reply.text == "Guten Tag Frau Ohlsen, das klären wir."
    assert reply.automatic is False
    assert reply.case == case
    state = await house.state(case)
    assert state.assignee == "Mina"
    assert state.status == "waiting-customer"
    assert state.open_promises() == ()
    await client.close()


async def test_by_friday_is_a_promise_that_somebody_is_reminded_of(house):
    case = await house.make_case()
    client = await house.sign_in()
    text = "Guten Tag Frau Ohlsen, wir melden uns innerhalb von zwei Tagen. Bitte senden Sie uns bis Montag ein Foto."
    body = writing((await house.state(case)).version, text=text)
    assert (await post(client, house, f"cases/{case}/reply", body))[0] == 200
    (promise,) = (await house.state(case)).open_promises()
    assert promise.what == "Guten Tag Frau Ohlsen, wir melden uns innerhalb von zwei Tagen."
    assert (promise.by, promise.until.astimezone(ZoneInfo("Europe/Berlin")).hour) == ("Mina", 18)
    assert await house.engine.all(select(timer).where(timer.c.due == to_micros(promise.until)))
    status, body = await post(client, house, f"cases/{case}/close", {"outcome": "solved"})
    assert status == 422
    assert "promise" in body["missing"]
    await client.close()


async def test_a_reply_is_refused_while_the_customer_has_news(house):
    case = await house.make_case()
    client = await house.sign_in()
    version = (await house.state(case)).version
    await house.write_in(case, "Noch etwas: es war die Karte mit der 42 am Ende.")
    status, body = await post(client, house, f"cases/{case}/reply", writing(version))
    assert (status, body["error"], body["by_customer"]) == (409, "changed", True)
    assert body["events"][0]["text"].startswith("Noch etwas")
    assert await replies_in_log(house.engine, "email") == []
    version = (await house.state(case)).version
    status, _ = await post(client, house, f"cases/{case}/reply", writing(version))
    assert status == 200
    assert len(await replies_in_log(house.engine, "email")) == 1
    await client.close()


async def test_a_colleagues_reply_counts_as_news_and_a_delivery_report_does_not(house):
    case = await house.make_case()
    mina, ole = await house.sign_in(person="Mina"), await house.sign_in(person="Ole")
    version = (await house.state(case)).version
    assert (await post(mina, house, f"cases/{case}/reply", writing(version)))[0] == 200
    status, body = await post(ole, house, f"cases/{case}/reply", writing(version, text="Noch ein Satz."))
    assert (status, body["by_customer"]) == (409, False)
    version = (await house.state(case)).version
    await house.progress(case, "accepted")
    status, _ = await post(ole, house, f"cases/{case}/reply", writing(version, text="Noch ein Satz."))
    assert status == 200
    await mina.close()
    await ole.close()


async def test_a_reply_needs_a_channel_on_which_the_customer_was_heard(house):
    case = await house.make_case()
    client = await house.sign_in()
    version = (await house.state(case)).version
    status, body = await post(client, house, f"cases/{case}/reply", writing(version, channel="phone"))
    assert (status, body) == (422, {"error": "unreachable"})
    await client.close()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b'{"text":"x"}', b"[" * 100_000, b'{"text":"\xff"}',
        json.dumps(writing(1, text=" ")).encode(), json.dumps(writing(1, text="x" * 20_001)).encode(),
        json.dumps(writing(1, tenant="bank")).encode(), json.dumps(writing("1")).encode(),
        json.dumps(writing(1, language="xx")).encode(), json.dumps(writing(1, actor="Ole")).encode(),
        b'{"text":"' + b"x" * 300_000 + b'"}',
    ],
)  # fmt: skip
async def test_a_malformed_request_is_refused_without_a_word_of_the_fault(house, body):
    case = await house.make_case()
    client = await house.sign_in()
    answer = await client.post(f"/desk/api/cases/{case}/reply", data=body, headers=house.headers)
    assert answer.status == 400
    assert await answer.json() == {"error": "form"}
    await client.close()


async def test_closing_says_what_is_missing_until_nothing_is(house):
    case = await house.make_case()
    client = await house.sign_in()
    status, body = await post(client, house, f"cases/{case}/close", {"outcome": ""})
    assert (status, body) == (422, {"error": "missing", "missing": ["outcome", "anything-else", "promise"]})
    version = (await house.state(case)).version
    await post(client, house, f"cases/{case}/reply", writing(version, anything_else=True))
    status, body = await post(client, house, f"cases/{case}/close", {"outcome": "solved"})
    assert body["missing"] == ["answer", "reply"]
    await house.progress(case, "delivered")
    view = await (await client.get(f"/desk/api/cases/{case}")).json()
    assert {line["rule"]: line["ok"] for line in view["to_close"]} == {
        "outcome": False, "anything-else": True, "answer": False, "promise": True, "reply": True
    }  # fmt: skip
    await post(client, house, f"cases/{case}/answered", {})
    status, _ = await post(client, house, f"cases/{case}/close", {"outcome": "solved"})
    assert status == 200
    state = await house.state(case)
    assert (state.status, state.outcome) == ("closed", "solved")
    rows = (await (await client.get("/desk/api/queue?view=closed")).json())["rows"]
    assert [row["id"] for row in rows] == [case]
    await client.close()


async def test_notes_assignment_and_promises_are_in_the_timeline_with_their_author(house):
    case = await house.make_case()
    client = await house.sign_in(person="Mina")
    await post(client, house, f"cases/{case}/note", {"text": "Karte geprüft."})
    await post(client, house, f"cases/{case}/take", {})
    await post(client, house, f"cases/{case}/assign", {"to": "Ole"})
    await post(client, house, f"cases/{case}/kept", {"promise": "person"})
    view = await (await client.get(f"/desk/api/cases/{case}")).json()
    last = view["events"][-4:]
    assert [(event["kind"], event["actor"]) for event in last] == [
        ("noted", "Mina"), ("assigned", "Mina"), ("assigned", "Mina"), ("promise-kept", "Mina")
    ]  # fmt: skip
    assert view["row"]["assignee"] == "Ole"
    assert view["promises"] == []
    await client.close()


async def read_events(answer, count):
    """The next events of a feed that are no beats: (id, kind, data)."""
    found, current = [], {}
    while len(found) < count:
        line = (await answer.content.readline()).decode().rstrip("\n")
        if line:
            name, _, value = line.partition(": ")
            current[name] = value
        elif current:
            if current["event"] != "beat":
                found.append((current.get("id"), current["event"], json.loads(current["data"])))
            current = {}
    return found


async def test_the_feed_tells_of_changes_and_goes_on_where_it_stopped(house):
    client = await house.sign_in()
    async with asyncio.timeout(20):
        answer = await client.get("/desk/api/feed")
        [(_, kind, _)] = await read_events(answer, 1)
        assert kind == "ready"
        first = await house.make_case("grete")
        [(cursor, kind, data)] = await read_events(answer, 1)
        assert (kind, data["case"]) == ("case", first)
        answer.close()
        # While nobody listens, two more.
        second = await house.make_case("kari")
        third = await house.make_case("tom")
        other = await house.make_case("jonas", tenant="bank")
        again = await client.get("/desk/api/feed", headers={"Last-Event-ID": cursor})
        events = await read_events(again, 4)
        seen = {data.get("case") for _, kind, data in events if kind == "case"}
        assert {second, third} <= seen
        fourth = await house.make_case("jonas")
        [(_, _, data)] = await read_events(again, 1)
        assert data["case"] == fourth
        assert other not in seen
        again.close()
    await client.close()


async def test_a_feed_ends_when_the_desk_is_closed(house):
    client = await house.sign_in()
    async with asyncio.timeout(10):
        answer = await client.get("/desk/api/feed")
        await read_events(answer, 1)
        await house.pages.close()
        assert await answer.content.read() == b""
    await client.close()


async def test_a_feed_is_let_go_with_its_page(house, soon):
    client = await house.sign_in()
    case = await house.make_case()
    before = len(asyncio.all_tasks())
    answer = await client.get("/desk/api/feed")
    await read_events(answer, 1)
    assert len(asyncio.all_tasks()) > before
    answer.close()
    await client.close()

    async def gone():
        await house.write_in(case, "x")  # writing to a page that has gone is how the server finds out
        return len(asyncio.all_tasks()) <= before

    await soon(gone)
