"""The provider's side of a request: signature, time limits, repetition, and the faults of networks."""

import asyncio
import random
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import msgspec

from adapters.phone.signature import FORM, sign
from adapters.phone.simulator.pace import Pace

__all__ = ["Answer", "Faults", "HttpTransport", "Network", "Transport"]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Status, media type and bytes; status 0: there was none."""

    status: int
    media_type: str = ""
    body: bytes = b""

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """Probabilities per request.

    `duplicate`: it arrives twice at the same time. `lost`: the product answers, the answer never arrives. `unsent`: it
    never reaches the product. `late`: a copy of it arrives again after the next request.
    """

    duplicate: float = 0.0
    lost: float = 0.0
    unsent: float = 0.0
    late: float = 0.0


class Transport(Protocol):
    """Carries one POST."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer; status 0 when there is none."""
        ...


class HttpTransport:
    """Over real connections. `rewrite`: (signed base, base to connect to), for a product behind another address."""

    def __init__(self, session: aiohttp.ClientSession, rewrite: tuple[str, str] | None = None) -> None:
        self._session = session
        self._rewrite = rewrite

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        if self._rewrite and url.startswith(self._rewrite[0]):
            url = self._rewrite[1] + url.removeprefix(self._rewrite[0])
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                return Answer(status=answer.status, media_type=answer.content_type, body=await answer.read())
        except (aiohttp.ClientError, OSError):
            return Answer(status=0)


class Network:
    """Requests as the provider makes them (Twilio, "Webhooks: connection overrides").

    `rt` milliseconds until an answer (15,000), `rc` repetitions (1) of what `rp` names (`ct`: no connection, `rt`: no
    answer in time, `4xx`, `5xx`, `all`; by default `ct` alone). The fragment that says so is not signed.
    """

    def __init__(self, transport: Transport, token: str, *, pace: Pace, faults: Faults, rng: random.Random) -> None:
        self._transport = transport
        self._pace = pace
        self._token = token
        self._faults = faults
        self._rng = rng
        self._late: list[tuple[str, bytes, dict[str, str]]] = []
        self.problems: list[str] = []

    async def request(self, url: str, form: Mapping[str, str]) -> tuple[Answer, int]:
        """The answer of the product after repetitions, and the number of tries."""
        address, _, fragment = url.partition("#")
        overrides = dict(parse_qsl(fragment))
        seconds = int(overrides.get("rt", 15_000)) / 1000
        repeated = frozenset(overrides.get("rp", "ct").split(","))
        body = urlencode(form).encode()
        headers = {"Content-Type": FORM, "X-Twilio-Signature": sign(address, form, self._token)}
        tries = 0
        first: bytes | None = None
        while True:
            tries += 1
            answer, why = await self._try(address, body, headers, seconds)
            if answer.good:
                self._same(first, answer.body, address)
                await self._deliver_late()
                if self._rng.random() < self._faults.late:
                    self._late.append((address, body, headers))
                return answer, tries
            if answer.status == 0 and answer.body:
                first = first or answer.body
            if tries > int(overrides.get("rc", 1)) or not ({why, "all"} & repeated):
                return answer, tries

    async def _try(self, url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> tuple[Answer, str]:
        if self._rng.random() < self._faults.unsent:
            return Answer(status=0), "ct"
        began = self._pace.now()
        try:
            async with asyncio.timeout(seconds):
                answer = await self._post(url, body, headers)
        except TimeoutError:
            return Answer(status=0), "rt"
        if self._rng.random() < self._faults.lost:
            # The product has answered, nobody hears it: the provider waits until its time is over.
            await self._pace.silence(seconds - (self._pace.now() - began))
            return Answer(status=0, body=answer.body), "rt"
        return (answer, "ct") if answer.status == 0 else (answer, f"{answer.status // 100}xx")

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        if self._rng.random() >= self._faults.duplicate:
            return await self._transport.post(url, body, headers)
        answer, twin = await asyncio.gather(
            self._transport.post(url, body, headers), self._transport.post(url, body, headers)
        )
        self._same(answer.body, twin.body, url)
        return answer

    async def _deliver_late(self) -> None:
        late, self._late = self._late, []
        for url, body, headers in late:
            answer = await self._transport.post(url, body, headers)
            if answer.status >= 500:
                self.problems.append(f"a late request to {urlsplit(url).path} was answered {answer.status}")

    def _same(self, first: bytes | None, second: bytes, url: str) -> None:
        if first is not None and first != second:
            self.problems.append(f"a repeated request to {urlsplit(url).path} got another document")
