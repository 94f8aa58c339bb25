"""The widget's line in a real browser: reloads, restarts, tabs, and what is written while there is none."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from chatwindow import frame_of, opened, picture, settled, speak, transcript, watch
from playwright.async_api import Browser, Route, WebSocketRoute, expect

from bus.clock import SystemClock
from bus.errors import Overloaded
from bus.testing.clock import FakeClock

OpenDoor = Callable[..., Awaitable[Any]]
WEB = Path(__file__).parents[3] / "adapters" / "chat" / "web"


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


# --- who is logged in, and for how long

KEY = "a key that only the shop's server knows"


def login(at: datetime) -> str:
    claims = {"sub": "4711", "aud": "shop.example", "exp": at.timestamp() + 600, "name": "Kari Lunde"}
    return jwt.encode(claims, KEY, "HS256")


async def test_a_login_that_ran_out_ends_no_conversation(
    browser: Browser, open_door: OpenDoor, clock: FakeClock
) -> None:
    """The site's word lives an hour at most. Who comes back later goes on as nobody, not turned away."""
    door = await open_door(site_key="shop.example", identity_secrets=[KEY], restart_spread_s=0.1)
    # Not watched: that the browser complains of the refusal is meant.
    page = await browser.new_page()
    await page.goto(f"{door.url}/chat/demo?lang=de")
    await page.wait_for_function("window.contactbusChat")
    await page.evaluate("token => contactbusChat.identify(token)", login(clock.now()))
    await page.evaluate("contactbusChat.open()")
    frame = await frame_of(page)
    await speak(frame, "Eins")
    await expect(frame.locator(".visitor .state")).to_have_text("Gesendet")
    clock.advance(2 * 3600)
    await door.restart()
    await speak(frame, "Zwei")
    await expect(frame.locator(".visitor .state")).to_have_text(["Gesendet", "Gesendet"])
    assert [contact.proof.level for contact in door.contacts.values()] == ["session", "none"]
    assert len({contact.conversation for contact in door.contacts.values()}) == 1


async def test_who_logs_in_while_the_line_is_being_opened_is_known(browser: Browser, open_door: OpenDoor) -> None:
    door = await open_door(use_clock=SystemClock(), site_key="shop.example", identity_secrets=[KEY])
    page = await browser.new_page()
    watch(page)
    asked, answered = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        asked.set()
        await answered.wait()
        await route.continue_()

    await page.route("**/chat/session", hold)
    await page.goto(f"{door.url}/chat/demo?lang=de")
    await page.wait_for_function("window.contactbusChat")
    await page.evaluate("contactbusChat.open()")
    await asyncio.wait_for(asked.wait(), 10)
    # The frame hears its messages in their order, and says something to the second of these.
    await page.evaluate(
        "token => new Promise((heard) => {"
        " contactbusChat.on(heard); contactbusChat.identify(token); contactbusChat.open(); })",
        login(SystemClock().now()),
    )
    answered.set()
    frame = await frame_of(page)
    await speak(frame, "Hallo")
    await expect(frame.locator(".visitor .state")).to_have_text("Gesendet")
    (contact,) = door.contacts.values()
    assert contact.proof.level == "session"


# --- what the server says of the line


async def test_when_the_conversation_is_gone_its_news_are_news_again(browser: Browser, door: Any) -> None:
    """A server that was restored from a backup says `reset`, behind its welcome."""
    _, frame = await opened(browser, door)
    await speak(frame, "Hallo")
    await expect(frame.locator(".company")).to_have_count(1)
    await door.adapter._events.forget(SystemClock().now() + timedelta(days=1))
    await door.restart()
    await expect(frame.locator(".message")).to_have_count(0)
    await speak(frame, "Noch da?")
    await expect(frame.locator("[aria-live=polite].unseen")).to_contain_text("Antwort auf Noch da?")


async def test_who_is_refused_does_not_come_again(browser: Browser, door: Any) -> None:
    page = await browser.new_page()
    watch(page)
    lines: list[WebSocketRoute] = []

    async def refuse(line: WebSocketRoute) -> None:
        lines.append(line)
        await line.close(code=1008)

    await page.clock.install()
    await page.route_web_socket("**/chat/socket", refuse)
    await page.goto(f"{door.url}/chat/frame?lang=de")
    refused = json.loads((WEB / "words" / "de.json").read_text())["refused"]
    await expect(page.locator(".lost")).to_have_text(refused)
    # Far beyond the silence after which a line counts as dead, and the longest pause before the next one.
    for _ in range(3):
        await page.clock.fast_forward(45_000)
    await expect(page.locator(".lost")).to_have_text(refused)
    assert len(lines) == 1
