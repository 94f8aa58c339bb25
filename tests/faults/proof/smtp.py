"""A mail server of a customer, as far as it sends: one mail over one connection, and exactly what was answered."""

import asyncio
import re

__all__ = ["hand_over"]

_TAKEN = re.compile(r"250 .*?(c-[0-9a-z]+)")


async def hand_over(port: int, sender: str, recipient: str, data: bytes, *, timeout_s: float) -> str | None:
    """The contact id of the yes; None when no yes was heard, whatever the reason.

    `data` with CRLF lines. Raises nothing for what a server or a line does.
    """
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await _expect(reader, "220")
            for command, code in (
                ("EHLO kunde.example", "250"),
                (f"MAIL FROM:<{sender}>", "250"),
                (f"RCPT TO:<{recipient}>", "250"),
                ("DATA", "354"),
            ):
                writer.write(command.encode() + b"\r\n")
                await _expect(reader, code)
            stuffed = re.sub(rb"(?m)^\.", b"..", data)
            writer.write(stuffed + b"\r\n.\r\n")
            answer = await _expect(reader, "250")
            writer.write(b"QUIT\r\n")
            taken = _TAKEN.match(answer)
            return taken[1] if taken else ""
    except (OSError, TimeoutError, _Refused, asyncio.IncompleteReadError, ValueError):
        return None
    finally:
        if writer is not None:
            writer.transport.abort()


class _Refused(Exception):
    pass


async def _expect(reader: asyncio.StreamReader, code: str) -> str:
    while True:
        line = (await reader.readline()).decode("ascii", "replace")
        if not line.endswith("\n"):
            raise asyncio.IncompleteReadError(line.encode(), None)
        if line[3:4] == "-":
            continue
        if not line.startswith(code):
            raise _Refused(line)
        return line.rstrip()
