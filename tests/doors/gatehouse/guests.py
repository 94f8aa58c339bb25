"""Customers at the doors: each notes what it was told, and how long that took."""

import asyncio
import contextlib
import smtplib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

import aiohttp
import msgspec

from adapters.chat.client import ChatClient
from adapters.phone.simulator import Say, simulate_call

__all__ = ["Told", "chat", "confirm", "letter", "mail", "phone"]

_POSTMEN = ThreadPoolExecutor(64, "postman")
"""Threads of the guests alone: those of the loop belong to the house, which needs them to answer."""

GERMAN_LINE = "+49301234567"


@dataclass
class Told:
    """What guests were told: `yes` holds what identifies each contact in the contact itself, in the order of yes."""

    yes: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    waits: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    no: list[str] = field(default_factory=list[str])

    def took(self, channel: str, seconds: float) -> None:
        self.waits.setdefault(channel, []).append(seconds)

    def said_yes(self, channel: str, mark: str) -> None:
        self.yes.setdefault(channel, []).append(mark)

    @property
    def count(self) -> int:
        return sum(len(marks) for marks in self.yes.values())

    def worst(self, channel: str) -> float:
        return max(self.waits.get(channel, [0.0]))

    def share(self, channel: str, of: float) -> float:
        """The wait that this share of guests did not exceed."""
        waits = sorted(self.waits.get(channel, [0.0]))
        return waits[min(len(waits) - 1, int(len(waits) * of))]


async def mail(house: Any, mark: str, told: Told) -> int:
    """One mail through SMTP; the code of the answer to it."""
    message = EmailMessage()
    message["From"] = f"Kunde <{mark}@kunde.example>"
    message["To"] = "hilfe@shop.example"
    message["Subject"] = f"Frage {mark}"
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{mark}@kunde.example>"
    message.set_content(f"Guten Tag, wann haben Sie geöffnet? {mark}\n")

    def send() -> tuple[int, bytes, float]:
        with smtplib.SMTP("127.0.0.1", house.smtp, timeout=60) as server:
            server.ehlo()
            server.mail(f"{mark}@kunde.example")
            server.rcpt("hilfe@shop.example")
            began = time.monotonic()
            code, text = server.data(message.as_bytes())
            return code, text, time.monotonic() - began

    code, text, seconds = await asyncio.get_running_loop().run_in_executor(_POSTMEN, send)
    told.took("email", seconds)
    if code == 250:
        told.said_yes("email", f"Frage {mark}")
    else:
        told.no.append(f"{code} {text.decode()}")
    return code


async def chat(house: Any, mark: str, told: Told, *, messages: int = 3) -> None:
    """A visitor says several things, one after the other, each after the last was `sent`."""
    async with ChatClient(house.url, "de") as visitor:
        for number in range(messages):
            text = f"{mark}/{number}"
            began = time.monotonic()
            await visitor.tell(text, timeout_s=60)
            told.took("chat", time.monotonic() - began)
            told.said_yes("chat", text)


async def phone(house: Any, mark: str, told: Told, **more: Any) -> Any:
    """A caller says one thing; the call, whose every document was timed."""

    class Timed:
        def __init__(self, http: aiohttp.ClientSession) -> None:
            self._http = http

        async def post(self, url: str, body: bytes, headers: Any) -> Any:
            from adapters.phone.simulator import Answer

            began = time.monotonic()
            async with self._http.post(url, data=body, headers=dict(headers)) as response:
                answer = Answer(status=response.status, media_type=response.content_type, body=await response.read())
            told.took("phone", time.monotonic() - began)
            return answer

    async with aiohttp.ClientSession() as http:
        call = await simulate_call(
            house.url, "+4930" + str(abs(hash(mark)) % 10**8).zfill(8), GERMAN_LINE, [Say(f"Frage {mark}")],
            auth_token=house.twilio_token, transport=Timed(http), **more,
        )  # fmt: skip
    if call.said:
        told.said_yes("phone", f"Frage {mark}")
    return call


async def letter(house: Any, name: str, scan: bytes, told: Told, *, patience_s: float = 60.0) -> bool:
    """A scan into the drop folder; whether it was taken within the patience."""
    began = time.monotonic()
    folder = house.drop_folder
    (folder / f".{name}.part").write_bytes(scan)
    (folder / f".{name}.part").rename(folder / name)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            while (folder / name).exists():
                await asyncio.sleep(0.05)
        told.took("post", time.monotonic() - began)
        told.said_yes("post", name)
        return True
    return False


async def confirm(house: Any, mark: str, told: Told, *, language: str = "de") -> tuple[int, str]:
    """A press on the button of a confirmation page; status and page."""
    token = house.core.signer.token("confirm", "shop", mark)
    began = time.monotonic()
    async with (
        aiohttp.ClientSession(headers={"Accept-Language": language}) as http,
        http.post(f"{house.url}/confirm/{token}") as response,
    ):
        page = await response.text()
    told.took("link", time.monotonic() - began)
    if response.status == 200:
        told.said_yes("link", mark)
    return response.status, page


def frame(data: Any) -> dict[str, Any]:
    """A frame of the chat protocol as a table."""
    return msgspec.json.decode(data)
