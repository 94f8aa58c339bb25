"""Signing in at the desk: a link that works once, then a session cookie.

The link is printed where the product was started, so whoever can start it can sign in. Opening it shows a page that
posts the token: programs that merely look at links (previews, prefetching browsers) do not use it up.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta

import msgspec

from bus.adapter.tokens import Signer
from bus.clock import Clock, to_micros
from bus.delivery.outcome import Outcome, Write
from bus.store.port import Effect, Store
from workers.desk.schema import DROP_SESSION, INSERT_SESSION, SELECT_PEOPLE, SELECT_SESSION, USE_LINK

__all__ = ["COOKIE", "SESSION_HOURS", "Session", "Sessions", "login_url"]

LINK_MINUTES = 15
"""Long enough to copy the link from a terminal, short enough that a link in a log is worthless."""

SESSION_HOURS = 12
"""One long working day; then a new link."""

COOKIE = "contactbus_desk"

_PURPOSE = "desk-login"


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Who is signed in, and for which tenant. Everything the desk reads or writes is bound to this tenant.

    `role` is asked anew for each request (`workers.desk.gate`).
    """

    tenant: str
    person: str
    digest: str
    role: str = ""


def login_url(*, signer: Signer, clock: Clock, tenant: str, base_url: str, person: str = "desk") -> str:
    """A link that signs `person` in once within 15 minutes. `person` is a short name of letters, digits and `-`."""
    if not person.replace("-", "").isalnum():
        raise ValueError("the name for a login link consists of letters, digits and hyphens")
    expires = to_micros(clock.now() + timedelta(minutes=LINK_MINUTES)) // 1_000_000
    value = f"{tenant}~{person}~{expires}~{secrets.token_urlsafe(16)}"
    return f"{base_url.rstrip('/')}/desk/login?token={signer.token(_PURPOSE, '', value)}"


class Sessions:
    """Opens, checks and ends sessions. They lie in the store, so any process of the product knows them."""

    def __init__(self, *, store: Store, signer: Signer, clock: Clock) -> None:
        self._store, self._signer, self._clock = store, signer, clock

    async def open(self, token: str) -> str | None:
        """Use a login link up; the secret for the cookie, or None for a link that is forged, old or used."""
        value = self._signer.open(_PURPOSE, "", token)
        parts = (value or "").split("~")
        if len(parts) != 4 or not parts[2].isdigit():
            return None
        tenant, person, expires, nonce = parts
        now = self._clock.now()
        if to_micros(now) >= int(expires) * 1_000_000:
            return None
        secret = secrets.token_urlsafe(32)
        link = {"nonce": nonce, "tenant": tenant, "used_at": to_micros(now)}
        session = {
            "digest": _digest(secret),
            "tenant": tenant,
            "person": person,
            "created_at": to_micros(now),
            "expires_at": to_micros(now + timedelta(hours=SESSION_HOURS)),
        }
        outcome = Outcome(
            writes=(
                # The guard is the single use: of two clicks at the same moment one finds the nonce taken.
                Write(statement=USE_LINK, params=link, expect=1),
                Write(statement=INSERT_SESSION, params=session, expect=1),
            )
        )
        [result] = await self._store.apply([Effect(outcome=outcome)])
        return secret if result.applied else None

    async def find(self, secret: str) -> Session | None:
        """The session of a cookie, while it lasts."""
        if not secret:
            return None
        row = await self._store.one(SELECT_SESSION, {"given_digest": _digest(secret)})
        if row is None or row["expires_at"] <= to_micros(self._clock.now()):
            return None
        return Session(tenant=row["tenant"], person=row["person"], digest=row["digest"])

    async def people(self, tenant: str) -> Sequence[str]:
        """Everybody who is signed in for a tenant: whom work can be handed to."""
        rows = await self._store.all(SELECT_PEOPLE, {"tenant": tenant, "now": to_micros(self._clock.now())})
        return [row["person"] for row in rows]

    async def close(self, session: Session) -> None:
        """Sign out: the cookie is worthless from now on."""
        write = Write(statement=DROP_SESSION, params={"given_digest": session.digest})
        await self._store.apply([Effect(outcome=Outcome(writes=(write,)))])


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
