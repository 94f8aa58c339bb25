"""The widget on the pages of others, and how it looks there: languages, light, width, and who is logged in."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from chatwindow import MACHINE, clean, frame_of, opened, picture, speak, watch
from playwright.async_api import Browser, expect

from bus.clock import SystemClock

OpenDoor = Callable[..., Awaitable[Any]]


WEB = Path(__file__).parents[3] / "adapters" / "chat" / "web"


LANGUAGES = ("de", "nb", "en")


async def test_the_language_can_be_changed_and_is_remembered(browser: Browser, door: Any) -> None:
    page, frame = await opened(browser, door, "de")
    await speak(frame, "Hallo")
    await expect(frame.locator(".visitor .state")).to_have_text("Gesendet")
    await frame.get_by_label("Sprache").select_option("nb")
    await expect(frame.locator(".intro")).to_contain_text(MACHINE["nb"])
    await expect(frame.locator("h1")).to_have_text("Nordlys Handel")
    await expect(frame.locator(".visitor .state")).to_have_text("Sendt")
    assert await frame.evaluate("document.documentElement.lang") == "nb"
    await speak(frame, "Hei")
    await expect(frame.locator(".visitor .state")).to_have_text(["Sendt", "Sendt"])
    assert [c.language for c in door.contacts.values()] == ["de", "nb"]
    await page.reload()
    await page.get_by_role("button", name="Chat").click()
    await expect((await frame_of(page)).locator(".intro")).to_contain_text(MACHINE["nb"])


async def test_only_named_sites_may_embed_it_and_nothing_runs_inline(door: Any, http: Any, open_door: OpenDoor) -> None:
    named = await open_door(sites=["https://shop.example"])
    async with http.get(f"{named.url}/chat/frame") as page:
        policy = page.headers["Content-Security-Policy"]
        assert "frame-ancestors 'self' https://shop.example;" in policy + ";"
        assert "X-Frame-Options" not in page.headers
        assert "unsafe" not in policy
        body = await page.text()
        assert "onclick" not in body
        assert "style=" not in body
    async with http.get(f"{door.url}/chat/frame") as page:
        assert "frame-ancestors 'self';" in page.headers["Content-Security-Policy"] + ";"


@pytest_asyncio.fixture
async def other_site(door: Any) -> AsyncIterator[str]:
    """Somebody else's page, on an origin of its own, with our script tag."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(
            text=f'<!doctype html><body><script src="{door.url}/chat/widget.js" data-lang="en"></script></body>',
            content_type="text/html",
        )

    app = web.Application()
    app.add_routes([web.get("/", page)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_site_that_is_not_named_sees_no_chat(browser: Browser, other_site: str) -> None:
    page = await browser.new_page()
    refused = asyncio.Event()
    page.on("console", lambda message: refused.set() if "frame-ancestors" in message.text else None)
    await page.goto(other_site)
    await page.evaluate("contactbusChat.open()")
    async with asyncio.timeout(5):
        await refused.wait()
    assert await page.locator("contactbus-chat").count() == 1


async def test_a_named_site_can_embed_it(browser: Browser, door: Any, other_site: str, open_door: OpenDoor) -> None:
    # The door is opened again at its own address, now that the other site has one.
    await door.stop()
    door.config = msgspec.structs.replace(door.config, sites=(other_site,))
    await door.restart()
    page = await browser.new_page()
    watch(page)
    await page.goto(other_site)
    await page.get_by_role("button", name="Open chat").click()
    frame = await frame_of(page)
    await speak(frame, "Hello from next door")
    await expect(frame.locator(".visitor .state")).to_have_text("Sent")
    await frame.locator("textarea").press("Escape")
    await expect(page.locator("contactbus-chat iframe")).to_be_hidden()


async def test_the_site_tells_who_is_logged_in(browser: Browser, open_door: OpenDoor) -> None:
    import jwt

    key = "a key that only the shop's server knows"
    door = await open_door(use_clock=SystemClock(), site_key="shop.example", identity_secrets=[key])
    claims = {"sub": "4711", "aud": "shop.example", "exp": SystemClock().now().timestamp() + 600, "name": "Kari Lunde"}
    page = await browser.new_page()
    watch(page)
    await page.goto(f"{door.url}/chat/demo?lang=nb")
    await page.wait_for_function("window.contactbusChat")
    await page.evaluate("token => contactbusChat.identify(token)", jwt.encode(claims, key, "HS256"))
    await page.evaluate("contactbusChat.open()")
    frame = await frame_of(page)
    await speak(frame, "Hei")
    await expect(frame.locator(".visitor .state")).to_have_text("Sendt")
    (contact,) = door.contacts.values()
    assert contact.proof.level == "session"
    assert contact.native["identity"] == {"kind": "customer", "address": "4711", "name": "Kari Lunde"}


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_it_is_accessible_and_fits_in_every_language_light_and_width(
    browser: Browser, door: Any, lang: str
) -> None:
    page, frame = await opened(browser, door, lang)
    await speak(frame, TALK[lang])
    await expect(frame.locator(".company")).to_have_count(1)
    for scheme in ("light", "dark"):
        for width, height in ((360, 640), (1440, 900)):
            name = f"widget-{lang}-{scheme}-{width}"
            await page.emulate_media(color_scheme=scheme)
            await page.set_viewport_size({"width": width, "height": height})
            await picture(page, name)
            await clean(frame, name)
            overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert await frame.evaluate(overflow) <= 0, f"{name}: something is wider than the window"
            box = await page.locator("contactbus-chat iframe").bounding_box()
            assert box is not None
            assert (box["width"], box["height"]) == ((360, 640) if width == 360 else (380, 560))
            sizes = await frame.locator("button:visible, select:visible, textarea:visible").evaluate_all(
                "all => all.map((it) => it.getBoundingClientRect()).map((box) => Math.min(box.width, box.height))"
            )
            assert len(sizes) >= 5
            assert min(sizes) >= 24
    await page.keyboard.press("Escape")
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        await clean(page, f"demo page, {lang}, {scheme}")


TALK = {
    "de": "Guten Tag, auf meiner Abrechnung steht die Bestellung SO-10234 zweimal.",
    "nb": "Hei! Jeg vil gjerne angre på kjøpet av ordre SO-10301.",
    "en": "Hello, the till charged me 24.99 but the shelf said 19.99.",
}


async def test_reduced_motion_is_obeyed(browser: Browser, door: Any) -> None:
    door.answer = lambda contact: None
    _, frame = await opened(browser, door, reduced_motion="reduce")
    await speak(frame, "Hallo")
    await expect(frame.locator(".status.working")).to_be_visible()
    dot = "getComputedStyle(document.querySelector('.status'), '::before').animationName"
    assert await frame.evaluate(dot) == "none"


def test_every_language_has_the_same_words() -> None:
    for folder in (WEB / "words", WEB / "words" / "demo"):
        catalogues = {lang: json.loads((folder / f"{lang}.json").read_text()) for lang in LANGUAGES}
        assert catalogues["de"].keys() == catalogues["nb"].keys() == catalogues["en"].keys()
        assert all(words.strip() for catalogue in catalogues.values() for words in catalogue.values())


def test_it_weighs_little() -> None:
    assert len(gzip.compress((WEB / "widget.js").read_bytes())) <= 3_000, "the loader, as it travels"
    files = [p for p in WEB.rglob("*") if p.is_file() and "demo" not in str(p) and p.name != "widget.js"]
    one_language = [p for p in files if p.parent.name != "words" or p.name == "de.json"]
    assert sum(len(gzip.compress(p.read_bytes())) for p in one_language) <= 12_000, "all that opening the chat loads"
