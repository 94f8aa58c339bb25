"""From the bytes of a scan to the common contact message. The same bytes give the same contact.

Reading happens in limited children (`reader`); this module decides what the reading is worth and what it says.
"""

import re

import msgspec

from adapters.post import fields
from adapters.post.codes import find_numbers
from adapters.post.config import PostConfig
from adapters.post.reader import Letter, PageResult, read_letter
from adapters.post.recognise import Line, Word
from adapters.post.words import language_of
from bus.adapter.contract import Normalised, Raw
from bus.adapter.redaction import redact
from bus.message import Contact, Party, Proof, Quality, TextRange, clean_text, derive_id, number_is_valid
from bus.store.blobs import digest_of

__all__ = ["CHANNEL", "case_number", "contact_id", "normalise"]

CHANNEL = "post"
GOOD_COVERAGE = 0.97
"""From here on a letter may be worked on without a person having seen it."""
LEAST_COVERAGE = 0.85
"""Below this too much was not read: handwriting, or a scan that has to be made again."""
GOOD_CONFIDENCE = 0.90
_FEWEST_WORDS = 4
_COLUMN_GAP_MM = 12
_ENGLISH_I = re.compile(r"(?<![\w|])\|(?=['’](?:m|ve|d|ll)\b|\s|$)")
_WORD_I = re.compile(r"(?<![\w|])\|(?=[a-zäöüæøå])")
_SHARP_S = re.compile(r"(?<=[a-zäöü])B(?=[a-zäöü]|\b)")
_HYPHENATED = re.compile(r"([a-zäöüæøåß]{2})-$")


def contact_id(raw: Raw) -> str:
    """By the bytes of the file: the same file twice is the same letter. Empty files have no bytes to tell them apart,
    so what the folder knew about them stands for them."""
    if raw.data:
        return derive_id("c", raw.tenant, CHANNEL, digest_of(raw.data))
    return derive_id(
        "c", raw.tenant, CHANNEL, "empty", str(raw.native.get("file", "")), str(raw.native.get("seen", ""))
    )


def normalise(raw: Raw, config: PostConfig) -> Normalised:
    """Read a scan. Never raises for what the bytes are: what cannot be read becomes a contact for a person."""
    problem = str(raw.native.get("problem", ""))
    letter = Letter(problem=problem) if problem or not raw.data else read_letter(raw.data, config)
    if not problem and not raw.data:
        letter = Letter(problem="empty file from the scanner")
    lines = _head_parted([line for page in letter.pages if page.read for line in _tidied(page.read.lines)])
    text, starts = _assemble(lines)
    language = language_of(text, config.languages)
    quality, coverage = _quality(letter, lines)

    sender = fields.find_sender(lines, config.company)
    own = fields.own_lines(lines, config.company)
    # A file from the command line carries no day of its scan, only the beginning of time.
    day = fields.letter_date(lines, raw.received_at.date() if raw.received_at.year > 1970 else None)
    number, by = case_number(letter, text)
    head = frozenset(sender.lines) | own
    subject = fields.subject_index(lines, head, day)
    read = quality.status != "unreadable"
    native: dict[str, object] = {
        "file": raw.native.get("file", ""),
        "pages": len(letter.pages),
        "blank_pages": [page.number + 1 for page in letter.pages if page.blank],
        "turned_pages": [page.number + 1 for page in letter.pages if page.turned],
        "coverage": round(coverage, 3),
        "letter_date": day.value if day else "",
        "qr": [code["text"] for page in letter.pages for code in page.codes][:20],
        "case_number": number,
        "case_number_by": by,
        "email": fields.first_email(text),
        "phone": fields.first_phone(text),
        "sender_by": sender.how,
        "fields": _where(sender, day),
    }
    if not read and text:
        # Half a letter misleads: a person gets it beside the scan, no worker decides on it.
        native["read_in_part"] = redact(text)[0]
    contact = Contact(
        id=contact_id(raw),
        tenant=raw.tenant,
        channel=CHANNEL,
        account=raw.account,
        conversation=number,
        sender=Party(kind="postal", address="\n".join(sender.address), name=sender.name),
        recipients=(),
        proof=Proof(level="none", by="paper"),
        occurred_at=raw.received_at,
        received_at=raw.received_at,
        subject=fields.subject_text(lines[subject].text)[:300] if read and subject is not None else "",
        text=text if read else "",
        ranges=_ranges(lines, starts, head, text) if read else (),
        language=language,
        quality=quality,
        native={name: value for name, value in native.items() if value not in ("", [], {})},
    )
    return Normalised(contact=contact)


def _tidied(lines: tuple[Line, ...]) -> list[Line]:
    """Lines with the usual confusions of type mended: | for I, B for ß."""
    english = language_of(" ".join(line.text for line in lines), ("de", "nb", "en")) == "en"
    return [_mended(line, english) for line in lines]


def _mended(line: Line, english: bool) -> Line:
    alone = sum(word.text == "|" for word in line.words)
    words = []
    for word in line.words:
        text = _SHARP_S.sub("ß", _WORD_I.sub("I", word.text))
        # Two bars in a line part the columns of a letterhead; a single one in English is the writer.
        if english and (alone < 2 or word.text != "|"):
            text = _ENGLISH_I.sub("I", text)
        words.append(msgspec.structs.replace(word, text=clean_text(text)))
    return msgspec.structs.replace(line, words=tuple(words))


def _head_parted(lines: list[Line]) -> list[Line]:
    """Lines above the salutation parted at wide gaps: an address at the left and a date at the right are no line."""
    opening = fields.salutation_index(lines)
    parted: list[Line] = []
    for index, line in enumerate(lines):
        if line.page or index >= (opening or 0):
            parted.append(line)
            continue
        dot_mm = (line.right - line.left) / max(1, line.words[-1].right - line.words[0].left)
        pieces: list[list[Word]] = [[line.words[0]]]
        for word in line.words[1:]:
            if (word.left - pieces[-1][-1].right) * dot_mm > _COLUMN_GAP_MM:
                pieces.append([])
            pieces[-1].append(word)
        origin = line.left - line.words[0].left * dot_mm
        parted += [
            msgspec.structs.replace(
                line,
                words=tuple(piece),
                left=origin + piece[0].left * dot_mm,
                right=origin + piece[-1].right * dot_mm,
            )
            for piece in pieces
        ]
    return parted


def _assemble(lines: list[Line]) -> tuple[str, list[int]]:
    """The text with an empty line between paragraphs, and where in it each line starts."""
    parts: list[str] = []
    starts: list[int] = []
    length = 0
    before: Line | None = None
    for line in lines:
        same = before is not None and (line.page, line.block, line.paragraph) == (
            before.page,
            before.block,
            before.paragraph,
        )
        joint = "\n" if same else "\n\n"
        if before is not None:
            if same and _HYPHENATED.search(parts[-1]) and line.text[:1].islower():
                parts[-1] = parts[-1][:-1]
                length -= 1
                joint = ""
            parts.append(joint)
            length += len(joint)
        starts.append(length)
        parts.append(line.text)
        length += len(line.text)
        before = line
    return "".join(parts), starts


def _ranges(lines: list[Line], starts: list[int], head: frozenset[int], text: str) -> tuple[TextRange, ...]:
    """Addresses at the top and everything from the closing on are not what the writer wants to say."""
    labelled = [
        TextRange(label="signature", start=starts[index], end=starts[index] + len(lines[index].text))
        for index in sorted(head)
    ]
    closing = fields.closing_index(lines)
    if closing is not None and closing >= len(lines) // 2:
        labelled.append(TextRange(label="signature", start=starts[closing], end=len(text)))
    return tuple(labelled)


def case_number(letter: Letter, text: str) -> tuple[str, str]:
    """The one case number on the letter and how it was read. Two different ones are none: nobody guesses."""
    codes = {code["text"] for page in letter.pages for code in page.codes if number_is_valid(code["text"])}
    if codes:
        return (codes.pop(), "qr") if len(codes) == 1 else ("", "")
    written = find_numbers(text)
    return (written[0], "text") if len(written) == 1 else ("", "")


def _quality(letter: Letter, lines: list[Line]) -> tuple[Quality, float]:
    """How far the reading may be trusted, with the reasons a person needs, and the coverage of the letter."""
    if letter.problem:
        return Quality(status="unreadable", reasons=(letter.problem,)), 0.0
    written = [page for page in letter.pages if not page.blank]
    if not written:
        return Quality(status="unreadable", reasons=("nothing is written on the pages",)), 0.0
    read = [page.read for page in written if page.read is not None]
    ink = sum(page.ink for page in read)
    coverage = sum(page.coverage * page.ink for page in read) / ink if ink else 0.0
    letters = [(word.confidence, len(word.text)) for line in lines for word in line.words]
    confidence = sum(c * n for c, n in letters) / sum(n for _, n in letters) / 100 if letters else 0.0
    reasons = [reason for page in written if (reason := _page_reason(page))]
    first = written[0].read
    if first is None or min(first.coverage, coverage) < LEAST_COVERAGE or len(letters) < _FEWEST_WORDS:
        status = "unreadable"
        reasons = reasons or ["too little could be read"]
    elif reasons or coverage < GOOD_COVERAGE or confidence < GOOD_CONFIDENCE:
        status = "degraded"
        reasons = reasons or [f"read with a confidence of {confidence:.0%}"]
    else:
        status = "ok"
    return Quality(status=status, reasons=tuple(reasons), confidence=round(confidence, 3)), coverage


def _page_reason(page: PageResult) -> str:
    name = f"page {page.number + 1}"
    if page.problem or page.read is None:
        return f"{name} {page.problem or 'was not read'}"
    if page.read.coverage < GOOD_COVERAGE:
        return f"{name}: {page.read.coverage:.0%} of the writing was read, the rest may be handwriting"
    return ""


def _where(sender: fields.Sender, day: fields.Found | None) -> dict[str, object]:
    """Where on the paper a value stands, so that a person can look: page (from 1) and box in millimetres."""
    where: dict[str, object] = {}
    if sender.how and sender.lines:
        where["sender"] = {"page": sender.page + 1, "box_mm": list(sender.box_mm)}
    if day is not None:
        where["letter_date"] = {"page": day.page + 1, "box_mm": list(day.box_mm)}
    return where
