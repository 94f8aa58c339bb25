"""Intake on the real engine: persons, cases, threads, and nothing across tenants."""

from typing import Any

from sqlalchemy import func, select

from bus.log.topics import CONTACT_IDENTIFIED
from bus.message import Party, decode, number_is_valid
from bus.store.port import Effect
from workers.case.schema import cases, contact_case, identity
from workers.case.work import Identified

GRETE = Party(kind="email", address="Grete.Ohlsen@kunde.example", name="Grete Ohlsen")


async def test_a_known_address_is_its_customer_and_a_new_one_a_new_person(shop: Any, understand: Any) -> None:
    meaning = understand("", department="desk", decision="person")
    known = await shop.hear(shop.contact("Hallo", sender=GRETE), meaning)
    row = await shop.engine.one(select(identity).where(identity.c.address == "grete.ohlsen@kunde.example"))
    assert (await shop.case(known.case)).person == row["person"]
    stranger = Party(kind="email", address="new@elsewhere.example")
    first = await shop.hear(shop.contact("Hei", sender=stranger), meaning)
    second = await shop.hear(shop.contact("Hei igjen", sender=stranger), meaning)
    assert first.case != second.case
    assert (await shop.case(first.case)).person == (await shop.case(second.case)).person
    assert number_is_valid((await shop.case(first.case)).number)


async def test_a_letter_is_known_by_name_and_address_however_it_is_laid_out(shop: Any, understand: Any) -> None:
    meaning = understand("", department="desk", decision="person")
    letters = [
        Party(kind="postal", name="Kari Lunde", address="Storgata 12\n0155 Oslo"),
        Party(kind="postal", name="", address="Kari Lunde\nStorgata 12,\n0155  OSLO"),
    ]
    people = set()
    for sender in letters:
        heard = await shop.hear(shop.contact("Hei", channel="post", sender=sender), meaning)
        people.add((await shop.case(heard.case)).person)
    row = await shop.engine.one(select(identity).where(identity.c.address == "kari.lunde@kunde.example"))
    assert people == {row["person"]}


async def test_a_token_of_a_case_that_does_not_exist_opens_a_new_one(shop: Any, understand: Any) -> None:
    mail = shop.contact("Hallo", sender=GRETE, case_token="k-nothing")
    heard = await shop.hear(mail, understand("", department="desk", decision="person"))
    assert heard.link == "new"
    assert heard.case != "k-nothing"


async def test_a_batch_with_the_same_contact_twice_opens_one_case(shop: Any) -> None:
    worker = shop.workers["intake"]
    contact = shop.contact("Hallo", sender=GRETE, conversation="<a@b>")
    from_log = [_stored(contact), _stored(contact)]
    await worker.prepare(from_log)
    outcomes = [await worker.handle(record) for record in from_log]
    results = await shop.engine.apply([Effect(outcome=outcome) for outcome in outcomes])
    assert [result.applied for result in results] == [True, False]
    again = await worker.handle(from_log[1])
    assert again.emit == ()
    (row,) = await shop.engine.all(select(func.count().label("count")).select_from(cases))
    assert row["count"] == 1


async def test_threads_are_looked_up_afresh_after_a_duplicate(shop: Any, understand: Any) -> None:
    """A duplicate leaves its look-ups unused; the next mail of the thread must not be decided on them."""
    meaning = understand("", department="desk", decision="person")
    mail = shop.contact("Hallo", sender=GRETE, conversation="<t@b>")
    first = await shop.hear(mail, meaning)
    await shop.hear(mail, meaning)
    second = await shop.hear(shop.contact("Noch etwas", sender=GRETE, conversation="<t@b>"), meaning)
    assert second.case == first.case


async def test_what_is_emitted_is_keyed_by_the_case(shop: Any) -> None:
    worker = shop.workers["intake"]
    outcome = await worker.handle(_stored(shop.contact("Hallo", sender=GRETE)))
    (record,) = [record for record in outcome.emit if record.topic == CONTACT_IDENTIFIED]
    identified = decode(record.value, Identified)
    assert record.key == identified.case
    assert record.id == identified.contact.id
    await shop.apply(outcome)
    (row,) = await shop.engine.all(select(contact_case))
    assert (row["contact"], row["case_id"]) == (identified.contact.id, identified.case)


def _stored(contact: Any) -> Any:
    from bus.log.port import StoredRecord
    from bus.message import encode

    return StoredRecord(
        topic="contact.received", partition=0, offset=1, at=0, key=contact.id, value=encode(contact), id=contact.id,
        headers={"tenant": "shop"},
    )  # fmt: skip


async def test_an_answer_from_another_address_claims_the_case_that_its_subject_names(
    shop: Any, understand: Any, party: Any
) -> None:
    """It is nobody's thread but its sender's, and the number in the subject is ours all the same."""
    asks = understand("other.out_of_scope", department="desk", decision="person")
    first = await shop.hear(
        shop.contact("Hallo", sender=party("email", "me@home.example"), conversation="<t1@example>"), asks
    )
    number = (await shop.case(first.case)).number
    again = shop.contact(
        "Noch etwas", sender=party("email", "me@work.example"), conversation="<t1@example>",
        subject=f"Re: Ihr Anliegen, Vorgang {number}",
    )  # fmt: skip
    heard = await shop.hear(again, asks)
    assert (heard.link, (await shop.case(heard.case)).claims) == ("claimed", first.case)
    # The thread stays with whoever began it.
    back = shop.contact("Danke", sender=party("email", "me@home.example"), conversation="<t1@example>")
    assert (await shop.hear(back, asks)).case == first.case
