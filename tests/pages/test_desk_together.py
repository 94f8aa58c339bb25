"""Several people at one desk, in real browsers: who is there, drafts that travel, news above a draft, every key."""


async def test_two_people_at_one_case(house, other_process, eyes, soon):
    """Who reads and writes is seen over two processes, a draft goes with its writer, news stand above it."""
    case = await house.make_case()
    faults = []
    mina = await eyes.open_desk(house, faults=faults)
    ole = await eyes.open_desk(other_process, person="Ole", faults=faults)
    for page in (mina, ole):
        await page.click(f'[data-case="{case}"]')
        await page.wait_for_selector(".message")
    await mina.wait_for_selector(".others-here:has-text('Ole is looking at this now')")
    await ole.wait_for_selector(".others-here:has-text('Mina is looking at this now')")
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
