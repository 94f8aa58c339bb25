"""One human being who wrote as several: merged, looked up as one, and split without a trace."""

import random
from typing import Any

import pytest
from sqlalchemy import select

from bus.delivery.outcome import Outcome
from bus.message import Party
from bus.store.port import Effect
from bus.store.schema import metadata
from workers.case import merging
from workers.case.people import identity_key, identity_write, person_write
from workers.case.rules import Refused
from workers.case.schema import identity, person

GRETE = Party(kind="email", address="grete.ohlsen@kunde.example", name="Grete Ohlsen")


async def people(engine: Any, *names: str) -> None:
    for place, name in enumerate(names):
        party = Party(kind="email", address=f"{name}@x.example")
        writes = (
            person_write(tenant="shop", id=name, name=name, language="de", customer="", at=place + 1),
            identity_write(tenant="shop", party=party, person=name, at=place + 1),
        )
        await engine.apply([Effect(outcome=Outcome(writes=writes))])


async def merge(engine: Any, clock: Any, one: str, into: str) -> bool:
    clock.advance(1)
    outcome = await merging.merge(engine, "shop", one, into, actor="mia", reason="is the same", now=clock.now())
    [result] = await engine.apply([Effect(outcome=outcome)])
    return result.applied


async def split(engine: Any, clock: Any, one: str) -> bool:
    clock.advance(1)
    outcome = await merging.split(engine, "shop", one, actor="mia", reason="is not", now=clock.now())
    [result] = await engine.apply([Effect(outcome=outcome)])
    return result.applied


async def everything(engine: Any) -> dict[str, list[Any]]:
    """Every row but those of the ledger of changes."""
    return {
        table.name: sorted(map(repr, await engine.all(select(table))))
        for table in metadata.sorted_tables
        if table.name in ("person", "identity", "cases", "case_event", "thread", "consent", "suppression")
    }


async def test_a_split_undoes_a_merge_exactly_and_both_stay_in_the_ledger(engine: Any, clock: Any) -> None:
    await people(engine, "a", "b", "c")
    before = await everything(engine)
    assert await merge(engine, clock, "b", "a")
    seen = await merging.show_person(engine, "shop", "b")
    assert seen is not None
    assert (seen.id, list(seen.people)) == ("a", ["a", "b"])
    assert await split(engine, clock, "b")
    assert await everything(engine) == before
    seen = await merging.show_person(engine, "shop", "b")
    assert seen is not None
    assert [(change["kind"], change["actor"], change["reason"]) for change in seen.changes] == [
        ("merged", "mia", "is the same"), ("split", "mia", "is not"),
    ]  # fmt: skip
    assert seen.changes[0]["moved"].identities == ("email:b@x.example",)


async def test_merges_are_followed_through_each_other_and_never_in_a_circle(engine: Any, clock: Any) -> None:
    await people(engine, "a", "b", "c", "d")
    assert await merge(engine, clock, "c", "b")
    assert await merge(engine, clock, "c", "a")  # c stands for b by now: both go along
    assert await merging.family(engine, "shop", "c") == ("c", "a", "b")
    for one, into in (("a", "c"), ("b", "a"), ("a", "a")):
        with pytest.raises(Refused, match="same"):
            await merging.merge(engine, "shop", one, into, actor="mia", reason="x", now=clock.now())
    # Two people decide at one time: the second is told, and the people do not lead in a circle.
    first = await merging.merge(engine, "shop", "d", "a", actor="mia", reason="x", now=clock.now())
    second = await merging.merge(engine, "shop", "a", "d", actor="ole", reason="x", now=clock.now())
    results = await engine.apply([Effect(outcome=first), Effect(outcome=second)])
    assert [result.applied for result in results] == [True, False]
    assert set(await merging.family(engine, "shop", "d")) == {"a", "b", "c", "d"}


async def test_what_cannot_be_is_refused(engine: Any, clock: Any) -> None:
    await people(engine, "a", "b")
    for one, into, reason, missing in (("a", "x", "y", "person"), ("x", "a", "y", "person"), ("a", "b", " ", "reason")):
        with pytest.raises(Refused, match=missing):
            await merging.merge(engine, "shop", one, into, actor="mia", reason=reason, now=clock.now())
    with pytest.raises(Refused, match="alone"):
        await merging.split(engine, "shop", "a", actor="mia", reason="x", now=clock.now())
    assert await merging.show_person(engine, "shop", "x") is None


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_is_merged_can_be_split_again_in_any_order(engine: Any, clock: Any, seed: int) -> None:
    chance = random.Random(seed)
    names = ["a", "b", "c", "d", "e", "f"]
    await people(engine, *names)
    before = await everything(engine)
    together = {name: {name} for name in names}
    for _ in range(8):
        one, into = chance.sample(names, 2)
        if into in together[one]:
            continue
        assert await merge(engine, clock, one, into)
        both = together[one] | together[into]
        together |= dict.fromkeys(both, both)
        for name in names:
            assert set(await merging.family(engine, "shop", name)) == together[name]
    rows = {row["id"]: row for row in await engine.all(select(person))}
    merged = [name for name in names if rows[name]["merged_into"]]
    assert merged
    chance.shuffle(merged)
    for name in merged:
        assert await split(engine, clock, name)
    assert await everything(engine) == before


async def test_two_names_and_two_customer_records_stand_side_by_side(shop: Any) -> None:
    grete = await merging.find_person(shop.engine, "shop", "grete.ohlsen@kunde.example")
    anna = await merging.find_person(shop.engine, "shop", "C-1005") or await merging.find_person(
        shop.engine, "shop", "anna.becker@kunde.example"
    )
    assert await merge(shop.engine, shop.clock, anna, grete)
    seen = await merging.show_person(shop.engine, "shop", anna)
    assert seen is not None
    by_field = {conflict.field: dict(conflict.values) for conflict in seen.conflicts}
    assert by_field["name"] == {grete: "Grete Ohlsen", anna: "Anna Becker"}
    assert set(by_field["customer"]) == {grete, anna}
    assert {each["kind"] for each in seen.identities} == {"email", "phone", "postal", "customer"}


async def test_a_merge_gives_nobody_the_proof_of_the_other(shop: Any, understand: Any) -> None:
    """Grete has proved who she is; a stranger is merged into her by mistake, and learns nothing."""
    asks = understand("order.status", department="support", entities={"order": "SO-10234"})
    first = await shop.hear(shop.contact("Wo ist SO-10234?", sender=GRETE, conversation="<g@x>"), asks)
    link = next(word for word in first.text.split() if "/confirm/" in word)
    name = shop.signer.open("confirm", "shop", link.rsplit("/", 1)[1]).partition("~")[0]
    pressed = shop.contact(
        channel="link", sender=Party(kind="link", address=name), case_token=first.case,
        native={"request": "confirm", "challenge": name},
    )  # fmt: skip
    await shop.hear(pressed, understand(decision="accept"))
    assert (await shop.case(first.case)).proof == "confirmed"
    stranger = Party(kind="email", address="mallory@elsewhere.example", name="Mallory")
    met = await shop.hear(shop.contact("Hallo", sender=stranger, conversation="<m@x>"), understand("talk.greeting"))
    mallory = (await shop.case(met.case)).person
    grete = (await shop.case(first.case)).person
    assert await merge(shop.engine, shop.clock, mallory, grete)
    number = (await shop.case(first.case)).number
    told = await shop.hear(shop.contact(f"Wie steht es um {number}, SO-10234?", sender=stranger), asks)
    assert told.link == "claimed"
    assert told.case != first.case
    assert all(secret not in told.text for secret in ("49,90", "Ohlsen", "Lindenweg", "/confirm/"))
    rows = {identity_key(Party(kind=r["kind"], address=r["address"])): r for r in await shop.engine.all(
        select(identity).where(identity.c.kind == "email")
    )}  # fmt: skip
    assert rows["email:grete.ohlsen@kunde.example"]["level"] == "proven"
    assert rows["email:mallory@elsewhere.example"]["level"] == "claimed"
    assert rows["email:mallory@elsewhere.example"]["person"] == mallory


async def test_an_identity_is_known_better_with_time_and_never_worse(shop: Any, understand: Any) -> None:
    meaning = understand("", department="desk", decision="person")

    async def level() -> str:
        row = await shop.engine.one(select(identity).where(identity.c.address == "grete.ohlsen@kunde.example"))
        return row["level"]

    assert await level() == "none"
    await shop.hear(shop.contact("Hallo", sender=GRETE), meaning)
    assert await level() == "claimed"
    await shop.hear(shop.contact("Hallo", sender=GRETE, signed="aligned"), meaning)
    assert await level() == "channel"
    await shop.hear(shop.contact("Hallo", sender=GRETE), meaning)
    assert await level() == "channel"
