"""The widget in a real browser: by keyboard, and a conversation with its news, its waiting and its end."""

import asyncio
from typing import Any

from chatwindow import MACHINE, clean, frame_of, opened, picture, speak, watch
from playwright.async_api import Browser, expect


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
