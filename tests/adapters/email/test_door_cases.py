"""Which case a mail belongs to, known at the door by our own signature, and what a bounce says of our reply."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.email.tokens import case_address, case_thread_id, find_case, own_message_id
from bus.adapter.tokens import Signer
from bus.errors import TransientError

OpenDoor = Callable[..., Awaitable[Any]]


@pytest.mark.parametrize("place", ["recipient", "to", "cc", "delivered-to", "in-reply-to", "references"])
async def test_our_own_signature_finds_the_case(open_door: OpenDoor, desk: Any, signer: Signer, place: str) -> None:
    door = await open_door(desk)
    case = "k-00000000000000000001"
    address = case_address("hilfe@shop.example", case, signer, "shop")
    thread = case_thread_id(case, "shop.example", signer, "shop")
    head, recipient, by = b"From: a@b.example\r\n", "hilfe@shop.example", "recipient"
    if place == "recipient":
        # Mail hosts fold the case of addresses.
        recipient = address.upper()
    elif place in ("to", "cc", "delivered-to"):
        head += f"{place.title()}: Nordlicht\r\n <{address}>\r\n".encode()
    elif place == "in-reply-to":
        head += f"In-Reply-To: {thread}\r\n".encode()
        by = place
    else:
        head += f"References: <x@kunde.example>\r\n {thread}\r\n <y@kunde.example>\r\n".encode()
        by = "references"
    talk = await door.hello()
    await talk.envelope(recipient)
    await talk.say("DATA")
    assert (await talk.say(head + b"\r\nSubject: in the body\r\n.")).startswith("250")
    assert desk.raws[0].native["case_token"] == case
    assert desk.raws[0].native["case_token_by"] == by


async def test_a_forged_or_foreign_signature_finds_nothing(open_door: OpenDoor, desk: Any, signer: Signer) -> None:
    door = await open_door(desk)
    good = case_address("hilfe@shop.example", "k-1", signer, "shop")
    other_tenant = case_address("hilfe@shop.example", "k-1", signer, "bank")
    forged = good.replace("k-1", "k-2")
    in_body = f"To: {good}"
    talk = await door.hello()
    for address in (forged, other_tenant, "hilfe+@shop.example", "hilfe+k-1@shop.example"):
        await talk.envelope(address)
        await talk.say("DATA")
        await talk.say(f"From: a@b.example\r\nTo: {address}\r\n\r\n{in_body}\r\n.".encode())
    assert len(desk.raws) == 4
    assert all("case_token" not in raw.native for raw in desk.raws)


BOUNCE = """From: MAILER-DAEMON@mx.kunde.example
To: {to}
Subject: Undelivered Mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It did not work.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.kunde.example

Final-Recipient: rfc822; a@kunde.example
Action: {action}
Status: {status}

--b
Content-Type: text/rfc822-headers

Message-ID: {message_id}
--b--
"""


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [
        ("failed", "5.1.1", [True]), ("failed", "5.2.2", [False]), ("failed", "5.7.26", [False]),
        ("failed", "4.4.7", [False]), ("delayed", "4.4.1", []),
    ],
)  # fmt: skip
async def test_a_bounce_of_our_reply_becomes_its_status(
    open_door: OpenDoor, desk: Any, signer: Signer, action: str, status: str, expected: list[bool]
) -> None:
    door = await open_door(desk)
    message_id = own_message_id("r-1", "shop.example", signer, "shop")
    to = case_address("hilfe@shop.example", "k-1", signer, "shop")
    source = BOUNCE.format(to=to, action=action, status=status, message_id=message_id)
    talk = await door.hello()
    await talk.envelope(to, sender="")
    await talk.say("DATA")
    assert (await talk.say(source.replace("\n", "\r\n").encode() + b".")).startswith("250")
    assert [one.permanent for one in desk.statuses] == expected
    assert all((one.reply, one.case, one.state) == ("r-1", "k-1", "failed") for one in desk.statuses)
    # The same report with a signature that is not ours says nothing.
    desk.statuses.clear()
    await talk.envelope(to, sender="")
    await talk.say("DATA")
    await talk.say(source.replace("r-1.", "r-9.").replace("\n", "\r\n").encode() + b".")
    assert desk.statuses == []


async def test_a_report_that_was_cut_off_is_made_by_the_copy(open_door: OpenDoor, desk: Any, signer: Signer) -> None:
    """The contact was durable and the report was not: the bounce comes again and is a duplicate, its status is news."""
    door = await open_door(desk)
    to = case_address("hilfe@shop.example", "k-1", signer, "shop")
    message_id = own_message_id("r-1", "shop.example", signer, "shop")
    source = BOUNCE.format(to=to, action="failed", status="5.1.1", message_id=message_id)
    desk.trouble = [TransientError("away")]
    answers: list[str] = []
    for _ in range(2):
        talk = await door.hello()
        await talk.envelope(to, sender="")
        await talk.say("DATA")
        answers.append(await talk.say(source.replace("\n", "\r\n").encode() + b"."))
        desk.duplicate = True
    assert [answer[:3] for answer in answers] == ["451", "250"]
    assert [(one.reply, one.state) for one in desk.statuses] == [("r-1", "failed")]


def test_a_header_made_to_cost_much_does_not_hold_up_the_door(signer: Signer) -> None:
    head = b"".join(b"Cc: " + b"a" * 16_380 + b"\r\n" for _ in range(15)) + b"To: hilfe@shop.example\r\n\r\n"
    began = time.thread_time()
    assert find_case(head, [], ["hilfe@shop.example"], signer, "shop") is None
    # It is looked for on the loop that serves everybody: 0.8 s before words were taken whole, a hundredth since.
    assert time.thread_time() - began < 0.2
