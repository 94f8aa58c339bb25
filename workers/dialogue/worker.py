"""A department: consumes its two lanes, runs its procedures, hands over to people what is theirs."""

import contextlib
from collections.abc import Sequence

from bus.adapter.tokens import Signer
from bus.clock import Clock
from bus.delivery.outcome import NOTHING, Outcome, SetTimer
from bus.errors import PoisonError, TransientError
from bus.log.port import Record, StoredRecord
from bus.log.topics import DEPARTMENTS, lane_of, work_topic
from bus.message import decode, derive_id, derive_number, encode, envelope
from bus.store.ahead import Ahead
from bus.store.conversation import heard_write
from bus.store.port import Row, Store
from bus.telemetry import Metrics
from workers.case import events
from workers.case.changes import Draft, load_case, load_cases
from workers.case.coming_back import news_for, waiting_for_a_call
from workers.case.model import CaseState
from workers.case.praise import Colleagues
from workers.case.rules import Open, says_something
from workers.case.work import WorkItem
from workers.dialogue.acknowledge import keep_from_looping
from workers.dialogue.ahead import QUESTIONS, look_ahead
from workers.dialogue.conversation import Conversation
from workers.dialogue.known import House
from workers.dialogue.matters import load_waiting
from workers.dialogue.overtaken import look_for_unsent, settle_unsent
from workers.dialogue.parting import part, tell_of_parts
from workers.dialogue.recording import record_contact
from workers.dialogue.steps import Procedure
from workers.dialogue.turn import Turn
from workers.packs import Pack
from workers.records import Records, SqlRecords

__all__ = ["DepartmentWorker"]

WORTH_LOOKING_AHEAD = 4
"""Contacts of a batch from which on looking ahead takes fewer reads than asking as the decision goes."""


class DepartmentWorker:
    """Base of every department. A subclass names its `group` and its procedures; nothing else differs."""

    group = "desk"
    procedures: Sequence[Procedure] = ()

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        pack: Pack,
        signer: Signer | None = None,
        public_url: str = "",
        records: Records | None = None,
        colleagues: Colleagues | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics
        self._store = store
        self._clock = clock
        self._ahead = Ahead(store, clock, QUESTIONS)
        self._house = House(
            store=self._ahead,
            records=records or SqlRecords(self._ahead),
            pack=pack,
            signer=signer,
            public_url=public_url,
            colleagues=colleagues,
        )
        self._conversation = Conversation(self.group, {procedure.name: procedure for procedure in self.procedures})
        self._cache: dict[tuple[str, str], CaseState] = {}
        self._waiting: dict[str, Sequence[Row]] = {}

    @property
    def topics(self) -> Sequence[str]:
        """Both lanes of the department."""
        return (work_topic(self.group, "live"), work_topic(self.group, "deferred"))

    async def prepare(self, batch: Sequence[StoredRecord]) -> None:
        """Read the cases of a batch at once, and what will be asked about its contacts."""
        places = [(record.headers.get("tenant", ""), record.key) for record in batch]
        self._cache.update(await load_cases(self._store, places))
        self._waiting = {tenant: await waiting_for_a_call(self._store, tenant) for tenant in {t for t, _ in places}}
        if len(batch) < WORTH_LOOKING_AHEAD:
            return
        items: list[WorkItem] = []
        for record in batch:
            # One that cannot be read is told so when it is handled, and stops no other.
            with contextlib.suppress(PoisonError):
                items.append(decode(record.value, WorkItem))
        await look_ahead(self._ahead, items)

    async def handle(self, record: StoredRecord) -> Outcome:
        """Everything that shall happen because of one contact."""
        item = decode(record.value, WorkItem)
        tenant = item.contact.tenant
        # Taken out, not looked up: when a guard fails, the second decision reads afresh.
        state = self._cache.pop((tenant, item.case), None) or await load_case(self._store, tenant, item.case)
        now = self._clock.now()
        draft = Draft(state, now, hours=self._house.pack.policy.service.hours)
        if state is None:
            if self.group != "desk":
                raise TransientError("the case of this contact is not there yet")
            # Intake itself could not work on it: people get it all the same.
            state = _open_at_desk(draft, item)
        owner = self._owner(item, state)
        if owner != self.group:
            return self._forward(item, owner)
        turn = Turn(house=self._house, item=item, draft=draft, department=self.group)
        if not record_contact(turn):
            return NOTHING
        await look_for_unsent(turn)
        await load_waiting(turn)
        parted = await part(turn)
        await self._conversation.take(turn)
        tell_of_parts(turn, parted)
        await keep_from_looping(turn)
        if not item.contact.automatic:
            await settle_unsent(turn)
        self._count(turn)
        draft.timers.extend(await self._off_the_list(turn, draft))
        return turn.finish()

    async def _off_the_list(self, turn: Turn, draft: Draft) -> Sequence[SetTimer]:
        """Whoever was heard here need not be called back in another case; nor who just proved to be somebody else."""
        mine = [each for each in draft.events if isinstance(each, events.Received)]
        if not any(says_something(each) for each in mine):
            return ()
        tenant = turn.tenant
        waiting = self._waiting.get(tenant)
        if waiting is None:
            waiting = await waiting_for_a_call(self._store, tenant)
        people = {turn.item.person, draft.state.person, turn.state.person}
        return await news_for(self._store, turn.state, people, turn.contact.received_at, waiting)

    def _count(self, turn: Turn) -> None:
        metrics = self._metrics
        if metrics is None:
            return
        for event in turn.draft.events:
            if isinstance(event, events.PraiseGiven):
                metrics.praise.labels(turn.tenant).inc()
            elif isinstance(event, events.Rated):
                metrics.satisfaction.labels(event.channel, str(event.score)).inc()
            elif isinstance(event, events.ConversationEnded):
                metrics.conversations_ended.labels(event.channel, event.reason).inc()

    def _owner(self, item: WorkItem, state: CaseState) -> str:
        """A procedure that runs elsewhere goes on there; anything else stays where triage sent it."""
        running = state.procedure
        busy = running is not None and running.name not in self._conversation.procedures and not state.with_person
        if busy and state.department in DEPARTMENTS and not _starts_anew(item, state):
            return state.department
        return self.group

    def _forward(self, item: WorkItem, department: str) -> Outcome:
        contact = item.contact
        record_id = derive_id("e", contact.tenant, contact.id, department)
        headers = envelope(
            record_id=record_id, kind="work", source=f"workers/{self.group}", tenant=contact.tenant,
            at=self._clock.now(), subject=item.case,
        )  # fmt: skip
        topic = work_topic(department, lane_of(contact.channel))
        return Outcome(emit=(Record(topic=topic, key=item.case, value=encode(item), id=record_id, headers=headers),))


def _open_at_desk(draft: Draft, item: WorkItem) -> CaseState:
    contact = item.contact
    draft.do(
        Open(
            id=item.case,
            tenant=contact.tenant,
            number=derive_number(contact.tenant, item.case),
            person=item.person,
            channel=contact.channel,
            language=contact.language,
            link="dead-letter",
        )
    )
    if not contact.automatic:
        draft.writes.append(heard_write(contact.tenant, item.case))
    return draft.state


def _starts_anew(item: WorkItem, state: CaseState) -> bool:
    """A sure new request that is no answer to what was asked."""
    understood = item.understanding
    pending = state.pending
    return (
        understood.decision == "accept"
        and not understood.answer
        and (pending is None or pending.kind == "anything-else")
        and not understood.intent.startswith("talk.")
    )
