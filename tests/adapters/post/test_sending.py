"""Letters into the tray: once, whole, and with word of what became of them."""

import dataclasses
import json
from collections.abc import Callable

import pytest

from adapters.post.config import PostConfig
from adapters.post.journal import Journal
from adapters.post.tray import LetterTray
from bus.adapter.contract import Accepted, Refused, RetryLater, Unknown
from bus.errors import TransientError
from bus.message import Party, Reply
from bus.store.blobs import Blobs


@pytest.fixture
async def room(room):
    yield room
    await room.adapter.close()


async def test_a_letter_lies_in_the_tray_with_its_sidecar(room, reply: Callable[..., Reply]) -> None:
    wanted = reply()
    assert await room.adapter.send(wanted, 1) == Accepted(provider_id=wanted.id)
    assert sorted(path.name for path in room.tray.iterdir()) == [
        "acknowledged",
        f"{wanted.id}.json",
        f"{wanted.id}.pdf",
    ]
    sidecar = json.loads((room.tray / f"{wanted.id}.json").read_text())
    assert sidecar["to"] == ["Grete Ohlsen", "Lindenweg 4", "10969 Berlin"]
    assert (sidecar["pages"], sidecar["language"], sidecar["case_number"]) == (1, "de", wanted.case_number)
    pdf = (room.tray / f"{wanted.id}.pdf").read_bytes()
    assert await Blobs(room.folder / "blobs").get("sha256:" + sidecar["sha256"]) == pdf


async def test_sending_again_changes_nothing_even_when_the_printer_took_it(room, reply: Callable[..., Reply]) -> None:
    await room.adapter.send(reply(), 1)
    before = (room.tray / f"{reply().id}.pdf").read_bytes()
    room.clock.advance(90_000)  # another day, another date on the paper
    room.restart()
    assert isinstance(await room.adapter.send(reply(text="something else"), 2), Accepted)
    assert (room.tray / f"{reply().id}.pdf").read_bytes() == before
    (room.tray / f"{reply().id}.pdf").unlink()
    assert isinstance(await room.adapter.send(reply(), 3), Accepted)
    assert not (room.tray / f"{reply().id}.pdf").exists()


async def test_a_crash_during_the_hand_over(room, reply: Callable[..., Reply], monkeypatch) -> None:
    class Killed(BaseException):
        pass

    put = LetterTray.put

    def put_and_die(self, sidecar, pdf):
        put(self, sidecar, pdf)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(LetterTray, "put", put_and_die)
        with pytest.raises(Killed):
            await room.adapter.send(reply(), 1)
    await room.adapter.close()
    room.restart()
    assert isinstance(await room.adapter.send(reply(), 2), Accepted)  # it lies there: done


async def test_a_letter_gone_after_a_crash_is_unknown_and_not_printed_twice(
    room, reply: Callable[..., Reply], monkeypatch
) -> None:
    class Killed(BaseException):
        pass

    def die(self, sidecar, pdf):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(LetterTray, "put", die)
        with pytest.raises(Killed):
            await room.adapter.send(reply(), 1)
    await room.adapter.close()
    room.restart()
    assert isinstance(await room.adapter.send(reply(), 2), Unknown)
    assert not (room.tray / f"{reply().id}.pdf").exists()


async def test_a_printer_that_takes_the_letter_at_once_has_it(room, reply: Callable[..., Reply], monkeypatch) -> None:
    put = LetterTray.put

    def put_and_print(self, sidecar, pdf):
        put(self, sidecar, pdf)
        (self.path / f"{sidecar.reply}.pdf").unlink()

    monkeypatch.setattr(LetterTray, "put", put_and_print)
    assert await room.adapter.send(reply(), 1) == Accepted(provider_id=reply().id)
    assert isinstance(await room.adapter.send(reply(), 2), Accepted)


async def test_a_letter_in_the_tray_is_sent_whatever_the_store_says(
    room, reply: Callable[..., Reply], monkeypatch
) -> None:
    put_letter = Journal.put_letter

    async def away(self, row):
        if row.state == "handed":
            raise TransientError("the store is away")
        await put_letter(self, row)

    monkeypatch.setattr(Journal, "put_letter", away)
    # "Later" would say that it certainly was not sent, and it lies there.
    assert await room.adapter.send(reply(), 1) == Accepted(provider_id=reply().id)
    assert (room.tray / f"{reply().id}.pdf").exists()


async def test_a_full_tray_is_tried_again(room, reply: Callable[..., Reply], monkeypatch) -> None:
    def full(self, name, data):
        raise OSError(28, "no space")

    with monkeypatch.context() as patched:
        patched.setattr(LetterTray, "_write", full)
        assert isinstance(await room.adapter.send(reply(), 1), RetryLater)
    assert isinstance(await room.adapter.send(reply(), 2), Accepted)


@pytest.mark.parametrize(
    "change",
    [
        {"to": Party(kind="postal", address="", name="Grete Ohlsen")},
        {"to": Party(kind="email", address="a@b.example")},
        {"id": "../../etc/cron.d/x"},
        {"text": "您好"},
        {"text": "\n\n".join(["Sehr lang. " * 300] * 30)},
    ],
)
async def test_what_cannot_be_posted_is_refused_with_a_reason(room, reply: Callable[..., Reply], change: dict) -> None:
    result = await room.adapter.send(reply(**change), 1)
    assert isinstance(result, Refused)
    assert result.reason
    assert list(room.tray.glob("*.pdf")) == []


async def test_without_a_return_address_letters_wait(room, reply: Callable[..., Reply]) -> None:
    room.config = PostConfig()
    room.restart()
    assert isinstance(await room.adapter.send(reply(), 1), RetryLater)
    health = await room.adapter.probe()
    assert not health.ok
    assert "return address" in health.detail


@pytest.mark.parametrize(
    ("word", "state", "permanent"),
    [("printed", "accepted", False), ("posted", "delivered", False), ("failed", "failed", True)],
)
async def test_an_answer_in_the_tray_becomes_a_status(
    room, reply: Callable[..., Reply], word: str, state: str, permanent: bool
) -> None:
    wanted = reply()
    await room.adapter.send(wanted, 1)
    ack = room.tray / f"{wanted.id}.ack.json"
    ack.write_text('{"state": "pos')  # being written
    assert await room.adapter.sending.read_acks() == 0
    ack.write_text(json.dumps({"state": word, "at": "2026-11-23T10:00:00+01:00", "machine": "P7"}))
    assert await room.adapter.sending.read_acks() == 1
    (status,) = room.statuses
    assert (status.reply, status.case, status.state, status.permanent) == (wanted.id, "k-1", state, permanent)
    assert status.at.isoformat() == "2026-11-23T10:00:00+01:00"
    assert not ack.exists()
    assert (room.tray / "acknowledged" / f"{wanted.id}.1.ack.json").exists()
    assert await room.adapter.sending.read_acks() == 0
    assert isinstance(await room.adapter.send(wanted, 2), Accepted)


async def test_a_status_that_cannot_be_reported_is_reported_later(
    room, reply: Callable[..., Reply], monkeypatch
) -> None:
    wanted = reply()
    await room.adapter.send(wanted, 1)
    (room.tray / f"{wanted.id}.ack.json").write_text('{"state": "posted"}')
    report, calls = room.report, []

    async def away(status):
        calls.append(status)
        raise TransientError("log is away")

    room.adapter.sending._services = dataclasses.replace(room.adapter.sending._services, status=away)
    with pytest.raises(TransientError):
        await room.adapter.sending.read_acks()
    room.adapter.sending._services = dataclasses.replace(room.adapter.sending._services, status=report)
    assert await room.adapter.sending.read_acks() == 1
    assert [status.state for status in room.statuses] == ["delivered"]
    assert len(calls) == 1


async def test_answers_for_letters_of_others_stay(room) -> None:
    LetterTray(room.tray).create()
    (room.tray / "r-stranger.ack.json").write_text('{"state": "posted"}')
    (room.tray / "..ack.json").write_text('{"state": "posted"}')
    assert await room.adapter.sending.read_acks() == 0
    assert (room.tray / "r-stranger.ack.json").exists()
