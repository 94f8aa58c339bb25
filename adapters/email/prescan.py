"""A look at a mail's bytes before a tree is built: what would cost seconds or the stack is not built at all."""

import re

__all__ = ["header_block", "why_not_parsed"]

MAX_HEADER_BLOCK = 262_144
MAX_FIELDS = 2_000
MAX_BOUNDARY_LINES = 2_000
MAX_CONTAINERS = 50
"""Containers within one another cannot be deeper than there are containers; the parser recurses once for each."""

MAX_LINES = 600_000
"""A mail of 25 MiB in base 64 has 350,000."""

MAX_LINE_WORK = 20_000_000
"""Containers times lines: the parser compares every line with every open boundary."""

_CONTAINER = re.compile(rb"[ \t]*(?:\r?\n[ \t]+)?(?:multipart/|message/)")


def header_block(data: bytes) -> bytes:
    """The bytes before the first empty line."""
    ends = [end for end in (data.find(b"\r\n\r\n"), data.find(b"\n\n"), data.find(b"\r\r")) if end >= 0]
    return data[: min(ends)] if ends else data


def why_not_parsed(data: bytes) -> str:
    """Why no tree is built of these bytes, in plain words, or empty."""
    head = header_block(data)
    if len(head) > MAX_HEADER_BLOCK:
        return "the header is larger than is read"
    if head.count(b"\n") > MAX_FIELDS:
        return "the header has more fields than are read"
    containers = _containers(data)
    if containers > MAX_CONTAINERS:
        return "the mail has more parts inside one another than are read"
    if containers and data.count(b"\n--") > MAX_BOUNDARY_LINES:
        return "the mail has more parts than are read"
    lines = max(data.count(b"\n"), data.count(b"\r"))
    if lines > MAX_LINES or containers * lines > MAX_LINE_WORK:
        return "the mail would take too long to read"
    return ""


def _containers(data: bytes) -> int:
    """Content-Type fields that open a container, counted up to the limit."""
    lower = b"\n" + data.lower()
    count = position = 0
    while count <= MAX_CONTAINERS:
        position = lower.find(b"\ncontent-type:", position)
        if position < 0:
            break
        position += 14
        count += _CONTAINER.match(lower, position) is not None
    return count
