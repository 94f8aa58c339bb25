"""What people may give, whom they may call, and which figures they choose, by the desk's interface."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from workers.case import events
from workers.case.changes import Draft
from workers.desk.staff import People, Staff
from workers.records import SqlRecords
from workers.records.demo import load_demo


async def enter(house: Any, **roles: str) -> None:
    for name, role in roles.items():
        await People(store=house.engine, clock=house.clock).keep("shop", Staff(name=name, role=role))


async def ask(client: Any, house: Any, path: str, body: Any) -> tuple[int, Any]:
    answer = await client.post(f"/desk/api/{path}", json=body, headers=house.headers)
    return answer.status, await answer.json()


async def show(client: Any, case: str) -> Any:
    return await (await client.get(f"/desk/api/cases/{case}")).json()


async def prove(house: Any, case: str, customer: str = "C-1001") -> None:
    """The writer gave the code of the address on file."""
    draft = Draft(await house.state(case), house.clock.now())
    draft.tell(
        events.ProofGiven(
            at=draft.now, actor="customer", customer=customer, identity="email:grete.ohlsen@kunde.example", by="code"
        )
    )
    await house.apply(draft)


def gift(amount: int, **other: Any) -> dict[str, Any]:
    return {"order": "SO-10234", "amount": amount, "currency": "EUR", "reason": "late twice", "given": 0, **other}


async def test_goodwill_is_booked_within_the_limit_of_the_role_and_once(house: Any) -> None:
    await load_demo(house.engine, house.clock)
    await enter(house, Mina="representative", Ole="supervisor")
    case = await house.make_case()
    mina, ole = await house.sign_in(person="Mina"), await house.sign_in(person="Ole")
    path = f"cases/{case}/goodwill"

    async def refused(body: Any) -> list[str]:
        status, told = await ask(mina, house, path, body)
        assert status == 422, told
        return told["missing"]

    assert await refused(gift(500)) == ["proof"]
    await prove(house, case)
    assert await refused(gift(500, reason=" ")) == ["reason"]
    assert await refused(gift(500, order="SO-99999")) == ["order"]
    assert await refused(gift(500, order="SO-10301")) == ["order"]  # somebody else's
    assert await refused(gift(0)) == ["amount.positive"]
    assert await refused(gift(500, currency="NOK")) == ["amount.currency"]
    assert await refused(gift(3_001)) == ["goodwill.ceiling"]
    assert (await ask(mina, house, path, {"order": "SO-10234"}))[0] == 400
    assert await ask(mina, house, path, gift(2_000)) == (200, {})
    # The same click again, or a colleague's page that has not heard of it, books nothing.
    assert await refused(gift(2_000)) == ["given"]
    assert await refused(gift(1_001, given=2_000)) == ["goodwill.ceiling"]
    assert await ask(mina, house, path, gift(1_000, given=2_000)) == (200, {})
    # More is the supervisor's to give, until no payment has so much left.
    assert await ask(ole, house, path, gift(4_990, given=3_000)) == (200, {})
    assert (await ask(ole, house, path, gift(2_000, given=7_990)))[1]["missing"] == ["charge"]
    view = await show(mina, case)
    assert view["goodwill"] == {"EUR": 7_990}
    acted = [event for event in view["events"] if event["kind"] == "acted"]
    assert [(e["actor"], e["action"], e["amount"]) for e in acted] == [
        ("Mina", "goodwill", 2_000), ("Mina", "goodwill", 1_000), ("Ole", "goodwill", 4_990),
    ]  # fmt: skip
    assert acted[0]["rules"] == ["goodwill.within"]
    assert [e["text"] for e in view["events"] if e["kind"] == "noted"] == ["late twice"] * 3
    records = SqlRecords(house.engine)
    order = await records.find_order("shop", "SO-10234")
    assert order is not None
    file = await records.order_file("shop", order)
    assert sorted(refund.amount for refund in file.refunds) == [1_000, 2_000, 4_990]
    assert sum(charge.refunded for charge in file.charges) == 7_990
    assert {refund.id for refund in file.refunds} == {event["reference"] for event in acted}
    await mina.close()
    await ole.close()


async def test_a_called_supervisor_stays_called_until_somebody_else_comes(house: Any) -> None:
    await enter(house, Mina="representative", Ole="supervisor")
    case = await house.make_case()
    mina, ole = await house.sign_in(person="Mina"), await house.sign_in(person="Ole")
    assert (await ask(mina, house, f"cases/{case}/escalate", {"reason": "bored"}))[1]["missing"] == ["reason"]
    for _ in range(2):
        assert await ask(mina, house, f"cases/{case}/escalate", {"reason": "decision"}) == (200, {})
    view = await show(mina, case)
    assert [e["reason"] for e in view["events"] if e["kind"] == "supervisor-called"] == ["decision"]
    writing = {"text": "Einen Moment bitte.", "channel": "email", "language": "de", "seen": view["row"]["version"]}
    assert (await ask(mina, house, f"cases/{case}/reply", writing))[0] == 200
    (row,) = (await (await ole.get("/desk/api/supervisor")).json())["rows"]
    assert (row["id"], row["supervisor"], row["assignee"]) == (case, "decision", "Mina")
    assert (await ask(ole, house, f"cases/{case}/step-in", {}))[0] == 200
    state = await house.state(case)
    assert (state.supervisor, state.supervisor_for, state.joined) == ("", "", ("Ole",))
    await mina.close()
    await ole.close()


async def test_the_other_case_of_a_merged_person_is_seen_and_found_by_what_is_at_hand(house: Any) -> None:
    mine = await house.make_case()
    other = await house.make_case("tom")
    client = await house.sign_in()
    first, second = await show(client, mine), await show(client, other)
    assert first["others"] == []
    number = second["row"]["number"]
    for name in (f" {number[:4]} {number[4:8]} {number[8:]} ", second["person"]):
        status, found = await ask(client, house, "people/find", {"name": name})
        assert (status, found["id"], found["names"]) == (200, second["person"], {second["person"]: "Tom Baker"})
    assert (await ask(client, house, "people/find", {"name": "nobody@kunde.example"}))[0] == 404
    merge = {"person": second["person"], "into": first["person"], "reason": "same voice"}
    status, found = await ask(client, house, "people/merge", merge)
    assert (status, found["names"]) == (200, {first["person"]: "Grete Ohlsen", second["person"]: "Tom Baker"})
    assert [row["id"] for row in (await show(client, mine))["others"]] == [other]
    assert [row["id"] for row in (await show(client, other))["others"]] == [mine]
    assert (await ask(client, house, "people/split", {"person": second["person"], "reason": "a namesake"}))[0] == 200
    assert (await show(client, mine))["others"] == []
    await client.close()


async def test_the_clock_of_a_service_time_starts_with_it(house: Any) -> None:
    """`due` may be of a promise or of a service time; the clock shows the share of the right one."""
    case = await house.make_case(minutes=10_000)
    client = await house.sign_in()
    row = (await show(client, case))["row"]
    state = await house.state(case)
    promise = state.open_promises()[0]
    assert (row["due"], row["promised"]) == (_iso(promise.until), _iso(promise.made))
    draft = Draft(state, house.clock.now())
    begun, until = draft.now - timedelta(hours=3), draft.now + timedelta(hours=1)
    draft.tell(events.Targeted(at=draft.now, since=begun, first_answer=until))
    await house.apply(draft)
    row = (await show(client, case))["row"]
    assert (row["due"], row["promised"]) == (_iso(until), _iso(begun))
    await client.close()


def _iso(moment: Any) -> str:
    return moment.isoformat().replace("+00:00", "Z")


async def test_a_report_counts_only_what_is_chosen(house: Any) -> None:
    for seed in ("grete", "kari", "tom"):
        await house.make_case(seed)
    client = await house.sign_in()

    async def report(query: str) -> Any:
        return await (await client.get(f"/desk/api/reports?{query}")).json()

    whole = await report("by=channel")
    assert whole["total"]["cases"] == 3
    assert whole["values"]["language"] == ["de", "en", "nb"]
    chosen = await report("by=channel&language=de&department=billing")
    assert (chosen["total"]["cases"], chosen["only"]) == (1, {"language": "de", "department": "billing"})
    assert [row["of"] for row in chosen["rows"]] == [{"channel": "email"}]
    assert chosen["values"] == whole["values"]
    assert (await report("by=channel&operator=none&channel="))["total"]["cases"] == 3
    assert (await report("operator=Mina"))["total"]["cases"] == 0
    answer = await client.get("/desk/api/reports?by=channel&channel=chat&form=csv")
    lines = list(csv.DictReader(io.StringIO((await answer.text()).removeprefix("\ufeff"), newline="")))
    assert [(line["channel"], line["cases"]) for line in lines] == [("chat", "1"), ("total", "1")]
    assert (await client.get(f"/desk/api/reports?channel={'x' * 201}")).status == 400
    await client.close()


@pytest.mark.parametrize("only", ["day=2026-01-01", "colour=red"])
def test_the_command_refuses_what_cannot_be_chosen(only: str) -> None:
    from click.testing import CliRunner

    from deploy.cli.report import reports

    told = CliRunner().invoke(reports, ["--only", only])
    assert told.exit_code == 2
    assert "--only takes" in told.output


async def test_a_promise_is_made_by_hand_and_software_gets_the_case_back_once_it_is_nobodys_turn(house: Any) -> None:
    case = await house.make_case("grete", name="Grete O.", minutes=600)
    client = await house.sign_in()
    until = house.clock.now() + timedelta(days=1)

    async def promise(what: str, when: Any) -> tuple[int, Any]:
        return await ask(client, house, f"cases/{case}/promise", {"what": what, "until": when})

    status, said = await promise(" ", until.isoformat())
    assert (status, said["missing"]) == (422, ["text"])
    status, said = await promise("Ersatzteil", (house.clock.now() - timedelta(minutes=1)).isoformat())
    assert (status, said["missing"]) == (422, ["until"])
    for wrong in (until.replace(tzinfo=None).isoformat(), "tomorrow"):
        assert (await promise("Ersatzteil", wrong))[0] == 400
    assert (await promise("Ersatzteil", until.isoformat()))[0] == 200
    made = next(one for one in (await show(client, case))["promises"] if one["what"] == "Ersatzteil")
    assert made["until"] == until.isoformat().replace("+00:00", "Z")
    # The case is not closed before it is kept, and nobody is sent back to software while a person is promised.
    assert {"rule": "promise", "ok": False} in (await show(client, case))["to_close"]
    status, said = await ask(client, house, f"cases/{case}/give-back", {})
    assert (status, said["missing"]) == (422, ["promised"])
    for one in (await house.state(case)).open_promises():
        assert (await ask(client, house, f"cases/{case}/kept", {"promise": one.id}))[0] == 200
    assert (await ask(client, house, f"cases/{case}/give-back", {}))[0] == 200
    assert not (await house.state(case)).with_person
