"""Who a visitor is: tokens that we minted, and identities that the host site signed.

A token is `<session>~<expiry>~<identity>.<signature>`, of the purpose "chat". The session id is random and ours, never
the client's choice, and knowing it opens nothing: only the signature does. Nothing is kept on the server.
"""

import base64
from collections.abc import Callable
from datetime import datetime, timedelta

import jwt
import msgspec

from adapters.chat.config import ChatConfig
from bus.adapter.tokens import Signer
from bus.message import clean_text

__all__ = ["BadIdentity", "Identity", "Session", "Sessions", "read_identity"]

_SESSION_BYTES = 16
"""128 random bits."""

_LONGEST_IDENTITY_S = 3600
"""An identity token lives an hour at most: who logs out at the shop is a stranger here soon after."""

_LONGEST_TOKEN = 2048


class BadIdentity(Exception):
    """An identity token that the host site did not sign for us, or that is too old."""


class Identity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who the host site says is logged in. `kind`: email or customer. `until`: seconds since 1970."""

    kind: str
    address: str
    until: int
    name: str = ""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation, as its token says."""

    id: str
    expires: datetime
    identity: Identity | None = None


class Sessions:
    """Mints and opens the tokens of one tenant."""

    def __init__(
        self,
        config: ChatConfig,
        signer: Signer,
        tenant: str,
        now: Callable[[], datetime],
        random: Callable[[int], bytes],
    ) -> None:
        self._config, self._signer, self._tenant, self._now, self._random = config, signer, tenant, now, random

    def new(self) -> str:
        """A fresh session id."""
        return "s-" + base64.b32encode(self._random(_SESSION_BYTES)).decode().rstrip("=").lower()

    def mint(self, session: str, identity: Identity | None = None) -> str:
        """An access token for a session."""
        expires = int((self._now() + timedelta(minutes=self._config.token_minutes)).timestamp())
        packed = base64.urlsafe_b64encode(msgspec.json.encode(identity)).decode().rstrip("=") if identity else ""
        return self._signer.token("chat", self._tenant, f"{session}~{expires}~{packed}")

    def open(self, token: str) -> Session | None:
        """The session of a token that is ours and still good, else None. An identity past its time is left out."""
        session = self._read(token)
        return session if session is not None and session.expires > self._now() else None

    def renewable(self, token: str) -> Session | None:
        """As `open`, but good for `resume_hours` after the expiry: for a new token of the same conversation."""
        session = self._read(token)
        if session is None or session.expires + timedelta(hours=self._config.resume_hours) <= self._now():
            return None
        return session

    def identity(self, token: str) -> Identity:
        """What an identity token of the host site says. Raises BadIdentity."""
        return read_identity(token, self._config.identity_secrets, self._config.site_key, self._now())

    def _read(self, token: str) -> Session | None:
        if len(token) > _LONGEST_TOKEN:
            return None
        value = self._signer.open("chat", self._tenant, token)
        if value is None:
            return None
        session, expires, packed = value.split("~")
        until = datetime.fromtimestamp(int(expires), tz=self._now().tzinfo)
        identity = None
        if packed:
            data = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
            identity = msgspec.json.decode(data, type=Identity)
            if identity.until <= self._now().timestamp():
                identity = None
        return Session(id=session, expires=until, identity=identity)


def read_identity(token: str, secrets: tuple[str, ...], audience: str, now: datetime) -> Identity:
    """Check a host site's token (JWT, HS256). Raises BadIdentity.

    `aud` is the site key, `exp` at most an hour ahead, `sub` the customer's mail address or number, `name` optional.
    """
    if not secrets or len(token) > _LONGEST_TOKEN:
        raise BadIdentity
    claims = _verified(token, secrets, audience)
    expires, subject, name = claims["exp"], claims["sub"], claims.get("name", "")
    seconds = now.timestamp()
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        raise BadIdentity
    if not seconds < expires <= seconds + _LONGEST_IDENTITY_S:
        raise BadIdentity
    if not isinstance(subject, str) or not isinstance(name, str) or not 0 < len(subject) <= 254:
        raise BadIdentity
    return Identity(
        kind="email" if "@" in subject else "customer",
        address=clean_text(subject),
        name=clean_text(name)[:100],
        until=int(expires),
    )


def _verified(token: str, secrets: tuple[str, ...], audience: str) -> dict[str, object]:
    for secret in secrets:
        try:
            return jwt.decode(
                token,
                secret,
                # One algorithm, named by us: "none" and a key of another kind are refused.
                algorithms=["HS256"],
                audience=audience,
                # Times are compared with the clock of the house, below.
                options={
                    "require": ["exp", "aud", "sub"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, RecursionError, ValueError):
            continue
    raise BadIdentity
