"""People write a second time before they are answered: each of their matters is answered, once, and nothing is stale.

Through the real doors. Whether the second message overtakes the first answer is chance here; what holds must hold both
ways. The races themselves are walked through in `tests/workers/departments/test_overtaken.py`.
"""

import asyncio
import smtplib
from collections import Counter
from typing import Any

from adapters.chat.client import ChatClient

ANNA = "anna.becker@kunde.example"
HOURS, DELIVERY = "Saturday", "4.95"


async def test_two_messages_in_a_breath_in_the_chat(product: Any, tools: Any) -> None:
    async with ChatClient(product.url, "en") as chat:
        for number in range(3):
            seen = len(chat.events)
            cids = await asyncio.gather(
                chat.tell(f"What are your opening hours on Saturday? ({number})"),
                chat.tell(f"How much does delivery cost? ({number})"),
            )

            async def answered(cids: Any = cids) -> bool:
                asked = {event.id for event in chat.events if event.data.get("cid") in cids}
                told = {one for event in chat.events for one in event.data.get("answers", ())}
                return len(asked) == len(cids) and asked <= told

            await tools.eventually(answered, 30, "an answer to both")
            said = " ".join(event.data["text"] for event in chat.events[seen:] if event.kind == "reply")
            assert HOURS in said
            assert DELIVERY in said
        told = Counter(one for event in chat.events for one in event.data.get("answers", ()))
        assert set(told.values()) == {1}, "each message is answered once"
        written = [event.id for event in chat.events if event.kind == "message"]
        assert list(told) == written, "in the order in which they were written"


async def test_a_second_mail_on_the_heels_of_the_first(product: Any, tools: Any) -> None:
    first = tools.mail(f"Anna <{ANNA}>", "Opening hours", "Hello, what are your opening hours on Saturday?")
    second = tools.mail(f"Anna <{ANNA}>", "Re: Opening hours", "And how much does delivery cost?")
    second["In-Reply-To"] = second["References"] = first["Message-ID"]

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", product.smtp_port, timeout=30) as server:
            server.send_message(first)
            server.send_message(second)

    await asyncio.to_thread(send)

    async def both() -> Any:
        mails = product.mailbox.sent_to(ANNA)
        text = "\n".join(mail.text for mail in mails)
        return mails if HOURS in text and DELIVERY in text else None

    mails = await tools.eventually(both, 40, "an answer to both mails")
    (case,) = await product.cases()

    async def quiet() -> bool:
        # Nothing is on its way any more: every reply of the case has been handed over, or taken into another.
        planned = {event["reply"] for event in await product.timeline(case["id"]) if event["kind"] == "reply-planned"}
        settled = {event["reply"] for event in await product.timeline(case["id"]) if event["kind"] == "reply-progress"}
        return planned <= settled

    await tools.eventually(quiet, 30, "the end of all sending")
    mails = product.mailbox.sent_to(ANNA)
    text = "\n".join(mail.text for mail in mails)
    assert text.count(DELIVERY) == 1, "nothing is said twice"
    assert mails[-1].in_reply_to == second["Message-ID"]
    assert len(mails) in (1, 2)
