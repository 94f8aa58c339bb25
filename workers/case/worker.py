"""The case's own worker: what became of replies, and what time brings about."""

from collections.abc import Sequence
from datetime import timedelta

from bus.clock import Clock
from bus.delivery.outcome import NOTHING, Outcome
from bus.delivery.reported import reported
from bus.log.port import StoredRecord
from bus.log.topics import CASE_TIMER, LIVE_CHANNELS, REPLY_STATUS
from bus.message import Reply, Status, decode
from bus.store.port import Store
from bus.telemetry import Metrics
from workers.case import events, model
from workers.case.changes import Draft, load_case, load_cases, reply_id
from workers.case.hold import end, has_left, next_step, words_of
from workers.case.model import PERSON_PROMISE, CaseState
from workers.case.rules import Close, HandOver, Refused, Track
from workers.case.work import CaseTimer
from workers.packs import Pack
from workers.records.money import format_date

__all__ = ["CaseWorker"]

_SAYS_GOODBYE = frozenset({"email"})
"""Channels on which the end of the notice is told: it costs nothing there and one reads it when one likes."""


class CaseWorker:
    """Group `case`."""

    group = "case"
    topics: Sequence[str] = (REPLY_STATUS, CASE_TIMER)

    def __init__(self, *, store: Store, clock: Clock, pack: Pack, metrics: Metrics | None = None) -> None:
        self._store = store
        self._metrics = metrics
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
            _track(draft, status)
            _close_if_complete(draft)
            draft.writes.extend(learnt)
        else:
            timer = decode(record.value, CaseTimer)
            draft = await self._draft(timer.tenant, timer.case)
            if draft is not None:
                self._timer(draft, timer)
        return NOTHING if draft is None or not (draft.events or draft.writes) else draft.outcome()

    async def _draft(self, tenant: str, case_id: str) -> Draft | None:
        state = self._cache.pop((tenant, case_id), None) or await load_case(self._store, tenant, case_id)
        # A reply without a case (a campaign's letter nobody answered) has no timeline to keep.
        return None if state is None else Draft(state, self._clock.now())

    def _timer(self, draft: Draft, timer: CaseTimer) -> None:
        if timer.kind == "closing-notice":
            self._notice_ran_out(draft, timer.detail)
        elif timer.kind == "reminder":
            self._question_ran_out(draft, timer.detail)
        elif timer.kind == "promise":
            _promise_is_due(draft, timer.detail)
        elif timer.kind == "hold":
            self._hold_goes_on(draft, timer.detail)

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
        promised = next((p.until for p in state.open_promises() if p.id == PERSON_PROMISE), None)
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

    def _notice_ran_out(self, draft: Draft, asked_at: str) -> None:
        state = draft.state
        asked = state.anything_else_asked
        # Asked anew since, answered, or in people's hands: this notice means nothing any more.
        if asked is None or asked.isoformat() != asked_at or state.anything_else_answered is not None:
            return
        if state.with_person or state.status == model.CLOSED:
            return
        draft.tell(events.AnythingElseAnswered(at=draft.now, answer="notice"))
        if not _close_if_complete(draft):
            # Something is still open (an answer that never arrived): then it is a person's, not a forgotten case.
            draft.do(HandOver(reason="could not be closed", until=draft.now + _SOON))
            return
        self._say_goodbye(draft, "closing.notice", asked_at)

    def _question_ran_out(self, draft: Draft, asked_at: str) -> None:
        """Nobody answered our question. The case closes and opens again with the first word; a letter gets a person."""
        state = draft.state
        pending = state.pending
        if pending is None or pending.asked_at.isoformat() != asked_at or pending.kind == "anything-else":
            return
        if state.with_person or state.status == model.CLOSED:
            return
        if state.channel == "post":
            draft.do(HandOver(reason="no answer to our letter", until=draft.now + _SOON))
            return
        draft.tell(events.OutcomeChosen(at=draft.now, outcome="unanswered"))
        draft.tell(events.AnythingElseAsked(at=draft.now, channel=state.channel))
        draft.tell(events.AnythingElseAnswered(at=draft.now, answer="notice"))
        if not _close_if_complete(draft):
            draft.do(HandOver(reason="could not be closed", until=draft.now + _SOON))
            return
        self._say_goodbye(draft, "closing.unanswered", asked_at)

    def _say_goodbye(self, draft: Draft, key: str, asked_at: str) -> None:
        state = draft.state
        route = state.route()
        if route is None or route.channel in LIVE_CHANNELS or route.channel not in _SAYS_GOODBYE:
            return
        language = self._pack.language(state.language)
        company = self._pack.company(language)
        greeting = "letter.greeting.named" if route.address.name else "letter.greeting.plain"
        text = "\n\n".join(
            (
                self._pack.phrase(language, greeting, company=company, name=route.address.name),
                self._pack.phrase(language, key, company=company, number=state.number),
                self._pack.phrase(language, "letter.footer", company=company, number=state.number),
            )
        )
        subject = route.subject if route.subject.startswith("Re: ") else f"Re: {route.subject}"
        draft.reply(
            Reply(
                id=reply_id(state, f"closing {asked_at}", route.channel, route.address.address),
                tenant=state.tenant, case=state.id, channel=route.channel, account=route.account, to=route.address,
                text=text, language=language, kind="goodbye", conversation=route.conversation,
                in_reply_to=route.in_reply_to, references=route.references, subject=subject,
                case_number=state.number,
            )
        )  # fmt: skip


_SOON = timedelta(hours=4)
"""Half a working day, as for an answer that could not be delivered."""


def _track(draft: Draft, status: Status) -> None:
    draft.do(
        Track(
            progress=events.ReplyProgress(
                at=draft.now, actor=status.channel, reply=status.reply, channel=status.channel, state=status.state,
                permanent=status.permanent, reason=status.reason,
            )
        )
    )  # fmt: skip


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


def _promise_is_due(draft: Draft, promise_id: str) -> None:
    """A promise is due and open: it goes to the top of the desk's queue, whoever made it."""
    promise = next((p for p in draft.state.open_promises() if p.id == promise_id), None)
    if promise is None or promise.until > draft.now:
        return
    draft.tell(events.PromiseDue(at=draft.now, id=promise.id, what=promise.what))
    if not draft.state.with_person:
        draft.do(HandOver(reason="promise due", until=promise.until, what=promise.what))
