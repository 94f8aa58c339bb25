"""Scans are drawn in a limited process; hostile files cost that process only."""

import io
import struct
import zlib

import pytest
from PIL import Image

from bus.delivery.outcome import NOTHING
from bus.log.port import StoredRecord
from bus.message import Attachment, BlobRef, Contact, Party, encode
from bus.store.port import Effect
from workers.case.work import Identified
from workers.desk.files import FileKeeper
from workers.desk.picture import LONGEST_SIDE, NoPicture, Pictures


def image(kind, pages=1):
    sheets = [Image.new("L", (1240, 1754), 255 - 10 * number) for number in range(pages)]
    data = io.BytesIO()
    if pages > 1:
        sheets[0].save(data, kind, save_all=True, append_images=sheets[1:])
    else:
        sheets[0].save(data, kind)
    return data.getvalue()


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [("PDF", "application/pdf"), ("TIFF", "image/tiff"), ("JPEG", "image/jpeg"), ("PNG", "image/png")],
)
async def test_scans_become_pictures(kind, media_type):
    png = await Pictures().draw(image(kind), media_type, 0)
    drawn = Image.open(io.BytesIO(png))
    assert drawn.format == "PNG"
    assert max(drawn.size) in (LONGEST_SIDE, LONGEST_SIDE + 1)


@pytest.mark.parametrize(("kind", "media_type"), [("PDF", "application/pdf"), ("TIFF", "image/tiff")])
async def test_pages_beyond_the_last_are_no_pictures(kind, media_type):
    data = image(kind, pages=2)
    first, second = await Pictures().draw(data, media_type, 0), await Pictures().draw(data, media_type, 1)
    assert first != second
    with pytest.raises(NoPicture, match="page"):
        await Pictures().draw(data, media_type, 2)


@pytest.mark.parametrize(
    ("kind", "media_type", "pages"),
    [("PDF", "application/pdf", 3), ("TIFF", "image/tiff", 2), ("JPEG", "image/jpeg", 1), ("PNG", "image/png", 1)],
)
async def test_pages_are_counted(kind, media_type, pages):
    assert await Pictures().count(image(kind, pages), media_type) == pages


def bomb():
    # 60,000 x 60,000 pixels of nothing: a few kilobytes in the file, gigabytes when unpacked. Written by hand, because
    # a library would unpack it first.
    side = 60_000
    packer = zlib.compressobj()
    rows = bytes((1 + side // 8) * 100)
    pixels = b"".join(packer.compress(rows) for _ in range(side // 100)) + packer.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"", "application/pdf"),
        (b"%PDF-1.7 and nothing else", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 50, "image/png"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "image/png"),
        (b"GIF89a" + b"\x00" * 50, "image/png"),
        (None, "image/png"),
    ],
)
async def test_what_cannot_be_drawn_is_refused(data, media_type):
    with pytest.raises(NoPicture):
        await Pictures().draw(bomb() if data is None else data, media_type, 0)
    if media_type == "application/pdf":
        with pytest.raises(NoPicture):
            await Pictures().count(data, media_type)


async def test_originals_and_attachments_are_listed_under_their_case(house):
    original, scan = b"From: a\r\n\r\nhi", image("PDF")
    digests = [await house.blobs.put(original), await house.blobs.put(scan)]
    case = await house.make_case("grete")
    now = house.clock.now()
    contact = Contact(
        id=f"c-{case}-1", tenant="shop", channel="email", account="a", occurred_at=now, received_at=now,
        sender=Party(kind="email", address="g@x.example"),
        raw=BlobRef(digest=digests[0], media_type="message/rfc822", size=len(original)),
        attachments=(Attachment(digest=digests[1], media_type="application/pdf", size=len(scan), name="Brief.pdf"),),
    )  # fmt: skip
    keeper = FileKeeper()

    def record(value):
        return StoredRecord(
            topic="contact.identified", partition=0, offset=1, at=1, key=case, value=encode(value), id="x", headers={}
        )

    outcome = await keeper.handle(record(Identified(contact=contact, case=case, person="p")))
    for _ in range(2):  # delivered twice, listed once
        [result] = await house.engine.apply([Effect(outcome=outcome)])
        assert result.applied
    client = await house.sign_in()
    view = await (await client.get(f"/desk/api/cases/{case}")).json()
    assert [(f["role"], f["name"], f["picture"]) for f in view["files"]] == [
        ("raw", "", False), ("attachment", "Brief.pdf", True)
    ]  # fmt: skip
    picture = await client.get(f"/desk/api/cases/{case}/files/{digests[1]}/picture")
    assert picture.content_type == "image/png"
    assert Image.open(io.BytesIO(await picture.read())).format == "PNG"
    counted = await client.get(f"/desk/api/cases/{case}/files/{digests[1]}/pages")
    assert await counted.json() == {"pages": 1}
    assert (await client.get(f"/desk/api/cases/{case}/files/{digests[0]}/pages")).status == 404
    mail = await client.get(f"/desk/api/cases/{case}/files/{digests[0]}")
    assert await mail.read() == original
    assert ".eml" in mail.headers["Content-Disposition"]
    bare = Contact(
        id="c-2", tenant="shop", channel="chat", account="a", sender=contact.sender, occurred_at=now, received_at=now
    )
    assert await keeper.handle(record(Identified(contact=bare, case=case, person="p"))) == NOTHING
    await client.close()
