"""One turn: a contact, its case, what is known, and the reply that takes shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bus.adapter.tokens import Signer
from bus.delivery.consent import SERVICE
from bus.delivery.outcome import Outcome, SetTimer
from bus.log.topics import CASE_TIMER, LIVE_CHANNELS
from bus.message import Contact, Party, Reply, derive_id, encode
from bus.store.permission import call_back_write
from bus.store.port import Row, Store
from workers.case import events, hold, model, rules
from workers.case.changes import Draft, reply_id
from workers.case.closing import notice_ends
from workers.case.model import CaseState, Promise, Route
from workers.case.people import identity_key
from workers.case.praise import Colleagues
from workers.case.satisfaction import Rating
from workers.case.work import CaseTimer, WorkItem
from workers.dialogue.matters import ask_next
from workers.packs import Pack
from workers.packs.hours import add_open_time
from workers.policy.calendar import add_working_days
from workers.records import Customer, Records
from workers.records.money import format_date, format_money, speak_date, speak_money

__all__ = ["House", "Turn", "route_of"]

LIVE_SILENCE = timedelta(minutes=30)
"""How long a question on a live channel waits: somebody may have to look for a receipt, or for a code in the mail."""


@dataclass(frozen=True)
class House:
    """What every turn may use."""

    store: Store
    records: Records
    pack: Pack
    signer: Signer | None
    """None where nothing may be asked to be confirmed (the desk's worker has no procedures)."""
    public_url: str
    colleagues: Colleagues | None = None
    """Who works here; None where that is not known."""


def route_of(contact: Contact) -> Route:
    """How to answer a contact through its own channel and thread."""
    message_id = str(contact.native.get("message_id", ""))
    references = contact.native.get("references", ())
    known = tuple(str(r) for r in references) if isinstance(references, list | tuple) else ()
    return Route(
        channel=contact.channel,
        account=contact.account,
        address=contact.sender,
        conversation=contact.conversation,
        in_reply_to=message_id,
        references=(*known, message_id) if message_id else known,
        subject=contact.subject,
        contact=contact.id,
        at=contact.received_at,
    )


class Turn:
    """Collects what this contact leads to. Procedures read `facts`, `step`, `answer`, `choice`, `customer` and say."""

    def __init__(self, *, house: House, item: WorkItem, draft: Draft, department: str) -> None:
        self.house = house
        self.item = item
        self.now = draft.now
        self.department = department
        self.draft = draft
        self.contact = item.contact
        self.understanding = item.understanding
        self.label = item.understanding.intent
        """The kind of request that is worked on: what triage was sure of, or what the customer chose."""
        self.step = ""
        self.choice = ""
        self.answer = item.understanding.answer
        self.facts: dict[str, str] = {}
        self.customer: Customer | None = None
        self.authorised = False
        """The confirmation of this turn was also the yes to what the customer had asked for."""
        self.writer = writer_key(self.contact)
        self.route: Route | None = route_of(self.contact) if self.contact.channel != "link" else draft.state.route()
        self.unsent: Sequence[Row] = ()
        """Ledger rows of earlier answers that have not left (`workers.dialogue.overtaken`), oldest first."""
        self.stands = False
        """Whether those answer this contact as well."""
        self.waiting: list[CaseState] = []
        """Other matters of this customer that wait for their turn in the same conversation, the oldest first."""
        self.matters = 0
        """How many further matters of this contact have got a case of their own in this turn."""
        self.opened: list[Draft] = []
        """Further cases that this turn changes beside its own (`workers.dialogue.matters`)."""
        self._finished: list[Draft] = []
        self._parts: list[str] = []
        self._closing_words = ""
        self._answers: tuple[str, ...] = (item.contact.id,)
        self._kind = "answer"
        self.purpose = SERVICE
        """As in `Reply`."""
        self.rating: Rating | None = None
        """The score that this contact gives us, if we have asked for one."""
        self.praised = False
        """The contact praises somebody, and was passed on: the reply says thank you first."""
        self._listen = False
        self._handover = False
        self._tone_said = False

    # What is known

    @property
    def state(self) -> CaseState:
        """The case as decided so far."""
        return self.draft.state

    @property
    def tenant(self) -> str:
        """Whose customer this is."""
        return self.state.tenant

    @property
    def pack(self) -> Pack:
        """The company pack."""
        return self.house.pack

    @property
    def records(self) -> Records:
        """The systems of record."""
        return self.house.records

    @property
    def channel(self) -> str:
        """The channel the reply goes through."""
        return self.route.channel if self.route is not None else self.contact.channel

    @property
    def live(self) -> bool:
        """Somebody waits for the answer this moment."""
        return self.channel in LIVE_CHANNELS

    @property
    def spoken(self) -> bool:
        """The answer is heard, not read."""
        return self.channel == "phone"

    @property
    def paper(self) -> bool:
        """The answer is printed: nobody answers to it by a click or a word."""
        return self.channel == "post"

    @property
    def language(self) -> str:
        """The language of the answer: the contact's, but for a pressed button, whose browser says nothing of it."""
        own = "" if self.contact.channel == "link" else self.understanding.language
        return self.pack.language(own or self.state.language)

    @property
    def country(self) -> str:
        """Whose law and holidays count: the customer's, else the one of the language."""
        if self.customer is not None:
            return self.customer.country
        return {"nb": "NO", "en": "GB"}.get(self.language, self.pack.file.home_country)

    @property
    def proven(self) -> bool:
        """Whether the writer of this contact proved to be a customer, in this case and from this very address."""
        return self.state.proof == "confirmed" and self.writer in self.state.proven

    # What is said

    def phrase(self, key: str, **values: object) -> str:
        """A sentence of the pack; on the phone its spoken form when there is one."""
        if self.spoken and self.pack.has_phrase(self.language, f"{key}.spoken"):
            key = f"{key}.spoken"
        return self.pack.phrase(self.language, key, company=self.pack.company(self.language), **values)

    def say(self, key: str, **values: object) -> None:
        """Put a sentence on the reply."""
        self._parts.append(self.phrase(key, **values))

    def say_text(self, text: str) -> None:
        """Put a text that is no phrase on the reply (a step of an article)."""
        self._parts.append(text)

    def money(self, amount: int, currency: str) -> str:
        """An amount, written or spoken."""
        return (speak_money if self.spoken else format_money)(amount, currency, self.language)

    def date(self, moment: datetime) -> str:
        """A day, written or spoken."""
        return (speak_date if self.spoken else format_date)(moment, self.language)

    @property
    def unseen(self) -> bool:
        """Whether the customer cannot have seen our last words, so that "yes" is no answer to them."""
        return bool(self.unsent)

    def let_stand(self) -> None:
        """What is on its way to the customer answers this contact as well: say nothing."""
        self.stands = True

    @property
    def says(self) -> str:
        """The kind of the reply, as far as it is decided."""
        return self._kind

    def say_before_the_end(self, key: str, **values: object) -> None:
        """Put a sentence on the reply, before the one that asks whether there is anything else."""
        self.say(key, **values)
        if len(self._parts) > 1 and self._parts[-2] == self._closing_words:
            self._parts[-2:] = reversed(self._parts[-2:])

    def also_answers(self, reply: Reply) -> None:
        """The reply of this turn answers what an earlier one would have answered."""
        self._answers = (*reply.answers, *self._answers)

    def also_say(self, reply: Reply) -> None:
        """Say what an earlier reply would have said, before the words of this turn."""
        start, end = reply.core
        self._parts.insert(0, reply.text[start:end])
        self._listen = self._listen or reply.listen
        self.also_answers(reply)

    @property
    def silent(self) -> bool:
        """Nothing was said yet."""
        return not self._parts

    @property
    def acknowledges(self) -> bool:
        """The reply says no more than that people will answer, to somebody who may be anybody or a machine."""
        return bool(self._parts) and self._kind == "acknowledgement" and not self.live and not self.proven

    def be_silent(self) -> None:
        """Take back what was to be said; what was decided stands."""
        self._parts.clear()

    def expect(self, kind: str, *, listen: bool = True) -> None:
        """The reply is of this kind; `listen`: a live channel waits for the answer."""
        self._kind, self._listen = kind, listen

    # What is done

    def act(
        self,
        action: str,
        reference: str,
        writes: Any,
        *,
        amount: int = 0,
        currency: str = "",
        rules: tuple[str, ...] = (),
    ) -> None:
        """Do something for the customer, with the rows that permitted it, in the case's own transaction."""
        self.draft.writes.extend(writes)
        self.draft.tell(
            events.Acted(at=self.now, action=action, reference=reference, amount=amount, currency=currency, rules=rules)
        )

    def ask(self, kind: str, about: tuple[str, ...] = ()) -> None:
        """Wait for the customer's answer to what was said."""
        self.ask_in(self.draft, kind, about)
        self.expect("question")

    def ask_in(self, draft: Draft, kind: str, about: tuple[str, ...] = ()) -> None:
        """Let a case wait for the customer's answer to what is said in this turn."""
        draft.tell(
            events.QuestionAsked(at=self.now, question=model.Question(kind=kind, about=about, asked_at=self.now))
        )
        notice = timedelta(days=self.pack.policy.service.closing_notice_days)
        self._timer("reminder", self.now + (LIVE_SILENCE if self.live else notice), self.now.isoformat(), draft)

    def settle(self, answer: str = "") -> None:
        """The pending question is answered."""
        pending = self.state.pending
        if pending is not None:
            self.draft.tell(events.QuestionSettled(at=self.now, question=pending.kind, answer=answer))

    def ask_anything_else(self) -> None:
        """Every solution ends with it, and with the notice after which the case closes by itself. On a live channel
        the matters that wait come first."""
        if ask_next(self):
            return
        key = "anything-else.ask" if self.live else f"anything-else.{'letter' if self.paper else 'notice'}"
        days = self.pack.policy.service.closing_notice_days
        until = notice_ends(self.channel, self.now, days)
        self.say(key, **({} if self.live else {"date": self.date(until)}))
        self._closing_words = self._parts[-1]
        self.draft.tell(events.AnythingElseAsked(at=self.now, channel=self.channel))
        self.expect("answer")
        self._timer("closing-notice", until, self.now.isoformat())

    def promise(self, what: str, until: datetime, *, action: str = "") -> None:
        """Promise something by a moment; the desk is reminded when it is due.

        `action` is what was set going for it (`Promise.action`): then nobody has to do more, and it is looked after.
        """
        promise = Promise(
            id=derive_id("e", self.state.id, action or self.contact.id, what), what=what, by=model.MACHINE, until=until,
            action=action,
        )  # fmt: skip
        self.draft.tell(events.PromiseMade(at=self.now, promise=promise))

    def hand_over(
        self, reason: str, *, what: str = "answer", until: datetime | None = None, quiet: bool = False
    ) -> None:
        """People take it from here: promise by when, and say so unless `quiet` or said before."""
        already = self.state.with_person
        if what == "callback":
            self._may_be_called()
        self.draft.do(rules.HandOver(reason=reason, until=until or self.person_by(), what=what))
        if quiet:
            return
        if self.live:
            self.say("handover.live")
            self.expect("hold", listen=False)
            self._handover = True
            return
        if already and self.state.acknowledged and self.silent:
            return
        # The time that counts: an earlier promise is not made later by a second one.
        promised = next(p.until for p in self.state.open_promises() if p.id == model.PERSON_PROMISE)
        self.say("handover.deferred", date=self.date(promised), number=self.state.number)
        self.expect("acknowledgement", listen=False)

    def await_person(self) -> None:
        """The customer has written to the people who answer this case: their next answer is promised like the first.

        Nothing is said: whoever talks to a person is not told about it by a machine again and again.
        """
        if not self.state.awaits_person():
            self.hand_over("wrote again", quiet=True)

    def person_by(self, *, in_writing: bool = False) -> datetime:
        """By when a person answers: minutes where somebody waits, else (`in_writing`) hours in which people work."""
        service = self.pack.policy.service
        if self.live and not in_writing:
            return self.now + timedelta(minutes=service.person_minutes_live)
        return add_open_time(service.hours, self.now, timedelta(hours=service.person_open_hours_deferred))

    def callback_by(self) -> datetime:
        """By when a person calls back whom nobody has told another time."""
        service = self.pack.policy.service
        return add_open_time(service.hours, self.now, timedelta(hours=service.callback_open_hours))

    def _may_be_called(self) -> None:
        """Whoever asks for a call may be called, also if he has said "stop" before."""
        person = self.state.person or self.item.person
        self.draft.writes.append(
            call_back_write(tenant=self.tenant, person=person, contact=self.contact.id, now=self.now)
        )

    def call_back_instead(self) -> None:
        """Whoever waits would rather be called: a promise with a time, and nobody waits any more."""
        until = self.callback_by()
        self._may_be_called()
        self.promise("callback", until)
        for event in hold.end(self.state, "let-go", self.now):
            self.draft.tell(event)
        self.say("hold.callback", date=self.date(until))
        self.expect("acknowledgement", listen=False)

    def working_days(self, days: int, *, since: datetime | None = None) -> datetime:
        """The day that many working days from now (or from `since`), in the customer's country."""
        return add_working_days(since or self.now, days, self.country)

    def _timer(self, kind: str, due: datetime, detail: str, draft: Draft | None = None) -> None:
        draft = draft or self.draft
        state = draft.state
        draft.timers.append(
            SetTimer(
                id=derive_id("t", state.tenant, state.id, kind, ""),
                due=due,
                topic=CASE_TIMER,
                key=state.id,
                kind="timer",
                value=encode(CaseTimer(tenant=state.tenant, case=state.id, kind=kind, detail=detail)),
                tenant=state.tenant,
            )
        )

    @property
    def drafts(self) -> Sequence[Draft]:
        """The cases that this contact belongs to and this turn changes, that of its contact first."""
        return (*self._finished, self.draft)

    def move_to(self, draft: Draft) -> None:
        """Go on in another case (the one this contact turned out to belong to); this one is finished."""
        self._finished.append(self.draft)
        self.draft = draft

    # The reply

    def finish(self) -> Outcome:
        """The outcome of the turn, with its one reply to the writer if anything was said."""
        # What came from nowhere (a record that could not be read) has nobody to answer to.
        if self._parts and self.route is not None and self.route.channel != "unknown":
            self.draft.reply(self._compose(self.route))
        outcome = self.draft.outcome()
        for other in (*self._finished, *self.opened):
            before = other.outcome()
            outcome = Outcome(
                writes=(*before.writes, *outcome.writes),
                emit=(*before.emit, *outcome.emit),
                replies=(*before.replies, *outcome.replies),
                timers=(*before.timers, *outcome.timers),
            )
        return outcome

    def _compose(self, route: Route) -> Reply:
        state = self.state
        text, core = self._text(route.address.name)
        return Reply(
            id=reply_id(state, self.contact.id, route.channel, route.address.address),
            tenant=state.tenant,
            case=state.id,
            channel=route.channel,
            account=route.account,
            to=route.address,
            text=text,
            language=self.language,
            kind=self._kind,
            purpose=self.purpose,
            conversation=route.conversation,
            in_reply_to=route.in_reply_to,
            references=route.references,
            subject=self._subject(route.subject),
            case_number=state.number,
            person=state.person or self.item.person,
            listen=self.live and self._listen,
            handover=self._handover,
            answers=self._answers,
            core=core,
        )

    def _text(self, name: str) -> tuple[str, tuple[int, int]]:
        """The whole text, and which characters of it another reply would have to repeat."""
        before: list[str] = []
        angry = self.understanding.tone in ("angry", "upset") and self._kind not in ("goodbye", "survey")
        if angry and self.contact.channel != "link":
            before.append(self.phrase(f"tone.{self.understanding.tone}"))
        if self.praised:
            before.append(self.phrase("praise.thanks"))
        if not self.state.disclosed and not self.spoken:
            # On the phone the greeting has said it before the caller said a word.
            kind = "live" if self.live else "letter" if self.paper else "deferred"
            if self.state.with_person:
                # A person is coming already: how to ask for one would be beside the point.
                kind = "handover"
            before.insert(0, self.phrase(f"disclosure.{kind}"))
        after: list[str] = []
        between = " " if self.spoken else "\n"
        if not self.live:
            between = "\n\n"
            greeting = self.phrase("letter.greeting.named", name=name) if name else self.phrase("letter.greeting.plain")
            before.insert(0, greeting)
            after.append(self.phrase("letter.close" if self.paper else "letter.footer", number=self.state.number))
        said = list(self._parts)
        if said[-1] == self._closing_words:
            after.insert(0, said.pop())
        text = between.join((*before, *said, *after))
        start = len(between.join((*before, "")))
        return text, (start, start + len(between.join(said)))

    def _subject(self, subject: str) -> str:
        if self.live:
            return ""
        if not subject:
            return self.phrase("letter.subject", number=self.state.number)
        return subject if subject[:3].casefold() in ("re:", "aw:", "sv:") else f"Re: {subject}"


def writer_key(contact: Contact) -> str:
    """Who writes, as far as the channel can tell. A caller's number is anybody's: it counts for one call only."""
    key = identity_key(contact.sender)
    return f"{key}#{contact.conversation}" if contact.sender.kind == "phone" else key


def party_of(key: str, name: str = "") -> Party:
    """The party of a writer key."""
    kind, _, address = key.partition(":")
    return Party(kind=kind, address=address, name=name)
