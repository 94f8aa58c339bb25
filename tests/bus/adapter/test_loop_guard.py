"""The one loop guard: what was written by a machine, and when an acknowledgement may go out."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from bus.adapter.acknowledging import (
    Acknowledgement,
    acknowledged,
    acknowledgement_keys,
    acknowledgements,
    history,
    may_acknowledge,
)
from bus.adapter.loop_guard import AUTOMATIC_REASONS, why_automatic
from bus.clock import from_micros, to_micros
from bus.delivery.outcome import Outcome
from bus.log.embedded import EmbeddedEngine
from bus.store.port import Effect
from bus.testing.clock import FakeClock


@pytest.mark.parametrize(
    ("headers", "options", "expected"),
    [
        ({}, {}, ""),
        ({}, {"sender": "grete@kunde.example", "return_path": "<grete@kunde.example>"}, ""),
        ({}, {"return_path": ""}, "null-sender"),
        ({}, {"return_path": "<>"}, "null-sender"),
        ({"auto-submitted": ["auto-generated; type=x"]}, {}, "auto-submitted"),
        ({"auto-submitted": ["no"]}, {}, ""),
        ({"auto-submitted": ["NO; x=y"]}, {}, ""),
        ({"precedence": ["Junk"]}, {}, "precedence"),
        ({"precedence": ["special-delivery"]}, {}, ""),
        ({"list-unsubscribe": ["<mailto:x>"]}, {}, "list"),
        ({"x-auto-response-suppress": ["DR"]}, {}, ""),
        ({"x-auto-response-suppress": ["All"]}, {}, "suppress"),
        ({"content-type": ["Multipart/Report; report-type=delivery-status"]}, {}, "report"),
        ({"x-loop": ["Hilfe@Shop.Example"]}, {"own_addresses": ["hilfe@shop.example"]}, "own-loop"),
        ({"x-loop": ["other@x.example"]}, {"own_addresses": ["hilfe@shop.example"]}, ""),
        ({}, {"sender": "HILFE@shop.example", "own_addresses": ["hilfe@shop.example"]}, "own-address"),
        ({}, {"sender": "no-reply@x.example"}, "machine-sender"),
        ({}, {"sender": "bounces+123@x.example"}, "machine-sender"),
        ({}, {"sender": "ikke-svar@x.example"}, "machine-sender"),
        ({}, {"sender": "bouncer@x.example"}, ""),
        ({"received": ["x"] * 31}, {}, "too-many-hops"),
    ],
)
def test_what_a_machine_wrote(headers: dict[str, list[str]], options: dict[str, object], expected: str) -> None:
    assert why_automatic(headers, **options) == expected  # type: ignore[arg-type]
    assert expected == "" or expected in AUTOMATIC_REASONS


def ack(clock: FakeClock, case: str, address: str) -> Acknowledgement:
    address_key, domain_key = acknowledgement_keys(address)
    return Acknowledgement(case=case, address_key=address_key, domain_key=domain_key, at=clock.now())


def test_once_per_case_and_once_per_address_and_day(clock: FakeClock) -> None:
    past = [ack(clock, "k-1", "Grete+shop@Kunde.example")]
    assert may_acknowledge([], clock.now(), case="k-1", address="grete@kunde.example") == ""
    assert may_acknowledge(past, clock.now(), case="k-1", address="other@kunde.example") == "case"
    assert may_acknowledge(past, clock.now(), case="k-2", address="grete@kunde.example") == "address"
    assert may_acknowledge(past, clock.now(), case="k-2", address="other@kunde.example") == ""
    clock.advance(24 * 3600 - 1)
    assert may_acknowledge(past, clock.now(), case="k-2", address="grete@kunde.example") == "address"
    clock.advance(1)
    assert may_acknowledge(past, clock.now(), case="k-2", address="grete@kunde.example") == ""
    assert may_acknowledge(past, clock.now(), case="k-1", address="grete@kunde.example") == "case"


def test_the_breaker_of_a_domain(clock: FakeClock) -> None:
    past = [ack(clock, f"k-{number}", f"n{number}@loop.example") for number in range(50)]
    assert may_acknowledge(past[:49], clock.now(), case="k-x", address="new@loop.example") == ""
    assert may_acknowledge(past, clock.now(), case="k-x", address="new@loop.example") == "breaker"
    assert may_acknowledge(past, clock.now(), case="k-x", address="new@other.example") == ""
    clock.advance(3600)
    assert may_acknowledge(past, clock.now(), case="k-x", address="new@loop.example") == ""


async def test_the_table_remembers_and_holds_a_case_to_one(engine: EmbeddedEngine, clock: FakeClock) -> None:
    write = acknowledged("shop", "k-1", "grete@kunde.example", clock.now())
    (first,) = await engine.apply([Effect(outcome=Outcome(writes=(write,)))])
    (second,) = await engine.apply([Effect(outcome=Outcome(writes=(write,)))])
    assert first.applied
    assert not second.applied
    assert second.reason == "conflict"
    _, domain_key = acknowledgement_keys("grete@kunde.example")
    since = to_micros(clock.now() - timedelta(hours=24))
    for tenant, case, expected in (("shop", "k-9", 1), ("shop", "k-1", 1), ("bank", "k-1", 0)):
        rows = await engine.all(history, {"tenant": tenant, "case_id": case, "domain_key": domain_key, "since": since})
        assert len(rows) == expected
    (row,) = await engine.all(select(acknowledgements))
    past = [
        Acknowledgement(
            case=row["case_id"], address_key=row["address_key"], domain_key=row["domain_key"], at=from_micros(row["at"])
        )
    ]
    assert may_acknowledge(past, clock.now(), case="k-2", address="grete@kunde.example") == "address"
    assert "grete" not in str(dict(row))
