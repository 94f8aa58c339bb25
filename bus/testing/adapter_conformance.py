"""The adapter kit: what every channel owes the bus, whatever it is made of.

Subclass `AdapterConformance` in a test module and give it the fixtures `plugin`, `config`, `samples`, `broken` and
`say`, and `engine` (any engine of the house). The kit then delivers the samples twice, late, in another order, cut,
twisted and beside poison, and kills the accepting between its steps.
"""

import asyncio
import os
import random
import subprocess
import sys
import unicodedata
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from bus.adapter.contract import ChannelPlugin, Normalised, Raw
from bus.adapter.hosting import Intake
from bus.errors import TransientError
from bus.log.port import Record, StoredRecord
from bus.log.topics import CONTACT_RECEIVED
from bus.message import Contact, decode, encode
from bus.store.blobs import Blobs, digest_of
from bus.telemetry import Metrics
from bus.testing.clock import FakeClock
from bus.testing.log_records import records_of

__all__ = ["AdapterConformance", "twisted"]

Say = Callable[[str], Raw]

_POISON = (
    b"",
    b"\x00",
    b"\xff\xfe\x00\xd8",
    b"\r\n" * 2_000,
    b"{" * 20_000,
    b"[" * 20_000,
    b"\xed\xa0\x80 lone surrogate in UTF-8",
    b'{"type":"send","text":"\\ud800","cid":"\\udfff"}',
    b"=" * 5_000,
    b"%PDF-1.7\n%%EOF",
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n" + b"--x\r\n" * 500,
)
"""Beginnings of what parsers of every channel trip over: nothing, NUL, deep nesting, half characters, empty shells."""


_STRANGE = (b"\x00", b"\r", b"\n\n", b"\xff\xc3\x28", b"\\ud83d", b'"', b"\x1b[", b"%")


def twisted(raw: Raw, count: int, seed: int) -> list[Raw]:
    """The raw input cut, doubled, stirred and sprinkled with bytes that do not belong; the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311
    found: list[Raw] = []
    for _ in range(count):
        data = bytearray(raw.data)
        for _ in range(chance.randrange(1, 4)):
            at, until = sorted((chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)))
            way = chance.randrange(5)
            if way == 0:
                del data[at : min(until, at + 400)]
            elif way == 1:
                data[at:at] = data[at:until][:2_000]
            elif way == 2:
                data[at:at] = chance.choice(_STRANGE)
            elif way == 3 and data:
                place = min(at, len(data) - 1)
                data[place] ^= 1 << chance.randrange(8)
            else:
                del data[at:]
        found.append(msgspec.structs.replace(raw, data=bytes(data)))
    return found


class _FaultyLog:
    """A log that dies before, or after, its next append."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.fail = ""

    async def append(self, records: Sequence[Record], *, once: bool = False) -> Sequence[int | None]:
        fail, self.fail = self.fail, ""
        if fail == "before":
            raise TransientError("the log is away")
        offsets = await self._log.append(records, once=once)
        if fail == "after":
            raise TransientError("the answer of the log is lost")
        return offsets


class AdapterConformance:
    """Subclass it and give the fixtures that raise here."""

    twists = 150
    """Twisted copies of each sample. Fewer where reading one takes seconds."""

    costly = False
    """Reading one takes seconds: the repetitions that prove nothing new are left out."""

    reads_exactly = True
    """Whether text arrives letter by letter; not so where paper or speech is recognised."""

    @pytest.fixture
    def plugin(self) -> ChannelPlugin:
        """The channel's plugin."""
        raise NotImplementedError("the adapter kit needs the fixture `plugin`")

    @pytest.fixture
    def config(self) -> Any:
        """Its settings."""
        raise NotImplementedError("the adapter kit needs the fixture `config`")

    @pytest.fixture
    def samples(self) -> Sequence[Raw]:
        """At least three ordinary contacts by people, all different."""
        raise NotImplementedError("the adapter kit needs the fixture `samples`")

    @pytest.fixture
    def broken(self) -> Sequence[Raw]:
        """Input that nobody can take for an ordinary contact of the channel: must not come out as quality ok."""
        raise NotImplementedError("the adapter kit needs the fixture `broken`")

    @pytest.fixture
    def automatic(self) -> Sequence[Raw]:
        """Input made by machines, which must never be answered. Empty for channels on which only people are."""
        return ()

    @pytest.fixture
    def say(self) -> Say:
        """Raw input in which a customer says a text. The text may hold anything that a str can."""
        raise NotImplementedError("the adapter kit needs the fixture `say`")

    @pytest.fixture
    def read(self, plugin: ChannelPlugin, config: Any) -> Callable[[Raw], Normalised]:
        """Normalise, and hold the result to what every contact must be."""

        def read_and_check(raw: Raw) -> Normalised:
            normalised = plugin.normalise(raw, config)
            _check(normalised, raw, plugin)
            return normalised

        return read_and_check

    @pytest.fixture
    def faulty(self, engine: Any) -> _FaultyLog:
        """The engine, ready to fail when told."""
        return _FaultyLog(engine)

    @pytest_asyncio.fixture
    async def intake(
        self, plugin: ChannelPlugin, config: Any, faulty: _FaultyLog, tmp_path: Path
    ) -> AsyncIterator[Intake]:
        """The accepting side as the product builds it."""
        log: Any = faulty
        accepting = Intake(
            plugin, config, log_port=log, blobs=Blobs(tmp_path / "blobs"), clock=FakeClock(), metrics=Metrics(),
            data_dir=tmp_path,
        )  # fmt: skip
        yield accepting
        await accepting.close()

    # Normalising: a pure function that is never surprised.

    def test_samples_are_read_well(self, samples: Sequence[Raw], read: Callable[[Raw], Normalised]) -> None:
        assert len(samples) >= 3
        for raw in samples:
            contact = read(raw).contact
            assert contact.quality.status == "ok", contact.quality.reasons
            assert contact.text.strip()
            assert not contact.automatic

    def test_the_same_input_gives_the_same_contact(
        self, samples: Sequence[Raw], read: Callable[[Raw], Normalised]
    ) -> None:
        forwards = [read(raw) for raw in samples]
        backwards = [read(raw) for raw in reversed(samples)][::-1]
        for one, two in zip(forwards, backwards, strict=True):
            assert encode(one.contact) == encode(two.contact)
            assert one.blobs == two.blobs

    def test_another_process_reads_the_same(
        self, samples: Sequence[Raw], plugin: ChannelPlugin, config: Any, read: Callable[[Raw], Normalised]
    ) -> None:
        # Sets and dictionaries of another process may come in another order; a contact must not.
        some = samples[:1] if self.costly else samples
        own = [encode(read(raw).contact) for raw in some]
        for seed in ("1",) if self.costly else ("1", "2"):
            assert _read_elsewhere(plugin, config, some, seed) == own

    def test_input_that_comes_again_later_is_the_same_contact(
        self, samples: Sequence[Raw], read: Callable[[Raw], Normalised]
    ) -> None:
        for raw in samples:
            later = msgspec.structs.replace(raw, received_at=raw.received_at + timedelta(hours=7))
            assert read(later).contact.id == read(raw).contact.id

    def test_different_contacts_and_tenants_have_different_ids(
        self, samples: Sequence[Raw], read: Callable[[Raw], Normalised]
    ) -> None:
        ids = [read(raw).contact.id for raw in samples]
        others = [read(msgspec.structs.replace(raw, tenant="other")).contact.id for raw in samples]
        assert len({*ids, *others}) == 2 * len(samples)

    def test_what_people_write_arrives(self, say: Say, read: Callable[[Raw], Normalised]) -> None:
        if not self.reads_exactly:
            contact = read(say("Ich möchte die Rechnung prüfen lassen. Größe und Farbe stimmen nicht.")).contact
            assert all(word in contact.text for word in ("möchte", "Rechnung", "prüfen", "Größe"))
            return
        for text in (
            "Grüße aus Köln: ich möchte mein Geld zurück, 49,90 €!",
            "Blåbærsyltetøyet kom aldri fram. Hva gjør jeg nå?",
            "I was charged £24.99 instead of £19.99 – why?",
            "zusammengesetzt: " + unicodedata.normalize("NFD", "für Ærø"),
            "emoji \U0001f926\U0001f3fd\u200d♀️ und \u202eumgedreht\u202c",
        ):
            contact = read(say(text)).contact
            assert unicodedata.normalize("NFC", text) in contact.text
            assert contact.quality.status == "ok"

    def test_what_no_text_may_hold_is_left_out_or_replaced(
        self, say: Say, plugin: ChannelPlugin, read: Callable[[Raw], Normalised]
    ) -> None:
        if not self.reads_exactly:
            # Paper and speech cannot hold such characters; what reads them out of bytes is tried with poison.
            assert plugin.manifest.kind in ("deferred", "live-media")
            return
        for text in ("half \ud83d a character", "\udcff\udcfe wrong bytes", "a NUL \x00 in between", "line\u2028line"):
            contact = read(say(text)).contact
            assert not set(contact.text) & {"\x00", "\u2028"}
            # Said, or marked for a person to look; never silently lost.
            said = any(word in contact.text for word in ("half", "wrong", "between", "line"))
            assert said or contact.quality.status != "ok"

    def test_different_texts_are_different_contacts(self, say: Say, read: Callable[[Raw], Normalised]) -> None:
        said = [read(say(f"Order number {number}, please refund it today")).contact for number in ("SO-1", "SO-2")]
        assert said[0].id != said[1].id

    # Hostile and broken input.

    def test_broken_input_is_marked_and_never_raises(
        self, broken: Sequence[Raw], read: Callable[[Raw], Normalised]
    ) -> None:
        assert broken
        for raw in broken:
            quality = read(raw).contact.quality
            assert quality.status in ("degraded", "unreadable")
            assert quality.reasons

    def test_poison_and_twisted_input_still_gives_a_contact(
        self, samples: Sequence[Raw], read: Callable[[Raw], Normalised]
    ) -> None:
        for data in _POISON:
            read(msgspec.structs.replace(samples[0], data=data))
        for seed, raw in enumerate(samples):
            for bent in twisted(raw, self.twists, seed):
                read(bent)

    def test_files_of_any_content_become_contacts(
        self, samples: Sequence[Raw], plugin: ChannelPlugin, config: Any, read: Callable[[Raw], Normalised]
    ) -> None:
        for raw in samples:
            first = read(plugin.raw_from_file(raw.data, "sample", config)).contact
            again = read(plugin.raw_from_file(raw.data, "sample", config)).contact
            assert encode(first) == encode(again)
        for data in _POISON:
            read(plugin.raw_from_file(data, "poison.bin", config))

    # Loops.

    def test_machines_are_recognised(
        self, automatic: Sequence[Raw], plugin: ChannelPlugin, read: Callable[[Raw], Normalised]
    ) -> None:
        # Where strangers' programs can write by themselves, the channel must show that it knows them.
        assert automatic or plugin.manifest.name != "email"
        for raw in automatic:
            assert read(raw).contact.automatic

    # Accepting, as the product does it.

    async def test_delivered_three_times_is_one_contact(
        self, samples: Sequence[Raw], intake: Intake, engine: Any
    ) -> None:
        answers = await asyncio.gather(*(intake.accept(raw) for raw in samples for _ in range(3)))
        assert sum(not answer.duplicate for answer in answers) == len(samples)
        assert len({answer.contact for answer in answers}) == len(samples)
        assert sorted(contact.id for contact in await _accepted(engine)) == sorted({a.contact for a in answers})

    async def test_any_order_gives_the_same_contacts(
        self, samples: Sequence[Raw], intake: Intake, engine: Any, read: Callable[[Raw], Normalised]
    ) -> None:
        for raw in reversed(samples):
            await intake.accept(raw)
        found = {contact.id: contact for contact in await _accepted(engine)}
        assert set(found) == {read(raw).contact.id for raw in samples}

    async def test_poison_does_not_stop_what_comes_beside_it(
        self, samples: Sequence[Raw], broken: Sequence[Raw], intake: Intake, engine: Any
    ) -> None:
        answers = await asyncio.gather(*(intake.accept(raw) for raw in (*broken, *samples)))
        statuses = {contact.id: contact.quality.status for contact in await _accepted(engine)}
        assert all(statuses[answer.contact] != "ok" for answer in answers[: len(broken)])
        assert all(statuses[answer.contact] == "ok" for answer in answers[len(broken) :])

    async def test_after_the_yes_everything_is_durable(
        self, samples: Sequence[Raw], plugin: ChannelPlugin, intake: Intake, engine: Any, tmp_path: Path
    ) -> None:
        blobs = Blobs(tmp_path / "blobs")
        for raw in samples:
            answer = await intake.accept(raw)
            (contact,) = [contact for contact in await _accepted(engine) if contact.id == answer.contact]
            for attachment in contact.attachments:
                assert digest_of(await blobs.get(attachment.digest)) == attachment.digest
            if plugin.manifest.keep_raw:
                assert contact.raw is not None
                assert await blobs.get(contact.raw.digest) == raw.data

    @pytest.mark.parametrize("moment", ["before", "after"])
    async def test_a_crash_between_two_steps_loses_and_doubles_nothing(
        self, samples: Sequence[Raw], intake: Intake, faulty: _FaultyLog, engine: Any, moment: str
    ) -> None:
        # Before: blobs are kept, the record is not. After: the record is durable, but nobody was told. Both times the
        # channel said no, and the sender comes again.
        for raw in samples:
            faulty.fail = moment
            with pytest.raises(TransientError):
                await intake.accept(raw)
            answer = await intake.accept(raw)
            assert answer.duplicate is (moment == "after")
        assert len(await _accepted(engine)) == len(samples)


async def _accepted(engine: Any) -> list[Contact]:
    records: list[StoredRecord] = await records_of(engine, CONTACT_RECEIVED)
    return [decode(record.value, Contact) for record in records]


def _check(normalised: Normalised, raw: Raw, plugin: ChannelPlugin) -> None:
    """What holds for every contact, of whatever input."""
    contact, manifest = normalised.contact, plugin.manifest
    assert decode(encode(contact), Contact) == contact
    assert contact.id.startswith("c-")
    assert (contact.channel, contact.tenant) == (manifest.name, raw.tenant)
    assert contact.received_at == raw.received_at
    assert contact.occurred_at.tzinfo is not None
    assert contact.quality.status in ("ok", "degraded", "unreadable")
    assert contact.quality.status == "ok" or contact.quality.reasons
    assert contact.language in ("", *manifest.languages)
    assert len(contact.text) <= max(manifest.max_text_characters, 0) or not contact.text
    assert "\x00" not in contact.text + contact.subject
    assert all(0 <= part.start <= part.end <= len(contact.text) for part in contact.ranges)
    assert contact.sender.kind
    assert set(normalised.blobs) >= {attachment.digest for attachment in contact.attachments}
    assert all(digest_of(data) == digest for digest, data in normalised.blobs.items())
    # Signed proof is the adapter's to check; bytes alone never prove anything.
    assert contact.proof.level != "confirmed" or raw.native or manifest.name == "link"


_ELSEWHERE = """
import importlib, sys, msgspec
from bus.adapter.contract import Raw
from bus.message import encode
where, name, config_module, config_name, config = (msgspec.msgpack.decode(sys.stdin.buffer.read(int(sys.argv[1]))))
raws = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=list[Raw])
normalise = getattr(importlib.import_module(where), name)
settings = msgspec.json.decode(config, type=getattr(importlib.import_module(config_module), config_name))
contacts = [encode(normalise(raw, settings).contact) for raw in raws]
sys.stdout.buffer.write(msgspec.msgpack.encode(contacts))
"""


def _read_elsewhere(plugin: ChannelPlugin, config: Any, samples: Sequence[Raw], seed: str) -> list[bytes]:
    function: Any = plugin.normalise
    kind = plugin.config_type
    head = msgspec.msgpack.encode(
        (function.__module__, function.__name__, kind.__module__, kind.__name__, msgspec.json.encode(config))
    )
    child = subprocess.run(  # noqa: S603 (our own program text)
        [sys.executable, "-c", _ELSEWHERE, str(len(head))],
        input=head + msgspec.msgpack.encode(list(samples)),
        env={**os.environ, "PYTHONHASHSEED": seed},
        stdout=subprocess.PIPE,
        check=True,
        timeout=110,
    )
    return msgspec.msgpack.decode(child.stdout, type=list[bytes])
