"""Calm and protection, praise, satisfaction: what people feel beside their request, on every channel."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bus.delivery.consent import may_contact
from bus.message import Party
from bus.store.permission import entries_for, entry_of
from workers.case import commands, events
from workers.case.model import CLOSED, WAITING_PERSON
from workers.case.praise import Colleague
from workers.case.promised import Undertaking
from workers.case.rules import Refused

SENDERS = {
    "email": Party(kind="email", address="neu@kunde.example", name="Kim Neu"),
    "chat": Party(kind="chat", address="v-1"),
    "phone": Party(kind="phone", address="+49305550199"),
    "post": Party(kind="postal", address="Weg 1\n10115 Berlin", name="Kim Neu"),
}
SORRY = {
    ("de", "upset"): "tut mir leid", ("de", "angry"): "tut mir leid", ("nb", "upset"): "beklager",
    ("nb", "angry"): "beklager", ("en", "upset"): "I'm sorry", ("en", "angry"): "I'm sorry",
}  # fmt: skip


def said(shop: Any, text: str, channel: str = "chat") -> Any:
    return shop.contact(text, channel=channel, sender=SENDERS[channel], conversation=f"t-{channel}")


def kinds(timeline: list[Any]) -> list[str]:
    return [events.EVENT_KINDS[type(event)] for event in timeline]


@pytest.mark.parametrize(("language", "tone"), SORRY)
@pytest.mark.parametrize("channel", SENDERS)
async def test_anger_is_acknowledged_before_anything_else(
    shop: Any, understand: Any, language: str, tone: str, channel: str
) -> None:
    heard = await shop.hear(
        said(shop, "!", channel), understand("", department="desk", decision="person", tone=tone, language=language)
    )
    core = shop.pack.phrase(language, f"tone.{tone}")
    assert SORRY[language, tone].casefold() in core.casefold()
    before, _, after = heard.text.partition(core)
    assert after.strip(), "and then what is done about it"
    # Only who speaks stands before it: on the phone the greeting has said that.
    assert before.count(".") <= 3
    assert channel != "phone" or before == ""


@pytest.mark.parametrize("language", ["de", "nb", "en"])
async def test_a_second_insult_in_a_chat_ends_it_and_the_matter_goes_on(
    shop: Any, understand: Any, language: str
) -> None:
    abusive = understand("", department="desk", tone="abusive", decision="person", language=language)
    first = await shop.hear(said(shop, "..."), abusive)
    assert shop.pack.phrase(language, "tone.abusive") in first.text
    second = await shop.hear(said(shop, "..."), abusive)
    state = await shop.case(first.case)
    assert (second.reply.kind, second.reply.listen) == ("goodbye", False)
    assert state.number in second.text
    assert (state.ended, state.status, state.hold, state.supervisor) == ("insults", WAITING_PERSON, None, "abuse")
    assert state.awaits_person(), "the promise stands"
    ended = next(e for e in await shop.timeline(first.case) if isinstance(e, events.ConversationEnded))
    assert (ended.actor, ended.follow_up) == ("machine", "chat")
    # Nothing more is said to insults; calm words are added to the case, and nobody is kept waiting.
    assert (await shop.hear(said(shop, "..."), abusive)).replies == []
    calm = await shop.hear(said(shop, "?"), understand("", department="desk", decision="person", language=language))
    assert state.number in calm.text
    assert (await shop.case(first.case)).hold is None
    assert await shop.pass_time(seconds=120) == []


async def test_in_writing_nobody_is_cut_off(shop: Any, understand: Any) -> None:
    abusive = understand("", department="desk", tone="abusive", decision="person")
    first = await shop.hear(said(shop, "...", "email"), abusive)
    again = await shop.hear(said(shop, "...", "email"), abusive)
    assert again.case == first.case
    state = await shop.case(first.case)
    assert (state.ended, state.warned) == ("", True)
    assert state.awaits_person()
    with pytest.raises(Refused, match="channel"):
        commands.end(state, pack=shop.pack, reason="insults", written=None, actor="Mina", now=shop.clock.now())


async def test_a_representative_ends_it_and_is_offered_a_rest(shop: Any, understand: Any) -> None:
    heard = await shop.hear(said(shop, "Hallo"), understand("", department="desk", request_person=True))
    state = await shop.case(heard.case)
    await shop.apply(commands.reply(state, text="Guten Tag.", actor="Mina", now=shop.clock.now()))
    state = await shop.case(heard.case)
    written = shop.contact("x", sender=SENDERS["email"])
    mail = (await shop.hear(written, understand("", department="desk", decision="person"))).case
    route = (await shop.case(mail)).routes["email"]
    with pytest.raises(Refused, match="reason"):
        commands.end(state, pack=shop.pack, reason="tired", written=route, actor="Mina", now=shop.clock.now())
    outcome = commands.end(state, pack=shop.pack, reason="insults", written=route, actor="Mina", now=shop.clock.now())
    await shop.apply(outcome)
    chat, mailed = outcome.replies
    assert (chat.channel, chat.kind, chat.automatic) == ("chat", "goodbye", False)
    assert (mailed.channel, mailed.to) == ("email", SENDERS["email"])
    for reply in (chat, mailed):
        assert state.number in reply.text
    timeline = await shop.timeline(heard.case)
    ended = next(e for e in timeline if isinstance(e, events.ConversationEnded))
    assert (ended.actor, ended.reason, ended.follow_up) == ("Mina", "insults", "email")
    rest = next(e for e in timeline if isinstance(e, events.BreakOffered))
    assert (rest.to, rest.minutes) == ("Mina", shop.pack.policy.protection.break_minutes)
    after = await shop.case(heard.case)
    assert after.awaits_person()
    assert after.status == WAITING_PERSON


@pytest.mark.parametrize("channel", SENDERS)
async def test_who_does_not_want_to_live_hears_whom_to_call(shop: Any, understand: Any, channel: str) -> None:
    heard = await shop.hear(
        said(shop, "...", channel),
        understand("escalation.human", department="desk", danger="self-harm", urgency=3, request_person=True),
    )
    assert "0 800" in heard.text if channel == "phone" else "0800 111 0 111" in heard.text
    state = await shop.case(heard.case)
    assert (state.supervisor, state.urgency, state.status) == ("danger", 3, WAITING_PERSON)


PRAISE = {"department": "desk", "praise": True}


async def test_praise_reaches_the_person_and_the_manager_in_the_customers_words(shop: Any, understand: Any) -> None:
    async def colleagues(_tenant: str) -> list[Colleague]:
        return [
            Colleague(name="Mina Berg", mail="mina@shop.example"),
            Colleague(name="Ida Lund", mail="ida@shop.example", role="manager"),
        ]

    desk = shop.workers["desk"]
    object.__setattr__(desk._house, "colleagues", colleagues)
    words = "Mina war unglaublich hilfsbereit, vielen Dank!"
    heard = await shop.hear(said(shop, words, "email"), understand("feedback.praise", **PRAISE))
    mails = {reply.to.address: reply for reply in heard.replies if reply.kind == "internal"}
    assert mails.keys() == {"mina@shop.example", "ida@shop.example"}
    for mail in mails.values():
        assert words in mail.text
        assert "Kim Neu" in mail.text
    own = next(reply for reply in heard.replies if reply.to == SENDERS["email"])
    assert own.text.count(shop.pack.phrase("de", "praise.thanks")) == 1
    given = next(e for e in await shop.timeline(heard.case) if isinstance(e, events.PraiseGiven))
    assert (given.words, given.names, given.told) == (words, ("Mina Berg",), ("Mina Berg", "Ida Lund"))
    assert (await shop.case(heard.case)).praised


async def test_kind_words_beside_a_complaint_praise_nobody(shop: Any, understand: Any) -> None:
    text = "Great service, I was charged twice for SO-10234."
    heard = await shop.hear(
        said(shop, text, "email"),
        understand("billing.duplicate_charge", praise=True, language="en", entities={"order": "SO-10234"}),
    )
    assert "praise-given" not in kinds(await shop.timeline(heard.case))
    assert "means a lot" not in heard.text


async def finish(shop: Any, understand: Any, channel: str = "chat") -> Any:
    """A short matter to its end: praise needs nothing but thanks."""
    await shop.hear(said(shop, "Danke!", channel), understand("feedback.praise", **PRAISE))
    done = understand("talk.thanks_done", department="desk", answer="no", done=True)
    return await shop.hear(said(shop, "Nein danke", channel), done)


def number(understand: Any) -> Any:
    return understand("", department="desk", decision="person")


@pytest.mark.parametrize("channel", SENDERS)
async def test_satisfaction_is_asked_with_the_goodbye_and_a_number_opens_nothing(
    shop: Any, understand: Any, channel: str
) -> None:
    bye = await finish(shop, understand, channel)
    assert (bye.reply.kind, bye.reply.purpose, bye.reply.channel) == ("survey", "survey", channel)
    assert (await shop.case(bye.case)).status == CLOSED
    answer = await shop.hear(said(shop, "4", channel), number(understand))
    state = await shop.case(bye.case)
    assert (answer.case, state.status, state.satisfaction) == (bye.case, CLOSED, 4)
    live = channel in ("chat", "phone")
    assert [reply.kind for reply in answer.replies] == (["goodbye"] if live else [])
    rated = next(e for e in await shop.timeline(bye.case) if isinstance(e, events.Rated))
    assert (rated.score, rated.channel, rated.actor) == (4, channel, "customer")
    assert kinds(await shop.timeline(bye.case)).count("survey-asked") == 1


@pytest.mark.parametrize("channel", ["chat", "email"])
async def test_a_low_score_is_followed_up_by_a_person(shop: Any, understand: Any, channel: str) -> None:
    bye = await finish(shop, understand, channel)
    answer = await shop.hear(said(shop, "eine Eins", channel), number(understand))
    state = await shop.case(bye.case)
    assert (state.satisfaction, state.status, state.supervisor) == (1, WAITING_PERSON, "satisfaction")
    (promise,) = state.open_promises()
    assert promise.until.date().isoformat() == "2026-01-06"
    assert "tut uns leid" in answer.text
    assert state.number in answer.text
    assert state.hold is None


async def test_the_next_working_day_is_that_of_the_companys_clock(shop: Any, understand: Any) -> None:
    await finish(shop, understand)
    # Half an hour after midnight in Hamburg, where it is Tuesday: the day after it is Wednesday.
    shop.clock.advance((datetime(2026, 1, 5, 23, 30, tzinfo=UTC) - shop.clock.now()).total_seconds())
    answer = await shop.hear(said(shop, "1"), number(understand))
    (promise,) = (await shop.case(answer.case)).open_promises()
    assert promise.until == datetime(2026, 1, 7, 17, 0, tzinfo=UTC)


async def test_more_than_a_number_is_a_contact_like_any_other(shop: Any, understand: Any) -> None:
    bye = await finish(shop, understand)
    asks = understand("support.order_status", department="support", entities={"order": "SO-10420"})
    await shop.hear(said(shop, "Wo sind meine 2 Lampen?"), asks)
    state = await shop.case(bye.case)
    assert state.satisfaction == 0
    assert state.status != CLOSED


async def test_nobody_is_asked_who_wants_no_contact_or_whose_talk_was_ended(shop: Any, understand: Any) -> None:
    stop = understand("sales.stop_contacting_me", department="desk", stop_contact=True)
    await shop.hear(said(shop, "Keine Werbung!"), stop)
    bye = await shop.hear(
        said(shop, "Nein danke"), understand("talk.thanks_done", department="desk", answer="no", done=True)
    )
    assert bye.reply.kind == "goodbye"
    later = await finish(shop, understand)
    assert later.reply.kind == "goodbye", "another matter of the same person"


async def test_who_is_served_by_a_person_is_asked_once_when_that_person_closes(shop: Any, understand: Any) -> None:
    heard = await shop.hear(said(shop, "Hallo"), understand("", department="desk", request_person=True))
    now = shop.clock.now()
    for command in (
        lambda state: commands.reply(state, text="Gern.", actor="Mina", now=now),
        lambda state: commands.answer_anything_else(state, answer="no", actor="Mina", now=now),
        lambda state: commands.close(state, outcome="solved", actor="Mina", now=now),
    ):
        outcome = command(await shop.case(heard.case))
        await shop.apply(outcome)
        await shop.deliver(outcome.replies)
    asked = await shop.pass_time(seconds=1)
    assert [reply.kind for reply in asked] == ["survey"]
    assert await shop.pass_time(seconds=60) == []
    await shop.hear(said(shop, "5"), number(understand))
    state = await shop.case(heard.case)
    assert (state.satisfaction, state.status) == (5, CLOSED)


async def test_nobody_is_asked_while_something_is_still_promised(shop: Any, understand: Any) -> None:
    heard = await shop.hear(said(shop, "Hallo"), understand("", department="desk", request_person=True))
    now = shop.clock.now()
    undertaken = (Undertaking(what="Ich schicke es bis Freitag.", until=now + timedelta(days=4)),)
    state = await shop.case(heard.case)
    answer = commands.reply(
        state, text="Sonst noch etwas?", actor="Mina", now=now, anything_else=True, undertaken=undertaken
    )
    await shop.apply(answer)
    await shop.deliver(answer.replies)
    done = understand("talk.thanks_done", department="desk", answer="no", done=True)
    bye = await shop.hear(said(shop, "Nein danke"), done)
    assert bye.reply.kind == "goodbye"
    (promise,) = (await shop.case(heard.case)).open_promises()
    await shop.apply(commands.keep(await shop.case(heard.case), promise_id=promise.id, actor="Mina", now=now))
    await shop.apply(commands.close(await shop.case(heard.case), outcome="solved", actor="Mina", now=now))
    assert [reply.kind for reply in await shop.pass_time(seconds=1)] == ["survey"]


async def test_who_said_stop_and_asks_for_a_call_may_be_called_and_nothing_else(shop: Any, understand: Any) -> None:
    stop = understand("sales.stop_contacting_me", department="desk", stop_contact=True)
    heard = await shop.hear(said(shop, "Rufen Sie nicht mehr an!"), stop)
    shop.clock.advance(60)
    await shop.hear(said(shop, "Rückruf bitte"), understand("escalation.call_back", department="desk"))
    person = (await shop.case(heard.case)).person
    rows = await shop.engine.all(entries_for, {"tenant": "shop", "person": person, "recipient": ""})
    entries = [entry_of(row) for row in rows]
    now, quiet = shop.clock.now(), shop.pack.policy.sales.quiet()
    purposes = ("service", "callback", "marketing", "survey")
    may = {purpose: may_contact(entries, purpose, "phone", now, quiet, "DE").permitted for purpose in purposes}
    assert may == {"service": True, "callback": True, "marketing": False, "survey": False}
