"""The drop folder: nothing half read, nothing lost, nothing twice, nothing deleted."""

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.post.journal import Journal
from bus.adapter.contract import Acceptance, Raw
from bus.errors import Overloaded, StorageFull, TransientError

SETTLE = 1.0


@pytest.fixture(scope="module")
def pdf(scan: Callable[..., bytes]) -> bytes:
    return scan("de", degrade="fax")


async def test_a_letter_is_handed_over_once_and_moved_to_done(room, pdf: bytes) -> None:
    (room.drop / "scan.pdf").write_bytes(pdf)
    await room.look()
    assert room.accepted == []  # not before it has settled
    await room.look(SETTLE)
    assert [raw.data for raw in room.accepted] == [pdf]
    assert room.accepted[0].media_type == "application/pdf"
    (name,) = room.names("done")
    assert (room.drop / "done" / name).read_bytes() == pdf
    assert not (room.drop / "scan.pdf").exists()
    await room.look(SETTLE)
    await room.look(100)
    assert len(room.accepted) == 1


async def test_a_slow_writer_is_never_read_half(room, pdf: bytes) -> None:
    pieces = [pdf[i : i + len(pdf) // 6 + 1] for i in range(0, len(pdf), len(pdf) // 6 + 1)]
    with (room.drop / "slow.pdf").open("wb") as file:
        for piece in pieces:
            assert room.accepted == []
            file.write(piece)
            file.flush()
            await room.look()
            await room.look(30)  # a pause is not an end
    await room.look(SETTLE)
    await room.look(SETTLE)
    assert [raw.data for raw in room.accepted] == [pdf]
    assert room.names("held") == []
    rows = await Journal(room.engine, "shop").files()
    assert [row.state for row in rows] == ["done"]  # the halves left no trace


async def test_a_renamed_file_is_taken_and_temporary_names_are_not(room, pdf: bytes) -> None:
    for name in (".hidden.pdf", "a.tmp", "b.part", "c.pdf~", "D.TMP"):
        (room.drop / name).write_bytes(pdf)
    await room.look()
    await room.look(10)
    assert room.accepted == []
    (room.drop / "a.tmp").rename(room.drop / "a.pdf")
    await room.look()
    await room.look(SETTLE)
    assert len(room.accepted) == 1


async def test_links_pipes_and_folders_are_left_alone(room, pdf: bytes, tmp_path: Path) -> None:
    secret = tmp_path / "secret.pdf"
    secret.write_bytes(pdf)
    (room.drop / "link.pdf").symlink_to(secret)
    os.mkfifo(room.drop / "pipe.pdf")
    (room.drop / "folder.pdf").mkdir()
    async with asyncio.timeout(5):
        await room.look()
        await room.look(100)
    assert room.accepted == []
    assert secret.exists()


async def test_a_link_put_in_place_of_a_seen_file_is_not_followed(room, pdf: bytes, tmp_path: Path) -> None:
    """Between listing and reading the name may come to mean something else."""
    from adapters.post.folder import DropFolder

    folder = DropFolder(room.drop)
    (room.drop / "x.pdf").write_bytes(pdf)
    (seen,) = folder.list()
    (room.drop / "x.pdf").rename(tmp_path / "elsewhere.pdf")
    (room.drop / "x.pdf").symlink_to(tmp_path / "elsewhere.pdf")
    assert folder.read(seen, 10_000_000) is None


async def test_an_empty_file_becomes_a_case_but_stays_to_be_filled(room, pdf: bytes) -> None:
    (room.drop / "scan.pdf").touch()
    await room.look()
    await room.look(30)
    assert room.accepted == []
    await room.look(31)
    assert [raw.native["problem"] for raw in room.accepted] == ["empty file from the scanner"]
    assert (room.drop / "scan.pdf").exists()
    for _ in range(5):
        await room.look(60)
    assert len(room.accepted) == 1  # told once
    (room.drop / "scan.pdf").write_bytes(pdf)
    await room.look()
    await room.look(SETTLE)
    assert [raw.data for raw in room.accepted] == [b"", pdf]
    assert len(room.names("done")) == 1


async def test_an_empty_file_that_stays_empty_is_held_at_last(room) -> None:
    (room.drop / "scan.pdf").touch()
    await room.look()
    await room.look(61)
    room.restart()
    await room.look()
    await room.look(1801)
    assert len(room.accepted) == 1
    held = room.names("held")
    assert len(held) == 2
    assert "empty file" in (room.drop / "held" / held[1]).read_text()


async def test_a_file_that_never_completes_goes_to_a_person_after_half_an_hour(room, pdf: bytes) -> None:
    (room.drop / "cut.pdf").write_bytes(pdf[: len(pdf) // 2])
    await room.look()
    await room.look(SETTLE)
    for _ in range(20):
        await room.look(60)
    assert room.accepted == []
    room.restart()  # the waiting time survives a restart
    await room.look()
    for _ in range(12):
        await room.look(60)
    assert [raw.native["problem"] for raw in room.accepted] == ["the file never arrived completely"]
    held = [name for name in room.names("held") if not name.endswith(".reason.txt")]
    assert (room.drop / "held" / held[0]).read_bytes() == pdf[: len(pdf) // 2]


async def test_what_is_no_scan_is_held_with_the_reason(room) -> None:
    (room.drop / "offer.docx").write_bytes(b"PK\x03\x04" + bytes(5000))
    await room.look()
    await room.look(SETTLE)
    await room.look(20)
    assert [raw.media_type for raw in room.accepted] == ["application/octet-stream"]
    document, reason = room.names("held")
    assert document.endswith(".docx")
    assert "not a scan" in (room.drop / "held" / reason).read_text()


async def test_a_file_over_the_limit_is_not_loaded(room) -> None:
    with (room.drop / "huge.pdf").open("wb") as file:
        file.write(b"%PDF-1.7\n")
        file.truncate(51 * 1024 * 1024)
    await room.look()
    await room.look(SETTLE)
    await room.look(20)
    assert [(raw.data, raw.native["problem"]) for raw in room.accepted] == [(b"", "the file is larger than 50 MB")]
    assert any(name.startswith("huge--") for name in room.names("held"))


async def test_an_unreadable_scan_is_held(room, pdf: bytes) -> None:
    room.unreadable = ("the file is locked with a password",)
    (room.drop / "locked.pdf").write_bytes(pdf)
    await room.look()
    await room.look(SETTLE)
    assert room.names("done") == []
    assert len(room.names("held")) == 2


async def test_the_same_bytes_under_two_names_are_one_contact(room, pdf: bytes) -> None:
    (room.drop / "a.pdf").write_bytes(pdf)
    (room.drop / "b.pdf").write_bytes(pdf)
    await room.look()
    await room.look(SETTLE)
    room.restart()
    (room.drop / "c.pdf").write_bytes(pdf)
    await room.look()
    await room.look(SETTLE)
    assert len(room.contacts) == 1
    assert len(room.names("done")) == 3
    rows = await Journal(room.engine, "shop").files()
    assert {row.contact for row in rows} == {row.contact for row in rows[:1]}
    assert len(room.accepted) <= 2  # a and b may have been read side by side; c is not read again


async def test_a_scanner_may_use_the_same_name_again(room, pdf: bytes, scan: Callable[..., bytes]) -> None:
    other = scan("nb", degrade="fax")
    for data in (pdf, other, pdf):
        (room.drop / "scan.pdf").write_bytes(data)
        await room.look()
        await room.look(SETTLE)
    assert len(room.contacts) == 2
    assert len(room.names("done")) == 3
    stored = {hashlib.sha256((room.drop / "done" / name).read_bytes()).hexdigest() for name in room.names("done")}
    assert stored == {hashlib.sha256(pdf).hexdigest(), hashlib.sha256(other).hexdigest()}


async def test_trouble_of_the_bus_is_outlived_and_nothing_moves_before_the_yes(room, pdf: bytes) -> None:
    room.trouble = [Overloaded("full"), StorageFull("disk"), Overloaded("full")]
    (room.drop / "scan.pdf").write_bytes(pdf)
    await room.look()
    for _ in range(3):
        await room.look(SETTLE)
        assert (room.drop / "scan.pdf").exists()
        assert room.accepted == []
    assert room.trouble != []  # it waits longer each time
    assert (await room.adapter.probe()).detail == "1 files waiting, 1 to be tried again"
    for _ in range(10):
        await room.look(5)
    assert len(room.accepted) == 1
    assert len(room.names("done")) == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_crash_between_steps_repeats_the_step_and_not_the_letter(room, pdf: bytes, when: str) -> None:
    class Killed(BaseException):
        pass

    (room.trouble if when == "before" else room.crash_after).append(Killed())
    (room.drop / "scan.pdf").write_bytes(pdf)
    await room.look()
    await room.look(SETTLE)
    assert (room.drop / "scan.pdf").exists()
    room.restart()
    await room.look()
    await room.look(SETTLE)
    assert len(room.contacts) == 1
    assert len(room.names("done")) == 1
    assert [row.state for row in await Journal(room.engine, "shop").files()] == ["done"]


async def test_a_crash_before_moving_moves_without_a_second_contact(room, pdf: bytes, monkeypatch) -> None:
    from adapters.post.folder import DropFolder

    def broken(*_: object) -> None:
        raise OSError("the share is away")

    (room.drop / "scan.pdf").write_bytes(pdf)
    with monkeypatch.context() as patched:
        patched.setattr(DropFolder, "put_aside", broken)
        await room.look()
        await room.look(SETTLE)
    assert len(room.accepted) == 1
    room.restart()
    await room.look()
    await room.look(10)
    assert len(room.accepted) == 1  # only moving was tried again
    assert len(room.names("done")) == 1


@pytest.mark.parametrize("how", ["in place", "renamed over"])
async def test_the_next_letter_under_the_same_name_is_not_put_aside_unread(
    room, pdf: bytes, monkeypatch, how: str
) -> None:
    """Reading takes seconds, and some scanners have one name for everything."""
    accept = room.accept
    following = pdf + b"\n"

    async def slow(raw: Raw) -> Acceptance:
        if raw.data == pdf:
            file = room.drop / "scan.pdf"
            if how == "in place":
                file.write_bytes(following)
            else:
                file.with_name("next.tmp").write_bytes(following)
                file.with_name("next.tmp").rename(file)
        return await accept(raw)

    monkeypatch.setattr(room, "accept", slow)
    room.restart()
    (room.drop / "scan.pdf").write_bytes(pdf)
    await room.look()
    await room.look(SETTLE)
    assert (room.drop / "scan.pdf").read_bytes() == following
    await room.look()
    await room.look(SETTLE)
    assert [raw.data for raw in room.accepted] == [pdf, following]
    (name,) = room.names("done")
    assert (room.drop / "done" / name).read_bytes() == following
    assert {row.state for row in await Journal(room.engine, "shop").files()} == {"done"}


async def test_a_crash_after_moving_settles_the_journal(room, pdf: bytes) -> None:
    journal = Journal(room.engine, "shop")
    (room.drop / "scan.pdf").write_bytes(pdf)
    await room.look()
    await room.look(SETTLE)
    (row,) = await journal.files()
    import msgspec

    await journal.put_file(msgspec.structs.replace(row, state="accepted"))
    room.restart()
    await room.look()
    assert [row.state for row in await journal.files()] == ["done"]


async def test_file_names_that_are_no_text_are_harmless(room, pdf: bytes) -> None:
    name = os.fsdecode(b"br\xfcef\n.pdf")
    (room.drop / name).write_bytes(pdf)
    await room.look()
    await room.look(SETTLE)
    assert len(room.names("done")) == 1
    room.accepted[0].native["file"].encode("utf-8")


async def test_one_bad_file_does_not_hold_up_the_others(room, pdf: bytes) -> None:
    room.trouble = [ValueError("a surprise")]
    (room.drop / "a.pdf").write_bytes(pdf)
    (room.drop / "b.pdf").write_bytes(pdf + b"\n")
    await room.look()
    await room.look(SETTLE)
    assert len(room.accepted) == 1
    for _ in range(4):
        await room.look(60)
    assert len(room.accepted) == 2
    assert len(room.names("done")) == 2


async def test_a_journal_that_is_away_is_reported_and_outlived(room, pdf: bytes, monkeypatch) -> None:
    async def away(*_: object) -> None:
        raise TransientError("locked")

    (room.drop / "half.pdf").write_bytes(pdf[: len(pdf) // 2])
    await room.look()
    await room.look(SETTLE)
    (room.drop / "half.pdf").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "put_file", away)
        await room.look()
        assert not (await room.adapter.probe()).ok
    await room.look()
    assert (await room.adapter.probe()).ok
    assert [row.state for row in await Journal(room.engine, "shop").files()] == ["gone"]


async def test_a_folder_that_vanishes_is_reported_and_comes_back(room, pdf: bytes) -> None:
    room.drop.rename(room.drop.with_name("away"))
    room.drop.write_text("not a folder")
    await room.look()
    assert not (await room.adapter.probe()).ok
    room.drop.unlink()
    room.drop.with_name("away").rename(room.drop)
    (room.drop / "scan.pdf").write_bytes(pdf)
    await room.look()
    await room.look(SETTLE)
    assert len(room.accepted) == 1
    assert (await room.adapter.probe()).ok
