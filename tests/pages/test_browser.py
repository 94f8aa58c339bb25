"""The pages in a real browser: nothing that customers write becomes code, everything works by keyboard, axe is content.

Pictures of every surface are written to tests/pictures for a person to look at.
"""

import asyncio
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

import bus.web

ENGLISH = json.loads((Path(bus.web.__file__).parent / "i18n" / "en.json").read_text("utf-8"))

HOSTILE = [
    "<script>window.hit=1</script>",
    "<img src=x onerror='window.hit=1'>",
    '"><svg onload=window.hit=1>',
    "javascript:window.hit=1",
    "{{constructor.constructor('window.hit=1')()}}",
    "</textarea><iframe srcdoc='<script>parent.hit=1</script>'>",
    "&lt;script&gt;window.hit=1&lt;/script&gt;",
    "\u202egnp.exe <a href=javascript:window.hit=1>x</a>",
    "' onmouseover='window.hit=1",
]


LESS = {("light", 360), ("dark", 1440)}
"""Seen in the longest language only: the others are shown light and wide, dark and narrow."""

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def test_what_customers_write_stays_text(house, eyes):
    faults = []
    cases = [
        await house.make_case("grete", name=f"{text} {number}", subject=text, text=text, reasons=(text,))
        for number, text in enumerate(HOSTILE)
    ]
    page = await eyes.open_desk(house, faults=faults)
    for case, text in zip(cases, HOSTILE, strict=True):
        await page.click(f'[data-case="{case}"]')
        await page.wait_for_function("text => document.querySelector('.message .text')?.textContent === text", arg=text)
        assert await page.text_content(".message .subject") == text
        assert text in await page.text_content(".case-title h2")
        assert text in await page.text_content("desk-context .big")
    assert await page.evaluate("window.hit") is None
    assert await page.locator("desk-app script, desk-app iframe, desk-app img[src='x']").count() == 0
    assert faults == []


async def test_a_page_cannot_be_given_markup_at_all(house, eyes):
    page = await eyes.open_desk(house)
    refused = await page.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>'; return false } catch (e) { return e.name } }"
    )
    assert refused == "TypeError"
    added = await page.evaluate(
        "() => { const s = document.createElement('style'); s.textContent = 'body{display:none}';"
        " document.head.append(s); return getComputedStyle(document.body).display }"
    )
    assert added != "none"


async def close_in_vain(page, *missing):
    """Closing says everything that is missing, and the focus is where it can be mended."""
    await page.keyboard.press("x")
    await page.wait_for_function("() => document.activeElement?.dataset.key === 'outcome'")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    words = [ENGLISH[f"closing.{rule}"] for rule in missing]
    await page.wait_for_function(
        "words => { const bad = [...document.querySelectorAll('desk-context .checks .bad')].map(li => li.textContent);"
        " return bad.length === words.length && words.every((word, n) => bad[n].includes(word)) }",
        arg=words,
    )


async def test_the_whole_work_by_keyboard(house, soon, eyes):
    first = await house.make_case("grete", minutes=5)
    await house.make_case("kari", minutes=500)
    page = await eyes.open_desk(house)
    press = page.keyboard.press
    await press("j")
    await press("Enter")
    await page.wait_for_selector(".message.customer")
    assert "Grete Ohlsen" in await page.text_content(".case-title h2")
    await close_in_vain(page, "outcome", "anything-else", "promise")
    await page.keyboard.press("Escape")
    # Letters act only while nobody types: in the reply they are letters.
    await press("r")
    await page.keyboard.type("Guten Tag, jxrnatq? ist erledigt.")
    await press("Escape")
    await press("a")
    value = await page.input_value("desk-composer textarea")
    assert value == "Guten Tag, jxrnatq? ist erledigt.\n\nKann ich sonst noch etwas für Sie tun?"
    await press("Control+Enter")
    await page.wait_for_selector(".message.person")
    assert "sonst noch etwas" in await page.text_content(".message.person .text")
    assert await page.input_value("desk-composer textarea") == ""
    await press("Escape")
    await close_in_vain(page, "outcome", "answer", "reply")
    await house.progress(first, "delivered")
    await page.wait_for_selector(".fate.delivered")
    # The customer has said on the phone that this was all; then an outcome, then close.
    await page.focus("[data-key='answered']")
    await press("Enter")

    async def noted():
        return (await house.state(first)).anything_else_answered

    await soon(noted)
    await page.wait_for_function("() => !document.querySelector(\"[data-key='answered']\")")
    await page.focus("[data-key='outcome']")
    await page.keyboard.type("sol")
    await press("Tab")
    await press("Enter")

    async def closed():
        state = await house.state(first)
        return state.status == "closed" and state.outcome == "solved"

    await soon(closed)
    await page.wait_for_selector(".status.closed")
    await press("Escape")
    await press("?")
    await page.wait_for_selector(".help:not([hidden])")
    await press("Escape")
    await page.wait_for_selector(".help", state="hidden")


async def test_alt_gr_never_acts(house, eyes):
    await house.make_case("grete")
    page = await eyes.open_desk(house)
    await page.click("[data-case]")
    await page.wait_for_selector(".message")
    before = await page.evaluate("document.activeElement.className")
    for modifiers in ({"ctrlKey": True, "altKey": True}, {"ctrlKey": True}, {"metaKey": True}):
        await page.evaluate(
            "modifiers => document.activeElement.dispatchEvent("
            "new KeyboardEvent('keydown', {key: 'r', bubbles: true, ...modifiers}))",
            modifiers,
        )
    assert await page.evaluate("document.activeElement.className") == before
    await page.keyboard.press("r")
    assert await page.evaluate("document.activeElement.tagName") == "TEXTAREA"


async def test_news_while_writing_keeps_the_draft_and_asks_to_read_first(house, eyes):
    case = await house.make_case()
    page = await eyes.open_desk(house)
    # The page's own feed is kept from it, so that it still shows the old state.
    await page.click("[data-case]")
    await page.wait_for_selector(".message")

    async def keep_reads_away(route):
        await (route.abort() if route.request.method == "GET" else route.continue_())

    await page.route("**/desk/api/cases/*", keep_reads_away)
    await page.fill("desk-composer textarea", "Das sehe ich mir an.")
    await house.write_in(case, "Hat sich erledigt!")
    await page.click("desk-composer .primary")
    await page.wait_for_selector(".compose-warning:not([hidden])")
    assert "just written" in await page.text_content(".compose-warning")
    assert await page.input_value("desk-composer textarea") == "Das sehe ich mir an."
    await page.unroute("**/desk/api/cases/*")
    await page.reload()
    await page.wait_for_function("() => document.querySelectorAll('.message').length === 2")
    assert await page.input_value("desk-composer textarea") == "Das sehe ich mir an."
    await page.click("desk-composer .primary")
    await page.wait_for_selector(".message.person")


async def test_a_lost_connection_shows_at_once_and_sending_waits(house, eyes):
    case = await house.make_case()
    page = await eyes.open_desk(house)
    await page.click("[data-case]")
    await page.wait_for_selector(".message")
    await page.fill("desk-composer textarea", "Gleich.")
    await page.context.set_offline(True)
    await page.wait_for_selector(".offline-bar:not([hidden])", timeout=3000)
    assert "nothing can be sent" in await page.text_content(".offline-bar")
    assert await page.is_disabled("desk-composer .primary")
    assert await page.text_content(".live.bad") == "disconnected"
    await eyes.picture(page, "desk-en-light-1440-offline")
    await page.keyboard.press("Control+Enter")
    await house.write_in(case, "Ich warte noch.")
    await page.context.set_offline(False)
    await page.wait_for_selector(".offline-bar", state="hidden", timeout=20_000)
    # What happened meanwhile is there, and nothing was sent by stealth.
    await page.wait_for_function("() => document.querySelectorAll('.message.customer').length === 2")
    assert await page.locator(".message.person").count() == 0
    assert await page.is_enabled("desk-composer .primary")


async def test_the_list_moves_in_a_house_in_which_something_always_changes(house, eyes):
    busy = await house.make_case("grete")
    page = await eyes.open_desk(house)

    async def always() -> None:
        while True:
            await house.write_in(busy, "Noch etwas.")
            await asyncio.sleep(0.05)

    changing = asyncio.create_task(always())
    try:
        case = await house.make_case("kari")
        await page.wait_for_selector(f'[data-case="{case}"]', timeout=5_000)
        await page.click(f'[data-case="{case}"]')
        await page.wait_for_selector("h2:has-text('Kari Lunde')")
        assert not changing.done()
    finally:
        changing.cancel()


async def test_a_case_is_handed_to_a_colleague_who_is_signed_in(house, soon, eyes):
    case = await house.make_case()
    alone = await eyes.open_desk(house)
    await alone.click("[data-case]")
    await alone.wait_for_selector(".message")
    await alone.click("[data-key='assign']")
    # Nobody else is there: only software could go on.
    assert await alone.locator(".menu-list:not([hidden]) button").all_text_contents() == ["software"]
    ole = await house.sign_in(person="Ole")
    stranger = await house.sign_in(tenant="bank", person="Eva")
    page = await eyes.open_desk(house)
    await page.click("[data-case]")
    await page.click("[data-key='assign']")
    assert await page.locator(".menu-list:not([hidden]) button").all_text_contents() == ["Ole", "software"]
    await eyes.picture(page, "desk-en-light-1440-hand-on")
    await page.click("[data-key='assign-Ole']")

    async def given():
        return (await house.state(case)).assignee == "Ole"

    await soon(given)
    await page.wait_for_selector("text=with Ole")
    await ole.close()
    await stranger.close()


async def test_the_pages_of_a_scan_are_leafed_through(house, eyes):
    sheets = [Image.new("L", (620, 877), 250 - 80 * number) for number in range(3)]
    data = io.BytesIO()
    sheets[0].save(data, "PDF", save_all=True, append_images=sheets[1:])
    case = await house.make_case("kari")
    await house.keep_file(case, data.getvalue(), "application/pdf", "Brev.pdf")
    faults = []
    page = await eyes.open_desk(house, faults=faults)
    await page.click("[data-case]")
    await page.wait_for_selector(".leaf:not([hidden])")
    assert "Page 1 of 3" in await page.text_content(".leaf")
    assert await page.is_disabled(".leaf button >> nth=0")
    for number in (2, 3):
        await page.click(".leaf button >> nth=1")
        assert f"Page {number} of 3" in await page.text_content(".leaf")
    assert await page.is_disabled(".leaf button >> nth=1")
    narrow = (await page.locator(".scan").bounding_box())["width"]
    await page.focus(".enlarge")
    await page.keyboard.press("Enter")
    assert (await page.locator(".scan").bounding_box())["width"] > narrow * 2
    # News of the case brings no reader back to the first page.
    await house.write_in(case, "Hallo?")
    await page.wait_for_function("() => document.querySelectorAll('.message.customer').length === 2")
    await page.wait_for_selector(".leaf:not([hidden])")
    assert "Page 3 of 3" in await page.text_content(".leaf")
    assert "page=2" in await page.get_attribute(".scan", "src")
    await page.wait_for_function("() => document.querySelector('.scan').naturalWidth > 0")
    assert await page.get_attribute(".enlarge", "aria-pressed") == "true"
    assert await eyes.violations(page) == []
    assert faults == []
    await eyes.picture(page, "desk-en-light-1440-scan")


async def test_reasons_are_shown_in_the_readers_language(house, eyes):
    await house.make_case(
        reasons=("rule: fly i flint", "zweimal", "left the channel"), handed="refund: 520,00 €, ceiling.software"
    )
    page = await eyes.open_desk(house, language="nb")
    await page.click("[data-case]")
    await page.wait_for_selector(".message")
    shown = await page.text_content("desk-context")
    assert "tydelige ord «fly i flint», zweimal, forlot samtalen" in shown
    assert "tilbakebetaling: 520,00 €, over beløpet som programvaren avgjør" in await page.text_content(".timeline")


async def test_a_moment_is_asked_for_with_its_reason(house, soon, eyes):
    """Somebody waits before a window: the clock shows it, and one key and a choice give the reason."""
    case = await house.make_case("tom", minutes=10)
    page = await eyes.open_desk(house, language="de")
    assert await page.locator(f'[data-case="{case}"] time-left').count() == 1
    await page.click(f'[data-case="{case}"]')
    await page.wait_for_selector(".case-head .waits")
    assert "alle im Gespräch" in await page.text_content(".case-head .waits")
    await eyes.picture(page, "desk-hold-de-light-1440")
    assert await eyes.violations(page) == []
    await page.focus("ol.timeline, .timeline")
    await page.keyboard.press("h")
    # The list opens at its first reason. Arrows go through it, and nothing is done before Enter.
    await page.wait_for_function("() => document.activeElement?.dataset.key.startsWith('hold-')")
    await page.keyboard.press("Escape")
    assert await page.evaluate("document.activeElement.dataset.key") == "hold"
    await page.keyboard.press("Enter")
    while await page.evaluate("document.activeElement.dataset.key") != "hold-stock":
        await page.keyboard.press("ArrowDown" if await page.locator(":focus.plain").count() else "Tab")
    assert (await house.state(case)).hold.reason == "busy"
    await page.keyboard.press("Enter")

    async def asked():
        state = await house.state(case)
        return state.hold is not None and state.hold.reason == "stock"

    await soon(asked)
    await page.wait_for_function("() => document.querySelector('.case-head .waits')?.textContent.includes('Lager')")
    await page.context.close()


async def test_clocks_turn_amber_and_red(house, eyes):
    await house.make_case("grete", minutes=1)
    page = await eyes.open_desk(house)
    states = await page.evaluate(
        """async () => {
            const { promiseState } = await import("/assets/timeleft.js");
            const at = (s) => promiseState("2026-01-01T00:01:00Z", "2026-01-01T00:00:00Z",
                                           Date.parse("2026-01-01T00:00:00Z") + s * 1000);
            return [at(0), at(44), at(45), at(59), at(60), at(600)];
        }"""
    )
    assert states == ["good", "good", "warn", "warn", "bad", "bad"]


@pytest.mark.parametrize("language", ["de", "nb", "en"])
async def test_the_desk_in_every_language_scheme_and_width(house, language, eyes):
    case = await house.make_case("grete", minutes=3)
    await house.make_case("kari")
    await house.make_case("tom", minutes=1)
    for scheme in ("light", "dark"):
        for width in (360, 1440):
            if language != "de" and (scheme, width) in LESS:
                continue
            faults = []
            page = await eyes.open_desk(house, language=language, scheme=scheme, width=width, faults=faults)
            if width == 360:
                await eyes.picture(page, f"desk-{language}-{scheme}-{width}-queue")
                assert await eyes.violations(page) == []
            await page.click(f'[data-case="{case}"]')
            await page.wait_for_selector(".message")
            await eyes.picture(page, f"desk-{language}-{scheme}-{width}-case")
            assert await eyes.violations(page) == []
            wide = await page.evaluate(OVERFLOW)
            assert wide <= 0
            if width == 360:
                await page.click('[data-pane="context"]')
                await eyes.picture(page, f"desk-{language}-{scheme}-{width}-context")
                assert await eyes.violations(page) == []
            assert await page.evaluate("document.documentElement.lang") == language
            assert faults == []
            await page.context.close()


@pytest.mark.parametrize("language", ["de", "nb", "en"])
async def test_the_start_page_in_every_language_scheme_and_width(start, browser, language, eyes):
    await start.traveller.whole("grete", "Guten Tag Frau Ohlsen, ich sehe beide Abbuchungen.")
    await start.traveller.whole("jonas", "Bitte ziehen Sie den Stecker für eine Minute.")
    kari = await start.traveller.received("kari")
    await start.traveller.understood("kari", kari)
    await start.mailbox.keep(
        "a@shop.example", ["grete.ohlsen@kunde.example"], b"Subject: Hi\r\n\r\nhttp://x.example/y\r\n"
    )
    for scheme in ("light", "dark"):
        for width in (360, 1440):
            if language != "de" and (scheme, width) in LESS:
                continue
            context = await browser.new_context(
                viewport={"width": width, "height": 900}, locale=language, color_scheme=scheme, base_url=start.base
            )
            everything = (scheme, width) not in LESS and (language == "de" or scheme == "light")
            for path in ("/", "/mailbox", "/letters") if everything else ("/",):
                page = await context.new_page()
                faults = eyes.collect_faults(page)
                await page.goto(path)
                await page.wait_for_selector({"/": ".answered.good", "/mailbox": ".mail-line", "/letters": "h1"}[path])
                await eyes.picture(page, f"start-{language}-{scheme}-{width}-{path.strip('/') or 'index'}")
                assert await eyes.violations(page) == []
                wide = await page.evaluate(OVERFLOW)
                assert wide <= 0
                assert faults == []
                await page.close()
            await context.close()


async def test_rows_light_up_stop_by_stop(start, browser):
    page = await (await browser.new_context(locale="en", base_url=start.base)).new_page()
    await page.goto("/")
    await page.wait_for_selector(".rows")
    row = '[data-key="row-email"]'
    contact = await start.traveller.received("grete")
    await page.wait_for_function("row => document.querySelectorAll(row + ' .lit').length === 1", arg=row)
    case = await start.traveller.understood("grete", contact)
    await page.wait_for_function("row => document.querySelectorAll(row + ' .lit').length === 3", arg=row)
    assert "charged twice" in await page.text_content(f"{row} .meant")
    await start.traveller.answered("grete", contact, case, "Hello Grete")
    await page.wait_for_function("row => document.querySelectorAll(row + ' .lit').length === 4", arg=row)
    shown = await page.text_content(f"{row} .answered")
    assert re.fullmatch(r"\d+(\.\d)?\ss", shown)
    assert 1 <= float(shown.split()[0]) < 60
    await page.click(".step >> nth=0")
    await page.wait_for_function("() => document.querySelector('pre').textContent.includes('SO-10234')")
    await start.traveller.received("tom")
    await page.wait_for_selector(".recent button >> nth=1")
    assert "SO-10234" in await page.text_content("pre:not([hidden])")


async def test_a_mail_written_on_the_start_page_comes_through_the_mail_door(start, browser):
    page = await (await browser.new_context(locale="en", base_url=start.base)).new_page()
    await page.goto("/")
    await page.wait_for_selector(".door form")
    form = page.locator(".door").filter(has=page.locator("input[type=email]"))
    await form.locator("input").first.fill("Zoë, Bjørn")
    await form.locator("input[type=email]").fill("zoe@customer.example")
    await form.locator("textarea").fill("Hello, <b>where</b> is my order?")
    await form.locator("button[type=submit]").click()
    mail = await start.mail_door.wait_for(lambda mail: True)
    assert mail.text.strip() == "Hello, <b>where</b> is my order?"
    assert mail.to == ("hilfe@shop.example",)
    assert (mail.sender_name, mail.sender) == ("Zoë, Bjørn", "zoe@customer.example")
    await form.locator(".told.good").wait_for()


async def test_the_mailbox_shows_mail_as_text_with_links(start, browser):
    raw = (
        "From: x@shop.example\r\nSubject: <img src=x onerror=window.hit=1>\r\n\r\n"
        "<script>window.hit=1</script> javascript:window.hit=1 https://shop.example/confirm/a.b, and more.\r\n"
    )
    await start.mailbox.keep("x@shop.example", ["tom@customer.example"], raw.encode())
    page = await (await browser.new_context(locale="en", base_url=start.base)).new_page()
    await page.goto("/mailbox")
    await page.wait_for_selector(".mail-text")
    links = await page.locator(".mail-text a").all()
    assert [await link.get_attribute("href") for link in links] == ["https://shop.example/confirm/a.b"]
    assert await page.text_content(".mail h2") == "<img src=x onerror=window.hit=1>"
    # What comes in meanwhile stands in the list, and does not take away what somebody reads.
    await start.mailbox.keep("x@shop.example", ["tom@customer.example"], b"Subject: Later\r\n\r\nx\r\n")
    await start.traveller.received("tom")
    await page.wait_for_selector(".mail-line:has-text('Later')")
    assert await page.text_content(".mail h2") == "<img src=x onerror=window.hit=1>"
    assert await page.evaluate("window.hit") is None
