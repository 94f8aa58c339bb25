"""Opening the link confirms nothing, the button does; once, however often it is pressed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import async_playwright

from adapters.link import plugin
from adapters.link.normalise import LinkConfig
from adapters.link.words import LANGUAGES, WORDS
from bus.adapter.contract import Raw, Refused
from bus.errors import Overloaded
from bus.message import Party, Reply

PICTURES = Path(__file__).parents[2] / "pictures"


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_scanners_that_open_every_link_confirm_nothing(page: Any, http: aiohttp.ClientSession) -> None:
    for method in ("GET", "HEAD"):
        async with http.request(method, f"{page.url}/confirm/{page.token()}") as answer:
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Referrer-Policy"] in ("no-referrer", "same-origin"), "the token must not travel on"
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert page.contacts == {}


async def test_the_button_makes_the_contact(page: Any, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{page.url}/confirm/{page.token('ch-1~k-1')}", headers={"Accept-Language": "nb"}) as answer:
        assert answer.status == 200
        assert WORDS["nb"]["thanks_title"] in await answer.text()
    (contact,) = page.contacts.values()
    assert (contact.channel, contact.case_token, contact.language) == ("link", "k-1", "nb")
    assert contact.native == {"request": "confirm", "challenge": "ch-1"}
    assert (contact.proof.level, contact.proof.by) == ("confirmed", "link")
    assert contact.quality.status == "ok"


@pytest.mark.parametrize("yes", ["", "yes"])
async def test_the_page_names_the_case_and_says_when_the_click_is_a_yes(
    page: Any, http: aiohttp.ClientSession, yes: str
) -> None:
    token = page.token(f"ch-1~k-1~26110000000197~{yes}")
    async with http.get(f"{page.url}/confirm/{token}", headers={"Accept-Language": "de"}) as answer:
        text = await answer.text()
    assert "2611 0000 0001 97" in text
    assert (WORDS["de"]["yes"] in text) == bool(yes)
    async with http.post(f"{page.url}/confirm/{token}"):
        pass
    (contact,) = page.contacts.values()
    assert (contact.case_token, contact.native["challenge"]) == ("k-1", "ch-1")


async def test_pressing_it_again_is_the_same_contact_and_the_same_thanks(
    page: Any, http: aiohttp.ClientSession
) -> None:
    for _ in range(3):
        async with http.post(f"{page.url}/confirm/{page.token()}") as answer:
            assert WORDS["en"]["thanks_title"] in await answer.text()
    assert len(page.contacts) == 1
    async with http.post(f"{page.url}/confirm/{page.token('ch-2~k-1')}"):
        pass
    assert len(page.contacts) == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kind", ["junk", "foreign purpose", "foreign tenant", "changed", "cut", "long"])
async def test_a_link_that_is_not_ours_gets_a_kind_page_and_nothing_else(
    page: Any, http: aiohttp.ClientSession, method: str, kind: str
) -> None:
    good = page.token()
    token = {
        "junk": "hello",
        "foreign purpose": page.token(purpose="chat"),
        "foreign tenant": page.token(tenant="bank"),
        "changed": good.replace("ch-1", "ch-2"),
        "cut": good[:-3],
        "long": "x" * 4000,
    }[kind]
    async with http.request(method, f"{page.url}/confirm/{token}", headers={"Accept-Language": "de"}) as answer:
        assert answer.status == 404
        body = await answer.text()
        assert WORDS["de"]["unknown_title"] in body
        assert "hidden" in body, "no button where there is nothing to confirm"
    assert page.contacts == {}


async def test_when_we_cannot_keep_it_we_say_so_and_the_button_stays(page: Any, http: aiohttp.ClientSession) -> None:
    page.trouble = [Overloaded("internal words")]
    async with http.post(f"{page.url}/confirm/{page.token()}") as answer:
        body = await answer.text()
        assert answer.status == 503
        assert WORDS["en"]["later_title"] in body
        assert "internal words" not in body
        assert "<form" in body
    async with http.post(f"{page.url}/confirm/{page.token()}") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("wish", "language"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", "de"),
        ("nn", "nb"),
        ("no;q=0.9, en;q=0.4", "nb"),
        ("en;q=0.3, nb;q=0.7", "nb"),
        ("fr, de;q=0.1", "de"),
        ("fr", "en"),
        ("", "en"),
        ("*;q=x,,;;q=,", "en"),
    ],
)
async def test_it_speaks_the_language_that_the_browser_prefers(
    page: Any, http: aiohttp.ClientSession, wish: str, language: str
) -> None:
    async with http.get(f"{page.url}/confirm/{page.token()}", headers={"Accept-Language": wish}) as answer:
        body = await answer.text()
    assert f'<html lang="{language}">' in body
    assert WORDS[language]["ask_title"] in body
    assert "Nordlicht &amp; Söhne &quot;GmbH&quot;" in body


def test_every_language_has_the_same_words() -> None:
    assert {language: sorted(words) for language, words in WORDS.items()} == dict.fromkeys(
        LANGUAGES, sorted(WORDS["de"])
    )


async def test_it_carries_no_replies(page: Any) -> None:
    reply = Reply(
        id="r-1", tenant="shop", case="k-1", channel="link", account="link",
        to=Party(kind="link", address="ch-1"), text="Hallo", language="de",
    )  # fmt: skip
    assert isinstance(await page.adapter.send(reply, 1), Refused)
    assert (await page.adapter.probe()).ok


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"ch-1", b"ch-1~k-1", b"~", b"x" * 4000])
def test_a_file_confirms_nothing(data: bytes) -> None:
    raw = plugin.raw_from_file(data, "confirmation.txt", LinkConfig())
    contact = plugin.normalise(raw, LinkConfig()).contact
    assert contact.quality.status == "unreadable"
    assert contact.proof.level == "none"
    assert contact.native == {}
    assert contact.case_token == ""


def test_normalising_is_the_same_every_time() -> None:
    raw = Raw(
        tenant="shop", account="link", media_type="text/plain", data=b"ch-1~k-1",
        received_at=plugin.raw_from_file(b"", "", LinkConfig()).received_at,
    )  # fmt: skip
    assert plugin.normalise(raw, LinkConfig()) == plugin.normalise(raw, LinkConfig())


async def test_the_page_is_accessible_and_works_by_keyboard(page: Any) -> None:
    PICTURES.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for language in LANGUAGES:
            context = await browser.new_context(locale=language, viewport={"width": 360, "height": 640})
            tab = await context.new_page()
            await tab.goto(f"{page.url}/confirm/{page.token(f'ch-{language}~k-1')}")
            for scheme in ("light", "dark"):
                await tab.emulate_media(color_scheme=scheme)
                found = (await Axe().run(tab)).response["violations"]
                assert found == [], [violation["id"] for violation in found]
            await tab.screenshot(path=PICTURES / f"confirm-{language}-dark-360.png")
            await tab.emulate_media(color_scheme="light")
            await tab.keyboard.press("Tab")
            await tab.keyboard.press("Enter")
            await tab.get_by_role("heading", name=WORDS[language]["thanks_title"]).wait_for()
            assert await tab.locator("button:visible").count() == 0
            await tab.screenshot(path=PICTURES / f"confirm-thanks-{language}.png")
            await context.close()
        await browser.close()
    assert len(page.contacts) == 3
