"""Letters from the drop folder to the letter tray."""

import asyncio
import re
import time
from typing import Any

import aiohttp
import pypdfium2

from adapters.post.samples import make_scan

KARI = "kari.lunde@kunde.example"
LETTER = (
    "Hei,\n\njeg viser til ordre SO-10301, som kom i posten for noen dager siden. Jeg ønsker å benytte meg av "
    "angreretten og går fra avtalen. Hvordan sender jeg varen tilbake?\n\nVennlig hilsen\nKari Lunde"
)


def letter_text(data: bytes) -> str:
    return "\n".join(page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(data))


async def test_a_withdrawal_by_letter_is_answered_by_letter_and_goes_on_by_mail(product: Any, tools: Any) -> None:
    scan = await asyncio.to_thread(
        make_scan,
        LETTER,
        language="nb",
        sender=("Kari Lunde", "Storgata 12", "0155 Oslo"),
        degrade="office",
        fmt="pdf",
        seed=7,
    )
    dropped = time.monotonic()
    product.drop("brev.pdf", scan)

    async def arrived() -> Any:
        return await product.cli("contacts", "list")

    (contact,) = await tools.eventually(arrived, 30, "the letter on the bus")
    assert contact["language"] == "nb" or "angreretten" in contact["text"]
    print(f"letter on the bus after {time.monotonic() - dropped:.1f} s")

    async def answered() -> Any:
        return product.letters()

    (letter,) = await tools.eventually(answered, 30, "a letter in the tray")
    text = letter_text(letter.read_bytes())
    assert "Kari Lunde" in text
    assert "Storgata 12" in text
    assert "0155" in text
    assert "retur" in text.lower()
    (case,) = await product.cases()
    number = case["number"]
    assert number in text.replace(" ", "").replace("\u00a0", "")

    # From an address that nobody has proven, the number opens nothing: a new case that claims to belong.
    await product.send(tools.mail(f"Kari Lunde <{KARI}>", "Retur", f"Hei, saken min er {number}. Når får jeg pengene?"))
    await product.mails_to(KARI)
    cases = await product.cases()
    assert len(cases) == 2
    claimed = next(one for one in cases if one["id"] != case["id"])
    assert (claimed["link"], claimed["claims"]) == ("claimed", case["id"])

    # Her address is on file, so the answer carries a link; with it the mail goes to where it belongs.
    (question,) = product.mailbox.sent_to(KARI)
    link = re.search(r"http://\S+/confirm/\S+", question.text)
    assert link is not None, question.text
    async with aiohttp.ClientSession() as browser, browser.post(link[0]) as pressed:
        assert pressed.status == 200

    async def joined() -> bool:
        received = [event for event in await product.timeline(case["id"]) if event["kind"] == "received"]
        return any("saken min" in event["text"] for event in received) and len(received) >= 2

    await tools.eventually(joined, 30, "the mail in the case of the letter")
    by_id = {one["id"]: one for one in await product.cases()}
    assert by_id.keys() == {case["id"], claimed["id"]}
    assert by_id[claimed["id"]]["status"] == "closed"
    assert by_id[case["id"]]["status"] != "closed"
    await product.mails_to(KARI, 2)

    # From now on her address is proven: the number alone attaches, without a question.
    await product.send(
        tools.mail(f"Kari Lunde <{KARI}>", "Enda et spørsmål", f"Hei igjen, sak {number}: har dere fått pakken?")
    )

    async def attached() -> bool:
        timeline = await product.timeline(case["id"])
        return any("har dere fått" in event.get("text", "") for event in timeline if event["kind"] == "received")

    await tools.eventually(attached, 30, "the next mail in the same case")
    assert len(await product.cases()) == 2


async def test_the_same_letter_three_times_and_broken_files(product: Any, tools: Any) -> None:
    scan = await asyncio.to_thread(
        make_scan,
        LETTER,
        language="nb",
        sender=("Kari Lunde", "Storgata 12", "0155 Oslo"),
        degrade="clean",
        fmt="pdf",
        seed=1,
    )
    product.drop("empty.pdf", b"")
    product.drop("bomb.pdf", bomb())
    for name in ("a.pdf", "b.pdf", "c.pdf"):
        product.drop(name, scan)

    async def taken() -> bool:
        contacts = await product.cli("contacts", "list")
        return any("angreretten" in contact.get("text", "") for contact in contacts)

    await tools.eventually(taken, 60, "the good letter on the bus")

    async def answered() -> Any:
        return product.letters()

    await tools.eventually(answered, 30, "a letter in the tray")
    contacts = [c for c in await product.cli("contacts", "list") if "angreretten" in c.get("text", "")]
    assert len(contacts) == 1
    assert len(product.letters()) == 1

    async def bomb_is_with_a_person() -> bool:
        return any(c.get("quality", {}).get("status") == "unreadable" for c in await product.cli("contacts", "list"))

    await tools.eventually(bomb_is_with_a_person, 60, "the unreadable file with a person")


def bomb() -> bytes:
    """A PDF of a few kilobytes whose forms call each other ten times over twenty levels."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /XObject << /F 5 0 R >> >> >>",
        b"<< /Length 5 >>\nstream\n/F Do\nendstream",
    ]
    levels = 20
    for level in range(levels):
        following = 5 + level + 1
        content = b"/F Do " * 10 if level < levels - 1 else b"0 0 100 100 re f "
        resources = b"/Resources << /XObject << /F %d 0 R >> >>" % following if level < levels - 1 else b""
        objects.append(
            b"<< /Type /XObject /Subtype /Form /BBox [0 0 595 842] %s /Length %d >>\nstream\n%s\nendstream"
            % (resources, len(content), content)
        )
    out = b"%PDF-1.7\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
