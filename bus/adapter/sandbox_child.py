"""The other end of `bus.adapter.sandbox`: reads raw input, normalises it, writes the contact. Run as a module."""

import importlib
import os
import resource
import sys
from typing import Any, BinaryIO

import msgspec

from bus.adapter.contract import Normalised, Raw
from bus.adapter.sandbox_wire import WireAnswer
from bus.message import encode

__all__ = ["main"]


def _resolve(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(4)
    if len(head) < 4:
        return None
    size = int.from_bytes(head, "big")
    data = stream.read(size)
    return data if len(data) == size else None


def _answer(stream: BinaryIO, status: int, body: bytes) -> None:
    stream.write(bytes([status]) + len(body).to_bytes(4, "big") + body)
    stream.flush()


def main() -> None:
    """Arguments: `module:function` of normalise, `module:type` of its configuration, megabytes of address space."""
    normalise, config_type = _resolve(sys.argv[1]), _resolve(sys.argv[2])
    megabytes = int(sys.argv[3])
    stdin, stdout = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever a library prints must not end up in the pipe.
    os.dup2(2, 1)
    first = _read(stdin)
    if first is None:
        return
    config = msgspec.json.decode(first, type=config_type)
    limit = megabytes * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _answer(stdout, 0, b"")
    decoder = msgspec.msgpack.Decoder(Raw)
    encoder = msgspec.msgpack.Encoder()
    while (data := _read(stdin)) is not None:
        try:
            result: Normalised = normalise(decoder.decode(data), config)
            body = encoder.encode(WireAnswer(contact=encode(result.contact), blobs=result.blobs))
        except MemoryError:
            _answer(stdout, 1, b"memory")
        except Exception as error:
            # Only the class of the error leaves the process: its text may quote the customer.
            _answer(stdout, 1, type(error).__name__.encode("ascii", "replace"))
        else:
            _answer(stdout, 0, body)


if __name__ == "__main__":
    main()
