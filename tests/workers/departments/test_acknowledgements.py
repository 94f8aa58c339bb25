"""Acknowledgements to writers who have proven nothing: one per address and day, and two machines stop."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from adapters.email import EmailConfig, plugin
from adapters.email.render import render
from bus.adapter.acknowledging import acknowledgements
from bus.adapter.contract import Raw
from bus.delivery import ledger
from bus.delivery.outcome import Outcome
from bus.log.topics import work_topic
from bus.message import Party, Reply, decode
from bus.store.port import Effect
from workers.case.model import WAITING_PERSON
from workers.case.work import Identified, WorkItem

ROBOT = Party(kind="email", address="status@robot.example", name="Status")


async def count(shop: Any) -> int:
    row = await shop.engine.one(select(func.count().label("n")).select_from(acknowledgements))
    return row["n"]


def unclear(understand: Any, language: str = "de") -> Any:
    return understand("other.out_of_scope", department="desk", decision="person", language=language)


async def test_thirty_mails_from_one_address_get_one_acknowledgement_and_all_reach_the_desk(
    shop: Any, understand: Any
) -> None:
    heard = [await shop.hear(shop.contact(f"Qwertz {n}", sender=ROBOT), unclear(understand)) for n in range(30)]
    assert len({one.case for one in heard}) == 30
    replies = [reply for one in heard for reply in one.replies]
    assert [reply.kind for reply in replies] == ["acknowledgement"]
    for one in heard:
        state = await shop.case(one.case)
        assert state.status == WAITING_PERSON
        assert state.due is not None
    assert await count(shop) == 1
    # A day later the customer hears from us again.
    shop.clock.advance(timedelta(days=1, seconds=1).total_seconds())
    again = await shop.hear(shop.contact("Qwertz", sender=ROBOT), unclear(understand))
    assert again.reply.kind == "acknowledgement"


async def test_thirty_mails_that_are_decided_side_by_side_get_one_acknowledgement_too(
    shop: Any, understand: Any
) -> None:
    items = []
    for n in range(30):
        contact = shop.contact(f"Qwertz {n}", sender=ROBOT)
        record = await shop.hear_intake(contact)
        who = decode(record.value, Identified)
        items.append(WorkItem(contact=contact, case=who.case, person=who.person, understanding=unclear(understand)))
    left, replies, rounds = items, [], 0
    while left:
        rounds += 1
        assert rounds < 4
        records = [shop.stored(work_topic("desk", "deferred"), item.case, item) for item in left]
        await shop.workers["desk"].prepare(records)
        outcomes = [await shop.workers["desk"].handle(record) for record in records]
        results = await shop.engine.apply([Effect(outcome=planned(shop, outcome)) for outcome in outcomes])
        done = [result.applied for result in results]
        replies += [reply for outcome, ok in zip(outcomes, done, strict=True) if ok for reply in outcome.replies]
        left = [item for item, ok in zip(left, done, strict=True) if not ok]
    assert len(replies) == 1
    for item in items:
        assert (await shop.case(item.case)).status == WAITING_PERSON


def planned(shop: Any, outcome: Outcome) -> Outcome:
    writes, emit = list(outcome.writes), list(outcome.emit)
    for reply in outcome.replies:
        rows, records = ledger.plan(reply, shop.clock.now())
        writes += rows
        emit += records
    return Outcome(writes=tuple(writes), emit=tuple(emit), timers=outcome.timers)


async def test_the_breaker_ends_a_flood_from_one_domain(shop: Any, understand: Any) -> None:
    def sender(number: int) -> Party:
        return Party(kind="email", address=f"robot{number}@loop.example")

    heard = [await shop.hear(shop.contact("Qwertz", sender=sender(n)), unclear(understand)) for n in range(55)]
    assert [len(one.replies) for one in heard] == [1] * 50 + [0] * 5
    other = await shop.hear(shop.contact("Qwertz", sender=ROBOT), unclear(understand))
    assert len(other.replies) == 1


async def test_a_letter_is_acknowledged_once_a_day_too(shop: Any, understand: Any) -> None:
    letters = Party(kind="postal", address="Ina Neu\nWeg 1\n10115 Berlin", name="Ina Neu")
    heard = [
        await shop.hear(shop.contact(f"?{n}", channel="post", sender=letters), unclear(understand)) for n in range(3)
    ]
    assert [len(one.replies) for one in heard] == [1, 0, 0]


async def test_a_live_channel_always_hears_that_a_person_comes(shop: Any, understand: Any) -> None:
    for visit in range(3):
        visitor = Party(kind="chat", address="v")
        chat = shop.contact("Mensch", channel="chat", sender=visitor, conversation=f"v{visit}")
        heard = await shop.hear(chat, understand("", department="desk", request_person=True))
        assert heard.reply.handover


@pytest.mark.parametrize("relay", ["faithful", "drops our marks", "drops marks and threads"])
async def test_two_of_our_own_installations_pointed_at_each_other_stop(
    shop: Any, other_shop: Any, understand: Any, relay: str
) -> None:
    """Real mails of ours, read by the other side: it sees a machine, and where a relay hides that, it still stops."""
    sides = {
        "a.example": (shop, EmailConfig(address="hilfe@a.example")),
        "b.example": (other_shop, EmailConfig(address="hilfe@b.example")),
    }
    first, _ = sides["a.example"]
    contact = first.contact("Qwertz", sender=Party(kind="email", address="hilfe@b.example"))
    on_the_way: list[tuple[str, Reply]] = [
        ("b.example", reply) for reply in (await first.hear(contact, unclear(understand))).replies
    ]
    assert len(on_the_way) == 1
    mails = 0
    while on_the_way:
        mails += 1
        assert mails < 10, "they go on for ever"
        to, reply = on_the_way.pop()
        here = "a.example" if to == "b.example" else "b.example"
        sender_side, sender_config = sides[here]
        shop_there, config_there = sides[to]
        mail = render(reply, sender_config, sender_side.signer, sender_side.clock.now())
        raw = Raw(
            tenant="shop", account=config_there.address, media_type="message/rfc822",
            data=forwarded(mail.data, relay), received_at=shop_there.clock.now(),
            native={"mail_from": mail.mail_from if relay == "faithful" else sender_config.address,
                    "rcpt_to": [config_there.address]},
        )  # fmt: skip
        read = plugin.normalise(raw, config_there).contact
        assert read.automatic == (relay == "faithful")
        heard = await shop_there.hear(read, unclear(understand))
        assert (await shop_there.case(heard.case)).contacts
        on_the_way += [(here, answer) for answer in heard.replies]
    assert mails == (1 if relay == "faithful" else 2)


def forwarded(data: bytes, relay: str) -> bytes:
    """The mail after a relay that drops header fields."""
    lost = [] if relay == "faithful" else [b"Auto-Submitted", b"X-Auto-Response-Suppress", b"Precedence", b"X-Loop"]
    if relay == "drops marks and threads":
        lost += [b"In-Reply-To", b"References"]
    for name in lost:
        data = re.sub(rb"(?im)^" + re.escape(name) + rb":.*\r\n(?:[ \t].*\r\n)*", b"", data)
    return data
