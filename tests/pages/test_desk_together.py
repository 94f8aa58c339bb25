"""Several people at one desk, in real browsers: who is there, drafts that travel, news above a draft, every key."""

import json

from bus.log.port import StoredRecord
from bus.log.topics import CASE_OFFERS
from bus.message import Reply, decode, encode
from bus.store.port import Effect
from workers.case.work import Look
from workers.desk.offering import OfferWorker
from workers.desk.staff import People, Staff

LOOK = StoredRecord(
    topic=CASE_OFFERS, partition=0, offset=1, at=0, key="shop", value=encode(Look(tenant="shop")), id="l", headers={}
)


async def test_two_people_at_one_case(house, other_process, eyes, soon):
    """Who reads and writes is seen over two processes, a draft goes with its writer, news stand above it. Colleagues
    read each other's names as they are written."""
    people = People(store=house.engine, clock=house.clock)
    await people.keep("shop", Staff(name="Mina", display_name="Mina Åsen"))
    await people.keep("shop", Staff(name="Ole"))
    case = await house.make_case()
    faults = []
    mina = await eyes.open_desk(house, faults=faults)
    ole = await eyes.open_desk(other_process, person="Ole", faults=faults)
    for page in (mina, ole):
        await page.click(f'[data-case="{case}"]')
        await page.wait_for_selector(".message")
    await mina.wait_for_selector(".others-here:has-text('Ole is looking at this now')")
    await ole.wait_for_selector(".others-here:has-text('Mina Åsen is looking at this now')")
    await mina.wait_for_selector(".who:has-text('Mina Åsen')")
    await ole.keyboard.press("r")
    await ole.keyboard.type("Ich schaue nach.")
    await mina.wait_for_selector(".others-here.warn:has-text('Ole is writing now')")
    await mina.wait_for_selector(".row .here:has-text('Ole is writing now')")
    await ole.wait_for_selector(".compose-foot:has-text('Draft kept')")
    # He goes on at another machine; the first one is gone a moment later.
    await ole.context.close()
    again = await eyes.open_desk(house, person="Ole", faults=faults)
    await again.click(f'[data-case="{case}"]')
    await again.wait_for_function(
        "() => document.querySelector('desk-composer textarea')?.value === 'Ich schaue nach.'"
    )
    # The customer writes: it stands above the draft, and sending is a decision.
    await house.write_in(case, "Ich habe den Beleg gefunden.")
    await again.wait_for_selector(".compose-warning:not([hidden]) q:has-text('Ich habe den Beleg gefunden.')")
    assert "Send anyway" in await again.text_content("desk-composer .primary")
    assert await eyes.violations(again) == []
    await eyes.picture(again, "desk-en-light-1440-news")
    await again.focus("desk-composer textarea")
    await again.keyboard.press("Control+Enter")
    await again.wait_for_selector(".message.person:has-text('Ich schaue nach.')")
    await mina.wait_for_selector(".message.person:has-text('Ich schaue nach.')")
    assert await again.input_value("desk-composer textarea") == ""
    await again.reload()
    await again.wait_for_selector(".message.person")
    assert await again.input_value("desk-composer textarea") == ""
    assert faults == []


async def test_an_offer_is_accepted_by_a_key_and_the_case_is_worked_off_by_keys(house, eyes, soon):
    await People(store=house.engine, clock=house.clock).keep("shop", Staff(name="Mina"))
    case = await house.make_case()
    faults = []
    page = await eyes.open_desk(house, faults=faults)
    press = page.keyboard.press
    await page.select_option("[data-key='presence']", "ready")
    await page.wait_for_selector(".said:has-text('You are: ready')")
    worker = OfferWorker(store=house.engine, clock=house.clock)
    await worker.prepare([LOOK])
    await house.engine.apply([Effect(outcome=await worker.handle(LOOK))])
    await page.wait_for_selector(".offers li:has-text('Grete Ohlsen')")
    await eyes.picture(page, "desk-en-light-1440-offer")
    assert await eyes.violations(page) == []
    await page.focus("desk-queue .view")
    await press("s")
    await page.wait_for_selector(".case-facts:has-text('with Mina')")
    assert (await house.state(case)).assignee == "Mina"
    assert await page.locator(".offers li").count() == 0
    # A representative sees no reports; what one has no right to is not offered.
    assert await page.locator(".pages a").all_text_contents() == ["Desk", "Wallboard"]
    await press("u")
    assert await page.locator(".timeline details:not([open])").count() == 0
    await press("p")
    await page.wait_for_selector(".said:has-text('The praise has been passed on')")
    await press("y")
    await press("o")
    await page.wait_for_function("() => document.activeElement?.dataset.key === 'outcome'")
    await press("Escape")
    # Whoever does not want single keys switches them off; the map itself stays in reach.
    await press("?")
    await page.click("[data-key='keys']")
    await press("Escape")
    await press("r")
    assert await page.evaluate("document.activeElement.tagName") != "TEXTAREA"
    await press("?")
    await page.click("[data-key='keys']")
    await press("Escape")
    await press("r")
    assert await page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    assert faults == []


async def test_praise_goes_once_to_whoever_is_named_and_to_the_managers(house):
    people = People(store=house.engine, clock=house.clock)
    await people.keep("shop", Staff(name="Mina", mail="mina@shop.example"))
    await people.keep("shop", Staff(name="Ada", role="manager", mail="ada@shop.example"))
    case = await house.make_case(text="Danke, Mina hat mir sehr geholfen!")
    client = await house.sign_in()
    for _ in range(2):
        answer = await client.post(f"/desk/api/cases/{case}/praise", data="{}", headers=house.headers)
        assert answer.status == 200
    view = await (await client.get(f"/desk/api/cases/{case}")).json()
    [given] = [event for event in view["events"] if event["kind"] == "praise-given"]
    assert (given["actor"], given["names"], given["words"]) == ("Mina", ["Mina"], "Danke, Mina hat mir sehr geholfen!")
    records = [record for number in range(8) for record in await house.engine.read("reply.email", number)]
    sent = [decode(record.value, Reply) for record in records]
    assert {reply.to.address for reply in sent} == {"mina@shop.example", "ada@shop.example"}
    assert all("Danke, Mina hat mir sehr geholfen!" in reply.text for reply in sent)
    silent = await house.make_case("jonas", text="")
    answer = await client.post(f"/desk/api/cases/{silent}/praise", data=json.dumps({}), headers=house.headers)
    assert answer.status == 422
    await client.close()
