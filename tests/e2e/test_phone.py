"""Calls through signed webhooks, with our simulator as the provider."""

from typing import Any

import aiohttp

from adapters.phone.simulator import Say


async def test_a_faulty_device_is_solved_in_three_turns(product: Any) -> None:
    call = await product.call(
        "+49305550144",
        [
            Say("Guten Tag, meine Kaffeemaschine ist defekt, die heizt nicht mehr."),
            Say("Ja, jetzt geht sie wieder."),
            Say("Nein danke, das war alles."),
        ],
    )
    heard = [line.say for line in call.heard]
    spoken = " ".join(heard)
    assert "automatisch" in heard[0].lower(), heard[0]
    assert "null" in heard[0].lower(), heard[0]
    assert "tut mir leid" in spoken.lower() or "entschuldig" in spoken.lower(), spoken
    assert "sonst noch etwas" in spoken, spoken
    (case,) = await product.cases()
    assert case["status"] in ("closed", "closing"), case


async def test_a_forged_webhook_is_refused(product: Any) -> None:
    form = {"CallSid": "CA" + "0" * 32, "From": "+49305550101", "To": "+49301234567"}
    async with aiohttp.ClientSession() as http:
        for headers in ({}, {"X-Twilio-Signature": "AAAA"}):
            for path in ("/phone/shop/voice", "/phone/shop/arrive", "/phone/shop/incoming"):
                answer = await http.post(product.url + path, data=form, headers=headers)
                assert answer.status in (403, 404)
    assert await product.cli("contacts", "list") == []
