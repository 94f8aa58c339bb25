"""A visitor whom the host page's server has signed for is that person, and still has to prove it for data and money."""

from typing import Any

import msgspec
from sqlalchemy import select

from bus.message import Party, Proof
from bus.store.permission import consent_ledger
from workers.case.schema import identity

VISITOR = Party(kind="chat", address="s-1")
ANNA = "anna.becker@kunde.example"


def visit(shop: Any, text: str, level: str = "session", address: str = ANNA, sender: Party = VISITOR) -> Any:
    native = {"identity": {"kind": "email", "address": address}}
    proof = Proof(level=level, by="host page" if level != "none" else "")
    contact = shop.contact(text, channel="chat", sender=sender, conversation=sender.address, native=native)
    return msgspec.structs.replace(contact, proof=proof)


async def anna_of(shop: Any) -> str:
    row = await shop.engine.one(select(identity).where(identity.c.address == ANNA))
    return row["person"]


async def stopped(shop: Any) -> set[str]:
    return {row["person"] for row in await shop.engine.all(select(consent_ledger)) if not row["given"]}


async def test_stop_holds_for_the_signed_person_on_all_channels(shop: Any, understand: Any) -> None:
    stop = understand("sales.stop_contacting_me", department="sales", stop_contact=True)
    await shop.hear(visit(shop, "Keine Werbung mehr!", address=ANNA.title()), stop)
    assert await anna_of(shop) in await stopped(shop)


async def test_who_logs_in_later_is_heard_as_that_person_from_then_on(shop: Any, understand: Any) -> None:
    meaning = understand("", department="desk", decision="person")
    first = await shop.hear(shop.contact("Hallo", channel="chat", sender=VISITOR, conversation="s-1"), meaning)
    assert (await shop.case(first.case)).person != await anna_of(shop)
    stop = understand("sales.stop_contacting_me", department="sales", stop_contact=True)
    await shop.hear(visit(shop, "Keine Werbung mehr!"), stop)
    assert await anna_of(shop) in await stopped(shop)


async def test_a_signature_is_no_proof_and_an_unsigned_name_is_nothing(shop: Any, understand: Any) -> None:
    meaning = understand("", department="desk", decision="person")
    for number, (level, address) in enumerate((("none", ANNA), ("session", "nobody@elsewhere.example"))):
        sender = Party(kind="chat", address=f"s-{number + 5}")
        heard = await shop.hear(visit(shop, "Hallo", level, address, sender), meaning)
        assert (await shop.case(heard.case)).person != await anna_of(shop)
    signed = await shop.hear(visit(shop, "Hallo"), meaning)
    state = await shop.case(signed.case)
    assert state.person == await anna_of(shop)
    assert (state.customer, state.proof) == ("", "none")
