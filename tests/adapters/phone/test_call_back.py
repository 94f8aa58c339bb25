"""A call-back against a double of the provider: the representative first, and nothing rings twice in doubt."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import pytest
from aiohttp import web
from twilio.rest import Client

from adapters.phone.config import PhoneConfig
from adapters.phone.signature import FORM, sign
from adapters.phone.simulator import problems_of
from bus.adapter.contract import Accepted, Refused, RetryLater, Unknown
from bus.message import Party, Reply

ACCOUNT = "AC" + "0" * 32
CALL = "CA" + "b" * 32
MINA, JONAS = "+493012345", "+49305550144"


class Double:
    """The provider's interface for calls, as far as it is used; `answers` is how it behaves next."""

    def __init__(self, token: str) -> None:
        self.token, self.calls, self.answers = token, list[dict[str, str]](), "created"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        named = base64.b64encode(f"{ACCOUNT}:{self.token}".encode()).decode()
        assert request.headers["Authorization"] == f"Basic {named}"
        assert request.path == f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
        self.calls.append({name: str(value) for name, value in (await request.post()).items()})
        if self.answers == "lost":
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        status = {"created": 201, "busy": 429, "broken": 500, "wrong": 400}[self.answers]
        return web.json_response({"sid": CALL} if status == 201 else {}, status=status)


@asynccontextmanager
async def a_line(phone: Any, engine: Any, clock: Any, folder: Path) -> AsyncIterator[SimpleNamespace]:
    double = Double(phone.TOKEN)
    app = web.Application()
    app.router.add_post("/{rest:.*}", double.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    config = PhoneConfig(account_sid=ACCOUNT, api_url=f"http://127.0.0.1:{port}", auth_token_file="given below")
    adapter, workers = phone.build(folder, clock=clock, store=engine, config=config)

    async def post(url: str, **form: str) -> bytes:
        path = urlsplit(url)._replace(fragment="").geturl().removeprefix(phone.BASE)
        status, answer = await adapter.handle(
            path, urlencode(form).encode(), signature=sign(phone.BASE + path, form, phone.TOKEN), content_type=FORM
        )
        assert status == 200
        assert problems_of(answer) == []
        return answer

    yield SimpleNamespace(double=double, adapter=adapter, workers=workers, post=post)
    await runner.cleanup()


@pytest.fixture
def reply(phone: Any) -> Reply:
    return Reply(
        id="r-call-1", tenant="shop", case="k-1", channel="phone", account=phone.GERMAN, text="",
        to=Party(kind="phone", address=JONAS), via=MINA, kind="callback", language="de", case_number="2611 0001",
    )  # fmt: skip


def address(document: bytes, verb: str, attribute: str = "action") -> str:
    found = ElementTree.fromstring(document).find(f".//{verb}")
    assert found is not None
    return found.attrib[attribute]


async def test_first_the_representative_then_the_customer(
    phone: Any, engine: Any, clock: Any, tmp_path: Path, reply: Reply
) -> None:
    async with a_line(phone, engine, clock, tmp_path) as line:
        assert await line.adapter.send(reply, 1) == Accepted(provider_id=CALL)
        (asked,) = line.double.calls
        assert (asked["To"], asked["From"], asked["Timeout"]) == (MINA, phone.GERMAN, "20")
        brief = await line.post(asked["Url"], CallSid=CALL)
        assert JONAS.encode() not in brief
        key = address(brief, "Gather")
        connecting = await line.post(key, CallSid=CALL, Digits="1")
        assert await line.post(key, CallSid=CALL, Digits="1") == connecting
        dialled = ElementTree.fromstring(connecting).find("Dial/Number")
        assert dialled is not None
        assert dialled.text == JONAS
        assert address(connecting, "Dial", "callerId") == phone.GERMAN
        await line.post(address(connecting, "Number", "statusCallback"), CallSid="CA" + "c" * 32)
        assert address(connecting, "Dial", "hangupOnStar") == "true"
        ends = await line.post(address(connecting, "Dial"), CallSid=CALL, DialCallStatus="completed")
        assert line.workers.statuses == []
        await line.post(address(ends, "Gather"), CallSid=CALL, Digits="1")
        await line.post(asked["StatusCallback"], CallSid=CALL, CallStatus="completed")
        (told,) = line.workers.statuses
        assert (told.reply, told.case, told.state, told.reason) == (reply.id, "k-1", "delivered", "")


@pytest.mark.parametrize(
    ("digits", "dial_status", "told"),
    [
        ("1", "no-answer", "customer"),
        ("1", "busy", "customer"),
        ("", "", "representative"),
        ("1", "", "representative"),
    ],
)
async def test_who_did_not_pick_up_is_told(
    phone: Any, engine: Any, clock: Any, tmp_path: Path, reply: Reply, digits: str, dial_status: str, told: str
) -> None:
    async with a_line(phone, engine, clock, tmp_path) as line:
        await line.adapter.send(reply, 1)
        (asked,) = line.double.calls
        document = await line.post(address(await line.post(asked["Url"], CallSid=CALL), "Gather"), Digits=digits)
        if dial_status:
            await line.post(address(document, "Dial"), CallSid=CALL, DialCallStatus=dial_status)
        else:
            assert (b"<Dial" in document) == (digits == "1")
        for _ in range(2):
            await line.post(asked["StatusCallback"], CallSid=CALL, CallStatus="completed")
        (status,) = line.workers.statuses
        assert (status.state, status.permanent, status.reason) == ("failed", True, told)
        late = await line.post(address(await line.post(asked["Url"], CallSid=CALL), "Gather"), Digits="1")
        assert b"<Dial" not in late


@pytest.mark.parametrize(
    ("digits", "told"),
    [("2", ("failed", True, "customer")), ("", ("delivered", False, "unsaid")), ("9", ("delivered", False, "unsaid"))],
)
async def test_a_mailbox_that_picks_up_is_no_talk(
    phone: Any, engine: Any, clock: Any, tmp_path: Path, reply: Reply, digits: str, told: tuple[str, bool, str]
) -> None:
    """The provider says `completed` of a mailbox, too: only the representative knows, and says so or is asked."""
    async with a_line(phone, engine, clock, tmp_path) as line:
        await line.adapter.send(reply, 1)
        (asked,) = line.double.calls
        document = await line.post(address(await line.post(asked["Url"], CallSid=CALL), "Gather"), Digits="1")
        await line.post(address(document, "Number", "statusCallback"), CallSid="CA" + "c" * 32)
        ends = await line.post(address(document, "Dial"), CallSid=CALL, DialCallStatus="completed")
        said = address(ends, "Gather")
        for _ in range(2):
            await line.post(said, CallSid=CALL, Digits=digits)
            await line.post(asked["StatusCallback"], CallSid=CALL, CallStatus="completed")
        (status,) = line.workers.statuses
        assert (status.state, status.permanent, status.reason) == told


@pytest.mark.parametrize(
    ("answers", "kind", "rings_again"),
    [("lost", Unknown, False), ("broken", Unknown, False), ("busy", RetryLater, True), ("wrong", Refused, True)],
)
async def test_in_doubt_it_is_never_rung_again(
    phone: Any, engine: Any, clock: Any, tmp_path: Path, reply: Reply, answers: str, kind: type, rings_again: bool
) -> None:
    async with a_line(phone, engine, clock, tmp_path) as line:
        line.double.answers = answers
        assert isinstance(await line.adapter.send(reply, 1), kind)
        line.double.answers = "created"
        again = await line.adapter.send(reply, 2)
        assert isinstance(again, Accepted if rings_again else Unknown)
        assert len(line.double.calls) == (2 if rings_again else 1)


async def test_the_same_try_sent_by_two_processes_rings_once(
    phone: Any, engine: Any, clock: Any, tmp_path: Path, reply: Reply
) -> None:
    async with a_line(phone, engine, clock, tmp_path) as line:
        await asyncio.gather(*(line.adapter.send(reply, number) for number in range(4)))
        assert len(line.double.calls) == 1
        assert await line.adapter.send(reply, 5) == Accepted(provider_id=CALL)


async def test_without_an_account_nothing_is_dialled(
    phone: Any, engine: Any, clock: Any, tmp_path: Path, reply: Any
) -> None:
    adapter, _ = phone.build(tmp_path, clock=clock, store=engine)
    assert isinstance(await adapter.send(reply, 1), Refused)


async def test_the_request_is_the_one_that_the_providers_library_makes(
    phone: Any, engine: Any, clock: Any, tmp_path: Path, reply: Reply
) -> None:
    made: list[Any] = []

    class Capture:
        def request(self, method: str, url: str, **given: Any) -> Any:
            made.append((method, urlsplit(url).path, given["data"]))
            return SimpleNamespace(status_code=201, text='{"sid": "x"}', headers={})

    async with a_line(phone, engine, clock, tmp_path) as line:
        await line.adapter.send(reply, 1)
        (asked,) = line.double.calls
    Client(ACCOUNT, phone.TOKEN, http_client=Capture()).calls.create(  # pyright: ignore[reportArgumentType]
        to=asked["To"], from_=asked["From"], url=asked["Url"], method="POST", timeout=20,
        status_callback=asked["StatusCallback"], status_callback_method="POST", status_callback_event=["completed"],
    )  # fmt: skip
    ((method, path, data),) = made
    assert (method, path) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json")
    flat = {
        name: str(value[0] if isinstance(value, list) else value) for name, value in data.items() if value is not None
    }
    assert {name: value for name, value in flat.items() if name in asked} == asked
