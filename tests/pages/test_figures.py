"""Overview, reports and wallboard in a real browser: reasons in words, figures, no names on the wall, grey when old."""

import csv
import io
import json
from datetime import timedelta

import pytest

from workers.case import events, model
from workers.case.changes import Draft
from workers.desk.report_web import KEY_DAYS
from workers.desk.roster import Roster
from workers.desk.staff import People, Staff

LOOKS = (("de", "dark", 360), ("nb", "light", 1440), ("en", "dark", 1440))
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def a_day_at_work(house):
    """Three cases: settled with praise, held on the line, and an angry one that Ole has. Ole and Mina are ready."""
    now = house.clock.now()
    settled = await house.make_case("grete")
    await answered(house, settled, "Mina", "solved")
    held = await house.make_case("tom", minutes=10)
    angry = await house.make_case("kari", minutes=5)
    draft = Draft(await house.state(angry), now)
    draft.tell(events.Assigned(at=now, actor="Ole", to="Ole"))
    draft.tell(events.Understood(at=now, contact="c", tone="angry", language="nb", department="returns"))
    draft.tell(events.SupervisorCalled(at=now, reason="angry"))
    await house.apply(draft)
    roster = Roster(store=house.engine, clock=house.clock)
    for name in ("Ole", "Mina"):
        await roster.say("shop", name, "ready")
    return settled, held, angry


async def answered(house, case, person, outcome):
    """A person answers, is praised, and the case is closed."""
    now = house.clock.now()
    draft = Draft(await house.state(case), now)
    promise = model.Promise(id="by-friday", what="answer", by=person, until=now + timedelta(days=1), made=now)
    for event in (
        events.ReplyPlanned(
            at=now + timedelta(seconds=90), actor=person, reply="r", channel="email", reply_kind="answer", text="Gern."
        ),
        events.PromiseMade(at=now, actor=person, promise=promise),
        events.PromiseKept(at=now, actor=person, id="by-friday"),
        events.PraiseGiven(at=now, actor="customer", contact="c", words="Danke, Mina!", names=(person,)),
        events.Rated(at=now, actor="customer", contact="c", channel="email", score=5),
        events.OutcomeChosen(at=now, actor=person, outcome=outcome),
        events.Closed(at=now + timedelta(seconds=600), actor=person),
    ):
        draft.tell(event)
    await house.apply(draft)


async def post(client, house, path, body):
    answer = await client.post(f"/desk/api/{path}", data=json.dumps(body), headers=house.headers)
    return answer.status, await answer.json()


async def signed_in(house, eyes, path, ready, **look):
    """A page beside the desk, by way of a sign-in."""
    page = await eyes.open(house.base, house.link(), **look)
    await page.wait_for_url("**/desk")
    await page.goto(path)
    await page.wait_for_selector(ready)
    return page


async def seen(eyes, page, name):
    """The page fits, axe is content, and a person can look at it."""
    await eyes.picture(page, name)
    assert await page.evaluate(OVERFLOW) <= 0
    assert await eyes.violations(page) == []


async def test_a_supervisor_sees_what_burns_and_steps_in_by_keyboard(house, eyes, soon):
    _, held, angry = await a_day_at_work(house)
    faults = []
    for language, scheme, width in LOOKS:
        page = await signed_in(
            house, eyes, "/desk/live", ".risk", language=language, scheme=scheme, width=width, faults=faults
        )  # fmt: skip
        await page.wait_for_selector(".people-list li")
        await seen(eyes, page, f"overview-{language}-{scheme}-{width}")
    rows = await page.locator(".risk h3").all_text_contents()
    assert "Kari Lunde" in rows[0]
    why = await page.locator(".risk >> nth=0 >> .why li").all_text_contents()
    assert {"supervisor called: customer is getting angrier", "angry"} <= set(why)
    assert len(await page.locator(".people-list li").all()) == 2
    await page.focus(f"[data-key='step-in-{angry}']")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".risk-facts:has-text('joined by Mina')")
    await page.focus(f"[data-key='advise-{angry}']")
    await page.keyboard.press("Enter")
    await page.keyboard.type("Biete einen Umtausch an.")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".said:has-text('The note is in the case')")
    await page.click(f"[data-key='take-over-{held}']")

    async def taken():
        return (await house.state(held)).assignee == "Mina"

    await soon(taken)
    client = await house.sign_in()
    last = (await (await client.get(f"/desk/api/cases/{angry}")).json())["events"][-1]
    assert (last["kind"], last["actor"], last["text"]) == ("noted", "Mina", "Biete einen Umtausch an.")
    await client.close()
    assert faults == []


async def test_reports_in_the_browser_and_as_csv(house, eyes):
    await a_day_at_work(house)
    faults = []
    for language, scheme, width in LOOKS:
        page = await signed_in(
            house, eyes, "/desk/reports?by=operator,channel", "tbody tr",
            language=language, scheme=scheme, width=width, faults=faults,
        )  # fmt: skip
        await seen(eyes, page, f"reports-{language}-{scheme}-{width}")
    row = await page.text_content("tbody tr:has(th:text-is('Mina'))")
    assert "1:30" in row
    assert "100" in row
    assert faults == []
    client = await house.sign_in()
    answer = await client.get("/desk/api/reports?by=operator&form=csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    lines = list(csv.DictReader(io.StringIO((await answer.text()).removeprefix("\ufeff"), newline="")))
    assert {line["operator"]: line["praise"] for line in lines}["Mina"] == "1"
    for wrong in ("by=colour", "since=27.3.", "form=xml", "since=2020-01-01&until=2026-01-01"):
        assert (await client.get(f"/desk/api/reports?{wrong}")).status == 400
    # A representative is told so, on the page and by the interface.
    await People(store=house.engine, clock=house.clock).keep("shop", Staff(name="Mina"))
    assert (await client.get("/desk/api/reports")).status == 403
    await page.reload()
    await page.wait_for_selector(".state.bad:has-text('Your role does not allow this')")
    await eyes.picture(page, "reports-en-dark-1440-no-permission")
    await client.close()


async def test_the_wall_shows_numbers_and_no_names_and_grows_grey(house, eyes, soon):
    await a_day_at_work(house)
    client = await house.sign_in()
    status, link = await post(client, house, "wallboard/link", {})
    assert (status, link["days"]) == (200, KEY_DAYS)
    faults = []
    for language, scheme, width in LOOKS:
        page = await eyes.open(
            house.base, link["path"], language=language, scheme=scheme, width=width, faults=faults
        )  # fmt: skip
        await page.wait_for_selector(".tiles")
        await seen(eyes, page, f"wallboard-{language}-{scheme}-{width}")
    assert await page.text_content(".waiting .number") == "2"
    assert await page.text_content(".promises .number") == "100\u00a0%"
    assert await page.text_content(".satisfaction .number") == "5.0"
    assert (await page.text_content(".praise .number"), await page.text_content(".held .number")) == ("1", "1")
    assert await page.text_content(".ready .number") == "2"
    raw = await (await client.get("/desk/api/wallboard")).text()
    for personal in ("Grete", "Ohlsen", "Kari", "Tom", "Mina", "Ole", "kunde", "Danke"):
        assert personal not in raw
        assert personal not in await page.text_content("body")
    assert faults == []
    # The line is cut: after a quarter of a minute nobody may take the numbers for those of now.
    page = await eyes.browser.contexts[-1].new_page()
    await page.clock.install()
    await page.goto(link["path"])
    await page.wait_for_selector(".tiles")
    await page.context.set_offline(True)
    await page.clock.run_for(21_000)
    await page.wait_for_selector(".stale footer .bad:has-text('No connection')")
    await seen(eyes, page, "wallboard-en-dark-1440-stale")
    await page.context.set_offline(False)
    await page.clock.run_for(10_000)
    await page.wait_for_selector("wall-board:not(.stale)")
    await client.close()


@pytest.mark.parametrize("key", ["x", "shop~99999999999999999.x", "~1.x"])
async def test_a_forged_address_for_the_wall_shows_nothing(house, key):
    client = await house.sign_in()
    await client.post("/desk/api/signout", data="{}", headers=house.headers)
    for path in (f"/desk/api/wallboard?key={key}", "/desk/api/wallboard"):
        answer = await client.get(path)
        assert answer.status == 401
        assert set(await answer.json()) == {"error"}
    await client.close()


async def test_an_address_for_the_wall_ends_by_itself(house):
    client = await house.sign_in()
    _, link = await post(client, house, "wallboard/link", {})
    key = link["path"].partition("key=")[2]
    assert (await client.get(f"/desk/api/wallboard?key={key}")).status == 200
    real = house.clock

    class Later:
        def now(self):
            return real.now() + timedelta(days=KEY_DAYS, seconds=1)

        def monotonic(self):
            return real.monotonic()

    house.pages._figures._clock = Later()
    assert (await client.get(f"/desk/api/wallboard?key={key}")).status == 401
    await client.close()
