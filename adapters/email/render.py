"""A reply to the bytes of a mail. Pure: the same reply, time and secrets give the same bytes.

Header lines are written here and not by a library: every value is cleaned of line breaks first, so nothing that a
customer wrote can become a header.
"""

import base64
import binascii
import hashlib
import html
import re
from collections.abc import Sequence
from datetime import datetime
from email.utils import format_datetime

import msgspec

from adapters.email.config import EmailConfig
from adapters.email.tokens import case_address, case_thread_id, own_message_id
from bus.adapter.tokens import Signer
from bus.errors import UnsupportedFeature
from bus.message import Attachment, Reply, clean_text

__all__ = ["Rendered", "render", "subject_line"]

MAX_REFERENCES = 20
"""RFC 5322 sets no limit, but a header of 100 ids is cut or refused somewhere. First and last ones are kept."""

_WIDTH = 76

_PREFIX = {"de": "AW", "nb": "SV", "en": "Re"}
_CASE_WORD = {"de": "Vorgang", "nb": "Sak", "en": "Case"}
_NO_SUBJECT = {"de": "Ihre Nachricht an uns", "nb": "Meldingen din til oss", "en": "Your message to us"}
_LANGUAGE_TAG = {"de": "de", "nb": "nb", "en": "en"}


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A mail ready to be sent: CR LF line breaks, ASCII only."""

    message_id: str
    mail_from: str
    """Envelope sender; empty for acknowledgements, so that nothing can bounce into a loop (RFC 3834 3.3)."""
    rcpt_to: str
    data: bytes


def render(
    reply: Reply,
    config: EmailConfig,
    signer: Signer,
    now: datetime,
    attachments: Sequence[tuple[Attachment, bytes]] = (),
) -> Rendered:
    """The mail of a reply. Raises UnsupportedFeature when its recipient is no e-mail address."""
    to = _recipient(reply.to.address)
    case_mailbox = case_address(config.address, reply.case, signer, reply.tenant)
    message_id = own_message_id(reply.id, config.domain, signer, reply.tenant)
    language = _LANGUAGE_TAG.get(reply.language, "en")
    # What goes to our own people opens no way into the customer's case.
    internal = reply.kind == "internal"
    head = [
        _field("Date", format_datetime(now)),
        _mailbox_field("From", config.name(language), config.address),
        _mailbox_field("To", reply.to.name, to),
        *([] if internal else [_mailbox_field("Reply-To", config.name(language), case_mailbox)]),
        _text_field("Subject", subject_line(reply)),
        f"Message-ID: {message_id}",
        *([] if internal else _thread_fields(reply, config, signer)),
        _field("Content-Language", language),
        _field("X-Loop", config.address),
    ]
    if reply.automatic:
        head.append(_field("Auto-Submitted", "auto-replied" if reply.in_reply_to else "auto-generated"))
        head.append(_field("X-Auto-Response-Suppress", "All"))
    if reply.purpose == "marketing":
        head.append(f"List-Unsubscribe: <mailto:{case_mailbox}?subject=STOP>")
        head.append(_field("Precedence", "bulk"))
    head.append(_field("MIME-Version", "1.0"))
    mail_from = "" if internal or reply.kind == "acknowledgement" else case_mailbox
    data = "\r\n".join(head).encode("ascii") + b"\r\n" + _body(reply, language, attachments)
    return Rendered(message_id=message_id, mail_from=mail_from, rcpt_to=to, data=data)


def subject_line(reply: Reply) -> str:
    """The customer's subject behind one prefix of their language, with the case number: `AW: ... [Vorgang 1234]`."""
    language = reply.language if reply.language in _PREFIX else "en"
    subject = _one_line(reply.subject)
    subject = _CASE_TAG.sub(" ", subject[:500])
    stripped = _PREFIXES.sub("", subject).strip()
    if reply.kind == "acknowledgement":
        # Sent unasked to an address that nobody has proven: it must not carry a stranger's advertisement.
        stripped = " ".join(_LINK.sub("", stripped).split())[:80].strip()
    tag = f"[{_CASE_WORD[language]} {_grouped(reply.case_number)}]" if reply.case_number else ""
    if stripped:
        prefix = f"{_PREFIX[language]}: " if reply.in_reply_to or reply.references else ""
        return f"{prefix}{stripped[:200]} {tag}".strip()
    return f"{_NO_SUBJECT[language]} {tag}".strip()


_PREFIXES = re.compile(
    r"^(?:\s*(?:re|aw|antw|sv|vs|fwd?|wg|vb|res|tr)\s*(?:\[\d{1,3}\]|\^\d{1,3})?\s*:)+", re.IGNORECASE
)
_CASE_TAG = re.compile(r"\s*\[(?:Vorgang|Sak|Case) [\d ]{14,20}\]\s*", re.IGNORECASE)
_LINK = re.compile(
    r"(?:https?://|www\.)\S+|\S+\.(?:com|net|org|info|biz|ru|cn|xyz|top|shop|online)(?:/\S*)?\b", re.IGNORECASE
)


def _grouped(number: str) -> str:
    return " ".join(number[start : start + 4] for start in range(0, len(number), 4))


def _recipient(address: str) -> str:
    local, _, domain = address.strip().rpartition("@")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            domain = ""
    if not local.isascii():
        raise UnsupportedFeature("the recipient's address has letters that most relays cannot take (SMTPUTF8)")
    if not local or not domain or len(address) > 320 or _NOT_IN_ADDRESS.search(local + domain):
        raise UnsupportedFeature("the recipient has no usable e-mail address")
    return f"{local}@{domain}"


_NOT_IN_ADDRESS = re.compile(r"[\s\x00-\x1f\x7f<>\"(),:;\[\]\\@]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def _one_line(value: str) -> str:
    return " ".join(_CONTROL.sub(" ", clean_text(value)).split())


def _field(name: str, value: str) -> str:
    """A field of ASCII words, folded between them."""
    lines = [f"{name}:"]
    for word in _one_line(value).encode("ascii", "replace").decode().split(" "):
        if len(lines[-1]) + 1 + len(word) > _WIDTH and lines[-1].strip():
            lines.append("")
        lines[-1] += f" {word}"
    return "\r\n".join(lines)


def _text_field(name: str, value: str) -> str:
    """A field of free text: plain when it is ASCII, else encoded words (RFC 2047)."""
    value = _one_line(value)
    if value.isascii() and "=?" not in value and all(len(word) < _WIDTH - 2 for word in value.split(" ")):
        return _field(name, value)
    return f"{name}: " + "\r\n ".join(_encoded_words(value, _WIDTH - len(name) - 2))


def _mailbox_field(name: str, display: str, address: str) -> str:
    display = _one_line(display)[:100]
    angle = f"<{address}>"
    if not display:
        return f"{name}: {angle}" if len(name) + len(angle) + 2 <= _WIDTH else f"{name}:\r\n {angle}"
    if display.isascii() and "=?" not in display:
        escaped = display.replace("\\", "\\\\").replace('"', '\\"')
        shown = display if _ATOMS.fullmatch(display) else f'"{escaped}"'
    else:
        shown = "\r\n ".join(_encoded_words(display, _WIDTH - len(name) - 2))
    last = len(shown.rpartition("\n")[2]) + (len(name) + 2 if "\n" not in shown else 0)
    return f"{name}: {shown} {angle}" if last + 1 + len(angle) <= _WIDTH else f"{name}: {shown}\r\n {angle}"


_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")


def _encoded_words(value: str, first_width: int) -> list[str]:
    """Encoded words of at most 75 characters, cut between characters, never inside one."""
    words: list[str] = []
    chunk = b""
    width = min(first_width, 75)
    for character in value:
        data = character.encode("utf-8")
        # 12 for `=?utf-8?B?` and `?=`; base 64 makes four of three.
        if chunk and 12 + (len(chunk) + len(data) + 2) // 3 * 4 > width:
            words.append(chunk.decode("utf-8"))
            chunk, width = b"", 75
        chunk += data
    words.append(chunk.decode("utf-8"))
    return [f"=?utf-8?B?{base64.b64encode(word.encode()).decode()}?=" for word in words]


def _thread_fields(reply: Reply, config: EmailConfig, signer: Signer) -> list[str]:
    case_id = case_thread_id(reply.case, config.domain, signer, reply.tenant)
    known = [one for one in (*reply.references, reply.in_reply_to) if _MESSAGE_ID.fullmatch(one) and one != case_id]
    known = list(dict.fromkeys(known))
    if len(known) > MAX_REFERENCES - 1:
        known = [known[0], *known[-(MAX_REFERENCES - 2) :]]
    fields = [f"In-Reply-To: {reply.in_reply_to}"] if _MESSAGE_ID.fullmatch(reply.in_reply_to) else []
    fields.append("References: " + "\r\n ".join([case_id, *known]))
    return fields


_MESSAGE_ID = re.compile(r"<(?![^>]*=\?)[!-;=?-~]{1,900}>")
"""Without blanks, brackets and encoded words: anything else came from a broken or a hostile program."""


def _body(reply: Reply, language: str, attachments: Sequence[tuple[Attachment, bytes]]) -> bytes:
    text = clean_text(reply.text)
    seed = hashlib.sha256(f"{reply.tenant}\x00{reply.id}".encode()).hexdigest()
    source = clean_text(reply.html) if reply.html else _as_html(text, language)
    alternative = _multipart("alternative", f"alt-{seed[:24]}", [_text_part("plain", text), _text_part("html", source)])
    if not attachments:
        return alternative
    parts = [alternative, *(_attachment_part(one, data) for one, data in attachments)]
    return _multipart("mixed", f"mix-{seed[24:48]}", parts)


def _multipart(kind: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    # Quoted-printable writes "=" as "=3D" and base 64 has no "-", so the boundary can stand in no part.
    head = f'Content-Type: multipart/{kind};\r\n boundary="={boundary}"\r\n\r\n'.encode("ascii")
    line = f"--={boundary}".encode("ascii")
    return head + b"".join(line + b"\r\n" + part + b"\r\n" for part in parts) + line + b"--\r\n"


def _text_part(kind: str, text: str) -> bytes:
    head = f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head.encode("ascii") + _quoted_printable(text)


def _quoted_printable(text: str) -> bytes:
    """Lines of at most 76 with CR LF; a leading dot or From is encoded, so that no server on the way touches it."""
    encoded = binascii.b2a_qp(text.encode("utf-8"), istext=True).replace(b"\r\n", b"\n")
    lines = encoded.split(b"\n")
    return b"\r\n".join(_guard_start(line) for line in lines)


def _guard_start(line: bytes) -> bytes:
    if line.startswith((b".", b"From ")) and len(line) <= _WIDTH - 2:
        return f"={line[0]:02X}".encode("ascii") + line[1:]
    return line


def _attachment_part(attachment: Attachment, data: bytes) -> bytes:
    media_type = attachment.media_type if _MEDIA_TYPE.fullmatch(attachment.media_type) else "application/octet-stream"
    head = f"Content-Type: {media_type}\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment"
    name = _one_line(attachment.name).replace("/", "_").replace("\\", "_")[:100]
    if name:
        head += ";\r\n" + _file_name(name)
    encoded = base64.b64encode(data)
    body = b"\r\n".join(encoded[start : start + _WIDTH] for start in range(0, len(encoded), _WIDTH))
    return head.encode("ascii") + b"\r\n\r\n" + body


_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,100}")


def _file_name(name: str) -> str:
    """RFC 2231 sections, because a percent-encoded name is soon longer than a line."""
    if name.isascii() and re.fullmatch(r"[A-Za-z0-9._ -]{1,50}", name):
        return f' filename="{name}"'
    encoded = "".join(c if (c.isascii() and c.isalnum()) or c in "._-" else _percent(c) for c in name)
    pieces: list[str] = []
    while encoded:
        cut = 55
        while cut < len(encoded) and ("%" in encoded[cut - 2 : cut]):
            cut -= 1
        pieces.append(encoded[:cut])
        encoded = encoded[cut:]
    first, *rest = pieces
    return ";\r\n".join([f" filename*0*=utf-8''{first}", *(f" filename*{n}*={p}" for n, p in enumerate(rest, 1))])


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8"))


_URL = re.compile(r"https?://[^\s<>\"']{1,1000}[^\s<>\"'.,;:!?)\]]")


def _as_html(text: str, language: str) -> str:
    """Paragraphs and links, no pictures, nothing loaded from anywhere."""
    paragraphs = [part for part in re.split(r"\n{2,}", text.strip()) if part.strip()]
    body = "\n".join("<p>" + "<br>\n".join(_link(line) for line in part.split("\n")) + "</p>" for part in paragraphs)
    return (
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"></head>\n'
        '<body style="font-family:sans-serif;font-size:16px;line-height:1.5;max-width:40em">\n'
        f"{body}\n</body>\n</html>\n"
    )


def _link(line: str) -> str:
    out: list[str] = []
    position = 0
    for match in _URL.finditer(line):
        target = html.escape(match[0], quote=True)
        out += [html.escape(line[position : match.start()]), f'<a href="{target}">{target}</a>']
        position = match.end()
    return "".join([*out, html.escape(line[position:])])
