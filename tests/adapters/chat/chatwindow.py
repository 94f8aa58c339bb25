"""What a visitor and a page see of the widget, for the tests that look at it in a browser."""

import json
from pathlib import Path
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Frame, Page

PICTURES = Path(__file__).parents[2] / "pictures"

MACHINE = {
    "de": "Hier antwortet zuerst ein Computer",
    "nb": "Her svarer en datamaskin først",
    "en": "A computer answers here first",
}

complaints: list[str] = []


async def opened(browser: Browser, door: Any, lang: str = "de", **context: Any) -> tuple[Page, Frame]:
    """The demo page with its widget open."""
    page = await (await browser.new_context(**context)).new_page()
    watch(page)
    await page.goto(f"{door.url}/chat/demo?lang={lang}")
    await page.get_by_role("button", name="Chat").click()
    return page, await frame_of(page)


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


async def picture(page: Page, name: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    await page.screenshot(path=PICTURES / f"{name}.png")
