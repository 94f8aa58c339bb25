"""How well it is known that an address is its person's: the levels of proof, and the rows that keep them."""

from sqlalchemy import bindparam, update

from bus.delivery.outcome import Write
from bus.message import Contact
from workers.case.schema import identity

__all__ = ["CHANNEL", "CLAIMED", "LEVELS", "NONE", "PROVEN", "STAFF", "level_of", "raised_write", "rank"]

NONE = "none"
CLAIMED = "claimed"
CHANNEL = "channel"
PROVEN = "proven"
STAFF = "staff"
LEVELS = (NONE, CLAIMED, CHANNEL, PROVEN, STAFF)
"""Each above the one before. none: it stands in a record and nobody has used it yet. claimed: somebody wrote or called
under it. channel: the channel itself vouches for it (an aligned mail, a signed chat session). proven: whoever used it
gave the code or the link of the address on file. staff: a person of the company saw to it.

What data and money need is decided in the case, on proof that was given there (`workers.dialogue.proof`). A level is
shown to people and never opens anything by itself."""

_VOUCHED = frozenset({"session", "aligned", "confirmed"})
"""Levels of `bus.message.Proof` with which an adapter says that the sender is the one whom the address names."""

_raise = (
    update(identity)
    .where(
        identity.c.tenant == bindparam("b_tenant"),
        identity.c.kind == bindparam("b_kind"),
        identity.c.address == bindparam("b_address"),
        identity.c.level == bindparam("b_from"),
    )
    .values(level=bindparam("b_to"), level_at=bindparam("b_at"))
)


def rank(level: str) -> int:
    """The place of a level; an unknown one is no proof."""
    return LEVELS.index(level) if level in LEVELS else 0


def level_of(contact: Contact) -> str:
    """What a contact says of its sender's address by the way it came."""
    return CHANNEL if contact.proof.level in _VOUCHED else CLAIMED


def raised_write(*, tenant: str, kind: str, address: str, now: str, to: str, at: int) -> Write:
    """Raise the level of an identity from `now`. Harmless when somebody else has changed it meanwhile."""
    params = {"b_tenant": tenant, "b_kind": kind, "b_address": address, "b_from": now, "b_to": to, "b_at": at}
    return Write(statement=_raise, params=params)
