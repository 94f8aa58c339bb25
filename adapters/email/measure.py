"""How fast this machine reads and takes mail: `python -m adapters.email.measure`.

Prints the mails per CPU second of one process for reading, and mails per second over real connections for the door
(with an `accept` that only counts, so that the door itself is measured).
"""

import asyncio
import base64
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adapters.email import EmailConfig, create_email, plugin
from bus.adapter.contract import Acceptance, Raw, Services
from bus.adapter.tokens import Signer
from bus.clock import SystemClock
from bus.store.blobs import Blobs

__all__ = ["main"]

# ruff: noqa: E501 - mails are written as programs write them
_HEAD = (
    "Received: from mx.kunde.example (mx.kunde.example [192.0.2.1]) by shop.example; Sun, 22 Nov 2026 10:00:01 +0100\r\n"
    "From: =?utf-8?Q?J=C3=BCrgen_Kr=C3=BCger?= <juergen@kunde.example>\r\nTo: Nordlicht Handel <hilfe@shop.example>\r\n"
    "Subject: =?utf-8?Q?Doppelte_Abbuchung_f=C3=BCr_SO-10234?=\r\nMessage-ID: <2d1c5a6e@kunde.example>\r\n"
    "Date: Sun, 22 Nov 2026 10:00:00 +0100\r\nMIME-Version: 1.0\r\nUser-Agent: Mozilla Thunderbird\r\n"
)
_LINE = "auf meiner Abrechnung steht die Bestellung zweimal, bitte pr=C3=BCfen Sie das=\r\n einmal.\r\n"
_QP = "Content-Transfer-Encoding: quoted-printable\r\n\r\n"


def samples() -> Iterator[tuple[str, bytes]]:
    """(name, mail) in rising size."""
    plain = _HEAD + "Content-Type: text/plain; charset=utf-8\r\n" + _QP
    yield "2 kB text", (plain + _LINE * ((2000 - len(plain)) // len(_LINE))).encode()
    half = _LINE * (4600 // len(_LINE))
    alternative = (
        f"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n{_QP}"
        f"{half}--b\r\nContent-Type: text/html; charset=utf-8\r\n{_QP}<p>{half}</p>--b--\r\n"
    )
    yield "10 kB alternative", (_HEAD + alternative).encode()
    picture = base64.encodebytes(bytes(range(256)) * 260).decode().replace("\n", "\r\n")
    mixed = (
        f"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n{alternative}--m\r\nContent-Type: image/jpeg; name=a.jpg"
        f"\r\nContent-Transfer-Encoding: base64\r\n\r\n{picture}--m--\r\n"
    )
    yield "100 kB with picture", (_HEAD + mixed).encode()


def _reading(name: str, data: bytes, seconds: float) -> None:
    config = EmailConfig()
    raw = plugin.raw_from_file(data, name, config)
    plugin.normalise(raw, config)
    count = 0
    began = time.process_time()
    while time.process_time() - began < seconds:
        for _ in range(20):
            plugin.normalise(raw, config)
        count += 20
    print(f"read    {name:22} {len(data):7} bytes {count / (time.process_time() - began):8.0f} mails per CPU second")


async def _taking(name: str, data: bytes, *, connections: int, mails: int) -> None:
    async def accept(_raw: Raw) -> Acceptance:
        return Acceptance(contact="c-1")

    async def status(_status: Any) -> None: ...

    unused: Any = None
    with tempfile.TemporaryDirectory() as folder:
        services = Services(
            clock=SystemClock(), store=unused, blobs=Blobs(Path(folder)), signer=Signer(b"only for measuring"),
            data_dir=Path(folder), public_url="", tenant="shop", accept=accept, status=status,
            background=lambda _name, _task: None,
        )  # fmt: skip
        adapter = create_email(EmailConfig(smtp_port=0, messages_per_session=mails), services)
        door = asyncio.ensure_future(adapter.receive())
        host, port = await adapter.listening()
        wall, cpu = time.perf_counter(), time.process_time()
        per = mails // connections
        await asyncio.gather(*(_client(host, port, data, per) for _ in range(connections)))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(
            f"take    {name:22} {len(data):7} bytes {per * connections / wall:8.0f} mails per second, "
            f"{cpu / per / connections * 1000:.2f} ms CPU each (door and client together)"
        )
        door.cancel()
        await asyncio.gather(door, return_exceptions=True)
        await adapter.close()


async def _client(host: str, port: int, data: bytes, mails: int) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    await reader.readline()
    writer.write(b"HELO measure.example\r\n")
    await reader.readline()
    for _ in range(mails):
        writer.write(b"MAIL FROM:<a@kunde.example>\r\nRCPT TO:<hilfe@shop.example>\r\nDATA\r\n")
        for _ in range(3):
            await reader.readline()
        writer.write(data + b".\r\n")
        if not (await reader.readline()).startswith(b"250"):
            raise RuntimeError("a mail was refused")
    writer.close()


def main(seconds: float = 2.0) -> None:
    """Measure everything once."""
    for name, data in samples():
        _reading(name, data, seconds)
    for (name, data), mails in zip(samples(), (4000, 4000, 1000), strict=True):
        asyncio.run(_taking(name, data, connections=20, mails=mails))


if __name__ == "__main__":
    main()
