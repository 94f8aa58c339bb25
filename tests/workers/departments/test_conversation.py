"""What every department does alike: people asked for, anger, abuse, stop, endings, machines, two requests."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bus.delivery.consent import may_contact
from bus.delivery.ledger import begin_sending, reply_row, send_ledger
from bus.delivery.outcome import Outcome
from bus.message import Party, Quality
from bus.store.permission import consent_ledger, entries_for, entry_of
from bus.store.port import Effect
from workers.case import commands
from workers.case.changes import load_case
from workers.case.model import CLOSED, CLOSING, WAITING_PERSON
from workers.case.rules import Refused
from workers.case.work import WorkItem
from workers.sales import Campaign, start_campaign

ANNA = Party(kind="email", address="anna.becker@kunde.example", name="Anna Becker")


def chat(shop: Any, text: str, **more: Any) -> Any:
    return shop.contact(text, channel="chat", sender=Party(kind="chat", address="s1"), conversation="s1", **more)


@pytest.mark.parametrize("language", ["de", "nb", "en"])
@pytest.mark.parametrize("channel", ["email", "chat", "phone", "post"])
async def test_a_person_is_always_had(shop: Any, understand: Any, language: str, channel: str) -> None:
    kinds = {"email": "email", "chat": "chat", "phone": "phone", "post": "postal"}
    contact = shop.contact(
        "?", channel=channel, sender=Party(kind=kinds[channel], address="x@y.example"), conversation="t1"
    )
    heard = await shop.hear(contact, understand("escalation.human", language=language, request_person=True))
    state = await shop.case(heard.case)
    assert state.status == WAITING_PERSON
    assert state.due is not None
    assert heard.reply.handover == (channel in ("chat", "phone"))
    assert heard.reply.language == language
    if channel in ("email", "post"):
        assert state.number in heard.text


async def test_what_is_not_understood_goes_to_a_person_with_one_acknowledgement(shop: Any, understand: Any) -> None:
    unknown = understand("other.out_of_scope", department="desk", decision="person")
    heard = await shop.hear(shop.contact("Qwertz", sender=ANNA, conversation="<a1@x>"), unknown)
    assert heard.reply.kind == "acknowledgement"
    more = await shop.hear(shop.contact("Noch etwas", sender=ANNA, conversation="<a1@x>"), unknown)
    assert more.case == heard.case
    assert more.replies == []
    assert len((await shop.case(heard.case)).contacts) == 2


async def test_anger_is_met_with_an_apology_first(shop: Any, understand: Any) -> None:
    meaning = understand("order.status", department="support", tone="angry", entities={"order": "SO-10420"})
    heard = await shop.hear(chat(shop, "UNVERSCHÄMT! Wo bleibt SO-10420?"), meaning)
    spoken = next(reply for reply in heard.replies if reply.channel == "chat")
    assert spoken.text.index("tut mir leid") < spoken.text.index("Code")


async def test_abuse_gets_one_calm_notice_and_a_person(shop: Any, understand: Any) -> None:
    abusive = understand("", department="desk", tone="abusive", decision="person")
    heard = await shop.hear(chat(shop, "Ihr ..."), abusive)
    assert "Ich möchte Ihnen helfen" in heard.text
    assert heard.reply.handover
    second = await shop.hear(chat(shop, "Ihr ..."), abusive)
    assert "Ich möchte Ihnen helfen" not in second.text


async def test_machines_are_never_answered(shop: Any, understand: Any) -> None:
    mail = shop.contact("Ich bin nicht im Büro", sender=ANNA, automatic=True)
    heard = await shop.hear(mail, understand("noise.auto_reply", department="desk"))
    assert heard.replies == []
    assert heard.contact.id in (await shop.case(heard.case)).contacts


async def test_an_unreadable_letter_reaches_a_person(shop: Any, understand: Any) -> None:
    letter = shop.contact(
        "", channel="post", sender=Party(kind="postal", address="?"), quality=Quality(status="unreadable")
    )
    heard = await shop.hear(letter, understand("", department="desk", decision="person"))
    assert (await shop.case(heard.case)).status == WAITING_PERSON
    assert "lesen" in heard.text


async def test_a_second_request_after_anything_else_is_worked_on_in_the_same_case(shop: Any, understand: Any) -> None:
    first = await shop.hear(chat(shop, "Wann habt ihr offen?"), understand("info.opening_hours", department="support"))
    assert "9 bis 19 Uhr" in first.text
    yes = await shop.hear(chat(shop, "Ja"), understand("talk.yes", department="support", answer="yes"))
    assert "Worum geht es?" in yes.text
    again = await shop.hear(
        chat(shop, "Welche Zahlungsarten gibt es?"), understand("info.delivery_and_payment", department="support")
    )
    assert again.case == first.case
    assert "Kann ich sonst noch etwas" in again.text
    bye = await shop.hear(chat(shop, "nein danke"), understand("talk.thanks_done", department="support", done=True))
    assert bye.reply.kind == "survey"
    assert (await shop.case(first.case)).status == CLOSED


async def test_disclosure_is_made_once(shop: Any, understand: Any) -> None:
    first = await shop.hear(chat(shop, "Wann offen?"), understand("info.opening_hours", department="support"))
    assert "digitale Assistent" in first.text
    second = await shop.hear(chat(shop, "Und Zahlung?"), understand("info.delivery_and_payment", department="support"))
    assert "digitale Assistent" not in second.text


async def test_either_or_question_is_understood(shop: Any, understand: Any) -> None:
    labels = ("info.opening_hours", "info.delivery_and_payment")
    asked = await shop.hear(
        chat(shop, "Hm?"), understand(labels[0], department="support", decision="ask", question=labels)
    )
    assert "Öffnungszeiten" in asked.text
    assert "Zahlungsarten" in asked.text
    answered = await shop.hear(chat(shop, "2"), understand("", department="support", decision="ask"))
    assert "Kann ich sonst noch etwas" in answered.text


async def test_the_notice_closes_a_mail_case_kindly_and_a_later_mail_opens_it_again(shop: Any, understand: Any) -> None:
    opening = understand("info.opening_hours", department="support")
    heard = await shop.hear(shop.contact("Öffnungszeiten?", sender=ANNA, conversation="<a1@x>"), opening)
    assert "12. Januar 2026" in heard.text
    assert await shop.pass_time(days=6) == []
    assert (await shop.case(heard.case)).status == CLOSING
    (bye,) = await shop.pass_time(days=1, seconds=1)
    assert bye.kind == "survey"
    assert (await shop.case(heard.case)).status == CLOSED
    again = await shop.hear(shop.contact("Und samstags?", sender=ANNA, conversation="<a1@x>"), opening)
    assert again.case == heard.case
    assert (await shop.case(heard.case)).status == CLOSING
    assert await shop.pass_time(days=1) == []


async def test_a_chat_closes_by_itself_soon_and_silently(shop: Any, understand: Any) -> None:
    heard = await shop.hear(chat(shop, "Wann offen?"), understand("info.opening_hours", department="support"))
    assert await shop.pass_time(minutes=11) == []
    assert (await shop.case(heard.case)).status == CLOSED


async def test_leaving_the_line_after_the_answer_ends_the_case(shop: Any, understand: Any) -> None:
    heard = await shop.hear(chat(shop, "Wann offen?"), understand("info.opening_hours", department="support"))
    ended = chat(shop, "", native={"request": "ended"})
    assert (await shop.hear(ended, understand("", department="desk", decision="person"))).replies == []
    assert (await shop.case(heard.case)).status == CLOSED


async def test_an_answer_that_cannot_be_delivered_goes_back_to_a_person(shop: Any, understand: Any) -> None:
    heard = await shop.hear(
        shop.contact("Öffnungszeiten?", sender=ANNA), understand("info.opening_hours", department="support")
    )
    await shop.deliver(heard.replies, "failed", permanent=True)
    state = await shop.case(heard.case)
    assert state.status == WAITING_PERSON
    assert state.due is not None


async def test_what_could_not_be_delivered_is_a_persons_in_hours_in_which_people_work(
    shop: Any, understand: Any
) -> None:
    heard = await shop.hear(
        shop.contact("Öffnungszeiten?", sender=ANNA), understand("info.opening_hours", department="support")
    )
    # Monday, 17 o'clock in Hamburg: an hour of today and three of tomorrow.
    shop.clock.advance((datetime(2026, 1, 5, 16, 0, tzinfo=UTC) - shop.clock.now()).total_seconds())
    await shop.deliver(heard.replies, "failed", permanent=True)
    (promise,) = (await shop.case(heard.case)).open_promises()
    assert promise.until == datetime(2026, 1, 6, 10, 0, tzinfo=UTC)


async def test_the_desk_is_held_to_the_closing_rule(shop: Any, understand: Any) -> None:
    heard = await shop.hear(chat(shop, "Mensch"), understand("", department="desk", request_person=True))
    state = await shop.case(heard.case)
    now = shop.clock.now()
    with pytest.raises(Refused) as refused:
        commands.close(state, outcome="solved", actor="mia", now=now)
    assert refused.value.missing == ("anything-else", "promise")

    outcome = commands.reply(state, text="Das ist so. Sonst noch etwas?", actor="mia", now=now, anything_else=True)
    assert (await shop.apply(outcome)).applied
    await shop.deliver(outcome.replies)
    state = await shop.case(heard.case)
    assert (state.status, state.open_promises()) == (CLOSING, ())
    with pytest.raises(Refused) as refused:
        commands.close(state, outcome="solved", actor="mia", now=now)
    assert refused.value.missing == ("answer",)

    bye = await shop.hear(chat(shop, "Nein danke"), understand("talk.thanks_done", department="desk", done=True))
    assert bye.reply.kind == "survey"
    state = await shop.case(heard.case)
    closed = commands.close(state, outcome="solved", actor="mia", now=now)
    assert (await shop.apply(closed)).applied
    assert (await shop.case(heard.case)).status == CLOSED


async def test_a_person_does_not_talk_past_the_customer(shop: Any, understand: Any) -> None:
    heard = await shop.hear(chat(shop, "?"), understand("", department="desk", decision="person"))
    seen = await shop.case(heard.case)
    await shop.hear(chat(shop, "Ach, hat sich erledigt"), understand("", department="desk", decision="person"))
    state = await load_case(shop.engine, "shop", heard.case)
    with pytest.raises(Refused) as refused:
        commands.reply(state, text="Wir prüfen das.", actor="mia", now=shop.clock.now(), seen=seen.version)
    assert refused.value.missing == ("changed",)
    # Both decided on the same state: one of them wins, the other is told.
    first = commands.note(state, text="eins", actor="mia", now=shop.clock.now())
    second = commands.note(state, text="zwei", actor="ole", now=shop.clock.now())
    assert (await shop.apply(first)).applied
    assert (await shop.apply(second)).reason == "conflict"


OFFER = Campaign(
    name="spring",
    subjects={"de": "Neue Decken", "nb": "Nye tepper", "en": "New blankets"},
    texts={"de": "Unsere neuen Decken sind da.", "nb": "De nye teppene er her.", "en": "Our new blankets are in."},
)


async def start(shop: Any) -> Any:
    return await start_campaign(OFFER, store=PlanningStore(shop), clock=shop.clock, pack=shop.pack)


class PlanningStore:
    """The engine as the product opens it: replies of an outcome are planned in the ledger."""

    def __init__(self, shop: Any) -> None:
        self._shop = shop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shop.engine, name)

    async def apply(self, effects: Any, progress: Any = ()) -> Any:
        return [await self._shop.apply(effect.outcome) for effect in effects]


async def planned(shop: Any) -> list[Any]:
    return list(await shop.engine.all(select(send_ledger).where(send_ledger.c.purpose == "marketing")))


async def may_send(shop: Any, reply: str) -> bool:
    """As a sender asks: first the rule, then its guard."""
    row = await shop.engine.one(reply_row, {"reply": reply})
    asked = {name: row[name] for name in ("tenant", "person", "recipient")}
    rows = await shop.engine.all(entries_for, asked)
    now = shop.clock.now()
    quiet = shop.pack.policy.sales.quiet()
    verdict = may_contact([entry_of(r) for r in rows], row["purpose"], row["channel"], now, quiet, "DE")
    begin = begin_sending(reply, now, consents=len(rows))
    (result,) = await shop.engine.apply([Effect(outcome=Outcome(writes=(begin,)))])
    assert result.applied
    return verdict.permitted


async def test_a_campaign_goes_to_those_who_agreed_and_once(shop: Any) -> None:
    shop.clock.advance(2 * 3600)
    assert (await start(shop)).planned == 3
    rows = await planned(shop)
    assert len(rows) == 3
    assert all("STOP" in row["body"] for row in rows)
    assert (await start(shop)).planned == 0
    assert len(await planned(shop)) == 3


async def test_no_campaign_at_night(shop: Any) -> None:
    shop.clock.advance(14 * 3600)
    result = await start(shop)
    assert (result.planned, result.left_out) == (0, {"hour of the day": 3})


async def test_stop_on_any_channel_holds_in_the_moment_of_sending(shop: Any, understand: Any) -> None:
    shop.clock.advance(2 * 3600)
    await start(shop)
    rows = {row["person"]: row["reply"] for row in await planned(shop)}
    caller = Party(kind="phone", address="+49305550105")
    call = shop.contact("Keine Werbung mehr!", channel="phone", sender=caller, conversation="CA9")
    heard = await shop.hear(call, understand("sales.stop_contacting_me", department="sales", stop_contact=True))
    assert "keine Werbung mehr" in heard.text
    (row,) = await shop.engine.all(select(consent_ledger).where(consent_ledger.c.given == 0))
    assert await may_send(shop, rows[row["person"]]) is False
    others = [reply for person, reply in rows.items() if person != row["person"]]
    assert [await may_send(shop, reply) for reply in others] == [True, True]


async def test_praise_is_thanked_for_and_written_down(shop: Any, understand: Any) -> None:
    heard = await shop.hear(chat(shop, "Ihr seid klasse"), understand("feedback.praise", department="desk"))
    assert "freut uns" in heard.text
    state = await shop.case(heard.case)
    assert state.done == (f"praise:{heard.contact.id}",)
    assert state.outcome == "praised"


async def test_order_status_tells_the_way_of_a_parcel(shop: Any, understand: Any) -> None:
    visitor = Party(kind="chat", address="emily")
    meaning = understand("order.status", department="support", language="en", entities={"order": "SO-10450"})

    async def say(text: str, meaning: Any) -> Any:
        return await shop.hear(shop.contact(text, channel="chat", sender=visitor, conversation="emily"), meaning)

    await say("Where is SO-10450?", meaning)
    code = shop.code_sent_to("emily.clarke@customer.example")
    answer = await say(code, understand(department="support", language="en", decision="ask"))
    assert "NL00445566GB" in answer.text
    assert "7 January 2026" in answer.text


@pytest.mark.parametrize(("hours", "says"), [(56, "should be with you on 7 January"), (64, "is late")])
async def test_a_parcel_is_late_when_the_day_is_over(shop: Any, understand: Any, hours: int, says: str) -> None:
    visitor = Party(kind="chat", address="emily")
    meaning = understand("order.status", department="support", language="en", entities={"order": "SO-10450"})
    shop.clock.advance(hours * 3600)
    first = shop.contact("Where is SO-10450?", channel="chat", sender=visitor, conversation="emily")
    await shop.hear(first, meaning)
    code = shop.contact(
        shop.code_sent_to("emily.clarke@customer.example"), channel="chat", sender=visitor, conversation="emily"
    )
    answer = await shop.hear(code, understand(department="support", language="en", decision="ask"))
    assert says in answer.text


async def test_the_same_contact_twice_is_one_contact(shop: Any, understand: Any) -> None:
    contact = chat(shop, "Wann offen?")
    meaning = understand("info.opening_hours", department="support")
    first = await shop.hear(contact, meaning)
    second = await shop.hear(contact, meaning)
    assert second.replies == []
    assert await shop.work(first.item) == []
    assert len((await shop.case(first.case)).replies) == 1


async def test_a_question_nobody_answers_closes_kindly_and_goes_on_with_the_first_word(
    shop: Any, understand: Any
) -> None:
    asks = understand("order.status", department="support", entities={"order": "SO-10420"})
    heard = await shop.hear(shop.contact("Wo ist SO-10420?", sender=ANNA, conversation="<q@x>"), asks)
    assert await shop.pass_time(days=6) == []
    (notice,) = await shop.pass_time(days=1, seconds=1)
    assert "zur Seite" in notice.text
    state = await shop.case(heard.case)
    assert (state.status, state.outcome) == (CLOSED, "unanswered")
    again = await shop.hear(shop.contact("Doch: wo ist SO-10420?", sender=ANNA, conversation="<q@x>"), asks)
    assert again.case == heard.case
    assert "/confirm/" in again.text


async def test_an_answered_question_is_not_reminded_of(shop: Any, understand: Any) -> None:
    labels = ("info.opening_hours", "info.delivery_and_payment")
    asked = understand(labels[0], department="support", decision="ask", question=labels)
    heard = await shop.hear(chat(shop, "Hm?"), asked)
    await shop.hear(chat(shop, "2"), understand("", department="support", decision="ask"))
    await shop.pass_time(minutes=31)
    assert (await shop.case(heard.case)).outcome == "explained"


async def test_a_promise_that_falls_due_goes_to_the_top_of_the_desk(shop: Any, understand: Any) -> None:
    heard = await shop.hear(chat(shop, "Mensch"), understand("", department="desk", request_person=True))
    await shop.pass_time(minutes=11)
    kinds = [type(event).__name__ for event in await shop.timeline(heard.case)]
    assert kinds.count("PromiseBroken") == 1
    state = await shop.case(heard.case)
    answer = commands.reply(state, text="Da bin ich.", actor="mia", now=shop.clock.now())
    assert (await shop.apply(answer)).applied
    state = await shop.case(heard.case)
    assert state.open_promises() == ()
    assert state.due is None


async def test_a_record_that_intake_could_not_work_on_is_a_case_at_the_desk(shop: Any, understand: Any) -> None:
    contact = shop.contact("", channel="unknown", sender=Party(kind="unknown", address="x"))
    item = WorkItem(
        contact=contact, case="k-dead", person="", understanding=understand("", department="desk", decision="person")
    )
    assert await shop.work(item) == []
    state = await shop.case("k-dead")
    assert (state.status, state.link) == (WAITING_PERSON, "dead-letter")
    assert state.due is not None


@pytest.mark.parametrize(("channel", "replies"), [("chat", 1), ("email", 0)])
async def test_thanks_after_the_end_opens_nothing(shop: Any, understand: Any, channel: str, replies: int) -> None:
    sender = ANNA if channel == "email" else Party(kind="chat", address="s1")

    async def say(text: str, meaning: Any) -> Any:
        return await shop.hear(shop.contact(text, channel=channel, sender=sender, conversation="s1"), meaning)

    opening = understand("info.opening_hours", department="support")
    thanks = understand("talk.thanks_done", department="support", answer="no", done=True)
    heard = await say("Wann offen?", opening)
    await say("Nein danke", thanks)
    assert (await shop.case(heard.case)).status == CLOSED
    again = await say("Danke nochmal!", thanks)
    assert len(again.replies) == replies
    assert again.case == heard.case
    assert (await shop.case(heard.case)).status == CLOSED
    assert (await say("Und samstags?", opening)).replies


async def test_whoever_answers_by_hand_goes_on_by_hand(shop: Any, understand: Any) -> None:
    heard = await shop.hear(chat(shop, "Wann offen?"), understand("info.opening_hours", department="support"))
    state = await shop.case(heard.case)
    outcome = commands.reply(state, text="Samstags bis 16 Uhr.", actor="mia", now=shop.clock.now())
    assert (await shop.apply(outcome)).applied
    state = await shop.case(heard.case)
    assert (state.status, state.with_person, state.assignee) == ("waiting-customer", True, "mia")
    more = await shop.hear(chat(shop, "Und sonntags?"), understand("info.opening_hours", department="support"))
    assert more.replies == []
    assert (await shop.case(heard.case)).status == WAITING_PERSON


@pytest.mark.parametrize("channel", ["chat", "email"])
async def test_who_writes_again_to_a_person_is_promised_an_answer_again(
    shop: Any, understand: Any, channel: str
) -> None:
    unclear = understand("", department="desk", decision="person", request_person=True)
    sender = ANNA if channel == "email" else Party(kind="chat", address="s1")

    async def say(text: str, **more: Any) -> Any:
        contact = shop.contact(text, channel=channel, sender=sender, conversation="s1", **more)
        return await shop.hear(contact, unclear)

    heard = await say("Mensch")
    first = (await shop.case(heard.case)).open_promises()[0].until
    outcome = commands.reply(await shop.case(heard.case), text="Hier ist Mia.", actor="mia", now=shop.clock.now())
    assert (await shop.apply(outcome)).applied
    assert (await shop.case(heard.case)).due is None
    # A machine's mail makes nobody wait.
    await say("Ich bin nicht im Büro", automatic=True)
    assert (await shop.case(heard.case)).due is None
    shop.clock.advance(3 * 3600)
    again = await say("Und noch etwas")
    assert again.replies == []
    state = await shop.case(heard.case)
    (promise,) = state.open_promises()
    assert (promise.by, promise.what) == ("mia", "answer")
    assert promise.until > first
    # Writing twice moves nothing: whoever waits does not wait longer for it.
    shop.clock.advance(60)
    await say("Hallo?")
    assert (await shop.case(heard.case)).open_promises() == (promise,)
    shop.clock.advance((promise.until - shop.clock.now()).total_seconds())
    await shop.pass_time(seconds=1)
    assert "PromiseBroken" in [type(event).__name__ for event in await shop.timeline(heard.case)]


@pytest.mark.parametrize(
    ("hours", "due"),
    [
        (0, "2026-01-06T09:00:00+00:00"),  # Monday 10:00 in Berlin
        (12, "2026-01-06T17:00:00+00:00"),  # Monday 22:00: Tuesday, when people go home
        (96, "2026-01-12T09:00:00+00:00"),  # Friday 10:00
        (114, "2026-01-12T17:00:00+00:00"),  # Saturday 04:00
    ],
)
async def test_answers_are_promised_for_hours_in_which_people_work(
    shop: Any, understand: Any, hours: int, due: str
) -> None:
    shop.clock.advance(hours * 3600)
    heard = await shop.hear(
        shop.contact("Qwertz", sender=ANNA), understand("other.out_of_scope", department="desk", decision="person")
    )
    (promise,) = (await shop.case(heard.case)).open_promises()
    assert promise.until.isoformat() == due


async def test_the_desk_counts_down_to_the_time_that_the_caller_was_told(shop: Any, understand: Any) -> None:
    told = (shop.clock.now() + timedelta(hours=2)).isoformat()
    caller = Party(kind="phone", address="+49305550105")
    native = {"request": "callback", "callback_by": told}
    call = shop.contact("", channel="phone", sender=caller, conversation="CA1", native=native)
    heard = await shop.hear(call, understand("", department="desk", decision="person"))
    state = await shop.case(heard.case)
    assert state.due is not None
    assert state.due.isoformat() == told


async def test_every_reply_names_the_person_it_is_for_and_a_person_signs(shop: Any, understand: Any) -> None:
    """Consent and suppression are looked up by `person`; `signed_by` is for the customer's eyes."""
    asks = understand("billing.duplicate_charge", entities={"order": "SO-10234"})
    replies = []
    for channel, kind, address in (
        ("email", "email", "grete.ohlsen@kunde.example"), ("chat", "chat", "v1"), ("phone", "phone", "+49305550199"),
        ("post", "postal", "Ina Neu\nWeg 1\n10115 Berlin"),
    ):  # fmt: skip
        contact = shop.contact(
            "SO-10234 doppelt", channel=channel, sender=Party(kind=kind, address=address), conversation=f"x-{channel}"
        )
        heard = await shop.hear(contact, asks)
        own = [reply for reply in heard.replies if reply.to.address == address]
        assert [reply.person for reply in own] == [(await shop.case(heard.case)).person]
        replies += heard.replies
    codes = {reply.person for reply in replies if reply.kind == "notice"}
    grete = next(reply.person for reply in replies if reply.channel == "email" and reply.kind != "notice")
    assert codes == {grete}
    state = await shop.case(heard.case)
    for actor, signed in (("mia", "mia"), ("desk", "")):
        (reply,) = commands.reply(state, text="Gern.", actor=actor, now=shop.clock.now()).replies
        assert (reply.person, reply.signed_by, reply.automatic) == (state.person, signed, False)
    await shop.deliver(heard.replies)
    for bye in await shop.pass_time(days=8):
        assert bye.person
