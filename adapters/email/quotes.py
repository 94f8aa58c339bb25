"""Which part of a mail's text is the sender's own: reply, quote, signature, disclaimer and forwarded ranges.

Ranges are labelled, nothing is removed. A part is only called a quote on strong evidence (a program's separator, two or
more header labels of one language, verb with date and address, a block of `>` lines, the markup of a mail program):
a customer's sentence that is taken for a quote is a sentence nobody reads. Answers between quoted lines stay a reply,
and when nothing would be left of the reply everything is kept. One pass over the lines; every look-ahead is bounded.
"""

from collections.abc import Iterator, Sequence

from adapters.email.quote_words import (
    ATTRIBUTION_START,
    ATTRIBUTION_VERB,
    DATE_OR_TIME,
    DISCLAIMER_WORDS,
    FORWARD_LINE,
    HEADER_LABELS,
    LABEL_LINE,
    MOBILE_FOOTER,
    REPLY_LINE,
    SEE_BELOW,
    TOLD_NOT_QUOTED,
)
from bus.message import TextRange

__all__ = ["label_ranges"]

_LONGEST_LINE = 400
"""A program's own lines are shorter; longer ones are somebody's text."""

_CANDIDATES = 500
"""Lines of one mail that are looked at closely: each costs some lines of look-ahead, and no real mail has so many."""

_ATTRIBUTION_LINES = 4
_RULERS = frozenset("-_–—*=")
_FOOTER_STARTS = frozenset("VGDOHLSFvgdohlsf")
_BLOCK_LINES = 14
_SIGNATURE_LINES = 30
_SEE_BELOW_REPLY = 300

_REPLY, _QUOTE, _FORWARDED, _SIGNATURE, _DISCLAIMER = "reply", "quote", "forwarded", "signature", "disclaimer"


def label_ranges(text: str, *, marks: Sequence[str] = (), forwarded: bool = False) -> tuple[TextRange, ...]:
    """Ranges of `text`, in order, without overlap; empty when all of it is the sender's own.

    `marks` has one entry per line for text made from HTML: quote, signature or empty. `forwarded`: the subject says
    that the mail was passed on, so what it carries is its content.
    """
    if not text:
        return ()
    lines = text.split("\n")
    labels = _label_lines(lines, marks if len(marks) == len(lines) else (), forwarded)
    if not any(labels):
        return ()
    if not _says_something(lines, labels, (_FORWARDED, "")):
        return ()
    own = "\n".join(line for line, label in zip(lines, labels, strict=True) if not label).strip()
    if len(own) <= _SEE_BELOW_REPLY and SEE_BELOW.search(own):
        # "My answers are below": they stand inside what looks like the quote.
        labels = ["" if label == _QUOTE else label for label in labels]
        if not any(labels):
            return ()
    return tuple(_ranges(lines, labels))


def _label_lines(lines: list[str], marks: Sequence[str], forwarded: bool) -> list[str]:
    quoted = _quoted_lines(lines, marks)
    # An attribution ends in a colon; so most lines are never looked at closely.
    colons = {index for index, line in enumerate(lines) if line.endswith((":", ": "))}
    labels = [""] * len(lines)
    index = looked = 0
    while index < len(lines):
        line = lines[index]
        if quoted[index]:
            labels[index] = _QUOTE
            index += 1
            continue
        if not line or len(line) > _LONGEST_LINE:
            index += 1
            continue
        if looked < _CANDIDATES and (":" in line or line.lstrip()[:1] in _RULERS):
            looked += 1
            kind = _separator(lines, index, forwarded)
            if kind:
                _fill(labels, index, len(lines), kind)
                break
        near = colons and any(at in colons for at in range(index, index + _ATTRIBUTION_LINES))
        length = 0
        if near and looked < _CANDIDATES and _may_attribute(line):
            looked += 1
            length = _attribution(lines, quoted, index)
        if length:
            following = _next_line(lines, index + length)
            if following is not None and quoted[following]:
                _fill(labels, index, following, _QUOTE)
                index = following
                continue
            _fill(labels, index, len(lines), _QUOTE)
            break
        index += 1
    _label_forward_in_quote(lines, labels, forwarded)
    _label_signatures(lines, labels, marks)
    _label_disclaimer(lines, labels)
    return labels


def _quoted_lines(lines: list[str], marks: Sequence[str]) -> list[bool]:
    # `>:` is the end of an attribution that was wrapped inside its address.
    quoted = [line.startswith((">", " >")) and line.strip() != ">:" for line in lines]
    if any(quoted):
        _unquote_single(lines, quoted)
    for index, mark in enumerate(marks):
        if mark == _QUOTE and lines[index].strip():
            quoted[index] = True
    return quoted


def _unquote_single(lines: list[str], quoted: list[bool]) -> None:
    """`> 50 Euro` is a customer's line: one line alone needs an attribution above it, or it is no quotation."""
    singles: list[int] = []
    for index, is_quoted in enumerate(quoted):
        if not is_quoted:
            continue
        before = next((at for at in range(index - 1, max(-1, index - 3), -1) if lines[at].strip()), None)
        attributed = before is not None and lines[before].rstrip().endswith(":")
        attributed = attributed or ATTRIBUTION_VERB.search(lines[index][:_LONGEST_LINE]) is not None
        if attributed or (index + 1 < len(lines) and quoted[index + 1]):
            break
        singles.append(index)
        if len(singles) > 1:
            return
    for index in singles:
        quoted[index] = False


def _separator(lines: list[str], index: int, forwarded: bool) -> str:
    """quote or forwarded when a program's separator or header block begins at this line."""
    line = lines[index]
    stripped = line.strip()
    if FORWARD_LINE.fullmatch(line):
        return _FORWARDED
    if REPLY_LINE.fullmatch(line):
        return _FORWARDED if forwarded else _QUOTE
    at = index
    if len(stripped) >= 8 and not stripped.strip("_-–—"):
        # Outlook's ruler counts only with a header block right below it.
        following = _next_line(lines, index + 1)
        if following is None or following > index + 2:
            return ""
        at = following
    if _is_header_block(lines, at):
        return _FORWARDED if forwarded else _QUOTE
    return ""


def _is_header_block(lines: list[str], start: int) -> bool:
    first = LABEL_LINE.match(lines[start][:_LONGEST_LINE])
    if first is None:
        return False
    label = first[1].strip().lower()
    return any(label in table and _block_holds(lines, start, table) for table in HEADER_LABELS)


def _block_holds(lines: list[str], start: int, table: dict[str, str]) -> bool:
    roles: dict[str, str] = {}
    gap = 0
    for line in lines[start : start + _BLOCK_LINES]:
        match = LABEL_LINE.match(line[:_LONGEST_LINE])
        role = table.get(match[1].strip().lower(), "") if match else ""
        if match and role:
            roles.setdefault(role, (match[2] or "").strip())
            gap = 0
        elif line.strip() and roles and (line[:1] in " \t" or line.rstrip().endswith((";", ",", ">"))):
            continue
        else:
            gap += 1
            # HTML turned into text may have an empty line between the labels, or a value on a line of its own.
            if gap > 1:
                break
    if "from" not in roles:
        return False
    has_address = any("@" in value for value in roles.values())
    has_date = bool(DATE_OR_TIME.search(roles.get("sent", "")))
    known = len(roles.keys() & {"from", "sent", "to", "subject"})
    if has_address and has_date:
        return known >= 2
    return known >= 3 and (has_date or has_address) and "subject" in roles


def _may_attribute(line: str) -> bool:
    return bool(ATTRIBUTION_START.match(line) or ATTRIBUTION_VERB.search(line) or ("@" in line and "<" in line))


def _attribution(lines: list[str], quoted: Sequence[bool], index: int) -> int:
    """How many lines an attribution ("Am ... schrieb ...:") takes that begins here, or 0."""
    joined = ""
    for length in range(1, _ATTRIBUTION_LINES + 1):
        at = index + length - 1
        if at >= len(lines) or quoted[at] or not lines[at].strip() or len(joined) > _LONGEST_LINE:
            return 0
        joined = f"{joined} {lines[at].strip()}".lstrip()
        if not joined.endswith(":"):
            continue
        following = _next_line(lines, index + length)
        if _reads_as_attribution(joined, followed_by_quote=following is not None and quoted[following]):
            return length
    return 0


def _reads_as_attribution(joined: str, *, followed_by_quote: bool) -> bool:
    if not ATTRIBUTION_VERB.search(joined) or TOLD_NOT_QUOTED.search(joined):
        # Old Gmail: `2026-03-12 10:15 GMT+01:00 Max Weber <max@kunde.example>:`
        return followed_by_quote and "@" in joined and bool(DATE_OR_TIME.search(joined)) and "<" in joined
    if followed_by_quote:
        return bool(DATE_OR_TIME.search(joined)) or "@" in joined
    return bool(DATE_OR_TIME.search(joined)) and "@" in joined


def _label_forward_in_quote(lines: list[str], labels: list[str], forwarded: bool) -> None:
    """Markup may call a forwarded mail a quote: its first line, or the subject with nothing above it, tells."""
    first = next((index for index, label in enumerate(labels) if label == _QUOTE), None)
    if first is None:
        return
    at = _next_line(lines, first)
    if forwarded or (at is not None and FORWARD_LINE.fullmatch(lines[at][:_LONGEST_LINE].lstrip("> "))):
        for index in range(first, len(labels)):
            if labels[index] == _QUOTE:
                labels[index] = _FORWARDED


def _label_signatures(lines: list[str], labels: list[str], marks: Sequence[str]) -> None:
    written = False
    for index, line in enumerate(lines):
        if not labels[index]:
            if marks and marks[index] == _SIGNATURE:
                labels[index] = _SIGNATURE
            elif line in ("-- ", "--", "--\u00a0") and written:
                limit = min(len(lines), index + _SIGNATURE_LINES + 1)
                end = next((at for at in range(index + 1, limit) if labels[at]), limit)
                if end < limit or limit == len(lines):
                    _fill(labels, index, end, _SIGNATURE)
            elif line.lstrip()[:1] in _FOOTER_STARTS and 8 <= len(line) <= 200 and MOBILE_FOOTER.fullmatch(line):
                labels[index] = _SIGNATURE
        written = written or bool(line.strip())


def _label_disclaimer(lines: list[str], labels: list[str]) -> None:
    """The legal paragraph below the reply: among its last paragraphs, never the first, and only with four signs."""
    paragraphs: list[list[int]] = [[]]
    for index, line in enumerate(lines):
        if line.strip() and not labels[index]:
            paragraphs[-1].append(index)
        elif paragraphs[-1]:
            paragraphs.append([])
    full = [paragraph for paragraph in paragraphs if paragraph]
    for paragraph in full[1:][-3:]:
        joined = " ".join(lines[index][:1000] for index in paragraph[:20])[:3000]
        if len(joined) >= 80 and sum(1 for words in DISCLAIMER_WORDS if words.search(joined)) >= 4:
            for index in paragraph:
                labels[index] = _DISCLAIMER


def _fill(labels: list[str], start: int, end: int, label: str) -> None:
    for index in range(start, end):
        labels[index] = label


def _next_line(lines: list[str], index: int) -> int | None:
    """The next line with anything in it, at most three lines on."""
    return next((at for at in range(index, min(index + 4, len(lines))) if lines[at].strip()), None)


def _says_something(lines: list[str], labels: list[str], kept: tuple[str, ...]) -> bool:
    return any(
        label in kept and any(character.isalnum() for character in line)
        for line, label in zip(lines, labels, strict=True)
    )


def _ranges(lines: list[str], labels: list[str]) -> Iterator[TextRange]:
    """Runs of one label; empty lines at either end of a run belong to none."""
    starts: list[int] = []
    position = 0
    for line in lines:
        starts.append(position)
        position += len(line) + 1
    index = 0
    while index < len(lines):
        if not lines[index].strip():
            index += 1
            continue
        label = labels[index]
        last = index
        at = index
        # An empty line without a label does not end a run.
        while at < len(lines) and (labels[at] == label or not (labels[at] or lines[at].strip())):
            if lines[at].strip():
                last = at
            at += 1
        yield TextRange(label=label or _REPLY, start=starts[index], end=starts[last] + len(lines[last]))
        index = last + 1
