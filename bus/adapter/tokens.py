"""Signed tokens: how a case is recognised when it comes back, without believing anybody."""

import base64
import hashlib
import hmac
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from bus.errors import ConfigurationError

__all__ = ["Signer", "load_or_create_secret"]

_TAG_BYTES = 15
"""120 bits of HMAC-SHA256 in 24 base-32 characters: beyond guessing, short enough for an address."""

_LEAST_BYTES = 16
"""Of a secret: 128 bits, no fewer than the signatures have."""


class Signer:
    """Signs values for one purpose each; a token of one purpose or tenant is worthless for another.

    The first secret signs, all verify: rotation is adding a new first one.
    """

    def __init__(self, *secrets: bytes) -> None:
        if not secrets or any(len(secret) < _LEAST_BYTES for secret in secrets):
            raise ValueError(f"a signing secret needs at least {_LEAST_BYTES} bytes")
        self._secrets = secrets

    def sign(self, purpose: str, tenant: str, value: str) -> str:
        """The signature of `value`: 24 lower-case base-32 characters."""
        return self._tag(self._secrets[0], purpose, tenant, value)

    def verify(self, purpose: str, tenant: str, value: str, signature: str) -> bool:
        """Whether the signature is ours, compared in constant time. Case does not matter (mail hosts fold it)."""
        given = signature.lower().encode("utf-8", "replace")
        return any(
            hmac.compare_digest(self._tag(secret, purpose, tenant, value).encode(), given) for secret in self._secrets
        )

    def token(self, purpose: str, tenant: str, value: str) -> str:
        """`<value>.<signature>`; the value must not contain a dot."""
        return f"{value}.{self.sign(purpose, tenant, value)}"

    def open(self, purpose: str, tenant: str, token: str) -> str | None:
        """The value of a token that we signed, else None."""
        value, dot, signature = token.rpartition(".")
        return value if dot and self.verify(purpose, tenant, value, signature) else None

    @staticmethod
    def _tag(secret: bytes, purpose: str, tenant: str, value: str) -> str:
        message = b"\x00".join(part.encode("utf-8", "surrogatepass") for part in (purpose, tenant, value))
        digest = hmac.new(secret, message, hashlib.sha256).digest()[:_TAG_BYTES]
        return base64.b32encode(digest).decode().lower()


def load_or_create_secret(path: Path) -> bytes:
    """The bytes in `path`, made on first use, readable by the owner alone. Processes that start together get the same.

    Raises ConfigurationError when there are too few of them, OSError when the file can be neither read nor made.
    """
    if not path.exists():
        _create(path)
    secret = path.read_bytes()
    if len(secret) < _LEAST_BYTES:
        raise ConfigurationError(f"{path} holds {len(secret)} bytes, at least {_LEAST_BYTES} are needed; restore it")
    return secret


def _create(path: Path) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(32))
            file.flush()
            os.fsync(file.fileno())
        # A link is there wholly or not at all, and fails when another process was first.
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)
