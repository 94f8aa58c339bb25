"""Mail data on the wire (RFC 5321 4.5.2): where it ends, its transparent dots, its line breaks. Pure."""

__all__ = ["END", "DataReader", "dot_stuff", "has_bare_breaks", "mend_breaks", "undot"]

END = b"\r\n.\r\n"


class DataReader:
    """Collects chunks of DATA until the final dot, in one buffer.

    Only CR LF dot CR LF ends a mail; every other spelling is content (the smuggling attacks of 2023 live on servers
    that are more generous). Above `limit` bytes nothing is kept, but the end is still looked for.
    """

    def __init__(self, limit: int) -> None:
        # The buffer begins with the line break of the DATA command: a mail may end with its first line.
        self._buffer = bytearray(b"\r\n")
        self._searched = 0
        self._limit = limit
        self.received = 0
        self.too_large = False

    def feed(self, chunk: bytes) -> bytes | None:
        """Take a chunk. The bytes behind the final dot (perhaps none) once it came, else None."""
        self.received += len(chunk)
        self._buffer += chunk
        found = self._buffer.find(END, self._searched)
        if found >= 0:
            rest = bytes(self._buffer[found + len(END) :])
            # The line break before the dot belongs to the last line of the mail.
            del self._buffer[found + 2 :]
            self.too_large = self.too_large or len(self._buffer) - 2 > self._limit
            return rest
        self._searched = max(0, len(self._buffer) - len(END) + 1)
        if len(self._buffer) > self._limit + len(END):
            self.discard()
        return None

    def discard(self) -> None:
        """Forget what was kept; the mail will be refused."""
        self.too_large = True
        self._buffer = self._buffer[-(len(END) - 1) :]
        self._searched = 0

    def take(self) -> bytes:
        """The mail with its transparent dots removed; the buffer is given up."""
        data = undot(self._buffer)
        self._buffer = bytearray()
        return data


def undot(buffer: bytearray) -> bytes:
    """Remove the dot that was added before lines beginning with one. `buffer` begins with CR LF."""
    if buffer.find(b"\r\n.") < 0:
        return bytes(memoryview(buffer)[2:])
    return bytes(memoryview(buffer.replace(b"\r\n.", b"\r\n"))[2:])


def dot_stuff(data: bytes) -> bytes:
    """Add that dot, for sending. `data` has CR LF line breaks only and ends with one."""
    stuffed = data.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def has_bare_breaks(data: bytes) -> bool:
    """Whether there is a CR without LF, an LF without CR, or a NUL."""
    pairs = data.count(b"\r\n")
    return data.count(b"\n") != pairs or data.count(b"\r") != pairs or b"\x00" in data


def mend_breaks(data: bytes) -> bytes:
    """Every line break as CR LF, no NUL."""
    # Whole replacements: a pattern takes eight seconds for 25 MiB of line breaks, and nobody else is served meanwhile.
    lines = data.replace(b"\x00", b"").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return lines.replace(b"\n", b"\r\n")
