"""Post as it runs in the product: real folders and tables; scans by the sample maker; what is accepted is kept."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.post.adapter import PostAdapter
from adapters.post.config import Company, PostConfig
from adapters.post.normalise import normalise
from adapters.post.samples import make_scan
from bus.adapter.contract import Acceptance, Raw, Services
from bus.adapter.tokens import Signer
from bus.log.embedded import EmbeddedEngine
from bus.message import Contact, Party, Quality, Reply, Status, derive_id, derive_number
from bus.store.blobs import Blobs
from bus.testing.clock import FakeClock

COMPANY = Company(
    name="Nordlicht Handel",
    names={"nb": "Nordlys Handel", "en": "Northlight Store"},
    address=("Hafenstraße 7", "20457 Hamburg"),
    phone="+49 40 5550100",
    email="hilfe@shop.example",
    web="shop.example/hilfe",
)
SCANNED = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


@dataclass(frozen=True)
class LetterText:
    """A customer's letter."""

    language: str
    sender: tuple[str, ...]
    subject: str
    place: str
    text: str
    fields: tuple[str, ...]
    """Values that must be read without a fault."""


LETTERS = {
    "de": LetterText(
        "de",
        ("Grete Ohlsen", "Lindenweg 4", "10969 Berlin"),
        "Doppelte Abbuchung zur Rechnung RE-20234",
        "Berlin",
        """Sehr geehrte Damen und Herren,

auf meiner Kreditkartenabrechnung ist der Betrag von 49,90 EUR für die Bestellung SO-10234 zweimal abgebucht worden. \
Ich habe die Ware nur einmal bestellt und auch nur einmal erhalten. Die Rechnung trägt die Nummer RE-20234.

Bitte prüfen Sie das und erstatten Sie mir den zu viel abgebuchten Betrag auf mein Konto zurück. Für eine \
schriftliche Bestätigung wäre ich Ihnen sehr dankbar.

Mit freundlichen Grüßen

Grete Ohlsen""",
        ("SO-10234", "RE-20234", "49,90"),
    ),
    "nb": LetterText(
        "nb",
        ("Kari Lunde", "Storgata 12", "0155 Oslo"),
        "Angrerett for ordre SO-10301",
        "Oslo",
        """Hei,

jeg kjøpte en jakke hos dere for seks dager siden, ordre SO-10301 til 1 249,00 kroner. Jakken passer dessverre ikke, \
og jeg ønsker å bruke angreretten min og sende den tilbake. Jeg har ikke brukt varen, og den ligger i \
originalemballasjen.

Kan dere fortelle meg hvordan jeg returnerer pakken, og når jeg får pengene tilbake på kontoen?

Med vennlig hilsen

Kari Lunde""",
        ("SO-10301", "1 249,00"),
    ),
    "en": LetterText(
        "en",
        ("Tom Baker", "8 Mill Lane", "York YO1 7AB"),
        "Wrong price at the till",
        "York",
        """Dear Sir or Madam,

I bought a kettle in your York store last Saturday, receipt R-77120, order SO-10388. The shelf price was 19.99 GBP, \
but I was charged 24.99 GBP at the till. I think that is a mistake and I'd like the difference of 5.00 GBP back.

I have kept the receipt and I can send you a copy of it. Please let me know how you would like to settle this.

Yours faithfully

Tom Baker""",
        ("R-77120", "SO-10388", "19.99", "24.99", "5.00"),
    ),
}


@pytest.fixture(scope="session")
def letters() -> dict[str, LetterText]:
    """One letter per language."""
    return LETTERS


@pytest.fixture(scope="session")
def scan() -> Callable[..., bytes]:
    """Make a scan of the letter of a language; every keyword of `make_scan` may be given."""

    def made(language: str = "de", **changes: Any) -> bytes:
        letter = LETTERS[language]
        wanted: dict[str, Any] = {
            "subject": letter.subject,
            "written": date(2026, 11, 20),
            "place": letter.place,
            **changes,
        }
        return make_scan(wanted.pop("text", letter.text), language, wanted.pop("sender", letter.sender), **wanted)

    return made


@pytest.fixture(scope="session")
def config() -> PostConfig:
    """Settings of the demo company."""
    return PostConfig(company=COMPANY)


@pytest.fixture(scope="session")
def read(config: PostConfig) -> Callable[..., Contact]:
    """Normalise the bytes of a scan, really."""

    def reading(data: bytes, settings: PostConfig = config, **native: Any) -> Contact:
        raw = Raw(
            tenant="shop",
            account="scanner",
            media_type="",
            data=data,
            received_at=SCANNED,
            native={"file": "x", **native},
        )
        return normalise(raw, settings).contact

    return reading


@pytest.fixture
def reply() -> Callable[..., Reply]:
    """A reply by letter; every field may be given."""

    def made(**changes: Any) -> Reply:
        base = Reply(
            id=derive_id("r", "test"),
            tenant="shop",
            case="k-1",
            channel="post",
            account="scanner",
            to=Party(kind="postal", address="Grete Ohlsen\nLindenweg 4\n10969 Berlin", name="Grete Ohlsen"),
            text="vielen Dank für Ihren Brief. Die zweite Abbuchung über 49,90 € war ein Fehler.",
            language="de",
            subject="Doppelte Abbuchung",
            case_number=derive_number("shop", "k-1"),
        )
        return msgspec.structs.replace(base, **changes)

    return made


@dataclass
class PostRoom:
    """The adapter with an accepting side that keeps what it gets, and can be made to fail or to crash."""

    engine: EmbeddedEngine
    clock: FakeClock
    folder: Path
    config: PostConfig
    accepted: list[Raw] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    trouble: list[BaseException] = field(default_factory=list)
    """Raised by the next calls of accept, before anything is kept; one each."""
    crash_after: list[BaseException] = field(default_factory=list)
    """Raised by the next calls of accept after the contact is durable."""
    unreadable: tuple[str, ...] = ()
    adapter: PostAdapter = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new process over the same folders and tables."""
        self.adapter = PostAdapter(self.config, self.services())

    @property
    def drop(self) -> Path:
        return self.adapter.drop_folder

    @property
    def tray(self) -> Path:
        return self.adapter.letter_tray

    def names(self, folder: str) -> list[str]:
        """What lies in done or held."""
        return sorted(path.name for path in (self.drop / folder).glob("*"))

    @property
    def contacts(self) -> set[str]:
        return {_id(raw) for raw in self.accepted}

    async def accept(self, raw: Raw) -> Acceptance:
        if self.trouble:
            raise self.trouble.pop(0)
        duplicate = _id(raw) in self.contacts
        self.accepted.append(raw)
        if self.crash_after:
            raise self.crash_after.pop(0)
        quality = Quality(status="unreadable", reasons=self.unreadable) if self.unreadable else Quality()
        return Acceptance(contact=_id(raw), duplicate=duplicate, quality=quality)

    async def report(self, status: Status) -> None:
        self.statuses.append(status)

    async def look(self, advance: float = 0.0) -> None:
        """Let time pass, look at the folder once, and let everything started end."""
        self.clock.advance(advance)
        await self.adapter.intake.step()
        await self.adapter.intake.idle()

    def services(self) -> Services:
        return Services(
            clock=self.clock,
            store=self.engine,
            blobs=Blobs(self.folder / "blobs"),
            signer=Signer(b"a signing secret of the tests"),
            data_dir=self.folder,
            public_url="http://localhost",
            tenant="shop",
            accept=self.accept,
            status=self.report,
            background=lambda name, work: None,
        )


def _id(raw: Raw) -> str:
    return derive_id("c", hashlib.sha256(raw.data).hexdigest(), "" if raw.data else str(raw.native["seen"]))


@pytest.fixture
def room(engine: EmbeddedEngine, clock: FakeClock, tmp_path: Path, config: PostConfig) -> PostRoom:
    """A post room over a fresh engine."""
    return PostRoom(engine=engine, clock=clock, folder=tmp_path / "data", config=config)
