"""What travels from the child of a sandbox to its parent."""

import msgspec

__all__ = ["WireAnswer"]


class WireAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A normalised contact on the pipe: the contact stays JSON, because its body is JSON that nobody has read yet."""

    contact: bytes
    blobs: dict[str, bytes]
