"""One tree of errors. What matters to a caller is the class: may this be tried again, and by whom.

Texts of exceptions are for logs and operators; they never reach a customer or a remote peer.
"""

__all__ = [
    "ConfigurationError",
    "Conflict",
    "ContactbusError",
    "Overloaded",
    "PermanentError",
    "PoisonError",
    "StorageFull",
    "TransientError",
    "UnsupportedFeature",
]


class ContactbusError(Exception):
    """Root of everything that goes wrong while contacts travel."""


class TransientError(ContactbusError):
    """May succeed when tried again: a lock, a time-out, a service that is away."""


class Conflict(TransientError):
    """Somebody else changed the same state first: read again and decide again."""


class Overloaded(TransientError):
    """A limit of the house is reached: refuse now, clearly, and ask the sender to come back."""


class StorageFull(Overloaded):
    """Free disk space is below the floor; nothing may be accepted that could not be kept."""


class PermanentError(ContactbusError):
    """Will fail every time: goes to a dead letter and to a person."""


class PoisonError(PermanentError):
    """The record itself cannot be read."""


class UnsupportedFeature(PermanentError):
    """The channel cannot express what was asked of it."""


class ConfigurationError(Exception):
    """A setting is unknown, unsafe or unaffordable.

    Outside the tree on purpose: code that tolerates failing contacts must not swallow a wrong configuration.
    """
