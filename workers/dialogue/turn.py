"""One turn: a contact, its case, what is decided about it, and the reply that takes shape."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from bus.delivery.outcome import Outcome
from bus.message import derive_id
from bus.opening_hours import add_open_time
from bus.store.permission import call_back_write
from workers.case import events, hold, model, rules
from workers.case.changes import Draft
from workers.case.closing import notice_ends
from workers.case.model import CaseState, Promise
from workers.case.satisfaction import Rating
from workers.case.work import WorkItem
from workers.dialogue.known import House
from workers.dialogue.matters import ask_next
from workers.dialogue.wording import Wording
from workers.policy.calendar import add_working_days

__all__ = ["Turn"]

LIVE_SILENCE = timedelta(minutes=30)
"""How long a question on a live channel waits: somebody may have to look for a receipt, or for a code in the mail."""


class Turn(Wording):
    """Collects what this contact leads to. Procedures read `facts`, `step`, `answer`, `choice`, `customer` and say."""

    def __init__(self, *, house: House, item: WorkItem, draft: Draft, department: str) -> None:
        super().__init__(house=house, item=item, draft=draft, department=department)
        self.waiting: list[CaseState] = []
        """Other matters of this customer that wait for their turn in the same conversation, the oldest first."""
        self.matters = 0
        """How many further matters of this contact have got a case of their own in this turn."""
        self.opened: list[Draft] = []
        """Further cases that this turn changes beside its own (`workers.dialogue.matters`)."""
        self.rating: Rating | None = None
        """The score that this contact gives us, if we have asked for one."""
        self._finished: list[Draft] = []

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
        due = self.now + (LIVE_SILENCE if self.live else notice)
        draft.timers.append(draft.timer("reminder", due, self.now.isoformat(), ""))

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
        self.say_at_the_end(key, **({} if self.live else {"date": self.date(until)}))
        self.draft.tell(events.AnythingElseAsked(at=self.now, channel=self.channel))
        self.expect("answer")
        self.draft.timers.append(self.draft.timer("closing-notice", until, self.now.isoformat(), ""))

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
            self.expect("hold", listen=False, handover=True)
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
        """Whoever waits would rather be called: what was promised before gives way to that time, and nobody waits."""
        until = self.callback_by()
        self._may_be_called()
        self.draft.do(rules.HandOver(reason="callback", until=until, what="callback"))
        for event in hold.end(self.state, "let-go", self.now):
            self.draft.tell(event)
        self.say("hold.callback", date=self.date(until))
        self.expect("acknowledgement", listen=False)

    def working_days(self, days: int, *, since: datetime | None = None) -> datetime:
        """The day that many working days from now (or from `since`), in the customer's country."""
        return add_working_days(since or self.now, days, self.country)

    @property
    def drafts(self) -> Sequence[Draft]:
        """The cases that this contact belongs to and this turn changes, that of its contact first."""
        return (*self._finished, self.draft)

    def move_to(self, draft: Draft) -> None:
        """Go on in another case (the one this contact turned out to belong to); this one is finished."""
        self._finished.append(self.draft)
        self.draft = draft

    def finish(self) -> Outcome:
        """The outcome of the turn, with its one reply to the writer if anything was said."""
        # What came from nowhere (a record that could not be read) has nobody to answer to.
        if not self.silent and self.route is not None and self.route.channel != "unknown":
            self.draft.reply(self.composed(self.route))
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
