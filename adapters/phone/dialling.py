"""Call-backs: the representative's telephone first, then the customer's, and what became of it.

A try is a reply of kind `callback` with a row here, written before the provider is asked. When the same reply is to be
sent again (a process died, an answer was lost), the row says that it may have rung: then it is in doubt, and a person
decides. The provider's requests carry the reply in their signed address; each moves the row once, whatever is repeated.

    dialling -> ringing -> connecting (the representative pressed 1) -> picked-up -> over

What picks up may be a mailbox, and no machine knows for sure: detecting one takes seconds of silence and errs. The
representative has heard it, so the representative says it: `*` ends the customer's leg, then `1` or `2` tells whether
they talked. Who hangs up instead is asked at the desk.
"""

import structlog

from adapters.phone.config import PhoneConfig
from adapters.phone.dial_schema import ADD_DIAL, DROP_DIAL, FORGET_DIALS, LOAD_DIAL, MOVE_DIAL
from adapters.phone.languages import LANGUAGES
from adapters.phone.phrases import load_phrases
from adapters.phone.provider import Provider
from adapters.phone.render import OVERRIDE, Renderer
from bus.adapter.contract import Accepted, Refused, RetryLater, SendResult, Services, Unknown
from bus.clock import to_micros
from bus.delivery.outcome import Outcome, Write
from bus.errors import TransientError
from bus.message import Reply, Status
from bus.store.port import Effect, Row

__all__ = ["STEPS", "Dialling"]

log = structlog.get_logger()

STEPS = ("answered", "key", "leg", "done", "said", "status")
"""Parts of the provider's addresses: the representative answered, pressed a key; the customer's telephone was picked
up; that leg is over; the representative said whether they talked; the representative's leg is over."""

_TALKED, _NOBODY = "1", "2"

_UNSAID = "unsaid"
"""It was picked up, and whether they talked is still to be said."""

_KEPT = 30 * 86_400_000_000
"""A try is known for 30 days: longer than any reply is tried."""

_BEFORE = {"ringing": ("dialling",), "connecting": ("dialling", "ringing"), "picked-up": ("connecting",),
           "over": ("dialling", "ringing", "connecting", "picked-up")}  # fmt: skip


class Dialling:
    """The call-backs of one tenant."""

    def __init__(
        self, services: Services, config: PhoneConfig, renderer: Renderer, base: str, provider: Provider | None
    ) -> None:
        """`base` is the public address of the channel; without a `provider` nothing is dialled by itself."""
        self._services, self._config, self._renderer, self._base = services, config, renderer, base
        self._provider = provider

    async def dial(self, reply: Reply) -> SendResult:
        """Ring the representative. A reply that was begun before is in doubt, or known to have been taken."""
        if self._provider is None:
            return Refused(reason="no account to call out with is configured")
        try:
            row = await self._load(reply.id)
            if row is not None:
                known = Accepted(provider_id=row["call_sid"])
                return known if row["call_sid"] else Unknown(reason="an earlier attempt was cut off")
            line = self._line(reply)
            if not await self._add(reply, line):
                return Unknown(reason="another process is dialling it")
        except TransientError as error:
            log.warning("a call-back could not be begun", reply=reply.id, reason=type(error).__name__)
            return RetryLater(reason="the state of calls is out of reach", after_s=5.0)
        override = f"#{OVERRIDE}"
        result = await self._provider.call(
            to=reply.via, line=line, document_url=self._url(reply.id, "answered") + override,
            status_url=self._url(reply.id, "status") + override,
        )  # fmt: skip
        if isinstance(result, Accepted):
            await self._move(reply.id, "ringing", sid=result.provider_id)
        elif not isinstance(result, Unknown):
            # Certainly not rung: nothing to remember.
            await self._write(Write(statement=DROP_DIAL, params=self._this(reply.id)))
        return result

    async def answer(self, reply: str, step: str, form: dict[str, str]) -> bytes:
        """The document for a request of the provider. A request about a try that is over changes nothing."""
        row = await self._load(reply)
        if row is None:
            return self._renderer.hung_up()
        match step:
            case "answered":
                return self._renderer.bridge_asks(row["language"], row["number"], self._url(reply, "key"))
            case "key":
                return await self._key(row, form.get("Digits", ""))
            case "leg":
                await self._move(reply, "picked-up")
                return self._renderer.hung_up()
            case "done":
                if row["state"] != "picked-up" and form.get("DialCallStatus") not in ("completed", "answered"):
                    return await self._missed(row)
                await self._move(reply, "picked-up")
                return self._renderer.bridge_ends(row["language"], self._url(reply, "said"))
            case "said":
                return await self._said(row, form.get("Digits", ""))
            case _:
                told = ("delivered", _UNSAID) if row["state"] == "picked-up" else ("failed", "representative")
                await self._end(row, *told)
                return self._renderer.hung_up()

    async def _said(self, row: Row, digits: str) -> bytes:
        if digits == _NOBODY:
            return await self._missed(row)
        if digits == _TALKED:
            await self._end(row, "delivered", "")
        # Anything else says nothing: with the end of the call it is asked at the desk.
        return self._renderer.hung_up()

    async def _missed(self, row: Row) -> bytes:
        await self._end(row, "failed", "customer")
        return self._renderer.hung_up(row["language"], load_phrases()[row["language"]].bridge_missed)

    async def _key(self, row: Row, digits: str) -> bytes:
        if digits != "1" or row["state"] in ("picked-up", "over"):
            return self._renderer.hung_up()
        # A repeated request finds it connecting already and hears the same again.
        await self._move(row["reply"], "connecting")
        reply = row["reply"]
        return self._renderer.bridge_dials(
            row["language"], row["line"], row["customer"], done=self._url(reply, "done"), leg=self._url(reply, "leg")
        )

    async def _end(self, row: Row, state: str, reason: str) -> None:
        """Report once; first the report, then the row: a crash in between reports the same again."""
        if row["state"] == "over":
            return
        status = Status(
            reply=row["reply"], tenant=self._services.tenant, case=row["case_id"], channel="phone",
            state=state, at=self._services.clock.now(), provider_id=row["call_sid"], permanent=state == "failed",
            reason=reason,
        )  # fmt: skip
        await self._services.status(status)
        await self._move(row["reply"], "over")

    def _line(self, reply: Reply) -> str:
        numbers = self._config.numbers
        if reply.account in numbers:
            return reply.account
        return next((number for number, language in numbers.items() if language == reply.language), next(iter(numbers)))

    def _url(self, reply: str, step: str) -> str:
        return f"{self._base}/bridge/{reply}/{step}"

    def _this(self, reply: str) -> dict[str, str]:
        return {"b_tenant": self._services.tenant, "b_reply": reply}

    async def _load(self, reply: str) -> Row | None:
        return await self._services.store.one(LOAD_DIAL, self._this(reply))

    async def _add(self, reply: Reply, line: str) -> bool:
        now = to_micros(self._services.clock.now())
        language = reply.language if reply.language in LANGUAGES else self._config.default_language
        values = {
            "tenant": self._services.tenant, "reply": reply.id, "case_id": reply.case, "state": "dialling",
            "call_sid": "", "line": line, "customer": reply.to.address, "language": language,
            "number": reply.case_number, "at": now,
        }  # fmt: skip
        old = {"b_tenant": self._services.tenant, "b_before": now - _KEPT}
        add, forget = Write(statement=ADD_DIAL, params=values, expect=1), Write(statement=FORGET_DIALS, params=old)
        return await self._write(add, forget)

    async def _move(self, reply: str, state: str, *, sid: str = "") -> None:
        this = {**self._this(reply), "b_state": state, "b_sid": sid}
        # From the latest state before it to the earliest, so that one change is not followed by another.
        moves = [Write(statement=MOVE_DIAL, params={**this, "b_from": before}) for before in _BEFORE[state]]
        await self._write(*moves)

    async def _write(self, *writes: Write) -> bool:
        (result,) = await self._services.store.apply([Effect(outcome=Outcome(writes=writes))])
        return result.applied
