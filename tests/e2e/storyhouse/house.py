"""The house: its doors, its people, its time. Everything goes through doors, desk and commands."""

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp

from adapters.chat.client import ChatClient
from adapters.phone.simulator import Answer, Transcript, Transport, Turn, simulate_call
from adapters.phone.simulator.network import HttpTransport
from bus.clock import SystemClock
from bus.opening_hours import is_open
from storyhouse.desk import Desk
from workers.packs import load

__all__ = ["LINES", "StoryHouse", "next_tuesday"]

LINES = {"de": "+49301234567", "nb": "+4721234567", "en": "+442071234567"}

_SOON_S = 90.0
"""For an answer on a machine that does other things as well; promises of seconds are judged by times, not by this."""


Meanwhile = Callable[[str], Awaitable[object]]


def next_tuesday() -> datetime:
    """Ten in the morning, no holiday until the Monday after: people work, and Friday is some days off."""
    hours = load("shop").policy.service.hours
    now = datetime.now(ZoneInfo(hours.zone))
    day = (now + timedelta(days=(0 - now.weekday()) % 7 + 1)).replace(hour=10, minute=0, second=0, microsecond=0)
    while not all(is_open(hours, day + timedelta(days=later)) for later in (0, 1, 2, 3, 6)):
        day += timedelta(days=7)
    return day


class _Attentive:
    """Requests over real connections, with an ear for what is answered."""

    def __init__(self, transport: Transport, meanwhile: Meanwhile | None) -> None:
        self._transport, self._meanwhile = transport, meanwhile

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        answer = await self._transport.post(url, body, headers)
        if self._meanwhile is not None:
            await self._meanwhile(answer.body.decode())
        return answer


class StoryHouse(ABC):
    """A running house on one of the engines. `ahead` is by how much its clock is ahead of the machine's."""

    url: str
    mailbox: Any

    def __init__(self) -> None:
        self.ahead: timedelta = next_tuesday() - SystemClock().now()
        self._staff: Desk | None = None
        self._desks: dict[str, Desk] = {}

    @property
    def staff(self) -> Desk:
        """The shared desk of the start: a manager."""
        assert self._staff is not None
        return self._staff

    # --- to be given by the engine

    @abstractmethod
    async def open(self) -> None:
        """Start, and sign in at the desk."""

    @abstractmethod
    async def pass_time(self, span: timedelta) -> None:
        """Some days later, all at once; whatever was due meanwhile is due now."""

    @abstractmethod
    async def cli(self, *arguments: str) -> Any:
        """A command beside the running house, as JSON."""

    @abstractmethod
    async def send(self, mail: Any) -> None:
        """A mail through the SMTP door."""

    @abstractmethod
    def drop(self, name: str, data: bytes) -> None:
        """A scan into the drop folder."""

    @abstractmethod
    def letters(self) -> Sequence[Any]:
        """What lies in the letter tray."""

    @property
    @abstractmethod
    def _token(self) -> str:
        """The provider's secret."""

    # --- doors

    def now(self) -> datetime:
        """The house's time."""
        return SystemClock().now() + self.ahead

    def chat(self, language: str) -> ChatClient:
        """A visitor."""
        return ChatClient(self.url, language)

    async def call(
        self, caller: str, turns: Sequence[Turn], language: str, meanwhile: Meanwhile | None = None
    ) -> Transcript:
        """A call with a virtual clock; the provider's rules are kept. `meanwhile` is told each document before the
        caller hears it, and the caller's time stands still until it returns."""
        async with aiohttp.ClientSession() as http:
            call = await simulate_call(
                self.url, caller, LINES[language], turns, clock="virtual", auth_token=self._token, tenant="shop",
                transport=_Attentive(HttpTransport(http), meanwhile),
            )  # fmt: skip
        assert call.problems == [], call.problems
        return call

    async def mails_to(self, address: str, count: int = 1) -> Sequence[Any]:
        """The mails that an address received, once there are `count`."""

        async def enough() -> Any:
            found = self.mailbox.sent_to(address)
            return found if len(found) >= count else None

        return await self.soon(enough, f"{count} mails to {address}")

    async def code_for(self, address: str) -> str:
        """The code in the newest mail to an address."""
        mail = (await self.mails_to(address))[-1]
        found = re.search(r"\b\d{6}\b", mail.text)
        assert found is not None, mail.text
        return found[0]

    # --- people

    async def desk(self, person: str) -> Desk:
        """The desk of somebody who works here."""
        if person not in self._desks:
            link = await self.cli("staff", "link", person, "--url", self.url)
            self._desks[person] = await Desk.sign_in(self.url, link["desk_url"])
        return self._desks[person]

    async def cases(self) -> list[Any]:
        """All cases, whoever has them."""
        return [row for view in ("waiting", "software", "closed") for row in await self.staff.queue(view)]

    async def case_of(self, *words: str) -> str:
        """The id of the case in which the customer said these words; waits for it."""

        async def found() -> str | None:
            for row in sorted(await self.cases(), key=lambda row: row["updated"], reverse=True):
                said = [event.get("text", "") for event in await self.staff.timeline(row["id"], "received")]
                if all(any(word in text for text in said) for word in words):
                    return str(row["id"])
            return None

        return await self.soon(found, f"a case with {words}")

    async def event(self, case: str, kind: str, **fields: Any) -> Any:
        """The first event of a kind with these fields in a case's timeline; waits for it."""

        async def found() -> Any:
            for event in await self.staff.timeline(case, kind):
                if all(event.get(name) == value for name, value in fields.items()):
                    return event
            return None

        return await self.soon(found, f"{kind} {fields} in {case}")

    async def soon(self, probe: Callable[[], Awaitable[Any]], what: str) -> Any:
        """What `probe` returns as soon as it is something."""
        ends = asyncio.get_running_loop().time() + _SOON_S
        while not (found := await probe()):
            assert asyncio.get_running_loop().time() < ends, f"waited {_SOON_S} s in vain for {what}"
            await asyncio.sleep(0.2)
        return found

    # --- beginning and end

    async def settle_in(self, link: str) -> None:
        """Enter who works here."""
        self._staff = await Desk.sign_in(self.url, link)
        for person in (
            {"name": "Mina", "role": "representative", "mail": "mina@shop.example"},
            {"name": "Ole", "role": "representative", "mail": "ole@shop.example"},
            {"name": "Ida", "role": "manager", "mail": "ida@shop.example"},
        ):
            await self.staff.do("staff", **person)

    async def leave(self) -> None:
        """Whatever was told: each timeline alone leads to its snapshot, and the rules agree with what they decided."""
        rebuilt = await self.cli("cases", "rebuild", "--check")
        assert rebuilt["differ"] == []
        compared = await self.cli("cases", "compare", "--since", "2020-01-01", "--until", "2099-01-01")
        assert compared["decisions"] > compared["cases"] > 0
        # A reminder that came late is the machine's doing, which runs other tests too, and no rule's.
        different = [each for each in compared["differences"] if each["kind"] != "hold-warned"]
        assert different == [], different

    async def sign_out(self) -> None:
        """Close every desk."""
        for desk in filter(None, (self._staff, *self._desks.values())):
            await desk.close()
        self._desks.clear()
        self._staff = None
