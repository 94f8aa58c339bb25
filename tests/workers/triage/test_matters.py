"""Several matters in one text: found where they are, and hardly ever where there is only one."""

import itertools
import random
from collections import defaultdict
from typing import Any

import pytest

from workers.case.work import Entity
from workers.packs import Pack
from workers.triage.brain import Brain, Message
from workers.triage.matters import Parts, about_another

FAMILIES = ("billing.", "return.", "order.", "info.")
JOINTS = {
    "de": (". Außerdem: ", ". Übrigens, ", ". "),
    "nb": (". Forresten, ", ". Dessuten: ", ". "),
    "en": (". By the way, ", " and by the way ", ". "),
}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Mein Paket ist kaputt angekommen, und übrigens haben Sie mir den Betrag zweimal abgebucht.", "de"),
        ("Pakken kom ødelagt fram, og forresten har dere trukket meg to ganger for den.", "nb"),
        ("My parcel is broken and by the way you charged me twice", "en"),
    ],
)
def test_a_broken_parcel_and_a_double_charge_are_two_matters(understood: Any, text: str, language: str) -> None:
    found = understood(text, language)
    labels = {found.intent, *(matter.label for matter in found.also)}
    assert labels == {"return.damaged_or_wrong_item", "billing.duplicate_charge"}
    assert {found.department, *(matter.department for matter in found.also)} == {"returns", "billing"}


def test_each_matter_has_the_order_that_is_named_with_it(understood: Any) -> None:
    found = understood("Die Lampe SO-10234 ist zerbrochen angekommen. Außerdem wurde SO-10420 doppelt abgebucht.", "de")
    (other,) = found.also
    by_label = {found.intent: found.entities, other.label: other.entities}
    assert [e.value for e in by_label["return.damaged_or_wrong_item"]] == ["SO-10234"]
    assert [e.value for e in by_label["billing.duplicate_charge"]] == ["SO-10420"]


def test_an_order_that_is_named_once_is_that_of_both(understood: Any) -> None:
    found = understood("Die Lampe aus SO-10234 ist zerbrochen angekommen. Außerdem wurde doppelt abgebucht.", "de")
    (other,) = found.also
    assert [e.value for e in found.entities] == [e.value for e in other.entities] == ["SO-10234"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Die Bestellung SO-10234 wurde doppelt abgebucht. Außerdem wurde SO-10420 auch doppelt abgebucht.", "de"),
        ("Bestilling SO-10234 ble trukket to ganger. Dessuten ble SO-10420 også trukket to ganger.", "nb"),
        ("Order SO-10234 was charged twice. By the way, SO-10420 was charged twice as well.", "en"),
    ],
)
def test_the_same_trouble_with_two_orders_is_two_matters(understood: Any, text: str, language: str) -> None:
    found = understood(text, language)
    (other,) = found.also
    assert (found.intent, other.label) == ("billing.duplicate_charge", "billing.duplicate_charge")
    assert [e.value for e in found.entities if e.kind == "order"] == ["SO-10234"]
    assert [e.value for e in other.entities if e.kind == "order"] == ["SO-10420"]


@pytest.mark.parametrize(
    "text",
    [
        "SO-10234 wurde doppelt abgebucht. Bitte erstatten Sie den Betrag, der für SO-10234 doppelt abgebucht wurde.",
        "SO-10234 wurde doppelt abgebucht. Außerdem wurde mir zweimal Geld vom Konto abgebucht.",
        "Sie haben doppelt abgebucht. Außerdem wurde SO-10234 doppelt abgebucht.",
    ],
)
def test_one_order_said_twice_or_not_named_each_time_is_one_matter(understood: Any, text: str) -> None:
    assert understood(text, "de").also == ()


def test_an_order_and_an_invoice_may_be_one_purchase() -> None:
    order, other = Entity(kind="order", value="SO-1"), Entity(kind="order", value="SO-2")
    invoice, later = Entity(kind="invoice", value="I-1"), Entity(kind="invoice", value="I-2")
    assert about_another((order,), (other,))
    assert about_another((invoice,), (later,))
    assert not about_another((order,), (invoice,))
    assert not about_another((order, invoice), (order, later)), "one of them is the same"
    assert not about_another((order,), ())


@pytest.mark.parametrize(
    "text",
    [
        "Sie haben SO-10234 doppelt abgebucht. Das ist jetzt drei Wochen her. Bitte überweisen Sie mir das zurück.",
        "Ich möchte einen Menschen sprechen. Mein Paket ist kaputt, und doppelt abgebucht haben Sie auch.",
        "Mein Paket ist kaputt. Vielen Dank für Ihre Hilfe!",
        "Das Paket ist kaputt, ihr verdammten Idioten. Und doppelt abgebucht habt ihr auch.",
        "You charged me twice. By the way, great service, thank you!",
    ],
)
def test_one_matter_stays_one(understood: Any, text: str) -> None:
    assert understood(text).also == ()


def test_an_answer_is_not_parted(understood: Any) -> None:
    text = "SO-10234. Mein Paket ist kaputt angekommen. Außerdem haben Sie doppelt abgebucht."
    assert understood(text, "de", pending="fact", about=("order",)).also == ()


def test_held_out_lines_are_parted_where_they_are_two(brain: Brain, shop: Pack) -> None:
    """Lines that the model never saw: two of one label are one matter, two of different departments are two."""
    chance = random.Random(1)
    by_label: dict[tuple[str, str], list[str]] = defaultdict(list)
    for test in shop.tests:
        by_label[test.language, test.label].append(test.text)
    same = [
        Message(text=f"{one.rstrip('.!?')}. {other}", hints_case=language)
        for (language, _), texts in by_label.items()
        for one, other in itertools.combinations(texts, 2)
    ]
    chosen = chance.sample(same, 500)
    assert sum(bool(found.also) for found in brain.understand(chosen)) <= 5
    # A single line of a customer, however long, is one matter.
    lines = brain.understand([Message(text=test.text, hints_case=test.language) for test in shop.tests])
    assert sum(bool(found.also) for found in lines) <= 2

    def department(label: str) -> str:
        return shop.issues[label].department

    good = [test for test in shop.tests if test.label.startswith(FAMILIES) and (
        shop.issues[test.label].procedure or shop.issues[test.label].answers
    )]  # fmt: skip
    pairs: list[tuple[Message, set[str]]] = []
    while len(pairs) < 300:
        one, other = chance.choice(good), chance.choice(good)
        if one.language == other.language and department(one.label) != department(other.label):
            joint = chance.choice(JOINTS[one.language])
            message = Message(text=one.text.rstrip(".!?") + joint + other.text, hints_case=one.language)
            pairs.append((message, {department(one.label), department(other.label)}))
    found = brain.understand([message for message, _ in pairs])
    parted = [(each, truth) for each, (_, truth) in zip(found, pairs, strict=True) if each.also]
    right = sum({each.department, *(matter.department for matter in each.also)} == truth for each, truth in parted)
    assert right / len(parted) >= 0.92
    assert len(parted) / len(pairs) >= 0.45


def test_a_text_is_cut_at_sentences_and_at_words_that_come_to_something_else(shop: Pack) -> None:
    parts = Parts(shop)
    text = "My lamp is broken and by the way you charged me twice. Thanks."
    assert [(text[part.start : part.end], part.said) for part in parts.of(text, ())] == [
        ("My lamp is broken and ", False),
        ("by the way you charged me twice. ", True),
    ]
    assert parts.of("Nur ein einziger Satz steht hier.", ()) == ()
    assert parts.of("Noch ein ganzer Satz hier. " * 20, ()) == ()
