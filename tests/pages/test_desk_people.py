"""People at the desk: looked up, merged, split, and never those of another company."""

from typing import Any

from bus.delivery.outcome import Outcome
from bus.message import Party
from bus.store.port import Effect
from workers.case.people import identity_write, person_write


async def add(house: Any, id: str, name: str, mail: str, *, tenant: str = "shop", customer: str = "") -> None:
    party = Party(kind="email", address=mail)
    writes = (
        person_write(tenant=tenant, id=id, name=name, language="de", customer=customer, at=1),
        identity_write(tenant=tenant, party=party, person=id, at=1),
    )
    await house.engine.apply([Effect(outcome=Outcome(writes=writes))])


async def test_two_people_are_merged_and_split_by_the_api(house: Any) -> None:
    await add(house, "p-one", "Grete Ohlsen", "grete@kunde.example", customer="C-1001")
    await add(house, "p-two", "G. Ohlsen", "grete@arbeit.example")
    await add(house, "p-far", "Else", "else@bank.example", tenant="bank")
    client = await house.sign_in()
    merge = {"person": "p-two", "into": "p-one", "reason": "same voice, says so herself"}

    async def post(action: str, body: Any, **more: Any) -> tuple[int, Any]:
        given = await client.post(f"/desk/api/people/{action}", json=body, headers=more.get("headers", house.headers))
        return given.status, await given.json()

    assert (await post("merge", merge, headers={}))[0] == 403
    assert (await post("merge", {**merge, "reason": " "})) == (422, {"error": "missing", "missing": ["reason"]})
    assert (await post("merge", {**merge, "into": "p-far"}))[0] == 404
    assert (await post("merge", {"person": "p-two"}))[0] == 400
    status, seen = await post("merge", merge)
    assert (status, seen["id"], seen["people"]) == (200, "p-one", ["p-one", "p-two"])
    assert [each["address"] for each in seen["identities"]] == ["grete@kunde.example", "grete@arbeit.example"]
    [conflict] = seen["conflicts"]
    assert conflict == {"field": "name", "values": {"p-one": "Grete Ohlsen", "p-two": "G. Ohlsen"}}
    [change] = seen["changes"]
    assert (change["kind"], change["actor"], change["reason"]) == ("merged", "Mina", merge["reason"])
    assert (await post("merge", merge)) == (422, {"error": "missing", "missing": ["same"]})
    status, seen = await post("split", {"person": "p-two", "reason": "it was her sister"})
    assert (status, seen["id"], seen["people"]) == (200, "p-two", ["p-two"])
    assert [each["kind"] for each in seen["changes"]] == ["merged", "split"]
    status, seen = await post("vouch", {"identity": "email:grete@arbeit.example", "reason": "showed her passport"})
    assert (status, [each["level"] for each in seen["identities"]]) == (200, ["staff"])
    assert (await post("vouch", {"identity": "email:else@bank.example", "reason": "x"}))[0] == 404
    other = await client.get("/desk/api/people/p-far")
    assert other.status == 404
    await client.close()
