"""The customers: people who write, chat, call and send letters, and who try again as people and machines do.

Each customer is a coroutine with a chance of its own, derived from the seed and its number, so that what is said does
not depend on when others get their turn.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from adapters.chat.client import ChatClient, ChatRefused
from adapters.email.mailbox import ReceivedMail
from adapters.phone.simulator import CallFailed, Faults, Keys, Say, simulate_call
from proof.ledger import Ledger, Offer, Receipt
from proof.questions import LANGUAGES, goodbye, matters_of, order_of_matters, question, spoken
from proof.sink import REFUSING, Sink
from proof.smtp import hand_over

__all__ = ["Doors", "call", "chat", "complain_once", "correspond", "letter", "look_again", "send_automatic"]

_SMTP_S = 12.0
_AGAIN_S = 0.7
"""Between two tries of a mail server: impatient, so that a short run sees many."""
_CHAT_S = 300.0
_BETWEEN_MESSAGES_S = 1.05
"""The chat lets nobody say more than one message a second for long."""
_LOOK_S = 0.1

_KINDS = {"reply": "answer", "handover": "person", "hold": "person"}
"""What a chat event is to the judge. Whoever is asked to wait waits for a person."""


@dataclass
class Doors:
    """Where the house is reached, and who writes down what happens."""

    chat_url: str
    phone_url: str
    smtp_port: int
    drop_folder: Path
    twilio_token: Callable[[], str]
    lines: dict[str, str]
    """Language -> number."""
    sink: Sink
    ledger: Ledger
    run: str
    """Part of every address, so that two runs never share a customer."""
    stopping: asyncio.Event
    """Set when nobody shall begin anything new."""
    patience_s: float
    """A customer who waits for an answer gives up waiting (not asking) after this."""
    calls: set[str]
    """Every call that was ever begun, also those that nobody picked up."""
    windows: dict[str, tuple[str, str]]
    """Chat conversation -> (token, language) with which it is opened again."""


# --- e-mail


async def correspond(doors: Doors, number: int, chance: random.Random) -> None:
    """One thread of one to four mails: answered one by one, or written in one go without waiting.

    Whoever does not wait may get one mail that answers several of theirs.
    """
    language = chance.choice(LANGUAGES)
    address = f"kunde-{doors.run}-{number}@kunde.example"
    in_one_go = chance.random() < 0.3
    first_id, last = "", None
    for turn, matter in enumerate(order_of_matters(chance, chance.randint(1, 4))):
        mark = f"m-{number}-{turn}"
        mail = _mail(address, question(matter, language, mark), f"<{mark}.{doors.run}@kunde.example>")
        if first_id:
            mail["References"] = first_id if last is None else " ".join((*last.references, last.message_id))
            mail["In-Reply-To"] = first_id if last is None else last.message_id
        recipient = last.reply_to if last is not None and last.reply_to else "hilfe@shop.example"
        offer = doors.ledger.offer(
            Offer("email", address, turn, matter, time.monotonic(), mark=mark, reference=str(mail["Message-ID"]))
        )
        await _deliver(doors, offer, address, recipient, mail.as_bytes().replace(b"\n", b"\r\n"))
        if offer.acknowledged is None or doors.stopping.is_set():
            return
        first_id = first_id or offer.reference
        if not in_one_go:
            last = await _answer_to(doors, address, offer.reference)
            if last is None:
                return
            await asyncio.sleep(chance.uniform(0.0, 0.5))


async def complain_once(doors: Doors, number: int, chance: random.Random) -> None:
    """A mail from an address that refuses our answer for good: nothing may arrive, and nothing may go wild."""
    address = f"kunde-{doors.run}-{number}@{REFUSING}"
    matter = order_of_matters(chance, 1)[0]
    mark = f"r-{number}-0"
    mail = _mail(address, question(matter, "de", mark), f"<{mark}.{doors.run}@{REFUSING}>")
    offer = doors.ledger.offer(
        Offer(
            "email",
            address,
            0,
            matter,
            time.monotonic(),
            mark=mark,
            reference=str(mail["Message-ID"]),
            wants_answer=False,
        )
    )
    await _deliver(doors, offer, address, "hilfe@shop.example", mail.as_bytes().replace(b"\n", b"\r\n"))


async def send_automatic(doors: Doors, number: int, chance: random.Random) -> None:
    """A machine writes: out of office, a list, a report. Whoever answers it starts a loop."""
    address = f"automat-{doors.run}-{number}@kunde.example"
    mark = f"a-{number}-0"
    mail = _mail(address, question("hours", "en", mark), f"<{mark}.{doors.run}@kunde.example>")
    kind = chance.choice(("reply", "list", "null"))
    if kind == "reply":
        mail["Auto-Submitted"] = "auto-replied"
    elif kind == "list":
        mail["List-Id"] = "<neues.kunde.example>"
        mail["Precedence"] = "bulk"
    offer = doors.ledger.offer(
        Offer(
            "email",
            address,
            0,
            "",
            time.monotonic(),
            mark=mark,
            reference=str(mail["Message-ID"]),
            wants_answer=False,
            closes=True,
        )
    )
    sender = "" if kind == "null" else address
    await _deliver(doors, offer, sender, "hilfe@shop.example", mail.as_bytes().replace(b"\n", b"\r\n"))


def _mail(address: str, text: str, message_id: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = f"Kunde <{address}>"
    mail["To"] = "hilfe@shop.example"
    mail["Subject"] = "Anfrage"
    mail["Date"] = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
    mail["Message-ID"] = message_id
    mail.set_content(text)
    return mail


async def _deliver(doors: Doors, offer: Offer, sender: str, recipient: str, data: bytes) -> None:
    """As a mail server: the same bytes again until the yes is heard."""
    while True:
        contact = await hand_over(doors.smtp_port, sender, recipient, data, timeout_s=_SMTP_S)
        if contact is not None:
            offer.acknowledged, offer.contact = time.monotonic(), contact
            return
        if doors.stopping.is_set() and time.monotonic() - offer.at > doors.patience_s:
            return
        await asyncio.sleep(_AGAIN_S)


async def _answer_to(doors: Doors, address: str, reference: str) -> ReceivedMail | None:
    ends = time.monotonic() + doors.patience_s
    while time.monotonic() < ends:
        for mail in doors.sink.by_address.get(address, ()):
            if mail.in_reply_to == reference:
                return mail
        await asyncio.sleep(_LOOK_S)
    return None


# --- chat


async def chat(doors: Doors, number: int, chance: random.Random) -> None:
    """One conversation of two to six messages, some of them in quick succession; then what the window shows."""
    language = chance.choice(LANGUAGES)
    matters = order_of_matters(chance, chance.randint(2, 6))
    visitor = ChatClient(doors.chat_url, language, jitter=chance.random)
    offers: dict[str, Offer] = {}
    try:
        await visitor.connect(timeout_s=_CHAT_S)
        for turn, matter in enumerate(matters):
            mark = f"c-{number}-{turn}"
            offer = doors.ledger.offer(Offer("chat", visitor.session, turn, matter, time.monotonic(), mark=mark))
            known = len(visitor.events)
            offer.reference = await visitor.tell(question(matter, language, mark), timeout_s=_CHAT_S)
            offer.acknowledged = time.monotonic()
            offers[offer.reference] = offer
            if chance.random() < 0.6:
                with contextlib.suppress(TimeoutError):
                    await _something_new(visitor, known, doors.patience_s)
            await asyncio.sleep(_BETWEEN_MESSAGES_S)
            if doors.stopping.is_set() or any(_KINDS.get(event.kind) == "person" for event in visitor.events):
                break
        await _until_answered(visitor, len(offers), doors.patience_s)
    except (ChatRefused, TimeoutError) as error:
        if offers:
            doors.ledger.problems.append(f"chat {number} ended with {type(error).__name__}: {error}")
    finally:
        await visitor.close()
    if visitor.token:
        doors.windows[visitor.session] = visitor.token, language
    _write_down(doors, visitor.session, await _shown(doors, visitor, language))


async def look_again(doors: Doors, session: str) -> None:
    """A visitor who had left comes back: what the window shows now takes the place of what was seen before."""
    token, language = doors.windows[session]
    again = ChatClient(doors.chat_url, language, token=token)
    try:
        await again.connect(timeout_s=_CHAT_S)
        events = list(again.events)
    finally:
        await again.close()
    doors.ledger.receipts[:] = [receipt for receipt in doors.ledger.receipts if receipt.customer != session]
    _write_down(doors, session, events)


def _write_down(doors: Doors, session: str, events: Sequence[Any]) -> None:
    for event in events:
        own = event.kind == "message"
        cid = str(event.data.get("cid", "")) if own else ""
        matters = () if own else matters_of(str(event.data.get("text", "")))
        kind = "own" if own else _KINDS.get(event.kind, "other")
        doors.ledger.receive(
            Receipt("chat", session, kind, _moment(event), reply=event.id, matters=matters, answers=cid)
        )


def _moment(event: Any) -> float:
    """When the event was made, on our clock."""
    return time.monotonic() - (datetime.now(UTC) - datetime.fromisoformat(event.data["at"])).total_seconds()


async def _something_new(visitor: ChatClient, known: int, patience_s: float) -> None:
    async with asyncio.timeout(patience_s):
        while not any(event.kind != "message" for event in visitor.events[known:]):
            await asyncio.sleep(_LOOK_S)


async def _until_answered(visitor: ChatClient, questions: int, patience_s: float) -> None:
    """Stay until every question has its answer, a person takes over, or patience ends."""
    ends = time.monotonic() + patience_s
    while time.monotonic() < ends:
        replies = [event for event in visitor.events if event.kind != "message"]
        answered = sum(len(matters_of(str(event.data.get("text", "")))) for event in replies)
        if answered >= questions or any(_KINDS.get(event.kind) == "person" for event in replies):
            return
        await asyncio.sleep(_LOOK_S)


async def _shown(doors: Doors, visitor: ChatClient, language: str) -> list[Any]:
    """What the visitor saw live. A second window on the same conversation must show the same from its beginning."""
    live = list(visitor.events)
    if not visitor.token:
        return live
    again = ChatClient(doors.chat_url, language, token=visitor.token)
    try:
        await again.connect(timeout_s=_CHAT_S)
        history = list(again.events)
    except (ChatRefused, TimeoutError) as error:
        doors.ledger.problems.append(f"a conversation could not be opened again: {type(error).__name__}")
        return live
    finally:
        await again.close()
    seen = [event.id for event in live]
    if [event.id for event in history][: len(seen)] != seen:
        doors.ledger.problems.append(f"conversation {visitor.session} shows something else when it is opened again")
    return history


# --- phone


async def call(doors: Doors, number: int, chance: random.Random) -> None:
    """One call with two different questions; the provider repeats, loses and doubles requests now and then."""
    language = chance.choice(LANGUAGES)
    matters = order_of_matters(chance, 2)
    line = doors.lines[language]
    caller = f"+49305{doors.run[-3:]}{number:05d}"
    turns = [*(Say(spoken(matter, language)) for matter in matters), Say(goodbye(language))]
    faults = Faults(duplicate=0.1, lost=0.05, late=0.1)
    began = time.monotonic()
    seed = chance.getrandbits(60)
    # The simulator derives the name of the call from its seed in this way.
    doors.calls.add(f"CA{random.Random(seed).getrandbits(128):032x}")
    try:
        call_ = await simulate_call(
            doors.phone_url, caller, line, turns, auth_token=doors.twilio_token(), faults=faults, seed=seed
        )
    except CallFailed:
        # Nobody picked up: nothing was said and nothing promised. The caller tries again later.
        return
    sid = call_.call_sid
    said_at = [request for request in call_.requests if "/said/" in request.path]
    for turn, text in enumerate(call_.said):
        matter = next((one for one in matters if spoken(one, language) == text), "")
        offer = doors.ledger.offer(
            Offer("phone", sid, turn, matter, began, mark=f"{sid}/{matter or 'goodbye'}", closes=not matter)
        )
        # The words of a turn travel with one request: its answer is the yes.
        if turn < len(said_at) and said_at[turn].status == 200:
            offer.acknowledged = began
    for heard in call_.heard:
        matters = matters_of(heard.say)
        if matters:
            doors.ledger.receive(
                Receipt("phone", sid, "answer", began + heard.at, reply=f"{sid}@{heard.at}", matters=matters)
            )
    waited = any("/wait/" in request.path for request in call_.requests)
    if call_.said and (call_.ended == "error" or waited or call_.left_over):
        # Cut off by the failure of the house, or put through to a person: no more machine answers on this line.
        doors.ledger.receive(Receipt("phone", sid, "cut", time.monotonic()))
    allowed = ("was answered 0", "was answered 5", "another document")
    doors.ledger.problems += [
        f"call {number}: {problem}" for problem in call_.problems if not any(word in problem for word in allowed)
    ]


# --- post


async def letter(doors: Doors, number: int, chance: random.Random, name: str, scan: bytes) -> None:
    """A scan into the drop folder, as a scanner writes it; some scanners write it twice."""
    offer = doors.ledger.offer(Offer("post", name, 0, "hours", time.monotonic(), mark=name))
    for copy in range(2 if chance.random() < 0.25 else 1):
        path = doors.drop_folder / f"scan-{number:04d}-{copy}.pdf"
        temporary = path.with_name(f".{path.name}.part")
        await asyncio.to_thread(temporary.write_bytes, scan)
        temporary.rename(path)
        while path.exists():
            if doors.stopping.is_set() and time.monotonic() - offer.at > _CHAT_S:
                return
            await asyncio.sleep(_LOOK_S)
        offer.acknowledged = offer.acknowledged or time.monotonic()


def press(digits: str) -> Keys:
    """Keys of a telephone."""
    return Keys(digits)
