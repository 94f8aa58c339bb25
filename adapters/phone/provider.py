"""Calls out: one request to the provider, and what is known after it.

The one thing that matters is the difference between "certainly not" and "nobody knows": a telephone that may have rung
is never rung again by itself.
"""

import base64
from typing import Protocol

import aiohttp
import msgspec

from bus.adapter.contract import Accepted, Refused, RetryLater, SendResult, Unknown

__all__ = ["RING_S", "Provider", "TwilioCalls"]

RING_S = 20
"""How long the telephone of a representative rings: five times; a mailbox mostly takes longer to answer."""

_ANSWER_S = 10.0
"""The provider answers within a second; after so long the line is gone, not slow."""

_CREATED, _TOO_MANY = 201, 429
_AGAIN_S = 30.0


class Provider(Protocol):
    """Whoever can make a call."""

    async def call(self, *, to: str, line: str, document_url: str, status_url: str) -> SendResult:
        """Ring `to`, showing `line`; the document is asked for when somebody answers, `status_url` is told the end.

        Accepted carries the call's id. Unknown means that it may ring.
        """
        ...


class _Created(msgspec.Struct):
    sid: str


class TwilioCalls:
    """Twilio's `Calls` resource (REST API 2010-04-01)."""

    def __init__(self, *, api_url: str, account_sid: str, auth_token: str) -> None:
        self._url = f"{api_url.rstrip('/')}/2010-04-01/Accounts/{account_sid}/Calls.json"
        named = base64.b64encode(f"{account_sid}:{auth_token}".encode()).decode()
        self._headers = {"Authorization": f"Basic {named}"}

    async def call(self, *, to: str, line: str, document_url: str, status_url: str) -> SendResult:
        form = {
            "To": to, "From": line, "Url": document_url, "Method": "POST", "StatusCallback": status_url,
            "StatusCallbackMethod": "POST", "StatusCallbackEvent": "completed", "Timeout": str(RING_S),
        }  # fmt: skip
        timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=timeout) as http,
                http.post(self._url, data=form, allow_redirects=False) as answer,
            ):
                return _known(answer.status, await answer.read())
        except aiohttp.ClientConnectorError:
            return RetryLater(reason="the provider cannot be reached", after_s=_AGAIN_S)
        except (aiohttp.ClientError, TimeoutError) as error:
            return Unknown(reason=f"the provider's answer was lost ({type(error).__name__})")


def _known(status: int, body: bytes) -> SendResult:
    if status == _CREATED:
        try:
            return Accepted(provider_id=msgspec.json.decode(body, type=_Created).sid)
        except msgspec.MsgspecError:
            return Unknown(reason="the provider's answer cannot be read")
    if status == _TOO_MANY:
        return RetryLater(reason="the provider takes no more calls now", after_s=_AGAIN_S)
    if status >= 500:
        return Unknown(reason=f"the provider answered {status}")
    return Refused(reason=f"the provider refused the call ({status})")
