"""A real server with the desk on a real engine, cases made by the case's own rules, and a real browser."""

import asyncio
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

from adapters.email.mailbox import Mailbox
from bus.adapter.tokens import Signer
from bus.clock import SystemClock, to_micros
from bus.delivery.outcome import Outcome, Write
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record
from bus.log.topics import lane_of
from bus.message import Contact, Party, Reply, Status, derive_id, derive_number, encode
from bus.store.blobs import Blobs
from bus.store.port import Effect
from bus.web import routes as asset_routes
from deploy.start import StartPages, StartServices
from workers.case import events, model, rules
from workers.case.changes import Draft, load_case
from workers.case.people import person_write
from workers.case.work import Identified, Intent, Understanding, WorkItem
from workers.desk.files import FileKeeper  # noqa: F401 - declares the desk's tables before the schema is created
from workers.desk.login import login_url
from workers.desk.schema import INSERT_FILE
from workers.desk.web import DeskPages
from workers.packs import load

CHROMIUM = "/usr/bin/chromium"

PICTURES = Path(__file__).parents[1] / "pictures"

SEEDS: dict[str, dict[str, Any]] = {
    "grete": {
        "name": "Grete Ohlsen", "language": "de", "channel": "email", "address": "grete.ohlsen@kunde.example",
        "subject": "Doppelt abgebucht", "intent": "billing.duplicate_charge", "department": "billing",
        "text": "Guten Tag,\n\nauf meiner Abrechnung steht SO-10234 zweimal mit 49,90 EUR.\n\nGrete Ohlsen",
    },
    "kari": {
        "name": "Kari Lunde", "language": "nb", "channel": "post", "address": "Kari Lunde\nStorgata 12\n0155 Oslo",
        "subject": "", "intent": "return.withdraw", "department": "returns",
        "text": "Hei, jeg vil angre på kjøpet av ordre SO-10301 og sende varen tilbake. Vennlig hilsen Kari Lunde",
    },
    "tom": {
        "name": "Tom Baker", "language": "en", "channel": "chat", "address": "session-1",
        "subject": "", "intent": "billing.wrong_price", "department": "billing",
        "text": "Hi, the shelf said 19.99 but I was charged 24.99 at the till. Receipt R-77120.",
    },
    "jonas": {
        "name": "Jonas Weber", "language": "de", "channel": "phone", "address": "+49305550144",
        "subject": "", "intent": "return.defect", "department": "support",
        "text": "Meine Kaffeemaschine heizt nicht mehr.",
    },
}  # fmt: skip


@dataclass
class House:
    """The running desk. `base` is its address; `secret_header` what our own page sends with a change."""

    engine: EmbeddedEngine
    blobs: Blobs
    signer: Signer
    clock: Any
    pages: DeskPages
    base: str
    headers: dict[str, str]

    def link(self, tenant: str = "shop", person: str = "Mina") -> str:
        """A fresh login link."""
        return login_url(signer=self.signer, clock=self.clock, tenant=tenant, base_url=self.base, person=person)

    async def sign_in(self, tenant: str = "shop", person: str = "Mina") -> aiohttp.ClientSession:
        """A client that is signed in. Close it."""
        client = aiohttp.ClientSession(self.base, cookie_jar=aiohttp.CookieJar(unsafe=True))
        token = self.link(tenant, person).split("token=")[1]
        answer = await client.post(
            "/desk/login", data={"token": token}, headers={"Origin": self.base}, allow_redirects=False
        )
        assert answer.headers["Location"] == "/desk"
        return client

    async def make_case(
        self, seed: str = "grete", *, tenant: str = "shop", with_person: bool = True, minutes: int = 240, **other: Any
    ) -> str:
        """A case as intake, triage and a hand-over make it; `other` replaces parts of the seed. The case's id."""
        data = {**SEEDS[seed], **other}
        now = self.clock.now()
        case = derive_id("k", tenant, seed, data["text"], data["name"])
        person = derive_id("p", tenant, data["name"])
        party = Party(kind=data["channel"], address=data["address"], name=data["name"])
        route = model.Route(
            channel=data["channel"], account="desk-test", address=party, conversation=f"conversation-{case}",
            subject=data["subject"], contact=f"c-{case}-1", at=now,
        )  # fmt: skip
        draft = Draft(None, now)
        draft.do(
            rules.Open(
                id=case, tenant=tenant, number=derive_number(tenant, case), person=person,
                channel=data["channel"], language=data["language"],
            )
        )  # fmt: skip
        received = events.Received(
            at=now, actor="customer", contact=route.contact, route=route, text=data["text"], subject=data["subject"]
        )
        draft.do(rules.Receive(actor="customer", received=received))
        draft.tell(
            events.Understood(
                at=now, contact=route.contact, intents=(data["intent"],), confidence=0.94,
                department=data["department"], language=data["language"], reasons=data.get("reasons", ("zweimal",)),
            )
        )  # fmt: skip
        if with_person:
            draft.do(rules.HandOver(reason=data.get("handed", "asked"), until=now + timedelta(minutes=minutes)))
        draft.writes.append(
            person_write(
                tenant=tenant, id=person, name=data["name"], language=data["language"], customer="", at=to_micros(now)
            )
        )
        await self.apply(draft)
        return case

    async def write_in(self, case: str, text: str, *, tenant: str = "shop", request: str = "") -> None:
        """The customer writes again."""
        state = await load_case(self.engine, tenant, case)
        assert state is not None
        route = state.route()
        assert route is not None
        draft = Draft(state, self.clock.now())
        contact = f"c-{case}-{len(state.contacts) + 1}"
        received = events.Received(
            at=draft.now, actor="customer", contact=contact, route=route, text=text, request=request
        )
        draft.do(rules.Receive(actor="customer", received=received))
        await self.apply(draft)

    async def keep_file(self, case: str, data: bytes, media_type: str, name: str) -> None:
        """A file that came with the first contact."""
        digest = await self.blobs.put(data)
        params = {
            "tenant": "shop", "case_id": case, "contact": f"c-{case}-1", "digest": digest, "role": "attachment",
            "name": name, "media_type": media_type, "size": len(data), "at": to_micros(self.clock.now()),
        }  # fmt: skip
        outcome = Outcome(writes=(Write(statement=INSERT_FILE, params=params),))
        [result] = await self.engine.apply([Effect(outcome=outcome)])
        assert result.applied, result

    async def progress(self, case: str, state_name: str, *, tenant: str = "shop") -> None:
        """News of the last reply."""
        state = await load_case(self.engine, tenant, case)
        assert state is not None
        note = state.replies[-1]
        draft = Draft(state, self.clock.now())
        progress = events.ReplyProgress(at=draft.now, reply=note.id, channel=note.channel, state=state_name)
        draft.do(rules.Track(progress=progress, until=draft.now + timedelta(hours=4)))
        await self.apply(draft)

    async def apply(self, draft: Draft) -> None:
        """Write a decision down."""
        [result] = await self.engine.apply([Effect(outcome=draft.outcome())])
        assert result.applied, result

    async def state(self, case: str, tenant: str = "shop") -> model.CaseState:
        """The newest state of a case."""
        state = await load_case(self.engine, tenant, case)
        assert state is not None
        return state


async def serve(routes: list[web.RouteDef]) -> tuple[web.AppRunner, str]:
    """A real server on a free port."""
    app = web.Application(client_max_size=26 * 1024 * 1024)
    app.add_routes(routes)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    return runner, f"http://127.0.0.1:{port}"


@pytest.fixture
def clock() -> Any:
    """Pages count down in a browser that has its own clock, so the house uses the machine's."""
    return SystemClock()


@pytest_asyncio.fixture
async def house(engine: EmbeddedEngine, clock: Any, tmp_path: Path) -> AsyncIterator[House]:
    """The desk, served."""
    signer = Signer(b"a secret of the desk's own tests")
    blobs = Blobs(tmp_path / "blobs")
    pages = DeskPages(log=engine, store=engine, blobs=blobs, signer=signer, clock=clock, pack=load("shop"))
    runner, base = await serve([*asset_routes(), *pages.routes()])
    headers = {"Origin": base, "X-Contactbus-Desk": "1", "Content-Type": "application/json"}
    yield House(engine, blobs, signer, clock, pages, base, headers)
    await pages.close()
    await runner.cleanup()


@pytest_asyncio.fixture
async def other_process(house: House) -> AsyncIterator[House]:
    """The same desk from another process: one store, one log, nothing else in common."""
    pages = DeskPages(
        log=house.engine, store=house.engine, blobs=house.blobs, signer=house.signer, clock=house.clock,
        pack=load("shop"),
    )  # fmt: skip
    runner, base = await serve([*asset_routes(), *pages.routes()])
    yield House(house.engine, house.blobs, house.signer, house.clock, pages, base, {**house.headers, "Origin": base})
    await pages.close()
    await runner.cleanup()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The system's Chromium, started once; the address at which tests steer it."""
    profile = tmp_path_factory.mktemp("chromium")
    arguments = ["--headless=new", "--no-sandbox", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
    arguments += ["--disable-dev-shm-usage", "--no-first-run"]
    arguments += ["--disable-background-networking", "--disable-gpu", "--hide-scrollbars"]
    with subprocess.Popen([CHROMIUM, *arguments, "about:blank"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "DevTools listening on" in line:
                address = line.split()[-1]
                break
        else:
            raise RuntimeError("Chromium did not start")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield address
        process.terminate()


@pytest_asyncio.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A connection to Chromium; contexts that a test opens are closed after it."""
    async with async_playwright() as playwright:
        connected = await playwright.chromium.connect_over_cdp(chromium)
        yield connected
        for context in connected.contexts[1:]:
            await context.close()
        await connected.close()


class Eyes:
    """Looks at pages: signs in, takes pictures for people to look at, asks axe, listens for faults of scripts."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    async def open(
        self, base: str, path: str, *, language: str = "en-GB", scheme: Any = "light", width: int = 1440,
        faults: list[str] | None = None,
    ) -> Page:  # fmt: skip
        """A page in a context of its own; errors and refused loads are added to `faults`."""
        context = await self.browser.new_context(
            viewport={"width": width, "height": 900 if width > 500 else 740},
            locale=language, color_scheme=scheme, base_url=base,
        )  # fmt: skip
        page = await context.new_page()
        self.collect_faults(page, faults)
        await page.goto(path)
        return page

    async def open_desk(self, house: House, *, person: str = "Mina", **look: Any) -> Page:
        """The desk with somebody signed in and the live connection open."""
        page = await self.open(house.base, house.link(person=person), **look)
        await page.wait_for_url("**/desk")
        await page.wait_for_selector("desk-queue .views")
        await page.wait_for_selector(".live.good")
        return page

    @staticmethod
    def collect_faults(page: Page, faults: list[str] | None = None) -> list[str]:
        """Errors of scripts and refused loads, as they happen."""
        found: list[str] = [] if faults is None else faults
        page.on("pageerror", lambda error: found.append(str(error)))
        page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
        return found

    @staticmethod
    async def violations(page: Page) -> list[tuple[str, list[str]]]:
        """What axe finds fault with."""
        found = (await Axe().run(page)).response["violations"]
        return [(fault["id"], [node["html"][:120] for node in fault["nodes"]]) for fault in found]

    @staticmethod
    async def picture(page: Page, name: str) -> None:
        """A picture of the whole page for a person to look at."""
        PICTURES.mkdir(exist_ok=True)
        await page.screenshot(path=str(PICTURES / f"{name}.png"), full_page=True)


@pytest.fixture
def eyes(browser: Browser) -> Eyes:
    """Looking at pages."""
    return Eyes(browser)


@pytest.fixture
def soon() -> Any:
    """Waits until something is so; fails after ten seconds."""

    async def wait(condition: Any) -> Any:
        async with asyncio.timeout(10):
            while True:
                found = await condition()
                if found:
                    return found
                await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def moment() -> datetime:
    """A moment for tests without a server."""
    return datetime.fromisoformat("2026-01-05T09:00:00+00:00")


class Traveller:
    """Lets a contact travel over a real log, record by record, as the workers would."""

    def __init__(self, log: Any, clock: Any, tenant: str = "shop") -> None:
        self.log, self.clock, self.tenant = log, clock, tenant

    async def put(self, topic: str, key: str, value: Any, record_id: str) -> None:
        """Append one record."""
        record = Record(topic=topic, key=key, value=encode(value), id=record_id, headers={"tenant": self.tenant})
        await self.log.append([record])

    async def received(self, seed: str, number: int = 1, **other: Any) -> Contact:
        """The contact is accepted."""
        data = {**SEEDS[seed], **other}
        now = self.clock.now()
        contact = Contact(
            id=derive_id("c", self.tenant, seed, str(number)), tenant=self.tenant, channel=data["channel"],
            account="test", sender=Party(kind=data["channel"], address=data["address"], name=data["name"]),
            occurred_at=now, received_at=now - timedelta(milliseconds=180), subject=data["subject"],
            text=data["text"], conversation=f"conversation-{seed}",
        )  # fmt: skip
        await self.put("contact.received", f"{self.tenant}/{contact.channel}", contact, contact.id)
        return contact

    async def understood(self, seed: str, contact: Contact) -> str:
        """Case and intent are found; the case's id."""
        data = SEEDS[seed]
        case = derive_id("k", self.tenant, seed)
        identified = Identified(contact=contact, case=case, person="p-1")
        await self.put("contact.identified", case, identified, derive_id("e", contact.id, "identified"))
        understanding = Understanding(
            language=data["language"], department=data["department"], decision="accept",
            intents=(Intent(label=data["intent"], confidence=0.94),), reasons=("zweimal",),
        )  # fmt: skip
        item = WorkItem(contact=contact, case=case, person="p-1", understanding=understanding)
        topic = f"work.{data['department']}.{lane_of(data['channel'])}"
        await self.put(topic, case, item, derive_id("e", contact.id, "work"))
        return case

    async def answered(self, seed: str, contact: Contact, case: str, text: str, state: str = "delivered") -> None:
        """A reply is planned and on its way."""
        reply = Reply(
            id=derive_id("r", case, contact.id), tenant=self.tenant, case=case, channel=contact.channel,
            account="test", to=contact.sender, text=text, language=SEEDS[seed]["language"],
        )  # fmt: skip
        await self.put(f"reply.{contact.channel}", case, reply, reply.id)
        status = Status(
            reply=reply.id, tenant=self.tenant, case=case, channel=contact.channel, state=state,
            at=self.clock.now() + timedelta(seconds=1),
        )  # fmt: skip
        await self.put("reply.status", case, status, derive_id("e", reply.id, state))

    async def whole(self, seed: str, text: str) -> Contact:
        """All of it."""
        contact = await self.received(seed)
        case = await self.understood(seed, contact)
        await self.answered(seed, contact, case, text)
        return contact


CUSTOMERS = (
    {"name": "Grete Ohlsen", "language": "de", "email": "grete.ohlsen@kunde.example", "phone": "+49305550101",
     "address": "Lindenweg 4\n10969 Berlin", "problem": "SO-10234 steht zweimal auf meiner Karte, je 49,90 EUR."},
    {"name": "Kari Lunde", "language": "nb", "email": "kari.lunde@kunde.example", "phone": "+4722550102",
     "address": "Storgata 12\n0155 Oslo", "problem": "Jeg vil angre på kjøpet av SO-10301."},
    {"name": "Tom Baker", "language": "en", "email": "tom.baker@customer.example", "phone": "+442079460103",
     "address": "8 Mill Lane\nYork YO1 7AB", "problem": "I was charged 24.99 instead of 19.99, receipt R-77120."},
)  # fmt: skip


@dataclass
class Start:
    """The running start page with its real doors."""

    pages: StartPages
    base: str
    mail_door: Mailbox
    mailbox: Mailbox
    drop_folder: Path
    letter_tray: Path
    traveller: Traveller
    headers: dict[str, str]


@asynccontextmanager
async def start_page(engine: Any, clock: Any, folder: Path, *, demo: bool = True) -> AsyncIterator[Start]:
    """Serve the start page. The mail door is a real SMTP server; so is the customers' mailbox."""
    drop_folder, letter_tray = folder / "in", folder / "out"
    drop_folder.mkdir(parents=True)
    letter_tray.mkdir()
    async with Mailbox() as mail_door, Mailbox() as mailbox:
        host, port = mail_door.address
        services = StartServices(
            log=engine, clock=clock, pack=load("shop"), tenant="shop",
            channels=("email", "chat", "phone", "post", "link"), base_url="http://127.0.0.1:1", demo=demo,
            smtp=f"{host}:{port}", mail_address="hilfe@shop.example", drop_folder=drop_folder,
            letter_tray=letter_tray, phone_numbers={"+49301234567": "de", "+4721234567": "nb"},
            phone_token=lambda: "token", mailbox=mailbox, desk_link=lambda: "http://x/desk/login?token=abc",
            customers=CUSTOMERS, missing=("missing.relay",) if not demo else (),
        )  # fmt: skip
        pages = StartPages(services)
        runner, base = await serve([*asset_routes(), *pages.routes()])
        following = asyncio.create_task(pages.follow())
        headers = {"Origin": base, "X-Contactbus-Start": "1", "Content-Type": "application/json"}
        yield Start(pages, base, mail_door, mailbox, drop_folder, letter_tray, Traveller(engine, clock), headers)
        following.cancel()
        await pages.close()
        await runner.cleanup()


@pytest_asyncio.fixture
async def start(engine: EmbeddedEngine, clock: Any, tmp_path: Path) -> AsyncIterator[Start]:
    """The start page of the demo."""
    async with start_page(engine, clock, tmp_path / "post") as opened:
        yield opened


@pytest_asyncio.fixture
async def quiet_start(engine: EmbeddedEngine, clock: Any, tmp_path: Path) -> AsyncIterator[Start]:
    """The start page of a product that works for real customers."""
    async with start_page(engine, clock, tmp_path / "post", demo=False) as opened:
        yield opened
