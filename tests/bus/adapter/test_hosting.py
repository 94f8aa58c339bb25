"""What the bus does for every adapter: durable yes, once, redacted, and never a lost contact."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from bus.adapter.contract import ChannelPlugin, Manifest, Normalised, Raw
from bus.adapter.hosting import DISK_FLOOR_BYTES, Intake
from bus.errors import Overloaded, StorageFull
from bus.log.embedded import EmbeddedEngine
from bus.message import Contact, Party, decode, derive_id
from bus.store.blobs import Blobs
from bus.telemetry import Metrics
from bus.testing.clock import FakeClock


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the channel under test."""

    greeting: str = "hei"


def normalise(raw: Raw, config: Settings) -> Normalised:
    """Reads lines; certain words misbehave as hostile input does."""
    text = raw.data.decode()
    if text == "hang":
        while True:
            pass
    if text == "eat":
        _ = bytearray(4 << 30)
    if text == "abort":
        import os

        os.abort()
    if text == "raise":
        raise ValueError("the customer's words")
    if text == "slow":
        Path(raw.native["begun"]).touch()
        time.sleep(0.3)
    return Normalised(
        contact=Contact(
            id=derive_id("c", raw.tenant, text),
            tenant=raw.tenant,
            channel="lines",
            account=raw.account,
            sender=Party(kind="line", address="someone"),
            occurred_at=raw.received_at,
            received_at=raw.received_at,
            text=text,
            body=msgspec.Raw(b'{"kind":"line","greeting":"%s"}' % config.greeting.encode()),
            native={"swollen": "x" * 2_000_000} if text == "swollen" else {},
        ),
        blobs={},
    )


def plugin(in_process: bool) -> ChannelPlugin:
    return ChannelPlugin(
        manifest=Manifest(
            name="lines",
            kind="deferred",
            normalise_in_process=in_process,
            normalise_seconds=1.0,
            normalise_megabytes=1024,
        ),
        config_type=Settings,
        normalise=normalise,
        create=lambda config, services: None,  # type: ignore[arg-type, return-value]
        raw_from_file=lambda data, name, config: None,  # type: ignore[arg-type, return-value]
    )


class Door:
    """An intake and what it wrote."""

    def __init__(self, engine: EmbeddedEngine, clock: FakeClock, folder: Path, in_process: bool) -> None:
        self.free = DISK_FLOOR_BYTES * 2
        self.engine, self.clock = engine, clock
        self.blobs = Blobs(folder / "blobs")
        self.intake = Intake(
            plugin(in_process),
            Settings(greeting="god dag"),
            log_port=engine,
            blobs=self.blobs,
            clock=clock,
            metrics=Metrics(),
            data_dir=folder,
            free_bytes=lambda _: self.free,
        )

    async def say(self, text: str, **native: str) -> Any:
        raw = Raw(
            tenant="shop",
            account="desk",
            media_type="text/plain",
            data=text.encode(),
            received_at=self.clock.now(),
            native={"from": "someone", **native},
        )
        return await self.intake.accept(raw)

    async def contacts(self) -> list[Contact]:
        found = [r for p in range(8) for r in await self.engine.read("contact.received", p)]
        return [decode(r.value, Contact) for r in sorted(found, key=lambda r: r.offset)]


@pytest_asyncio.fixture
async def isolated(engine: EmbeddedEngine, clock: FakeClock, tmp_path: Path, monkeypatch: Any) -> AsyncIterator[Door]:
    # The child imports this module by name; under pytest it lies beside no package, so its folder is named.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(normalise, "__module__", Path(__file__).stem)
    monkeypatch.setattr(Settings, "__module__", Path(__file__).stem)
    opened = Door(engine, clock, tmp_path, True)
    yield opened
    await opened.intake.close()


@pytest_asyncio.fixture
async def inline(engine: EmbeddedEngine, clock: FakeClock, tmp_path: Path) -> Door:
    return Door(engine, clock, tmp_path, False)


async def test_a_standstill_of_our_own_makes_no_input_unreadable(isolated: Door, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    saying = asyncio.create_task(isolated.say("slow", begun=str(begun)))
    while not begun.exists():
        await asyncio.sleep(0.005)
    # As a stopped process stands: the answer comes, and the limit passes, while nobody looks.
    time.sleep(2.0)
    assert (await saying).quality.status == "ok"


def outline(raw: Raw, config: Settings) -> Contact:
    """Says what the first word is; the word `odd` it does not survive."""
    word = raw.data.decode().partition(" ")[0]
    if raw.native.get("odd"):
        raise IndexError("the customer's words")
    return msgspec.structs.replace(
        normalise(msgspec.structs.replace(raw, data=b"outlined"), config).contact,
        subject=word,
        automatic=word == "abort",
        case_token=raw.native.get("case_token", ""),
        text="",
    )


@pytest.mark.parametrize("how", ["isolated", "inline"])
async def test_what_cannot_be_read_keeps_its_outline(how: str, request: Any, inline: Door, isolated: Door) -> None:
    door = inline if how == "inline" else isolated
    door.intake._plugin = dataclasses.replace(door.intake._plugin, outline=outline)
    # An aborted child is the worst that a mail can do; in our own process a plain error has to do.
    word = "raise" if how == "inline" else "abort"
    acceptance = await door.say(word, case_token="k-7")
    assert acceptance.quality.status == "unreadable"
    (contact,) = await door.contacts()
    assert (contact.subject, contact.case_token, contact.text) == (word, "k-7", "")
    assert contact.automatic is (word == "abort")
    assert contact.quality.reasons == ("could not be read",)
    assert contact.raw is not None


async def test_an_outline_that_fails_costs_neither_contact_nor_case(inline: Door) -> None:
    inline.intake._plugin = dataclasses.replace(inline.intake._plugin, outline=outline)
    await inline.say("raise", odd="yes", case_token="k-7", mail_from="")
    (contact,) = await inline.contacts()
    assert (contact.quality.status, contact.case_token, contact.sender.address) == ("unreadable", "k-7", "someone")
    assert contact.automatic, "nobody is answered who did not say who he is"


@pytest.mark.parametrize("kind", ["inline", "isolated"])
async def test_the_same_input_three_times_is_one_contact(kind: str, request: Any, inline: Door, isolated: Door) -> None:
    door = inline if kind == "inline" else isolated
    first, *others = [await door.say("hello") for _ in range(3)]
    assert not first.duplicate
    assert [(o.contact, o.duplicate) for o in others] == [(first.contact, True)] * 2
    (contact,) = await door.contacts()
    assert contact.raw is not None
    assert await door.blobs.get(contact.raw.digest) == b"hello"
    assert bytes(contact.body) == b'{"kind":"line","greeting":"god dag"}'


async def test_at_the_same_moment_too(inline: Door) -> None:
    said = await asyncio.gather(*(inline.say("hello") for _ in range(20)))
    assert sorted(acceptance.duplicate for acceptance in said) == [False] + [True] * 19
    assert len(await inline.contacts()) == 1


@pytest.mark.parametrize(
    ("text", "reason"), [("hang", "longer"), ("eat", "memory"), ("abort", "could not"), ("raise", "could not")]
)
async def test_hostile_input_is_a_contact_for_a_person_and_the_next_one_works(
    isolated: Door, text: str, reason: str
) -> None:
    acceptance = await isolated.say(text)
    assert acceptance.quality.status == "unreadable"
    await isolated.say("fine")
    bad, good = await isolated.contacts()
    assert reason in bad.quality.reasons[0]
    assert "words" not in str(bad)
    assert bad.sender.address == "someone"
    assert await isolated.blobs.get(bad.raw.digest) == text.encode()  # type: ignore[union-attr]
    assert good.text == "fine"


async def test_card_numbers_never_reach_the_log(inline: Door) -> None:
    await inline.say("my card is 4111 1111 1111 1111 thanks")
    (contact,) = await inline.contacts()
    assert "4111 1111 1111" not in contact.text
    assert contact.text.startswith("my card is ")
    assert contact.text.endswith("1111 thanks")


async def test_text_beyond_the_channel_s_limit_is_cut_and_said_to_be(inline: Door) -> None:
    acceptance = await inline.say("ø" * 100_001)
    assert acceptance.quality.status == "degraded"
    (contact,) = await inline.contacts()
    assert contact.text == "ø" * 100_000
    assert contact.quality.reasons == ("the text was cut",)
    assert await inline.blobs.get(contact.raw.digest) == ("ø" * 100_001).encode()  # type: ignore[union-attr]


async def test_what_no_log_carries_goes_to_a_person_instead_of_being_told_later_for_ever(inline: Door) -> None:
    acceptance = await inline.say("swollen")
    assert acceptance.quality.status == "unreadable"
    (contact,) = await inline.contacts()
    assert "larger" in contact.quality.reasons[0]
    assert contact.sender.address == "someone"
    assert await inline.blobs.get(contact.raw.digest) == b"swollen"  # type: ignore[union-attr]
    assert (await inline.say("swollen")).duplicate


async def test_a_full_disk_is_refused_before_anything_is_lost(inline: Door) -> None:
    inline.free = DISK_FLOOR_BYTES - 1
    with pytest.raises(StorageFull):
        await inline.say("hello")
    inline.free = DISK_FLOOR_BYTES + 1
    await inline.say("hello")
    assert len(await inline.contacts()) == 1


async def test_too_many_at_once_are_asked_to_come_back(inline: Door, monkeypatch: Any) -> None:
    monkeypatch.setattr("bus.adapter.hosting._MAX_WAITING", 5)
    said = await asyncio.gather(*(inline.say(f"m{n}") for n in range(20)), return_exceptions=True)
    refused = [one for one in said if isinstance(one, Overloaded)]
    assert 0 < len(refused) <= 15
    assert len(await inline.contacts()) == 20 - len(refused)
