"""The case's own worker: what became of replies, and what time brings about."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from bus.clock import Clock
from bus.delivery.consent import SURVEY
from bus.delivery.doubt import NOT_KNOWN
from bus.delivery.outcome import NOTHING, Outcome
from bus.delivery.reported import reported
from bus.log.port import StoredRecord
from bus.log.topics import CASE_TIMER, LIVE_CHANNELS, REPLY_STATUS
from bus.message import Reply, Status, decode
from bus.opening_hours import add_open_time
from bus.store.port import Store
from bus.telemetry import Metrics
from workers.case import callback, coming_back, events, model
from workers.case.calling import end_call, ran_out
from workers.case.changes import Draft, load_case, load_cases, reply_id
from workers.case.consent import permits_survey
from workers.case.hold import end, has_left, next_step, words_of
from workers.case.model import PERSON_PROMISE, CaseState, Route
from workers.case.overdue import break_promise, look_after, warn_of_promise
from workers.case.rules import Close, HandOver, Refused, Track
from workers.case.satisfaction import asks
from workers.case.service import missed
from workers.case.telling import tell_customer
from workers.case.work import CaseTimer
from workers.packs import Pack
from workers.records import Records, SqlRecords
from workers.records.money import format_date

__all__ = ["CaseWorker"]

_SAYS_GOODBYE = frozenset({"email"})
"""Channels on which the end of the notice is told: it costs nothing there and one reads it when one likes."""

_ASKED_AFTERWARDS = frozenset({"chat", "email"})
"""Where the question can follow the closing by a person: nobody is called up or sent a letter for it."""


class CaseWorker:
    """Group `case`."""

    group = "case"
    topics: Sequence[str] = (REPLY_STATUS, CASE_TIMER)

    def __init__(
        self, *, store: Store, clock: Clock, pack: Pack, metrics: Metrics | None = None, records: Records | None = None
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._records = records or SqlRecords(store)
        self._clock = clock
        self._pack = pack
        self._cache: dict[tuple[str, str], CaseState] = {}

    async def prepare(self, batch: Sequence[StoredRecord]) -> None:
        """Read the cases of a batch at once."""
        places = [(record.headers.get("tenant", ""), record.key) for record in batch]
        self._cache.update(await load_cases(self._store, places))

    async def handle(self, record: StoredRecord) -> Outcome:
        """One status of a reply, or one timer."""
        if record.topic == REPLY_STATUS:
            status = decode(record.value, Status)
            learnt = await reported(self._store, status, self._clock.now(), self._metrics)
            draft = await self._draft(status.tenant, status.case)
            if draft is None:
                return Outcome(writes=learnt) if learnt else NOTHING
            self._track(draft, status)
            self._called(draft, status)
            _close_if_complete(draft)
            draft.writes.extend(learnt)
        else:
            timer = decode(record.value, CaseTimer)
            draft = await self._draft(timer.tenant, timer.case, not_before=_time_of(record))
            if draft is not None:
                await self._timer(draft, timer)
        return NOTHING if draft is None or not (draft.events or draft.writes or draft.timers) else draft.outcome()

    async def _draft(self, tenant: str, case_id: str, not_before: datetime | None = None) -> Draft | None:
        state = self._cache.pop((tenant, case_id), None) or await load_case(self._store, tenant, case_id)
        if state is None:
            # A reply without a case (a campaign's letter nobody answered) has no timeline to keep.
            return None
        now = self._clock.now()
        return Draft(state, max(now, not_before or now), hours=self._pack.policy.service.hours)

    async def _timer(self, draft: Draft, timer: CaseTimer) -> None:
        if timer.kind == "closing-notice":
            await self._notice_ran_out(draft, timer.detail)
        elif timer.kind == "reminder":
            await self._question_ran_out(draft, timer.detail)
        elif timer.kind in ("promise", "promise-warning"):
            await self._promise(draft, timer)
        elif timer.kind == "service":
            self._service_missed(draft)
        elif timer.kind == "survey":
            await self._ask_satisfaction(draft)
        elif timer.kind == callback.KIND:
            ran_out(draft, self._pack, timer.detail)
        elif timer.kind == coming_back.KIND:
            for event in coming_back.heard_elsewhere(draft.state, timer.detail, draft.now):
                draft.tell(event)
        elif timer.kind == "hold":
            self._hold_goes_on(draft, timer.detail)

    async def _promise(self, draft: Draft, timer: CaseTimer) -> None:
        """The time of a promise has come, or its end is near. The same timer may fire twice, late, or for nothing."""
        promise = draft.state.promise(timer.detail)
        if promise is None:
            in_time = (p.kept_at for p in draft.state.promises if p.id == timer.detail and p.until <= draft.now)
            if timer.kind == "promise" and next(in_time, None) is not None:
                self._count_promise("kept")
        elif timer.kind == "promise-warning":
            warn_of_promise(draft, promise, self._pack.policy.service.hours)
        elif promise.until <= draft.now and not promise.over:
            if promise.action:
                await look_after(draft, self._pack, self._records, promise)
                self._count_promise("due" if draft.state.promise(promise.id) else "kept")
            else:
                await break_promise(draft, self._pack, self._records, promise)
                self._count_promise("broken")

    def _track(self, draft: Draft, status: Status) -> None:
        progress = events.ReplyProgress(
            at=draft.now, actor=status.channel, reply=status.reply, channel=status.channel, state=status.state,
            permanent=status.permanent, reason=status.reason,
        )  # fmt: skip
        draft.do(Track(progress=progress, until=self._soon(draft)))

    def _called(self, draft: Draft, status: Status) -> None:
        """News of a call-back under way: its end is a decision of the case."""
        asked = draft.state.callback
        if asked is None or asked.reply != status.reply or status.state not in ("delivered", "failed"):
            return
        told = status.reason if status.reason in callback.RESULTS else "representative"
        if status.reason == NOT_KNOWN:
            told = "doubt"
        if status.state == "delivered":
            told = "unsaid" if status.reason == "unsaid" else "talked"
        end_call(draft, self._pack, told)

    def _count_promise(self, result: str) -> None:
        if self._metrics is not None:
            self._metrics.promises.labels(result).inc()

    def _service_missed(self, draft: Draft) -> None:
        """A service promise to everybody was missed: who has no answer, and nobody to give it, gets a person."""
        channel = draft.state.channel
        for event in missed(draft.state, draft.now):
            draft.tell(event)
            if self._metrics is not None:
                self._metrics.service_missed.labels(channel, event.target).inc()
            if draft.state.status == model.OPEN:
                draft.do(HandOver(reason="service", until=self._soon(draft)))

    def _soon(self, draft: Draft) -> datetime:
        """The time that is named to whom we owe something: so many hours in which people work."""
        service = self._pack.policy.service
        return add_open_time(service.hours, draft.now, timedelta(hours=service.again_open_hours))

    def _hold_goes_on(self, draft: Draft, heard: str) -> None:
        """Somebody waits on a live channel and has heard nothing since: warn the representative, then come back."""
        state = draft.state
        hold = state.hold
        if hold is None or hold.heard.isoformat() != heard:
            return
        step, due = next_step(hold)
        if due > draft.now:
            return
        if step == "warn":
            draft.tell(events.HoldWarned(at=draft.now))
            return
        route = state.routes.get(hold.channel)
        if route is None or has_left(state):
            for event in end(state, "left", draft.now):
                draft.tell(event)
            return
        language = self._pack.language(state.language)
        if words_of(hold) == "hold.let-go" and not state.awaits_person():
            # Who is let go is told by when an answer comes: that is a promise.
            draft.do(HandOver(reason="hold", until=self._soon(draft)))
        promised = next((p.until for p in draft.state.open_promises() if p.id == PERSON_PROMISE), None)
        text = self._pack.phrase(
            language, words_of(hold), reason=self._pack.phrase(language, f"hold.reason.{hold.reason}"),
            number=state.number, date=format_date(promised or draft.now, language),
        )  # fmt: skip
        draft.come_back(
            Reply(
                id=reply_id(state, f"hold {heard}", route.channel, route.address.address),
                tenant=state.tenant, case=state.id, channel=route.channel, account=route.account, to=route.address,
                text=text, language=language, kind="hold", conversation=route.conversation,
                in_reply_to=route.in_reply_to, references=route.references, case_number=state.number,
            )
        )  # fmt: skip

    async def _notice_ran_out(self, draft: Draft, asked_at: str) -> None:
        state = draft.state
        asked = state.anything_else_asked
        # Asked anew since, or answered: this notice means nothing any more.
        if asked is None or asked.isoformat() != asked_at or state.anything_else_answered is not None:
            return
        if state.status == model.CLOSED:
            return
        if state.with_person:
            # A person asked, and closes. Whoever has written since has answered something, which a person reads.
            if all(route.at <= asked for route in state.routes.values()):
                draft.tell(events.AnythingElseAnswered(at=draft.now, answer="notice"))
            return
        draft.tell(events.AnythingElseAnswered(at=draft.now, answer="notice"))
        if not _close_if_complete(draft):
            # Something is still open (an answer that never arrived): then it is a person's, not a forgotten case.
            draft.do(HandOver(reason="could not be closed", until=self._soon(draft)))
            return
        await self._say_goodbye(draft, "closing.notice", asked_at)

    async def _question_ran_out(self, draft: Draft, asked_at: str) -> None:
        """Nobody answered our question. The case closes and opens again with the first word; a letter gets a person."""
        state = draft.state
        pending = state.pending
        if pending is None or pending.asked_at.isoformat() != asked_at or pending.kind == "anything-else":
            return
        if state.with_person or state.status == model.CLOSED:
            return
        if state.channel == "post":
            draft.do(HandOver(reason="no answer to our letter", until=self._soon(draft)))
            return
        if state.siblings and state.channel in LIVE_CHANNELS:
            # Another matter of the same conversation came in between: silence here is no answer of the customer.
            draft.do(HandOver(reason="another matter", until=self._soon(draft)))
            return
        draft.tell(events.OutcomeChosen(at=draft.now, outcome="unanswered"))
        draft.tell(events.AnythingElseAsked(at=draft.now, channel=state.channel))
        draft.tell(events.AnythingElseAnswered(at=draft.now, answer="notice"))
        if not _close_if_complete(draft):
            draft.do(HandOver(reason="could not be closed", until=self._soon(draft)))
            return
        await self._say_goodbye(draft, "closing.unanswered", asked_at)

    async def _say_goodbye(self, draft: Draft, key: str, asked_at: str) -> None:
        state = draft.state
        route = state.route()
        if route is None or route.channel in LIVE_CHANNELS or route.channel not in _SAYS_GOODBYE:
            return
        decision = f"closing {asked_at}"
        # Whoever did not answer our question was not served, and is not asked how well.
        if key == "closing.notice" and await self._may_ask(state, route):
            self._ask(draft, route, key, decision)
            return
        tell_customer(draft, self._pack, route, key, kind="goodbye", decision=decision, footer="letter.footer")

    async def _ask_satisfaction(self, draft: Draft) -> None:
        """A person has closed the case, and nobody has asked yet."""
        state = draft.state
        route = state.route()
        if state.status != model.CLOSED or route is None or route.left or route.channel not in _ASKED_AFTERWARDS:
            return
        if await self._may_ask(state, route):
            live = route.channel in LIVE_CHANNELS
            self._ask(draft, route, "satisfaction.ask" if live else "satisfaction.closed", f"survey {state.version}")

    async def _may_ask(self, state: CaseState, route: Route) -> bool:
        settings = self._pack.policy.satisfaction
        now = self._clock.now()
        return asks(state, settings, route.channel) and await permits_survey(self._store, state, route, now)

    def _ask(self, draft: Draft, route: Route, key: str, decision: str) -> None:
        then = "" if route.channel in LIVE_CHANNELS else "satisfaction.ask-letter"
        tell_customer(
            draft, self._pack, route, key, kind="survey", decision=decision, footer="letter.footer", then=then,
            purpose=SURVEY,
        )  # fmt: skip
        draft.tell(events.SurveyAsked(at=draft.now, channel=route.channel))


def _time_of(record: StoredRecord) -> datetime | None:
    """When a timer was due. It fired by the clock of the process that fired it, which may be a moment ahead of this
    one's: its time has come all the same, and it does not come again."""
    time = record.headers.get("ce_time", "")
    return datetime.fromisoformat(time) if time else None


def _close_if_complete(draft: Draft) -> bool:
    """Close a case whose customer has said that this was all, once nothing is missing any more."""
    state = draft.state
    if state.status != model.CLOSING or state.anything_else_answered is None:
        return False
    try:
        draft.do(Close())
    except Refused:
        return False
    return True
