"""The reply of a turn while it takes shape: its sentences, its kind, and the text that they become."""

from datetime import datetime

from bus.delivery.consent import SERVICE
from bus.message import Reply
from workers.case.changes import Draft, reply_id
from workers.case.model import Route
from workers.case.work import WorkItem
from workers.dialogue.known import House, Known
from workers.records.money import format_date, format_money, speak_date, speak_money

__all__ = ["Wording"]


class Wording(Known):
    """Collects what is said to the writer, in his language and in the form of his channel."""

    def __init__(self, *, house: House, item: WorkItem, draft: Draft, department: str) -> None:
        super().__init__(house=house, item=item, draft=draft, department=department)
        self.stands = False
        """Whether the earlier answers that have not left answer this contact as well."""
        self.purpose = SERVICE
        """As in `Reply`."""
        self.praised = False
        """The contact praises somebody, and was passed on: the reply says thank you first."""
        self._parts: list[str] = []
        self._closing_words = ""
        self._answers: tuple[str, ...] = (item.contact.id,)
        self._kind = "answer"
        self._listen = False
        self._handover = False

    def phrase(self, key: str, **values: object) -> str:
        """A sentence of the pack; on the phone its spoken form when there is one."""
        if self.spoken and self.pack.has_phrase(self.language, f"{key}.spoken"):
            key = f"{key}.spoken"
        return self.pack.phrase(self.language, key, company=self.pack.company(self.language), **values)

    def say(self, key: str, **values: object) -> None:
        """Put a sentence on the reply."""
        self._parts.append(self.phrase(key, **values))

    def say_at_the_end(self, key: str, **values: object) -> None:
        """Put the sentence on the reply that asks whether there is anything else: it stays the last one."""
        self.say(key, **values)
        self._closing_words = self._parts[-1]

    def say_text(self, text: str) -> None:
        """Put a text that is no phrase on the reply (a step of an article)."""
        self._parts.append(text)

    def money(self, amount: int, currency: str) -> str:
        """An amount, written or spoken."""
        return (speak_money if self.spoken else format_money)(amount, currency, self.language)

    def date(self, moment: datetime) -> str:
        """A day, written or spoken."""
        return (speak_date if self.spoken else format_date)(moment, self.language)

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

    def expect(self, kind: str, *, listen: bool = True, handover: bool = False) -> None:
        """The reply is of this kind; `listen`: a live channel waits for the answer; `handover`: people take over."""
        self._kind, self._listen = kind, listen
        self._handover = self._handover or handover

    def composed(self, route: Route) -> Reply:
        """The reply as it goes out. Only for one that says something."""
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
