"""Which case a contact belongs to: by token, thread, proven number; never by subject, never across people."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bus.message import Contact, Party, derive_number
from workers.case.model import CaseState
from workers.intake.find import Known, choose_case, number_in

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
ME = Party(kind="email", address="Me@Home.example")
NUMBER = derive_number("shop", "x")


def contact(sender: Party = ME, **more: Any) -> Contact:
    return Contact(
        id="c-1", tenant="shop", channel="email", account="a", sender=sender, occurred_at=NOW, received_at=NOW, **more
    )


def case(name: str, person: str = "p-1") -> CaseState:
    return CaseState(id=name, tenant="shop", number=NUMBER, person=person, created=NOW, updated=NOW)


def test_a_token_beats_everything() -> None:
    known = Known(person="p-9", by_token=case("k-token"), by_thread=case("k-thread"), by_number=case("k-number"))
    assert choose_case(contact(), known).case == "k-token"
    assert choose_case(contact(), known).link == "token"


def test_a_thread_counts_for_whoever_began_it() -> None:
    mine = Known(person="p-1", by_thread=case("k-1"), thread_sender="email:me@home.example")
    assert (choose_case(contact(), mine).case, choose_case(contact(), mine).link) == ("k-1", "thread")
    other = Known(person="p-1", by_thread=case("k-1"), thread_sender="email:you@home.example")
    assert choose_case(contact(), other).case == ""


@pytest.mark.parametrize(
    ("person", "proven", "kind", "link"),
    [
        ("p-1", True, "email", "number"),
        ("p-1", False, "email", "claimed"),
        ("p-2", True, "email", "claimed"),
        ("", True, "email", "claimed"),
        ("p-1", True, "phone", "claimed"),
    ],
)
def test_a_number_counts_only_from_a_proven_address_of_its_person(
    person: str, proven: bool, kind: str, link: str
) -> None:
    known = Known(person=person, identity_proven=proven, by_number=case("k-1"))
    found = choose_case(contact(Party(kind=kind, address="x")), known)
    assert found.link == link
    assert (found.case, found.claims) == (("k-1", "") if link == "number" else ("", "k-1"))


def test_a_subject_alone_finds_nothing() -> None:
    assert choose_case(contact(subject="Re: Doppelt abgebucht"), Known(person="p-1")).link == "new"


def test_numbers_are_read_from_text_subject_and_code() -> None:
    spaced = f"{NUMBER[:4]} {NUMBER[4:8]} {NUMBER[8:12]} {NUMBER[12:]}"
    assert number_in(contact(text=f"Sak {spaced}, takk")) == NUMBER
    assert number_in(contact(subject=f"Vorgang {NUMBER}")) == NUMBER
    assert number_in(contact(native={"case_number": NUMBER})) == NUMBER
    wrong = NUMBER[:-1] + str((int(NUMBER[-1]) + 1) % 10)
    assert number_in(contact(text=wrong, native={"case_number": wrong})) == ""
    assert number_in(contact(text=f"9{NUMBER}")) == ""
    assert number_in(contact(text=f"neu\n> {NUMBER}", ranges=())) == NUMBER
