"""Roles and the interface for people and their work, through the running desk."""

from datetime import timedelta
from typing import Any

import pytest

from bus.delivery.dead_letters import dead_letter_outcome
from bus.delivery.outcome import Outcome
from bus.log.port import StoredRecord
from bus.log.topics import CASE_OFFERS, CASE_TIMER
from bus.message import encode
from bus.store.port import Effect
from bus.testing.clock import FakeClock
from workers.case.work import Look
from workers.desk.offering import OfferWorker
from workers.desk.roster import Roster
from workers.desk.staff import People, Staff


async def enter(house: Any, **roles: str) -> None:
    for name, role in roles.items():
        await People(store=house.engine, clock=house.clock).keep("shop", Staff(name=name, role=role))


async def round_of_offers(house: Any) -> None:
    worker = OfferWorker(store=house.engine, clock=house.clock)
    record = StoredRecord(
        topic=CASE_OFFERS, partition=0, offset=1, at=0, key="shop", value=encode(Look(tenant="shop")), id="l",
        headers={},
    )  # fmt: skip
    (result,) = await house.engine.apply([Effect(outcome=await worker.handle(record))])
    assert result.applied


@pytest.mark.parametrize(
    ("role", "open_to", "closed_to"),
    [
        ("representative", ("queue", "mine"), ("supervisor", "colleagues", "staff", "reports")),
        ("supervisor", ("queue", "supervisor", "colleagues", "reports"), ("staff",)),
        ("manager", ("queue", "supervisor", "staff", "reports"), ()),
        ("technical", ("staff", "me"), ("queue", "mine", "supervisor", "cases/k-1", "reports")),
    ],
)
async def test_each_role_sees_its_part(house: Any, role: str, open_to: tuple[str, ...], closed_to: Any) -> None:
    await enter(house, Mina=role)
    client = await house.sign_in(person="Mina")
    for path in open_to:
        assert (await client.get(f"/desk/api/{path}")).status == 200, path
    for path in closed_to:
        answer = await client.get(f"/desk/api/{path}")
        assert answer.status == 403, path
        refusal = await answer.json()
        assert (refusal["error"], refusal["role"]) == ("role", role)
    changed = await client.post("/desk/api/staff", json={"name": "Eve", "role": "manager"}, headers=house.headers)
    assert changed.status == (200 if "staff" in open_to else 403)
    await client.close()


async def test_who_left_is_signed_out_and_a_stranger_does_not_get_in(house: Any) -> None:
    await enter(house, Mina="representative", Ole="manager")
    client, stranger = await house.sign_in(person="Mina"), await house.sign_in(person="Eve")
    assert (await client.get("/desk/api/queue")).status == 200
    assert (await stranger.get("/desk/api/queue")).status == 401
    manager = await house.sign_in(person="Ole")
    assert (await manager.post("/desk/api/staff/Mina/remove", json={}, headers=house.headers)).status == 200
    assert (await client.get("/desk/api/queue")).status == 401
    for each in (client, stranger, manager):
        await each.close()


async def test_an_offer_from_ready_to_taken(house: Any) -> None:
    await enter(house, Mina="representative", Ole="representative")
    case = await house.make_case()
    client, other = await house.sign_in(person="Mina"), await house.sign_in(person="Ole")

    async def post(path: str, body: Any = None, by: Any = client) -> tuple[int, Any]:
        answer = await by.post(f"/desk/api/{path}", json=body or {}, headers=house.headers)
        return answer.status, await answer.json()

    assert await post("presence", {"state": "asleep"}) == (422, {"error": "missing", "missing": ["state"]})
    assert await post("presence", {"state": "ready"}) == (200, {})
    await round_of_offers(house)
    mine = await (await client.get("/desk/api/mine")).json()
    assert mine["presence"]["state"] == "ready"
    (offer,) = mine["offers"]
    assert (offer["case"], offer["name"], offer["lane"]) == (case, "Grete Ohlsen", "mail")
    assert (await post(f"cases/{case}/offer/accept", by=other))[0] == 422
    assert await post(f"cases/{case}/offer/accept") == (200, {})
    assert (await post(f"cases/{case}/offer/accept"))[1]["missing"] == ["offer"]
    shown = await (await client.get(f"/desk/api/cases/{case}")).json()
    assert shown["row"]["assignee"] == "Mina"
    await client.close()
    await other.close()


async def test_a_supervisor_sees_why_and_steps_in(house: Any) -> None:
    await enter(house, Mina="representative", Ole="supervisor")
    late = await house.make_case(minutes=-30)
    chat = await house.make_case("tom")
    ole, mina = await house.sign_in(person="Ole"), await house.sign_in(person="Mina")
    rows = (await (await ole.get("/desk/api/supervisor")).json())["rows"]
    reasons = {row["id"]: [reason["word"] for reason in row["reasons"]] for row in rows}
    assert rows[0]["id"] == late
    assert "late" in reasons[late]
    assert "nobody" in reasons[chat]

    async def post(by: Any, path: str, body: Any = None) -> int:
        return (await by.post(f"/desk/api/{path}", json=body or {}, headers=house.headers)).status

    assert await post(mina, f"cases/{late}/step-in") == 403
    assert await post(ole, f"cases/{late}/advise", {"text": "Ask for the receipt."}) == 422
    assert await post(mina, f"cases/{late}/take") == 200
    assert await post(ole, f"cases/{late}/advise", {"text": "Ask for the receipt."}) == 200
    assert await post(ole, f"cases/{late}/step-in") == 200
    assert await post(ole, f"cases/{chat}/take-over") == 200
    shown = await (await mina.get(f"/desk/api/cases/{late}")).json()
    kinds = {event["kind"]: event for event in shown["events"]}
    assert kinds["noted"]["to"] == "Mina"
    assert kinds["stepped-in"]["actor"] == "Ole"
    assert not [event for event in shown["events"] if event["kind"] == "reply-planned"]
    assert await post(mina, "presence", {"state": "busy"}) == 200
    assert await post(ole, "colleagues/Mina/break", {"minutes": 20, "reason": "abuse"}) == 200
    (row,) = (await (await ole.get("/desk/api/colleagues")).json())["rows"]
    assert (row["name"], row["state"], row["reason"]) == ("Mina", "break", "abuse")
    await ole.close()
    await mina.close()


async def test_accepting_a_call_back_leads_to_the_number_or_says_why_not_now(house: Any) -> None:
    await enter(house, Mina="representative")
    case = await house.make_case("jonas")
    await house.write_in(case, "", request="callback")
    client = await house.sign_in(person="Mina")

    async def post(path: str, body: Any = None) -> tuple[int, Any]:
        answer = await client.post(f"/desk/api/{path}", json=body or {}, headers=house.headers)
        return answer.status, await answer.json()

    assert await post("presence", {"state": "ready"}) == (200, {})
    await round_of_offers(house)
    (offer,) = (await (await client.get("/desk/api/mine")).json())["offers"]
    assert (offer["lane"], offer["callback"]["number"]) == ("call", "+49305550144")
    status, told = await post(f"cases/{case}/offer/accept")
    # Without a telephone of Mina's she dials by hand; at night nobody is called.
    assert (status, told) in (
        (200, {"rings": False, "number": "+49305550144"}),
        (200, {"rings": False, "missing": ["hours"]}),
    )
    assert (await post(f"cases/{case}/called", {"result": "asleep"}))[0] == 400
    assert await post(f"cases/{case}/called", {"result": "talked"}) == (200, {})
    shown = await (await client.get(f"/desk/api/cases/{case}")).json()
    assert [event["how"] for event in shown["events"] if event["kind"] == "callback-ended"] == ["talked"]
    assert shown["promises"] == []
    await client.close()


async def test_the_page_says_that_a_break_is_over_and_comes_back_by_one_click(house: Any, soon: Any, eyes: Any) -> None:
    await enter(house, Mina="representative")
    # A break of ten minutes that began nine minutes and 57 seconds ago.
    began = FakeClock(house.clock.now() - timedelta(minutes=9, seconds=57))
    roster = Roster(store=house.engine, clock=began)
    await roster.say("shop", "Mina", "break", minutes=10, reason="abuse")
    page = await eyes.open_desk(house, language="de")
    assert await page.locator("[data-key='rested']").count() == 0

    async def over() -> bool:
        await round_of_offers(house)
        row = await roster.one("shop", "Mina")
        return row is not None and row["state"] == "busy"

    await soon(over)
    await page.wait_for_selector("[data-key='rested']")
    assert "Pause ist zu Ende" in await page.text_content("desk-offers")
    assert await eyes.violations(page) == []
    await page.click("[data-key='rested']")

    async def back() -> bool:
        row = await roster.one("shop", "Mina")
        return row is not None and row["state"] == "ready"

    await soon(back)
    await page.wait_for_selector("[data-key='rested']", state="detached")
    await page.context.close()


async def test_what_was_given_up_without_a_case_is_an_alarm_on_the_overview(house: Any, eyes: Any) -> None:
    await enter(house, Mina="supervisor")
    lost = StoredRecord(
        topic=CASE_TIMER, partition=0, offset=1, at=0, key="k-1", value=b"?", id="t-1", headers={"tenant": "shop"}
    )
    given_up = dead_letter_outcome(
        lost, group="case", reason="poison", attempts=1, now=house.clock.now(), desk_case=lambda *_: Outcome()
    )
    await house.engine.apply([Effect(outcome=given_up)])
    page = await eyes.open_desk(house, language="en")
    await page.goto(f"{house.base}/desk/live")
    await page.wait_for_selector(".overview [role='alert']")
    assert "visible in no case: 1" in await page.text_content(".overview [role='alert']")
    assert await eyes.violations(page) == []
    await page.context.close()
    client = await house.sign_in(person="Mina")
    (told,) = (await (await client.get("/desk/api/supervisor")).json())["unseen"]
    assert (told["group"], told["topic"], told["letters"]) == ("case", CASE_TIMER, 1)
    await client.close()
