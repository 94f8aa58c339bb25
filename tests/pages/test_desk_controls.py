"""What can be done beside writing, in a real browser and by keyboard.

Call a supervisor or the customer, give something on top, say who somebody is, end a conversation, choose figures, find
the address of the wallboard.
"""

from datetime import time, timedelta

from bus.delivery.outcome import Outcome
from bus.log.port import StoredRecord
from bus.log.topics import CASE_OFFERS
from bus.message import Party, encode
from bus.store.port import Effect
from workers.case import calling, events, model
from workers.case.changes import Draft
from workers.case.people import identity_write
from workers.case.work import Look
from workers.desk.offering import OfferWorker
from workers.desk.staff import People, Staff
from workers.records.demo import load_demo

LOOK = StoredRecord(
    topic=CASE_OFFERS, partition=0, offset=1, at=0, key="shop", value=encode(Look(tenant="shop")), id="l", headers={}
)


async def enter(house, **roles):
    for name, role in roles.items():
        await People(store=house.engine, clock=house.clock).keep("shop", Staff(name=name, role=role))


async def focused(page, key):
    await page.wait_for_function("key => document.activeElement?.dataset.key === key", arg=key)


async def known_customer_who_wants_a_call(house):
    """Grete has proven who she is, called, and asked to be called back; one promise is near its end, one is broken."""
    case = await house.make_case("grete", name="Grete O.", minutes=600)
    now = house.clock.now()
    line = model.Route(
        channel="phone",
        account="+49301234567",
        address=Party(kind="phone", address="+49305550101"),
        contact="c2",
        at=now,
    )
    draft = Draft(await house.state(case), now)
    for promise, until in (("near", now + timedelta(minutes=4)), ("over", now - timedelta(minutes=30))):
        made = model.Promise(id=promise, what="answer", by="Mina", until=until)
        draft.tell(events.PromiseMade(at=now - timedelta(hours=4), actor="Mina", promise=made))
    for event in (
        events.ProofGiven(at=now, actor="customer", customer="C-1001", identity="email:x@kunde.example", by="code"),
        events.PromiseWarned(at=now, id="near", what="answer"),
        events.PromiseBroken(at=now, id="over", what="answer", until=now - timedelta(minutes=30)),
        events.Received(at=now, actor="customer", contact="c2", route=line, request="callback"),
        events.CallBackAsked(at=now, actor="customer", number="+49305550101", line="+49301234567"),
    ):
        draft.tell(event)
    await house.apply(draft)
    mine = identity_write(
        tenant="shop", party=Party(kind="email", address="grete@arbeit.example"), person=draft.state.person, at=1
    )
    await house.engine.apply([Effect(outcome=Outcome(writes=(mine,)))])
    return case


async def test_supervisor_call_goodwill_and_identity_by_keys(house, eyes, soon, monkeypatch):
    monkeypatch.setattr(calling, "EARLIEST", time.min)
    monkeypatch.setattr(calling, "LATEST", time.max)
    await load_demo(house.engine, house.clock)
    await enter(house, Mina="representative")
    case = await known_customer_who_wants_a_call(house)
    faults = []
    page = await eyes.open_desk(house, language="de", scheme="dark", faults=faults)
    press, write = page.keyboard.press, page.keyboard.type
    await page.click(f'[data-case="{case}"]')
    await page.wait_for_selector(".calling")
    # The row counts to the promise that is over, from when it was given; both promises say how they stand.
    assert "30\xa0Min. überfällig" in await page.text_content(f'[data-case="{case}"] time-left')
    shown = await page.locator(".promises li").all_text_contents()
    assert "nicht gehalten" in shown[0]
    assert "bald fällig" in shown[1]
    await page.wait_for_selector(".promises li:nth-child(2) time-left[data-state='warn']")

    await press("e")
    await focused(page, "escalate-wish")
    await press("ArrowDown")
    await press("Enter")
    await page.wait_for_selector(".said:has-text('Die Teamleitung ist gerufen')")
    assert ((await house.state(case)).supervisor, (await house.state(case)).supervisor_for) == ("decision", "Mina")

    # Without a telephone that rings for her she dials, and says how it went.
    await press("c")
    await focused(page, "call")
    await press("Enter")
    await page.wait_for_selector(".calling:has-text('Bitte wählen Sie +49305550101')")
    await press("c")
    await focused(page, "called.talked")
    await press("Enter")
    await page.wait_for_selector(".calling", state="detached")
    assert (await house.state(case)).callback is None

    await page.focus(".timeline")
    await press("m")
    await focused(page, "goodwill-amount")
    await write("30,01")
    await press("Tab")
    await write("zweimal angerufen")
    await press("Enter")
    await page.wait_for_selector("desk-goodwill .bad:has-text('mehr, als Sie gewähren dürfen')")
    assert await eyes.violations(page) == []
    await eyes.picture(page, "desk-de-dark-1440-goodwill")
    await page.fill("[data-key='goodwill-amount']", "12,50 €")
    await press("Enter")
    await page.wait_for_selector("desk-goodwill summary:has-text('12,50')")
    await page.wait_for_selector("desk-goodwill p:has-text('noch 17,50')")
    assert (await house.state(case)).goodwill == {"EUR": 1250}
    assert await page.input_value("[data-key='goodwill-reason']") == ""
    assert "Kulanz 12,50\xa0€" in await page.text_content(".timeline")

    await page.focus(".timeline")
    await press("v")
    await focused(page, "promise-what")
    await write("Katalog per Post")
    await page.fill("[data-key='promise-until']", "2001-01-01T10:00")
    await press("Enter")
    await page.wait_for_selector("desk-promise .bad:has-text('der noch kommt')")
    await page.fill("[data-key='promise-until']", "2099-01-01T10:00")
    assert await eyes.violations(page) == []
    await eyes.picture(page, "desk-de-dark-1440-promise")
    await press("Enter")
    await page.wait_for_selector(".promises li:has-text('Katalog per Post')")
    assert await page.locator("desk-promise details[open]").count() == 0

    # She is a customer already: found by the number, merged with what differs before the eyes, and split again.
    await page.focus(".timeline")
    await press("i")
    await focused(page, "identity-find")
    await write("C-1001")
    await press("Enter")
    await page.wait_for_selector(".found .conflicts:has-text('Grete O. / Grete Ohlsen')")
    await focused(page, "identity-reason")
    await house.write_in(case, "Sind Sie noch da?")  # news of the case take nobody's place away
    await write("nennt ihre Bestellung")
    await page.wait_for_selector(".message:has-text('Sind Sie noch da?')")
    await focused(page, "identity-reason")
    assert await eyes.violations(page) == []
    await eyes.picture(page, "desk-de-dark-1440-identity")
    await press("Enter")
    await page.wait_for_selector("desk-identity li:has-text('nennt ihre Bestellung') button")
    await page.wait_for_selector("desk-identity .conflicts:has-text('Grete O. / Grete Ohlsen')")
    await page.click("desk-identity [data-key^='split-']")
    await focused(page, "identity-reason")
    await press("Enter")
    await page.wait_for_selector("desk-identity .bad:has-text('Bitte einen Grund angeben')")
    await write("doch die Schwester")
    await press("Enter")
    await page.wait_for_selector("desk-identity [data-key^='split-']", state="detached")
    await page.wait_for_selector(".said:has-text('Wieder getrennt')")
    amounts = await page.evaluate(
        """async () => {
            const { minorUnits } = await import("/desk/static/goodwill.js");
            return ["12", "12,5", "12.50", " 1,05 € ", "0", "", "-3", "1,234", "1.000,00", "1e3", "x"].map(minorUnits);
        }"""
    )
    assert amounts == [1200, 1250, 1250, 105, *[None] * 7]
    # What the server refused was refused in words, and nothing else went wrong.
    assert [fault for fault in faults if "422" not in fault] == []


async def test_an_abusive_conversation_is_ended_and_wrapped_up(house, eyes, soon):
    await enter(house, Mina="representative")
    case = await house.make_case("tom", minutes=10)
    faults = []
    page = await eyes.open_desk(house, faults=faults)
    press = page.keyboard.press
    await page.select_option("[data-key='presence']", "ready")
    await page.wait_for_selector(".said:has-text('You are: ready')")

    async def offers():
        worker = OfferWorker(store=house.engine, clock=house.clock)
        await worker.prepare([LOOK])
        [result] = await house.engine.apply([Effect(outcome=await worker.handle(LOOK))])
        return result.applied

    assert await offers()
    await page.wait_for_selector(".offers li")
    await page.focus("desk-queue .view")
    await press("s")
    await page.wait_for_selector(".case-facts:has-text('with Mina')")
    await page.focus("[data-key='end']")
    await press("Enter")
    await press("Tab")
    await press("Tab")
    await focused(page, "end-threats")
    await eyes.picture(page, "desk-en-light-1440-end")
    await press("Enter")
    await page.wait_for_selector(".said:has-text('It does not count against you')")
    # The customer is told so courteously, the matter stays open, and the conversation cannot be ended again.
    await page.wait_for_selector("[data-key='end']", state="detached")
    assert "conversation ended politely: threats" in await page.text_content(".timeline")
    state = await house.state(case)
    assert (state.ended, state.status) == ("threats", "waiting-person")
    assert state.open_promises()
    assert await offers()
    await page.reload()
    form = "desk-offers section:has-text('Wrap-up')"
    await page.wait_for_selector(form)
    assert state.number in (await page.text_content(form)).replace(" ", "")
    assert await page.is_disabled("[data-key='wrap-done']")
    assert await eyes.violations(page) == []
    await eyes.picture(page, "desk-en-light-1440-wrap-up")
    await page.focus("[data-key='wrap-outcome']")
    await page.keyboard.type("decl")
    await press("Tab")
    await focused(page, "wrap-done")
    await press("Enter")
    await page.wait_for_selector(form, state="detached")
    assert (await house.state(case)).outcome == "declined"
    assert faults == []


async def test_figures_are_chosen_and_linked_and_the_screen_gets_its_address(house, eyes):
    await enter(house, Mina="manager")
    for seed in ("grete", "kari", "tom"):
        await house.make_case(seed)
    faults = []
    page = await eyes.open_desk(house, faults=faults)
    await page.goto("/desk/reports?by=language")
    await page.wait_for_selector("tbody tr:nth-child(3)")
    await page.select_option("[data-key='only-channel']", "chat")
    await page.focus("[data-key='show']")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("tbody tr:nth-child(2)", state="detached")
    assert await page.locator("tbody th").all_text_contents() == ["English"]
    await page.click("[data-key='days-30']")
    await page.wait_for_selector("[data-key='days-30'][aria-pressed='true']")
    assert "channel=chat" in page.url
    assert "channel=chat" in await page.get_attribute(".saves a", "href")
    # Whoever is sent the address sees the same, with the choice made.
    again = await page.context.new_page()
    eyes.collect_faults(again, faults)
    await again.goto(page.url)
    await again.wait_for_selector("tbody tr")
    assert await again.locator("tbody th").all_text_contents() == ["English"]
    assert await again.input_value("[data-key='only-channel']") == "chat"
    await page.select_option("[data-key='only-language']", "en")
    await page.select_option("[data-key='only-channel']", "")
    await page.click("[data-key='show']")
    await page.wait_for_function(
        "() => location.search.includes('language=en') && !location.search.includes('channel')"
    )
    await page.wait_for_selector("tbody th:has-text('English')")

    await page.goto("/desk/live")
    await page.focus("[data-key='screen-make']")
    await page.keyboard.press("Enter")
    await focused(page, "screen-address")
    address = await page.input_value("[data-key='screen-address']")
    assert address.startswith(f"{house.base}/desk/wallboard?key=")
    assert "30 days" in await page.text_content("screen-address")
    assert await eyes.violations(page) == []
    await eyes.picture(page, "overview-en-light-1440-screen")
    # The screen signs in nowhere, and offers nobody anything; whoever is signed in finds both there.
    screen = await eyes.open(house.base, address, faults=faults)
    await screen.wait_for_selector(".waiting .number:has-text('3')")
    assert await screen.locator("screen-address, footer a").count() == 0
    await page.goto("/desk/wallboard")
    await page.wait_for_selector("footer screen-address button")
    await page.click("footer [data-key='screen-make']")
    await page.wait_for_selector("footer [data-key='screen-copy']")
    await page.click("footer a")
    await page.wait_for_url("**/desk")
    assert faults == []
