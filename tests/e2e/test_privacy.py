"""What customers say stays out of the logs, and "stop" is obeyed wherever it is said."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from adapters.chat.client import ChatClient
from adapters.phone.simulator import Keys, Say
from adapters.post.samples import make_scan
from bus.telemetry import ALLOWED_KEYS
from workers.packs import load
from workers.records.demo import demo_customers

GRETE, KARI, TOM = "grete.ohlsen@kunde.example", "kari.lunde@kunde.example", "tom.baker@customer.example"
LETTER = "Hei,\n\njeg angrer kjøpet av regnjakken, bestilling SO-10301.\n\nHilsen Kari Lunde"


def secrets_of_customers() -> set[str]:
    """Names, addresses, numbers and orders of everybody in the records, in the spellings in which they travel."""
    found: set[str] = set()
    for customer in demo_customers():
        found |= {customer["name"], *customer["name"].split(), customer["email"], customer["email"].partition("@")[0]}
        found |= {customer["phone"], customer["phone"].removeprefix("+"), customer["phone"][3:]}
        found |= set(customer["address"].splitlines())
        found |= {order["number"] for order in customer["orders"]}
        found |= {order["number"].removeprefix("SO-") for order in customer["orders"]}
    return {secret.lower() for secret in found}


async def test_nothing_of_the_customers_is_in_the_log_or_the_metrics(product: Any, tools: Any) -> None:
    secrets = secrets_of_customers()
    # A mail, answered and confirmed; its codes, links and tokens are secrets too.
    await product.send(tools.mail(f"Grete Ohlsen <{GRETE}>", "Kartenabrechnung", "SO-10234 ist doppelt abgebucht."))
    (mail,) = await product.mails_to(GRETE)
    link = re.search(r"http://\S+/confirm/(\S+)", mail.text)
    assert link is not None
    secrets |= {link[1], "kartenabrechnung", "abgebucht", *re.findall(r"\b\d{6}\b", mail.text)}
    secrets |= {mail.reply_to.partition("@")[0].partition("+")[2], mail.message_id.strip("<>")} - {""}
    async with aiohttp.ClientSession() as browser, browser.post(link[0]) as pressed:
        assert pressed.status == 200
    await product.mails_to(GRETE, 2)

    # A chat with a code, a call with words and keys, a letter.
    async with ChatClient(product.url, "en") as chat:
        assert await chat.say("Your till took £24.99 for my order SO-10388, the shelf said £19.99!")
        (code_mail,) = await product.mails_to(TOM)
        code = re.search(r"\b\d{6}\b", code_mail.text)
        assert code is not None
        assert await chat.say(code[0])
        secrets |= {code[0], chat.token, chat.session, "the shelf said", "24.99"}
    call = await product.call(
        "+49305550144", [Say("Meine Kaffeemaschine ist kaputt, Bestellung SO-10412"), Keys("4711"), Keys("0")]
    )
    assert call.heard
    secrets |= {"kaffeemaschine ist", "4711", (product.data / "twilio_auth_token").read_text().strip()}
    scan = await asyncio.to_thread(
        make_scan, LETTER, language="nb", sender=("Kari Lunde", "Storgata 12", "0155 Oslo"), degrade="clean",
        fmt="pdf", seed=5,
    )  # fmt: skip
    product.drop("brev-fra-kari.pdf", scan)

    async def answered() -> Any:
        return product.letters()

    await tools.eventually(answered, 40, "a letter in the tray")
    secrets |= {"regnjakken", "brev-fra-kari"}

    # What goes wrong is logged more than what goes right.
    await product.send(
        b"From: =?x?b?!!!?= <kari.lunde@kunde.example>\r\nSubject: geheimnis\r\nContent-Type: multipart/mixed; "
        b'boundary="b"\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n%%%\r\n',
        sender=KARI,
    )
    secrets |= {"geheimnis"}
    async with aiohttp.ClientSession() as http:
        form = {"CallSid": "CA" + "9" * 32, "From": "+4722550102", "SpeechResult": "hemmelig"}
        async with http.post(f"{product.url}/phone/shop/voice", data=form) as refused:
            assert refused.status == 403
        async with http.get(f"{product.url}/confirm/{link[1][:-2]}xx") as refused:
            assert refused.status == 404
        secrets |= {"hemmelig"}
        async with http.get(f"{product.url}/metrics") as answer:
            metrics = (await answer.text()).lower()
    cases = await product.cases()
    secrets |= {case["number"] for case in cases}

    # The secrets are real: all of this did come in.
    known = json.dumps(await product.cli("contacts", "list"), ensure_ascii=False).lower()
    for said in (GRETE, "so-10388", "kaffeemaschine ist", "regnjakken", "geheimnis"):
        assert said in known, said
    await product.stop()

    lines = product.log.read_text("utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    assert {event["channel"] for event in events if event.get("event") == "contact accepted"} >= {
        "email", "chat", "phone", "post", "link",
    }  # fmt: skip
    for event in events:
        assert event.keys() <= ALLOWED_KEYS, event
    log = "\n".join(lines).lower()
    for secret in sorted(secret.lower() for secret in secrets):
        # Short runs of digits may stand in an id or a time by chance, "tom" in "phantom": they must not stand alone.
        by_chance = secret.isdigit() or len(secret) < 4
        pattern = rf"(?<![\w.:-]){re.escape(secret)}(?![\w.:-])" if by_chance else re.escape(secret)
        for name, text in (("log", log), ("metrics", metrics)):
            hit = re.search(pattern, text)
            assert hit is None, f"{secret!r} is in the {name}: {text[max(0, hit.start() - 200) : hit.end() + 80]}"


@pytest_asyncio.fixture
async def awake(
    tmp_path: Path, mailbox: Any, learned: Path, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    """The product with a pack that lets campaigns run at night, as tests do."""
    pack = tmp_path / "pack"
    shutil.copytree(load("shop").folder, pack)
    policy = (pack / "policy.toml").read_text("utf-8")
    policy = policy.replace("earliest_hour = 9", "earliest_hour = 0").replace("latest_hour = 20", "latest_hour = 24")
    policy = policy.replace("rest_days = true", "rest_days = false")
    (pack / "policy.toml").write_text(policy, "utf-8")
    monkeypatch.setenv("CONTACTBUS_PRODUCT__PACK", str(pack))
    shutil.copytree(learned, tmp_path / "data")
    running = tools.product(tmp_path / "data", mailbox)
    await running.start()
    yield running
    await running.stop()


async def test_stop_in_the_chat_is_obeyed_by_a_campaign_that_is_under_way(
    awake: Any, tools: Any, tmp_path: Path
) -> None:
    anna = "anna.becker@kunde.example"
    agreed = [customer["email"] for customer in demo_customers() if customer["consent"]]
    assert anna in agreed
    assert len(agreed) >= 3
    file = tmp_path / "tee.toml"
    file.write_text(
        'name = "tee"\n[subjects]\nde = "Tee"\nnb = "Te"\nen = "Tea"\n[texts]\nde = "Neuer Tee."\nnb = "Ny te."\n'
        'en = "New tea."\n'
    )
    async with ChatClient(awake.url, "de") as chat:
        # Anna proves in the chat who she is.
        assert await chat.say("Wo ist meine Bestellung SO-10420?")
        (mail,) = await awake.mails_to(anna)
        code = re.search(r"\b\d{6}\b", mail.text)
        assert code is not None
        assert await chat.say(code[0])

        # The campaign starts while the relay has no time: the mails are on their way, and none has arrived.
        awake.mailbox.script = lambda stage, _address: "451 4.3.0 later" if stage == "mail" else None
        assert (await awake.cli("campaigns", "start", str(file)))["planned"] == len(agreed)

        async def tried() -> bool:
            rows = [row for row in await awake.cli("replies", "list") if "Te" in row["subject"]]
            return len(rows) == len(agreed) and all(row["attempt"] >= 1 for row in rows)

        await tools.eventually(tried, 30, "a first try of every mail")
        answers = await chat.say("Bitte keine Werbung mehr schicken!")
        assert any("Werbung" in answer.data["text"] for answer in answers), answers
    awake.mailbox.script = None

    async def settled() -> bool:
        if not all(awake.mailbox.sent_to(one) for one in agreed if one != anna):
            return False
        states = {row["to"]["address"]: row["state"] for row in await awake.cli("replies", "list") if row["subject"]}
        return states[anna] == "blocked"

    await tools.eventually(settled, 90, "the campaign to go to the others and not to Anna")
    assert not [mail for mail in awake.mailbox.sent_to(anna) if "Tee" in mail.subject]

    # And the next campaign leaves her out from the beginning.
    file.write_text(file.read_text().replace('name = "tee"', 'name = "kaffee"'))
    result = await awake.cli("campaigns", "start", str(file))
    assert result["left_out"]["asked to stop"] == 1
    assert result["planned"] == len(agreed) - 1
