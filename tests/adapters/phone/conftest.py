"""A phone adapter between a simulated Twilio and scripted workers, with real, fake or virtual time."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.phone.adapter import PhoneAdapter
from adapters.phone.call import Call
from adapters.phone.calls import Calls, due_of
from adapters.phone.config import PhoneConfig
from adapters.phone.normalise import normalise
from adapters.phone.simulator import Answer, Transcript, Turn, simulate_call
from bus.adapter.contract import Acceptance, Raw, Refused, Services
from bus.adapter.tokens import Signer
from bus.clock import Clock
from bus.message import Contact, Reply, Status, decode, derive_id, encode
from bus.opening_hours import OpeningHours
from bus.store.blobs import Blobs

TOKEN = "0123456789abcdef0123456789abcdef"
BASE = "https://phone.shop.example"
GERMAN = "+49301234567"
NORWEGIAN = "+4721234567"
ENGLISH = "+442071234567"
JONAS = "+49305550144"


class MemoryCalls(Calls):
    """The table of calls without a disk, with the same versions and the same encoding."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, bytes, int]] = {}

    async def load(self, sid: str) -> tuple[Call | None, int]:
        await asyncio.sleep(0)
        row = self.rows.get(sid)
        return (None, 0) if row is None else (decode(row[1], Call), row[0])

    async def save(self, call: Call, version: int, now: int) -> bool:
        await asyncio.sleep(0)
        if self.rows.get(call.sid, (0,))[0] != version:
            return False
        self.rows[call.sid] = (version + 1, encode(call), due_of(call, now))
        return True

    async def calls_from(self, caller: str, since: int) -> int:
        wanted = f'"caller":"{caller}"'.encode()
        calls = [decode(body, Call) for _, body, _ in self.rows.values() if wanted in body]
        return sum(call.began_at >= since for call in calls)

    async def due(self, now: int, limit: int) -> Sequence[str]:
        return [sid for sid, (_, _, due) in self.rows.items() if due <= now][:limit]

    async def forget(self, sid: str, version: int) -> None:
        if self.rows.get(sid, (0,))[0] == version:
            del self.rows[sid]


class LoopClock:
    """The time of the running loop, be it real or virtual."""

    start = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting, time jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes only when nothing is left to do: hours of calls in seconds, always in one order."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


Answers = Callable[[Contact], Sequence[dict[str, Any]]]


def agreeable(contact: Contact) -> Sequence[dict[str, Any]]:
    """Workers that answer every word, and hand over who asks for a person."""
    if contact.native.get("request") == "person":
        return [{"text": "Ich hole jemanden dazu.", "handover": True, "kind": "hold"}]
    if contact.native.get("request"):
        return []
    if "danke" in contact.text.lower():
        return [{"text": "Gern geschehen. Auf Wiederhören.", "kind": "goodbye"}]
    return [{"text": f"Verstanden: {contact.text}. Sonst noch etwas?", "listen": True}]


@dataclass
class Workers:
    """The bus behind the adapter: accepts, answers after `delay_s`, remembers everything."""

    adapter: PhoneAdapter = field(init=False)
    answers: Answers = agreeable
    delay_s: Callable[[Contact], float | None] = lambda contact: 0.05
    """Seconds until the answer of a contact; None: silence."""
    refuses: Callable[[Raw], Exception | None] = lambda raw: None
    contacts: list[Contact] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    config: PhoneConfig = field(default_factory=PhoneConfig)
    _ids: set[str] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def accept(self, raw: Raw) -> Acceptance:
        await asyncio.sleep(0)
        problem = self.refuses(raw)
        if problem is not None:
            raise problem
        contact = normalise(raw, self.config).contact
        if contact.id in self._ids:
            return Acceptance(contact=contact.id, duplicate=True)
        self._ids.add(contact.id)
        self.contacts.append(contact)
        delay = self.delay_s(contact)
        if delay is not None:
            task = asyncio.get_running_loop().create_task(self._work(contact, delay))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return Acceptance(contact=contact.id)

    async def status(self, status: Status) -> None:
        self.statuses.append(status)

    async def _work(self, contact: Contact, delay: float) -> None:
        await asyncio.sleep(delay)
        for number, answer in enumerate(self.answers(contact)):
            await self.send(contact, number=str(number), **answer)

    async def send(self, contact: Contact, *, number: str = "0", **changes: Any) -> Any:
        values: dict[str, Any] = {
            "id": derive_id("r", contact.id, number),
            "tenant": "shop",
            "case": f"k-{contact.conversation}",
            "channel": "phone",
            "account": contact.account,
            "to": contact.sender,
            "text": "",
            "language": contact.language,
            "conversation": contact.conversation,
        }
        reply = Reply(**(values | changes))
        result = await self.adapter.send(reply, 1)
        if isinstance(result, Refused):
            self.refused.append(result)
        return result

    def requests(self) -> list[str]:
        """What the contacts asked for, in order; words as "said"."""
        return [contact.native.get("request") or "said" for contact in self.contacts]


class DirectTransport:
    """Requests handed to the adapter without a server between."""

    def __init__(self, adapter: PhoneAdapter, base: str = BASE) -> None:
        self._adapter = adapter
        self._base = base
        self.posts = 0

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        self.posts += 1
        status, answer = await self._adapter.handle(
            url.removeprefix(self._base),
            body,
            signature=headers["X-Twilio-Signature"],
            content_type=headers["Content-Type"],
        )
        return Answer(status=status, media_type="text/xml", body=answer)


def build(
    folder: Path,
    *,
    clock: Clock,
    calls: Calls | None = None,
    store: Any = None,
    config: PhoneConfig | None = None,
    workers: Workers | None = None,
    public_url: str = BASE,
    company: Any = "Nordlicht Handel",
    away: bool = False,
    follow: Any = None,
    hours: OpeningHours | None = None,
) -> tuple[PhoneAdapter, Workers]:
    """An adapter wired to scripted workers."""
    tokens = folder / "tokens"
    tokens.write_text(TOKEN + "\n")
    workers = workers or Workers()
    config = config or PhoneConfig()
    config = PhoneConfig(
        **{**{name: getattr(config, name) for name in config.__struct_fields__}, "auth_token_file": str(tokens)}
    )
    workers.config = config
    services = Services(
        clock=clock,
        store=store,
        blobs=Blobs(folder / "blobs"),
        signer=Signer(b"x" * 16),
        data_dir=folder,
        public_url=public_url,
        tenant="shop",
        accept=workers.accept,
        status=workers.status,
        background=lambda name, task: None,
        bus_away=lambda: away,
        follow=follow,
        hours=hours,
        options={"company": company},
    )
    adapter = PhoneAdapter(config, services, calls)
    workers.adapter = adapter
    return adapter, workers


def play(
    folder: Path,
    turns: Sequence[Turn],
    *,
    to: str = GERMAN,
    caller: str = JONAS,
    calls: Any = None,
    meanwhile: Callable[[Workers], Awaitable[None]] | None = None,
    config: PhoneConfig | None = None,
    company: Any = "Nordlicht Handel",
    hours: OpeningHours | None = None,
    **workers: Any,
) -> tuple[Transcript, Workers]:
    """One call on virtual time. `meanwhile(workers)` runs beside it."""
    team = Workers(**workers)

    async def run() -> Transcript:
        table = calls or MemoryCalls()
        adapter, _ = build(
            folder, clock=LoopClock(), calls=table, workers=team, config=config, company=company, hours=hours
        )
        beside = asyncio.ensure_future(meanwhile(team)) if meanwhile else None
        transcript = await simulate_call(
            BASE, caller, to, turns, auth_token=TOKEN, clock="real", transport=DirectTransport(adapter), seed=1
        )
        if beside is not None:
            await beside
        return transcript

    transcript = _run(run())
    assert transcript.problems == []
    return transcript, team


def says(transcript: Transcript) -> list[str]:
    """What the caller heard."""
    return [heard.say for heard in transcript.heard]


@pytest.fixture
def phone() -> Any:
    """Everything above, for test modules (which cannot import this file)."""
    return SimpleNamespace(
        build=build,
        Workers=Workers,
        MemoryCalls=MemoryCalls,
        LoopClock=LoopClock,
        VirtualLoop=VirtualLoop,
        DirectTransport=DirectTransport,
        agreeable=agreeable,
        TOKEN=TOKEN,
        BASE=BASE,
        GERMAN=GERMAN,
        NORWEGIAN=NORWEGIAN,
        ENGLISH=ENGLISH,
        JONAS=JONAS,
        play=play,
        says=says,
        run=_run,
    )


def _run(main: Awaitable[Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
