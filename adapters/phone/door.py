"""Requests of the provider to documents: apply the event, render the current state, whatever goes wrong.

A caller must never hear a dead line because of us. So every failure has words: a bus that takes nothing leads to the
queue, a store that keeps nothing leaves the provider's own steps to go by, and a defect in here is an apology.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import structlog
from msgspec.structs import replace

from adapters.phone.call import Call, Event, Move, Pending, Report, Turn
from adapters.phone.calls import Calls, is_forgettable, is_lost
from adapters.phone.config import PhoneConfig
from adapters.phone.machine import HUNG_UP, Machine
from adapters.phone.normalise import raw_of_turn
from adapters.phone.render import GIVE_UP_STEPS, NOTHING, Renderer
from bus.adapter.contract import Accepted, Refused, RetryLater, SendResult, Services
from bus.adapter.redaction import redact
from bus.clock import from_micros, to_micros
from bus.errors import Overloaded, TransientError
from bus.message import Status

__all__ = ["Door"]

log = structlog.get_logger()

_ATTEMPTS = 12
"""Tries against somebody else saving the same call first: its repetitions and its replies, never more than a few."""

_MORE_REPLIES_S = 0.05
"""A decision may make two replies; the second is sent at once after the first and belongs to the same breath."""

_LOOK_EVERY_S, _LOOKS = 0.06, 25
"""After a hint a held request looks at its call so often: for longer than any hold lasts."""

_SWEEP_BATCH = 200

_MOST_REPORTED = 10_000
"""Reports remembered as sent. More are those that another process has cleared; to send one twice changes nothing."""

_HOUR = 3_600_000_000


class Door:
    """The calls of one tenant."""

    def __init__(
        self, services: Services, config: PhoneConfig, machine: Machine, renderer: Renderer, calls: Calls
    ) -> None:
        self._services = services
        self._config = config
        self._machine = machine
        self._renderer = renderer
        self._calls = calls
        self._held: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._expected: dict[str, asyncio.Future[None]] = {}
        # What was reported already but not yet cleared from the stored call. Forgotten, it is reported twice.
        self._reported: set[str] = set()

    async def answer(self, event: Event, sid: str) -> bytes:
        """The document for a request. Never raises."""
        try:
            call = await self._moved(event, sid)
        except Exception as error:
            # Any exception here would be an error page to the provider, and the end of the call.
            log.error("a request about a call failed", channel="phone", route=event.route, exc_info=error)
            call = None
            if event.route != "status":
                return self._renderer.trouble(event, sid)
        if call is None or event.route == "status":
            return NOTHING
        return self._renderer.document(call, parked=event.parked)

    async def take(self, pending: Pending, sid: str) -> SendResult:
        """Give a call something to say and wake the request that is held for it."""
        for _ in range(_ATTEMPTS):
            call, version = await self._calls.load(sid)
            if call is None:
                return Refused(reason=HUNG_UP)
            taken = self._machine.take(call, pending)
            if isinstance(taken, str):
                return Refused(reason=taken)
            if taken is call or await self._calls.save(taken, version, self._now()):
                for waiter in self._held.get(sid, ()):
                    waiter.set()
                return Accepted(provider_id=f"{sid}/{call.turn}")
        return RetryLater(reason="the call is changing faster than it can be told", after_s=0.5)

    def expect(self, sid: str) -> None:
        """A reply for a call was planned and may be given to it by another process: let requests held here look."""
        if sid in self._held and sid not in self._expected:
            self._expected[sid] = asyncio.ensure_future(self._look_often(sid))

    async def _look_often(self, sid: str) -> None:
        try:
            for _ in range(_LOOKS):
                await asyncio.sleep(_LOOK_EVERY_S)
                if sid not in self._held:
                    return
                for waiter in self._held[sid]:
                    waiter.set()
        finally:
            del self._expected[sid]

    async def sweep(self) -> None:
        """Settle what is owed, end calls that fell silent, forget old ones."""
        now = self._now()
        for sid in await self._calls.due(now, _SWEEP_BATCH):
            try:
                await self._look_after(sid, now)
            except TransientError:
                raise
            except Exception as error:
                # One call that cannot be read or settled must not keep all others from being looked after.
                log.error("a call could not be looked after", channel="phone", exc_info=error)

    async def _look_after(self, sid: str, now: int) -> None:
        call, version = await self._calls.load(sid)
        if call is None:
            return
        if is_forgettable(call, now):
            await self._calls.forget(sid, version)
            return
        cleared = await self._reports_sent(call)
        move = self._machine.lost(cleared, now) if is_lost(call, now) else None
        settled = await self._accepted(move or Move(call=cleared))
        if await self._calls.save(settled, version, now):
            self._reported.difference_update(_ids(call.reports))

    # ---- one request

    async def _moved(self, event: Event, sid: str) -> Call | None:
        """The call after the event, saved where possible."""
        for _ in range(_ATTEMPTS):
            call, version, stored = await self._loaded(sid)
            if not stored and event.parked and event.step >= GIVE_UP_STEPS:
                raise Overloaded("the state of calls has been out of reach for too long")
            flooded = stored and call is None and event.route == "arrive" and await self._flooded(event)
            before = await self._reports_sent(call) if call is not None else None
            move = self._machine.apply(
                before, event, tenant=self._services.tenant, sid=sid, flooded=flooded, away=self._services.bus_away()
            )  # fmt: skip
            if move is None:
                return call if call is None or call.ready else await self._held_answer(sid)
            settled = replace(await self._accepted(move), heard_at=event.at)
            saved = await self._saved(settled, version) if stored else None
            if saved is None:
                if event.route == "recorded" and settled.owed:
                    raise Overloaded("a spoken message can be given to nobody and kept nowhere")
                # Nothing can be kept, so no reply could be taken either: do not make the caller wait for one.
                kept = settled if settled.ready else move.otherwise or settled
                return replace(kept, reason="overloaded") if kept.state == "queue" else kept
            if not saved:
                continue
            self._reported.difference_update(_ids(call.reports) if call is not None else ())
            await self._reports_sent(settled)
            return settled if settled.ready else await self._held_answer(sid)
        raise Overloaded("a call is changing faster than its requests can be answered")

    async def _held_answer(self, sid: str) -> Call:
        """Hold the request until a reply is there or the hold is over. Repetitions wait here together."""
        waiter = asyncio.Event()
        self._held[sid].add(waiter)
        try:
            over = False
            while True:
                call, version = await self._calls.load(sid)
                if call is None:
                    raise Overloaded("the call was forgotten while it was being answered")
                if call.ready:
                    return call
                now = max(self._now(), call.hold_until) if over else self._now()
                move = self._machine.resume(await self._reports_sent(call), now, away=self._services.bus_away())
                if move is not None:
                    settled = await self._accepted(move)
                    if await self._calls.save(settled, version, now):
                        await self._reports_sent(settled)
                        return settled
                    continue
                over = not await _woken(waiter, (call.hold_until - now) / 1_000_000)
        finally:
            self._held[sid].discard(waiter)
            if not self._held[sid]:
                del self._held[sid]

    async def _loaded(self, sid: str) -> tuple[Call | None, int, bool]:
        try:
            return (*await self._calls.load(sid), True)
        except Exception as error:
            log.error("the state of a call cannot be read", channel="phone", reason=type(error).__name__)
            return None, 0, False

    async def _saved(self, call: Call, version: int) -> bool | None:
        """True, False when somebody was first, None when nothing can be saved now."""
        try:
            return await self._calls.save(call, version, self._now())
        except Exception as error:
            log.error("the state of a call cannot be kept", channel="phone", reason=type(error).__name__)
            return None

    async def _flooded(self, event: Event) -> bool:
        caller = event.form.get("From", "")
        if not caller.startswith("+"):
            return False
        calls = await self._calls.calls_from(caller, event.at - _HOUR)
        return calls >= self._config.max_calls_per_number_per_hour

    # ---- towards the bus

    async def _accepted(self, move: Move) -> Call:
        """The call after its turns were given to the bus; what the bus did not take stays owed."""
        owed = [turn for turn in move.call.owed if not await self._gave(turn, move.call, late=True)]
        refused = [turn for turn in move.turns if not await self._gave(turn, move.call)]
        if not refused:
            return replace(move.call, owed=tuple(owed))
        if move.otherwise is None:
            return replace(move.call, owed=(*owed, *(_kept(turn) for turn in refused)))
        # A call-back that was not taken is not promised, so it is not owed either.
        kept = tuple(_kept(turn) for turn in refused if turn.request != "callback")
        return replace(move.otherwise, owed=(*move.otherwise.owed, *kept))

    async def _gave(self, turn: Turn, call: Call, *, late: bool = False) -> bool:
        raw = raw_of_turn(turn, tenant=call.tenant, language=call.language, late=late)
        try:
            await self._services.accept(raw)
        except Exception as error:
            log.warning("the bus took no turn", channel="phone", request=turn.request, reason=type(error).__name__)
            return False
        return True

    async def _reports_sent(self, call: Call) -> Call:
        """Report what became of replies, and the call without these reports (to be saved with its next change)."""
        if not call.reports:
            return call
        if len(self._reported) > _MOST_REPORTED:
            self._reported.clear()
        for report in call.reports:
            if report.reply not in self._reported:
                await self._services.status(self._status(report, call))
                self._reported.add(report.reply)
        return replace(call, reports=())

    def _status(self, report: Report, call: Call) -> Status:
        return Status(
            reply=report.reply, tenant=call.tenant, case=report.case, channel="phone", state=report.state,
            at=from_micros(self._now()), provider_id=f"{call.sid}/{call.turn}",
            permanent=report.state == "failed", reason=report.reason,
        )  # fmt: skip

    def _now(self) -> int:
        return to_micros(self._services.clock.now())


def _ids(reports: Sequence[Report]) -> Sequence[str]:
    return [report.reply for report in reports]


def _kept(turn: Turn) -> Turn:
    """A turn as it may lie in our own table: card numbers hidden, as the bus does with what it takes."""
    if "SpeechResult" not in turn.form:
        return turn
    return replace(turn, form={**turn.form, "SpeechResult": redact(turn.form["SpeechResult"])[0]})


async def _woken(waiter: asyncio.Event, seconds: float) -> bool:
    """Whether a reply came within the time; then with a moment more for its companions."""
    try:
        await asyncio.wait_for(waiter.wait(), max(0.0, seconds))
    except TimeoutError:
        return False
    waiter.clear()
    await asyncio.sleep(_MORE_REPLIES_S)
    return True
