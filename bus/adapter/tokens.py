"""Signed tokens: how a case is recognised when it comes back, without believing anybody."""

import base64
import hashlib
import hmac
import os
from pathlib import Path

__all__ = ["Signer", "load_or_create_secret"]

_TAG_BYTES = 15
"""120 bits of HMAC-SHA256 in 24 base-32 characters: beyond guessing, short enough for an address."""


class Signer:
    """Signs values for one purpose each; a token of one purpose or tenant is worthless for another.

    The first secret signs, all verify: rotation is adding a new first one.
    """

    def __init__(self, *secrets: bytes) -> None:
        if not secrets or any(len(secret) < 16 for secret in secrets):
            raise ValueError("a signing secret needs at least 16 bytes")
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
    """The 32 bytes in `path`, made on first use, readable by the owner alone."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        secret = path.read_bytes()
        if len(secret) < 16:
            raise ValueError(f"{path} holds {len(secret)} bytes, at least 16 are needed; restore it") from None
        return secret
    with os.fdopen(descriptor, "wb") as file:
        secret = os.urandom(32)
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    return secret
