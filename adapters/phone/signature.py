"""Whether a request comes from the provider: own check on the raw bytes, closed on any doubt.

Twilio signs the public URL followed by the sorted form parameters with HMAC-SHA1 under the account's auth token; a
JSON body is covered by its SHA-256 in the query parameter `bodySHA256` (Twilio, "Webhooks security"). The library's
own validator raises on odd input and, given an already parsed body, accepts a forged one; this one hashes what was
received and answers only yes or no. There is no time in the signature: against replay stand the steps of a call.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

__all__ = ["FORM", "JSON", "sign", "verified_form"]

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

_MAX_FIELDS = 200
"""Twilio sends about 30; more is somebody else."""

_SIGNATURE_CHARACTERS = 28
"""20 bytes of SHA-1 in base 64."""


def sign(url: str, form: Mapping[str, str], token: str) -> str:
    """The signature of a form request, as the provider computes it (the simulator and tests use it too)."""
    return _signature(url, "".join(name + form[name] for name in sorted(form)), token)


def verified_form(
    *, url: str, content_type: str, body: bytes, signature: str, tokens: Sequence[str]
) -> dict[str, str] | None:
    """The parameters of a request that one of `tokens` signed, else None. Never raises.

    `url` is the public address as configured plus path and query as received. JSON bodies have no parameters: the
    result is empty. A parameter that comes twice makes the request invalid: one reading would be signed and another
    one used.
    """
    if len(signature) != _SIGNATURE_CHARACTERS or not signature.isascii():
        return None
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == JSON:
        form: dict[str, str] = {}
        if not _body_hash_holds(url, body):
            return None
    elif media_type == FORM:
        parsed = _form(body)
        # A body that claims to be covered by a hash is JSON; anything else is somebody trying both doors.
        if parsed is None or "bodySHA256" in url:
            return None
        form = parsed
    else:
        return None
    text = "".join(name + form[name] for name in sorted(form))
    good = False
    for address in _with_and_without_port(url):
        for token in tokens:
            # No early exit: the time must not tell which token or spelling fitted.
            good |= hmac.compare_digest(_signature(address, text, token), signature)
    return form if good else None


def _signature(url: str, text: str, token: str) -> str:
    message = (url + text).encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.new(token.encode(), message, hashlib.sha1).digest()).decode()


def _form(body: bytes) -> dict[str, str] | None:
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict",
            max_num_fields=_MAX_FIELDS,
        )  # fmt: skip
    except ValueError:
        return None
    form = dict(pairs)
    return form if len(form) == len(pairs) else None


def _body_hash_holds(url: str, body: bytes) -> bool:
    try:
        pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        return False
    hashes = [value for name, value in pairs if name == "bodySHA256"]
    if len(hashes) != 1:
        return False
    return hmac.compare_digest(hashlib.sha256(body).hexdigest().encode(), hashes[0].lower().encode("utf-8", "replace"))


def _with_and_without_port(url: str) -> Sequence[str]:
    """The provider is inconsistent about default ports, so both spellings of the same address count."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ()
    host = parts.netloc
    default = 443 if parts.scheme == "https" else 80
    other = f"{host}:{default}" if port is None else host.rpartition(":")[0]
    return url, url.replace(host, other, 1)
