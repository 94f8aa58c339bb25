"""The verdict, on transcripts: what is right is held, and every way of being wrong is named."""

import time
from dataclasses import replace

import pytest
from proof.judge import NOTICE_S, judge
from proof.ledger import Asked, Broken, Closing, Ledger, Offer, Receipt


def conversation(channel: str, *matters: str, customer: str = "kunde") -> Ledger:
    """Everything offered, said yes to and answered once, in order."""
    ledger = Ledger()
    for turn, matter in enumerate(matters):
        at = float(turn)
        ledger.offer(
            Offer(
                channel,
                customer,
                turn,
                matter,
                at,
                mark=f"{customer}-{turn}",
                reference=f"<{customer}-{turn}>",
                acknowledged=at,
                contact=f"c-{customer}-{turn}",
            )
        )
        if channel == "chat":
            ledger.receive(Receipt("chat", customer, "own", at, reply=f"c{turn}", answers=f"<{customer}-{turn}>"))
        ledger.receive(
            Receipt(
                channel,
                customer,
                "answer",
                at + 0.5,
                reply=f"r{turn}",
                matters=(matter,),
                answers=f"<{customer}-{turn}>" if channel == "email" else "",
            )
        )
    return ledger


def kinds(ledger: Ledger, asked: Asked | None = None) -> set[str]:
    return {finding.kind for finding in judge(ledger, asked).findings}


def answers(ledger: Ledger) -> list[Receipt]:
    return [receipt for receipt in ledger.receipts if receipt.kind == "answer"]


MANY = ("email", "chat", "phone")


@pytest.mark.parametrize("channel", MANY)
def test_everything_answered_once_and_in_order_holds(channel: str) -> None:
    found = judge(conversation(channel, "hours", "delivery", "account"))
    assert found.held
    assert found.answered == 3


def test_one_letter_is_answered_once() -> None:
    assert judge(conversation("post", "hours")).held


@pytest.mark.parametrize("channel", MANY)
def test_answers_that_come_together_hold(channel: str) -> None:
    ledger = conversation(channel, "hours", "delivery")
    first, second = answers(ledger)
    ledger.receipts.remove(first)
    second.matters = ("hours", "delivery")
    assert judge(ledger).held


@pytest.mark.parametrize("channel", [*MANY, "post"])
@pytest.mark.parametrize("which", [0, -1])
def test_a_missing_answer_is_lost(channel: str, which: int) -> None:
    ledger = conversation(channel, *(("hours",) if channel == "post" else ("hours", "delivery", "account")))
    ledger.receipts.remove(answers(ledger)[which])
    assert kinds(ledger) == {"lost"}


@pytest.mark.parametrize("channel", MANY)
def test_what_was_never_said_yes_to_may_be_missing(channel: str) -> None:
    ledger = conversation(channel, "hours", "delivery")
    ledger.offers[-1].acknowledged = None
    ledger.receipts.remove(answers(ledger)[-1])
    assert judge(ledger).held


@pytest.mark.parametrize("channel", [*MANY, "post"])
def test_a_second_answer_is_doubled(channel: str) -> None:
    ledger = conversation(channel, *(("hours",) if channel == "post" else ("hours", "delivery")))
    once = answers(ledger)[0]
    ledger.receive(Receipt(channel, "kunde", "answer", 9.0, reply="other", matters=once.matters, answers=once.answers))
    assert "doubled" in kinds(ledger)


@pytest.mark.parametrize("channel", MANY)
def test_answers_in_another_order_are_out_of_order(channel: str) -> None:
    ledger = conversation(channel, "hours", "delivery", "account")
    first, second, _ = answers(ledger)
    first.matters, second.matters = second.matters, first.matters
    first.answers, second.answers = second.answers, first.answers
    assert kinds(ledger) == {"out_of_order"}


def test_an_answer_to_the_wrong_mail_is_out_of_order() -> None:
    ledger = conversation("email", "hours", "delivery")
    first, second = answers(ledger)
    first.answers, second.answers = second.answers, first.answers
    assert "out_of_order" in kinds(ledger)


def test_an_answer_before_its_question_is_out_of_order() -> None:
    ledger = conversation("chat", "hours", "delivery")
    own, answer = [receipt for receipt in ledger.receipts if receipt.reply in ("c1", "r1")]
    place = ledger.receipts.index(own)
    ledger.receipts[place], ledger.receipts[place + 1] = answer, own
    assert kinds(ledger) == {"out_of_order"}


def test_a_message_missing_from_the_window_is_lost_and_one_shown_twice_is_doubled() -> None:
    ledger = conversation("chat", "hours", "delivery")
    ledger.receipts = [receipt for receipt in ledger.receipts if receipt.reply not in ("c1", "r1")]
    assert kinds(ledger) == {"lost"}
    ledger = conversation("chat", "hours", "delivery")
    ledger.receipts.append(ledger.receipts[0])
    assert "doubled" in kinds(ledger)


def test_an_answer_about_nothing_is_one_too_many() -> None:
    ledger = conversation("chat", "hours")
    ledger.receive(Receipt("chat", "kunde", "answer", 3.0, reply="odd", matters=()))
    assert kinds(ledger) == {"doubled"}


def test_a_reply_to_nobody_is_a_stray() -> None:
    ledger = conversation("email", "hours")
    ledger.receive(Receipt("email", "stranger", "answer", 3.0, reply="r9", matters=("hours",), answers="<x>"))
    assert kinds(ledger) == {"stray"}
    ledger = conversation("email", "hours")
    ledger.receive(Receipt("email", "kunde", "other", 3.0, reply="r9", answers="<never-sent>"))
    assert kinds(ledger) == {"stray"}


def test_a_machine_must_not_be_answered() -> None:
    ledger = conversation("email", "hours")
    ledger.offers[0].wants_answer = False
    assert kinds(ledger) == {"unwanted"}
    ledger.receipts.clear()
    assert judge(ledger).held


def test_a_copy_under_one_id_is_excused_only_where_the_sender_could_not_know() -> None:
    ledger = conversation("email", "hours")
    ledger.receipts.append(replace(ledger.receipts[0], at=1.5))
    assert kinds(ledger) == {"doubled"}
    ledger.broken.append(Broken("kill", "gateway-0", 0.4, 1.0))
    found = judge(ledger)
    assert found.held
    assert found.twins == 1
    ledger.broken[0] = Broken("kill", "gateway-0", 500.0, 501.0)
    assert kinds(ledger) == {"doubled"}
    ledger.receipts[0].sure = False
    assert judge(ledger).held


def test_whoever_is_with_a_person_gets_no_more_from_the_machine() -> None:
    ledger = conversation("chat", "hours", "delivery", "account")
    last = answers(ledger)[-1]
    last.kind, last.matters = "person", ()
    found = judge(ledger)
    assert found.held
    assert found.with_a_person == 1


def test_waits_are_measured_from_the_yes() -> None:
    assert judge(conversation("email", "hours", "delivery")).waits == [0.5, 0.5]


# --- what only the product's own commands show


def complete(ledger: Ledger) -> Asked:
    return Asked(
        contacts=[(offer.contact, offer.mark) for offer in ledger.offers],
        cases={"k-1": [offer.contact for offer in ledger.offers]},
        timelines={"k-1": [(1, "machine"), (2, "customer")]},
    )


def test_complete_lists_hold() -> None:
    ledger = conversation("email", "hours", "delivery")
    assert judge(ledger, complete(ledger)).held


def test_a_contact_that_is_nowhere_or_twice_or_another_or_nobodys_is_found() -> None:
    ledger = conversation("email", "hours")
    asked = complete(ledger)
    asked.contacts, asked.cases = [], {}
    assert kinds(ledger, asked) == {"lost"}
    asked = complete(ledger)
    asked.contacts.append(("c-other", "kunde-0"))
    assert "doubled" in kinds(ledger, asked)
    asked = complete(ledger)
    asked.contacts.append(asked.contacts[0])
    assert kinds(ledger, asked) == {"doubled"}
    asked = complete(ledger)
    asked.contacts.append(("c-strange", ""))
    assert kinds(ledger, asked) == {"stray"}


def test_a_contact_in_no_case_or_in_two_is_found() -> None:
    ledger = conversation("email", "hours")
    asked = complete(ledger)
    asked.cases = {}
    assert kinds(ledger, asked) == {"lost"}
    asked.cases = {"k-1": ["c-kunde-0"], "k-2": ["c-kunde-0"]}
    assert kinds(ledger, asked) == {"doubled"}


def test_what_is_left_behind_is_found() -> None:
    ledger = conversation("email", "hours")
    for name in ("behind", "dead_letters"):
        asked = complete(ledger)
        setattr(asked, name, 1)
        assert kinds(ledger, asked) == {"behind"}


def test_a_case_closed_over_the_customers_head_is_found() -> None:
    ledger = conversation("email", "hours")
    asked = complete(ledger)
    asked.closed = ["k-1"]
    assert kinds(ledger, asked) == {"closed"}
    ledger.offers[0].closes = True
    assert judge(ledger, asked).held


@pytest.mark.parametrize("channel", ["chat", "phone"])
def test_a_live_conversation_may_be_closed_when_the_notice_has_passed(channel: str) -> None:
    ledger = conversation(channel, "hours")
    asked = complete(ledger)
    asked.closed = ["k-1"]
    for closing in (
        Closing(asked=None, closed=NOTICE_S + 10),
        Closing(asked=0.5, closed=NOTICE_S - 10),
        Closing(asked=20.0, closed=NOTICE_S + 10),
    ):
        asked.closings = {"k-1": closing}
        assert kinds(ledger, asked) == {"closed"}
    asked.closings = {"k-1": Closing(asked=0.5, closed=NOTICE_S + 10)}
    assert judge(ledger, asked).held
    # The customer spoke again after being asked.
    ledger.offers[0].at = 20.0
    assert kinds(ledger, asked) == {"closed"}


def test_a_mail_thread_is_not_closed_after_minutes() -> None:
    ledger = conversation("email", "hours")
    asked = complete(ledger)
    asked.closed, asked.closings = ["k-1"], {"k-1": Closing(asked=0.5, closed=NOTICE_S + 10)}
    assert kinds(ledger, asked) == {"closed"}


@pytest.mark.parametrize("channel", [*MANY, "post"])
def test_what_lies_with_a_person_is_not_lost_and_what_lies_nowhere_is(channel: str) -> None:
    ledger = conversation(channel, "hours")
    ledger.receipts.remove(answers(ledger)[0])
    asked = complete(ledger)
    assert kinds(ledger, asked) == {"lost"}
    asked.with_person = {"k-1"}
    found = judge(ledger, asked)
    assert found.held
    assert found.with_a_person == 1
    asked.cases["k-2"], asked.cases["k-1"] = asked.cases["k-1"], []
    assert kinds(ledger, asked) == {"lost"}


@pytest.mark.parametrize("entries", [[(1, "machine"), (3, "machine")], [(1, "")], [(1, "a"), (1, "b")]])
def test_a_record_with_gaps_or_without_actors_is_found(entries: list[tuple[int, str]]) -> None:
    ledger = conversation("email", "hours")
    asked = complete(ledger)
    asked.timelines = {"k-1": entries}
    assert kinds(ledger, asked) == {"record"}


def test_what_a_receiving_side_finds_wrong_counts() -> None:
    ledger = conversation("email", "hours")
    ledger.problems.append("a document that is none")
    assert kinds(ledger) == {"record"}


def test_ten_thousand_conversations_are_judged_in_seconds() -> None:
    ledger = Ledger()
    for number in range(10_000):
        one = conversation("chat", "hours", "delivery", customer=f"s{number}")
        ledger.offers += one.offers
        ledger.receipts += one.receipts
        for receipt in one.receipts:
            receipt.reply += f"-{number}"
    began = time.monotonic()
    assert judge(ledger).held
    assert time.monotonic() - began < 10
