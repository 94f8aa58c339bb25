"""The parts of a mail: which are its text, which are attachments (after RFC 8621, section 4.1.4)."""

import re
from email import message_from_bytes
from email.message import Message

import msgspec

from adapters.email.bulk import Bulk
from adapters.email.charsets import decode_bytes
from adapters.email.headers import decode_base64, decode_words, parse_parameters, unfold
from adapters.email.html_text import html_to_text
from bus.message import clean_text

__all__ = ["CUT", "Body", "Leaf", "field_of", "read_mail_tree"]

MAX_PARTS = 200
CUT = "the text was cut, the whole mail is kept"
MAX_PART_TEXT = 200_000
"""Characters of one text part that are looked at: twice what a contact holds, for empty lines and markup go."""


class Leaf(msgspec.Struct, kw_only=True):
    """A part that is not a container."""

    media_type: str
    disposition: str
    name: str
    parameters: dict[str, str]
    part: Message
    bulk: Bulk
    nested: bool = False

    def data(self) -> bytes:
        """The decoded bytes; an unknown transfer encoding is read as it stands."""
        if self.nested:
            return self.bulk.restore(_nested_bytes(self.part))
        if not field_of(self.part, "content-transfer-encoding").lower().startswith("base64"):
            payload = self.part.get_payload(decode=True)
            return self.bulk.restore(payload) if isinstance(payload, bytes) else b""
        # Our own base 64: the library gives up on a broken tail.
        text = self.part.get_payload(decode=False)
        return decode_base64(self.bulk.restore(text.encode("utf-8", "replace"))) if isinstance(text, str) else b""


class Body(msgspec.Struct, kw_only=True):
    """What a mail says. `marks` has one entry per line of `text`, see `quotes.label_ranges`."""

    text: str
    marks: tuple[str, ...]
    attachments: list[Leaf]
    from_html: bool = False
    reasons: list[str] = []
    encrypted: bool = False
    report: bool = False


def read_mail_tree(data: bytes) -> tuple[Message, Body]:
    """The tree of a mail, and its text and attachments."""
    bulk = Bulk(data)
    root = message_from_bytes(bulk.thin)
    return root, _read_body(root, bulk)


def _read_body(root: Message, bulk: Bulk) -> Body:
    walk = _Walk(bulk)
    walk.parts([root], "mixed", in_alternative=False, html=walk.html, text=walk.text, depth=0)
    chosen = walk.text
    reasons: list[str] = []
    pieces: list[tuple[list[str], tuple[str, ...]]] = []
    for leaf in chosen:
        lines, marks, doubts = _lines_of(leaf)
        reasons += [doubt for doubt in doubts if doubt not in reasons]
        if any(line.strip() for line in lines):
            pieces.append((lines, marks))
    from_html = bool(chosen) and all(leaf.media_type == "text/html" for leaf in chosen)
    if not pieces and walk.html is not chosen:
        # A plain part that is there but says nothing: some shops send one.
        for leaf in walk.html:
            lines, marks, doubts = _lines_of(leaf)
            reasons += [doubt for doubt in doubts if doubt not in reasons]
            if any(line.strip() for line in lines):
                pieces.append((lines, marks))
                from_html = True
    if walk.broken:
        reasons.append("the parts of the mail could not be told apart")
    if walk.truncated:
        reasons.append("the mail has more parts than are looked at")
    text, marks = _join(pieces)
    return Body(
        text=text,
        marks=marks if any(marks) else (),
        attachments=walk.attachments,
        from_html=from_html,
        reasons=reasons,
        encrypted=walk.encrypted or text.lstrip().startswith("-----BEGIN PGP MESSAGE-----"),
        report=walk.report,
    )


class _Walk:
    """Sorts leaves into plain bodies, HTML bodies and attachments."""

    def __init__(self, bulk: Bulk) -> None:
        self.bulk = bulk
        self.text: list[Leaf] = []
        self.html: list[Leaf] = []
        self.attachments: list[Leaf] = []
        self.seen = 0
        self.truncated = self.encrypted = self.report = self.broken = False

    def parts(
        self,
        parts: list[Message],
        container: str,
        *,
        in_alternative: bool,
        html: list[Leaf] | None,
        text: list[Leaf] | None,
        depth: int,
    ) -> None:
        """One container. `html` or `text` is None where an alternative has decided that the other kind counts."""
        text_before = len(text) if text is not None else -1
        html_before = len(html) if html is not None else -1
        for index, part in enumerate(parts):
            self.seen += 1
            if self.seen > MAX_PARTS:
                self.truncated = True
                break
            media_type, parameters = parse_parameters(field_of(part, "content-type") or "text/plain")
            media_type = _plausible(media_type, container)
            children = part.get_payload() if part.is_multipart() else None
            if not isinstance(children, list) and media_type.startswith("multipart/"):
                # No boundary that could be found: the reader sees the source.
                self.broken = True
                media_type = "text/plain"
            if isinstance(children, list) and not media_type.startswith("message/"):
                kind = media_type.partition("/")[2] if media_type.startswith("multipart/") else "mixed"
                self.encrypted = self.encrypted or kind == "encrypted"
                self.report = self.report or kind == "report"
                self.parts(
                    [child for child in children if isinstance(child, Message)],
                    kind,
                    in_alternative=in_alternative or kind == "alternative",
                    html=html,
                    text=text,
                    depth=depth + 1,
                )
                continue
            leaf = _leaf(part, media_type, parameters, self.bulk, nested=isinstance(children, list))
            self.encrypted = self.encrypted or _is_encrypted(leaf)
            inline_media = media_type.startswith(("image/", "audio/", "video/"))
            is_body = (
                leaf.disposition != "attachment"
                and (media_type in ("text/plain", "text/html") or inline_media)
                and (index == 0 or (container != "related" and (inline_media or not leaf.name)))
            )
            if not is_body or inline_media:
                self.attachments.append(leaf)
                continue
            if container == "alternative":
                if media_type == "text/plain" and text is not None:
                    text.append(leaf)
                elif media_type == "text/html" and html is not None:
                    html.append(leaf)
                continue
            if in_alternative:
                if media_type == "text/plain":
                    html = None
                else:
                    text = None
            if text is not None:
                text.append(leaf)
            if html is not None:
                html.append(leaf)
        if container == "alternative" and text is not None and html is not None:
            # Only one of the two kinds came: it serves as the other one too.
            if len(text) == text_before and len(html) > html_before:
                text.extend(html[max(html_before, 0) :])
            elif len(html) == html_before and len(text) > text_before:
                html.extend(text[max(text_before, 0) :])


def _plausible(media_type: str, container: str) -> str:
    if media_type.count("/") == 1 and " " not in media_type and len(media_type) <= 127:
        return media_type
    if not media_type or media_type in ("text", "plain"):
        return "message/rfc822" if container == "digest" else "text/plain"
    return "text/html" if media_type == "html" else "application/octet-stream"


def _leaf(part: Message, media_type: str, parameters: dict[str, str], bulk: Bulk, *, nested: bool) -> Leaf:
    disposition, details = parse_parameters(field_of(part, "content-disposition"))
    name = details.get("filename") or parameters.get("name") or ""
    if nested:
        inner = part.get_payload()
        first = inner[0] if isinstance(inner, list) and inner else None
        if isinstance(first, Message) and not name:
            subject = decode_words(field_of(first, "subject"))
            name = f"{subject[:150] or 'mail'}.eml"
    return Leaf(
        media_type=media_type,
        disposition=disposition,
        name=name,
        parameters=parameters,
        part=part,
        bulk=bulk,
        nested=nested,
    )


def _is_encrypted(leaf: Leaf) -> bool:
    if leaf.media_type == "application/pgp-encrypted":
        return True
    if leaf.media_type in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
        # Signed data can be read by mail programs, but not by us without a certificate store.
        return leaf.parameters.get("smime-type", "enveloped-data").lower() != "certs-only"
    return False


def _nested_bytes(part: Message) -> bytes:
    inner = part.get_payload()
    return b"\r\n".join(_source(one) for one in inner if isinstance(one, Message)) if isinstance(inner, list) else b""


def _source(message: Message) -> bytes:
    try:
        return message.as_bytes()
    except Exception:  # the generator of the standard library raises many kinds on broken mail
        text = "\r\n".join(f"{name}: {value}" for name, value in message.raw_items())
        return text.encode("utf-8", "surrogateescape")


def field_of(part: Message, name: str) -> str:
    """The first field of a name, unfolded, empty without one; `get` would spoil raw 8-bit bytes."""
    for key, value in part.raw_items():
        if key.lower() == name:
            return unfold(str(value))
    return ""


def _lines_of(leaf: Leaf) -> tuple[list[str], tuple[str, ...], list[str]]:
    """Lines of a text part, their marks, and why they may not be what was written."""
    data = leaf.data()
    label = leaf.parameters.get("charset", "")
    if leaf.media_type == "text/html":
        label = label or _html_charset(data)
        source, sure = decode_bytes(data, label)
        shown = html_to_text(clean_text(source))
        return list(shown.lines), shown.marks, _doubts(sure=sure, cut=shown.cut)
    beginning = _beginning(data)
    text, sure = decode_bytes(beginning, label)
    cut = len(text) > MAX_PART_TEXT or len(beginning) < len(data)
    text = clean_text(text[:MAX_PART_TEXT])
    if leaf.parameters.get("format", "").lower() == "flowed":
        text = _unflow(text, delete_space=leaf.parameters.get("delsp", "").lower() == "yes")
    # The blank after the two dashes is what makes them a signature's beginning.
    lines = [line if line == "-- " else line.rstrip() for line in text.split("\n")]
    return lines, ("",) * len(lines), _doubts(sure=sure, cut=cut)


def _doubts(*, sure: bool, cut: bool) -> list[str]:
    return [*(() if sure else ("some characters could not be read",)), *((CUT,) if cut else ())]


def _beginning(data: bytes) -> bytes:
    """So many bytes that the limit of characters is met, cut at a line so that no character is cut."""
    # Four bytes are the longest character of the usual charsets.
    limit = 4 * MAX_PART_TEXT
    if len(data) <= limit:
        return data
    line = data.rfind(b"\n", 0, limit)
    return data[: line + 1] if line > 0 else data[:limit]


_META_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)


def _html_charset(data: bytes) -> str:
    match = _META_CHARSET.search(data, 0, 2048)
    return match[1].decode("ascii") if match else ""


def _unflow(text: str, *, delete_space: bool) -> str:
    """Join the lines that RFC 3676 only wrapped: they end in a blank and continue at the same quote depth."""
    out: list[str] = []
    pending: list[str] = []
    pending_depth = -1
    for line in text.split("\n"):
        content = line.lstrip(">")
        depth = len(line) - len(content)
        content = content.removeprefix(" ")
        if pending and (depth != pending_depth or content == "-- "):
            out.append(_requote(pending, pending_depth))
            pending = []
        pending_depth = depth
        flowed = content.endswith(" ") and content != "-- "
        pending.append(content[:-1] if flowed and delete_space else content)
        if not flowed:
            out.append(_requote(pending, depth))
            pending = []
    if pending:
        out.append(_requote(pending, pending_depth))
    return "\n".join(out)


def _requote(pieces: list[str], depth: int) -> str:
    joined = "".join(pieces)
    return f"{'>' * depth} {joined}" if depth else joined


def _join(pieces: list[tuple[list[str], tuple[str, ...]]]) -> tuple[str, tuple[str, ...]]:
    """Pieces one below the other, runs of empty lines shortened, none at the ends."""
    lines: list[str] = []
    marks: list[str] = []
    for piece_lines, piece_marks in pieces:
        if lines and lines[-1].strip():
            lines.append("")
            marks.append("")
        for line, mark in zip(piece_lines, piece_marks, strict=True):
            if not line.strip() and len(lines) >= 2 and not lines[-1].strip() and not lines[-2].strip():
                continue
            if not line.strip() and not lines:
                continue
            lines.append(line)
            marks.append(mark)
    while lines and not lines[-1].strip():
        lines.pop()
        marks.pop()
    return "\n".join(lines), tuple(marks)
