"""The widget in a real browser: by keyboard, through broken lines and reloads, in every language and light."""

import asyncio
import gzip
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Frame, Page, async_playwright, expect

from bus.clock import SystemClock
from bus.errors import Overloaded
from bus.message import Contact, Reply

OpenDoor = Callable[..., Awaitable[Any]]

CHROMIUM = "/usr/bin/chromium"
PICTURES = Path(__file__).parents[2] / "pictures"
WEB = Path(__file__).parents[3] / "adapters" / "chat" / "web"
LANGUAGES = ("de", "nb", "en")

MACHINE = {
    "de": "Hier antwortet zuerst ein Computer",
    "nb": "Her svarer en datamaskin først",
    "en": "A computer answers here first",
}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The system's Chromium, started once: the address of its debugging port."""
    profile = tmp_path_factory.mktemp("chromium")
    switches = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--hide-scrollbars"]
    process = subprocess.Popen(
        [CHROMIUM, *switches, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("DevTools listening on "):
            yield line.removeprefix("DevTools listening on ").strip()
            break
    else:
        pytest.fail("Chromium did not start")
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate()


@pytest_asyncio.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A fresh view on it. What a page's console calls an error fails the test."""
    complaints.clear()
    async with async_playwright() as playwright:
        connected = await playwright.chromium.connect_over_cdp(chromium)
        yield connected
        for context in connected.contexts[1:]:
            await context.close()
    assert complaints == []


@pytest_asyncio.fixture
async def door(open_door: OpenDoor) -> Any:
    opened = await open_door(use_clock=SystemClock(), message_burst=100, restart_spread_s=0.5)
    opened.answer = lambda contact: answer(opened, contact)
    return opened


def answer(door: Any, contact: Contact) -> Reply:
    return door.reply(contact.conversation, f"Antwort auf {contact.text}", name=contact.id)


async def opened(browser: Browser, door: Any, lang: str = "de", **context: Any) -> tuple[Page, Frame]:
    """The demo page with its widget open."""
    page = await (await browser.new_context(**context)).new_page()
    watch(page)
    await page.goto(f"{door.url}/chat/demo?lang={lang}")
    await page.get_by_role("button", name="Chat").click()
    return page, await frame_of(page)


complaints: list[str] = []


def watch(page: Page) -> None:
    page.on("pageerror", lambda error: complaints.append(f"script error: {error}"))
    page.on("console", complain)


def complain(message: Any) -> None:
    # A broken line is part of some tests, and the browser says so in its own words.
    if message.type == "error" and "ERR_" not in message.text and "favicon" not in message.location["url"]:
        complaints.append(message.text)


async def frame_of(page: Page) -> Frame:
    handle = await page.wait_for_selector("contactbus-chat iframe")
    frame = await handle.content_frame()
    assert frame is not None
    await frame.wait_for_selector("form")
    return frame


async def settled(frame: Frame) -> None:
    """The line is open: what is typed now is sent at once."""
    await frame.wait_for_function("document.querySelector('.lost')?.hidden === true")


async def speak(frame: Frame, text: str) -> None:
    await frame.locator("textarea").fill(text)
    await frame.locator("textarea").press("Enter")


async def transcript(frame: Frame) -> list[str]:
    return await frame.locator(".message .text").all_inner_texts()


async def clean(target: Page | Frame, where: str) -> None:
    results = await Axe().run(target, options={"resultTypes": ["violations", "incomplete"]})
    found = [(v["id"], [n["html"][:160] for n in v["nodes"]]) for v in results.response["violations"]]
    assert found == [], f"{where}: {json.dumps(found, indent=1)}"


# --- by keyboard


async def test_a_visitor_gets_by_with_the_keyboard_alone(browser: Browser, door: Any) -> None:
    page = await browser.new_page()
    watch(page)
    await page.goto(f"{door.url}/chat/demo?lang=de")
    launcher = page.get_by_role("button", name="Chat öffnen")
    await launcher.wait_for()
    assert await launcher.get_attribute("aria-expanded") == "false"
    for _ in range(10):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement?.tagName") == "CONTACTBUS-CHAT":
            break
    await page.keyboard.press("Enter")
    frame = await frame_of(page)
    await expect(frame.locator("textarea")).to_be_focused()
    assert await page.locator("contactbus-chat button").get_attribute("aria-expanded") == "true"
    assert MACHINE["de"] in await frame.locator(".intro").inner_text(), "the first line says who answers"

    await page.keyboard.type("Guten Tag")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("ich wurde doppelt belastet")
    await page.keyboard.press("Enter")
    await expect(frame.locator(".visitor .state")).to_have_text("Gesendet")
    await expect(frame.locator(".company .text")).to_have_text("Antwort auf Guten Tag\nich wurde doppelt belastet")
    await expect(frame.locator("textarea")).to_be_focused()
    (contact,) = door.contacts.values()
    assert contact.text == "Guten Tag\nich wurde doppelt belastet"
    assert contact.language == "de"

    await page.keyboard.press("Shift+Tab")
    assert await frame.evaluate("document.activeElement.getAttribute('role')") == "log", (
        "the conversation can be reached"
    )
    await page.keyboard.press("Shift+Tab")
    await expect(frame.get_by_role("button", name="Mit einem Menschen sprechen")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(frame.locator(".visitor .state")).to_have_text(["Gesendet", "Gesendet"])
    assert [c.native.get("request") for c in door.contacts.values()] == [None, "person"]

    await page.keyboard.press("Escape")
    await expect(page.locator("contactbus-chat iframe")).to_be_hidden()
    assert await page.evaluate("document.activeElement.shadowRoot.activeElement.tagName") == "BUTTON"
    assert await launcher.get_attribute("aria-expanded") == "false"


async def test_only_news_is_announced_and_the_history_is_not(browser: Browser, door: Any) -> None:
    page, frame = await opened(browser, door)
    assert await frame.locator("[role=log]").get_attribute("aria-live") == "off"
    await speak(frame, "Hallo")
    news = frame.locator("[aria-live=polite]:not([role=status])")
    await expect(news).to_have_text("Automatische Antwort: Antwort auf Hallo")
    await page.reload()
    await page.get_by_role("button", name="Chat").click()
    frame = await frame_of(page)
    await expect(frame.locator(".message")).to_have_count(2)
    await expect(frame.locator("[aria-live=polite]:not([role=status])")).to_have_text("")


# --- nothing is lost


async def test_after_a_reload_the_conversation_is_there_and_goes_on(browser: Browser, door: Any) -> None:
    page, frame = await opened(browser, door, "nb")
    await speak(frame, "Hei")
    await expect(frame.locator(".company")).to_have_count(1)
    await page.reload()
    await page.get_by_role("button", name="Chat").click()
    frame = await frame_of(page)
    await expect(frame.locator(".message")).to_have_count(2)
    await speak(frame, "Er du der?")
    await expect(frame.locator(".message .text")).to_have_text(
        ["Hei", "Antwort auf Hei", "Er du der?", "Antwort auf Er du der?"]
    )
    assert len({contact.conversation for contact in door.contacts.values()}) == 1


async def test_what_is_written_without_a_line_is_kept_over_a_reload_and_sent_later(browser: Browser, door: Any) -> None:
    page, frame = await opened(browser, door)
    await speak(frame, "Eins")
    await expect(frame.locator(".company")).to_have_count(1)
    await page.context.set_offline(True)
    await expect(frame.locator(".lost")).to_be_visible()
    await speak(frame, "Zwei, ohne Netz")
    await expect(frame.locator(".visitor .state")).to_have_text(["Gesendet", "Wird gesendet"])
    assert len(door.contacts) == 1
    await picture(page, "widget-offline")
    await page.context.set_offline(False)
    await expect(frame.locator(".visitor .state")).to_have_text(["Gesendet", "Gesendet"])
    await expect(frame.locator(".lost")).to_be_hidden()
    assert [contact.text for contact in door.contacts.values()] == ["Eins", "Zwei, ohne Netz"]

    door.trouble = [Overloaded("full")] * 2  # not yet safe when the page goes
    await speak(frame, "Drei")
    await expect(frame.locator(".visitor .state").last).to_have_text("Wird gesendet")
    await page.reload()
    await page.get_by_role("button", name="Chat").click()
    frame = await frame_of(page)
    await expect(frame.locator(".visitor .state")).to_have_text(["Gesendet"] * 3, timeout=15_000)
    await expect(frame.locator(".company")).to_have_count(3)
    assert (await transcript(frame)).count("Drei") == 1
    assert [contact.text for contact in door.contacts.values()] == ["Eins", "Zwei, ohne Netz", "Drei"]


async def test_a_restart_of_the_server_is_hardly_noticed(browser: Browser, door: Any) -> None:
    _, frame = await opened(browser, door)
    await speak(frame, "Eins")
    await expect(frame.locator(".company")).to_have_count(1)
    await door.restart()
    await speak(frame, "Zwei")
    await expect(frame.locator(".message .text")).to_have_text(
        ["Eins", "Antwort auf Eins", "Zwei", "Antwort auf Zwei"], timeout=15_000
    )
    assert [contact.text for contact in door.contacts.values()] == ["Eins", "Zwei"]


async def test_two_tabs_share_one_conversation(browser: Browser, door: Any) -> None:
    page, one = await opened(browser, door)
    await speak(one, "aus dem ersten")
    await expect(one.locator(".company")).to_have_count(1)
    second = await page.context.new_page()
    await second.goto(f"{door.url}/chat/demo?lang=de")
    await second.get_by_role("button", name="Chat").click()
    two = await frame_of(second)
    await expect(two.locator(".message")).to_have_count(2)
    await speak(two, "aus dem zweiten")
    expected = ["aus dem ersten", "Antwort auf aus dem ersten", "aus dem zweiten", "Antwort auf aus dem zweiten"]
    await expect(one.locator(".message .text")).to_have_text(expected)
    await expect(two.locator(".message .text")).to_have_text(expected)


async def test_what_finally_failed_can_be_changed_or_sent_again(browser: Browser, door: Any) -> None:
    page, frame = await opened(browser, door)
    await settled(frame)
    # The text box allows no more than 4096 characters; a text that grows on its way past them is refused by the server.
    await frame.evaluate("document.querySelector('textarea').removeAttribute('maxlength')")
    await speak(frame, "x" * 4097)
    await expect(frame.locator(".visitor .state")).to_contain_text("zu lang")
    await expect(frame.get_by_role("button", name="Ändern")).to_be_in_viewport()
    await picture(page, "widget-failed")
    await frame.get_by_role("button", name="Noch einmal senden").click()
    await expect(frame.locator(".visitor .state")).to_contain_text("zu lang")
    await frame.get_by_role("button", name="Ändern").click()
    await expect(frame.locator(".message")).to_have_count(0)
    await expect(frame.locator("textarea")).to_have_value("x" * 4097)
    await speak(frame, "kürzer")
    await expect(frame.locator(".visitor .state")).to_have_text("Gesendet")


async def test_who_types_faster_than_we_take_is_heard_in_order(browser: Browser, open_door: OpenDoor) -> None:
    door = await open_door(use_clock=SystemClock(), message_burst=2, messages_per_second=5)
    _, frame = await opened(browser, door)
    await settled(frame)
    for number in range(6):
        await speak(frame, f"Satz {number}")
    await expect(frame.locator(".message.visitor.sent")).to_have_count(6, timeout=20_000)
    assert [contact.text for contact in door.contacts.values()] == [f"Satz {number}" for number in range(6)]
    assert door.duplicates == 0


# --- what is shown


async def test_a_long_answer_is_read_from_its_beginning(browser: Browser, door: Any) -> None:
    door.answer = lambda contact: door.reply(contact.conversation, "Zeile\n" * 60, name=contact.id)
    _, frame = await opened(browser, door)
    for text in ("Eins", "Zwei"):
        await speak(frame, text)
        await expect(frame.locator(".company .by").last).to_be_in_viewport()
    await expect(frame.locator(".company")).to_have_count(2)
    top = "(log) => [...log.children].at(-1).offsetTop - log.offsetTop - log.scrollTop"
    assert abs(await frame.locator("[role=log]").evaluate(top)) <= 16


async def test_texts_are_texts_and_only_addresses_become_links(browser: Browser, door: Any) -> None:
    door.answer = lambda contact: door.reply(
        contact.conversation, "<img src=x onerror=alert(1)> <b>fett</b> https://shop.example/a?b=1. javascript:alert(1)"
    )
    _, frame = await opened(browser, door)
    await speak(frame, "<script>alert(1)</script>")
    text = frame.locator(".company .text")
    await expect(text).to_contain_text("<b>fett</b>")
    assert await text.locator("a").evaluate_all("links => links.map((a) => a.href + ' ' + a.rel)") == [
        "https://shop.example/a?b=1 noopener noreferrer"
    ]
    assert await frame.locator(".visitor .text").inner_text() == "<script>alert(1)</script>"
    assert await frame.locator(".message img, .message b, .message script").count() == 0


async def test_waiting_for_a_person_being_answered_and_being_asked_how_it_was(browser: Browser, door: Any) -> None:
    door.answer = lambda contact: (
        door.reply(contact.conversation, "Ich hole einen Menschen dazu.", name=contact.id, handover=True)
        if contact.native.get("request") == "person"
        else None
    )
    page, frame = await opened(browser, door)
    person = frame.get_by_role("button", name="Mit einem Menschen sprechen")
    await person.click()
    await expect(frame.locator(".handover .text")).to_have_text("Ich hole einen Menschen dazu.")
    await expect(person).to_be_disabled()
    await expect(frame.locator(".status")).to_have_text("Sie sind als Nächstes an der Reihe.", timeout=8000)
    (contact,) = door.contacts.values()
    say = door.reply
    await door.adapter.send(say(contact.conversation, "Es tut uns leid, es dauert noch.", kind="hold"), 1)
    await picture(page, "widget-waiting")
    await door.adapter.send(say(contact.conversation, "Hier ist Mia.", automatic=False), 1)
    await expect(frame.locator(".company .by").last).to_contain_text("Kundenservice")
    await expect(person).to_be_enabled()
    await expect(frame.locator(".status")).to_have_text("")
    await door.adapter.send(say(contact.conversation, "Wie zufrieden sind Sie?", kind="survey"), 1)
    await door.adapter.send(say(contact.conversation, "Auf Wiedersehen!", kind="goodbye"), 1)
    await expect(frame.locator(".ended")).to_be_visible()
    await frame.get_by_role("button", name="5 von 5").click()
    await expect(frame.locator(".visitor .state")).to_have_text(["Gesendet", "Gesendet"])
    assert [c.text for c in door.contacts.values()][-1] == "5"
    assert {s.state for s in door.statuses} == {"read"} or {s.state for s in door.statuses} == {"delivered", "read"}
    await picture(page, "widget-survey")
    await clean(frame, "survey")


async def test_closed_it_counts_what_is_new(browser: Browser, door: Any) -> None:
    page, frame = await opened(browser, door)
    await speak(frame, "Hallo")
    await expect(frame.locator(".company")).to_have_count(1)
    # The page takes its time to hide the chat: what comes in between is seen by nobody either.
    await page.evaluate(
        "const chat = document.querySelector('contactbus-chat'), close = chat.close;"
        "chat.close = () => (window.hide = () => close.call(chat))"
    )
    await frame.get_by_role("button", name="Chat schließen").click()
    (contact,) = door.contacts.values()
    read_before = [s.reply for s in door.statuses if s.state == "read"]
    await door.adapter.send(door.reply(contact.conversation, "Noch etwas"), 1)
    await expect(page.get_by_role("button", name="Chat schließen, eine neue Nachricht")).to_be_visible()
    await page.evaluate("hide()")
    await door.adapter.send(door.reply(contact.conversation, "Und noch etwas", name="second"), 1)
    await expect(page.get_by_role("button", name="Chat öffnen, 2 neue Nachrichten")).to_be_visible()
    assert [s.reply for s in door.statuses if s.state == "read"] == read_before, "what nobody saw is not read"
    await page.get_by_role("button", name="Chat öffnen").click()
    await expect(page.get_by_role("button", name="Chat schließen", exact=True).first).to_be_visible()
    async with asyncio.timeout(5):
        while len([s for s in door.statuses if s.state == "read"]) == len(read_before):
            await asyncio.sleep(0.02)


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


async def test_a_browser_without_storage_can_talk_all_the_same(browser: Browser, door: Any) -> None:
    context = await browser.new_context()
    await context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })"
    )
    page = await context.new_page()
    watch(page)
    await page.goto(f"{door.url}/chat/demo?lang=en")
    await page.get_by_role("button", name="Chat").click()
    frame = await frame_of(page)
    await speak(frame, "Hello")
    await expect(frame.locator(".visitor .state")).to_have_text("Sent")


# --- where it may be


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


# --- how it looks


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


async def picture(page: Page, name: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    await page.screenshot(path=PICTURES / f"{name}.png")
