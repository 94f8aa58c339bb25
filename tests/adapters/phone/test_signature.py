"""Our own signature check against the provider's library, and against the traps that the library falls into."""

import base64
import hashlib
import hmac
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from adapters.phone.signature import FORM, JSON, sign, verified_form

TOKEN = "0123456789abcdef0123456789abcdef"
NEXT = "fedcba9876543210fedcba9876543210"
URL = "https://phone.shop.example/phone/shop/voice"
CALL = {
    "CallSid": "CA" + "1" * 32, "From": "+49305550144", "To": "+49301234567", "CallStatus": "in-progress",
    "SpeechResult": "Größe & Maß = 5 % +æøå", "Confidence": "0.91", "Digits": "", "a": "1", "B": "2",
}  # fmt: skip


def check(url: str, body: bytes, signature: str, content_type: str = FORM, tokens: tuple[str, ...] = (TOKEN,)):
    return verified_form(url=url, content_type=content_type, body=body, signature=signature, tokens=tokens)


def raw_signature(message: str, token: str = TOKEN) -> str:
    return base64.b64encode(hmac.new(token.encode(), message.encode(), hashlib.sha1).digest()).decode()


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "https://phone.shop.example:8443/phone/shop/voice",
        "http://127.0.0.1:8080/phone/shop/voice",
        "http://[::1]:8080/phone/shop/voice",
        URL + "?a=1&b=%20x",
    ],
)
@pytest.mark.parametrize("form", [CALL, {"Digits": "0"}, {}])
def test_agrees_with_the_library_on_good_requests(url: str, form: dict[str, str]) -> None:
    signature = RequestValidator(TOKEN).compute_signature(url, form)
    assert sign(url, form, TOKEN) == signature
    assert check(url, urlencode(form).encode(), signature) == form
    assert check(url, urlencode(form).encode(), signature, FORM + "; charset=UTF-8") == form


@pytest.mark.parametrize(
    ("signed", "received"),
    [
        ("https://phone.shop.example:443/x", "https://phone.shop.example/x"),
        ("https://phone.shop.example/x", "https://phone.shop.example:443/x"),
        ("https://phone.shop.example/x", "https://phone.shop.example:8443/x"),
        ("http://phone.shop.example:80/x", "http://phone.shop.example/x"),
    ],
)
def test_a_port_may_be_spelled_either_way_as_in_the_library(signed: str, received: str) -> None:
    signature = sign(signed, CALL, TOKEN)
    assert RequestValidator(TOKEN).validate(received, CALL, signature)
    assert check(received, urlencode(CALL).encode(), signature) == CALL


def test_two_tokens_are_active_during_a_rotation() -> None:
    body = urlencode(CALL).encode()
    for token in (TOKEN, NEXT):
        assert check(URL, body, sign(URL, CALL, token), tokens=(TOKEN, NEXT)) == CALL
    assert check(URL, body, sign(URL, CALL, NEXT)) is None


def test_a_forged_or_changed_request_is_refused() -> None:
    body = urlencode(CALL).encode()
    good = sign(URL, CALL, TOKEN)
    assert check(URL, body, good) == CALL
    assert check(URL, body.replace(b"Digits=", b"Digits=0"), good) is None
    assert check(URL, body + b"&Extra=1", good) is None
    assert check(URL, b"", good) is None
    assert check(URL.replace("voice", "status"), body, good) is None
    assert check(URL.replace("phone.shop", "evil.shop"), body, good) is None
    assert check(URL + "?", body, good) is None
    assert check(URL, body, good.swapcase()) is None
    assert check(URL, body, good[:-2] + "A=") is None


@pytest.mark.parametrize("signature", ["", "x", "=" * 28, "ä" * 28, "A" * 27, "A" * 200_000, "\x00" * 28])
def test_odd_signatures_are_refused_without_an_error(signature: str) -> None:
    assert check(URL, urlencode(CALL).encode(), signature) is None


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe",
        b"a=%FF",
        b"novalue",
        b"a=1&&b=2",
        "Digits=ä".encode(),
        b"a=1&a=1",
        b"a=1&a=2",
        b"&".join(b"f%d=1" % n for n in range(500)),
    ],
)
def test_odd_bodies_are_refused_whatever_their_signature(body: bytes) -> None:
    # Signed in every way that somebody could mean it.
    text = body.decode("utf-8", "replace")
    pairs = [pair.partition("=")[::2] for pair in text.split("&")]
    plain = "".join(name + value for name, value in sorted(set(pairs)))
    for message in (URL, URL + text, URL + plain):
        assert check(URL, body, raw_signature(message)) is None


def test_json_needs_the_hash_of_its_body_in_the_signed_address() -> None:
    body = b'{"a": 1}'
    digest = hashlib.sha256(body).hexdigest()
    url = f"{URL}?bodySHA256={digest}"
    signature = RequestValidator(TOKEN).compute_signature(url, {})
    assert RequestValidator(TOKEN).validate(url, body.decode(), signature)
    assert check(url, body, signature, JSON) == {}
    assert check(url, body + b" ", signature, JSON) is None
    # The library says yes here, because it never looks at a body that came parsed.
    forged = b'{"a": 2}'
    assert RequestValidator(TOKEN).validate(url, {}, signature)
    assert check(url, forged, signature, JSON) is None
    assert check(url, forged, signature, FORM) is None
    assert check(url, b"", signature, FORM) is None
    # Without a hash nothing of the body is signed.
    assert check(URL, body, RequestValidator(TOKEN).compute_signature(URL, {}), JSON) is None
    twice = f"{url}&bodySHA256={hashlib.sha256(forged).hexdigest()}"
    assert check(twice, forged, RequestValidator(TOKEN).compute_signature(twice, {}), JSON) is None


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data; boundary=x", "application/xml"])
def test_other_bodies_are_refused(content_type: str) -> None:
    assert check(URL, urlencode(CALL).encode(), sign(URL, CALL, TOKEN), content_type) is None


@pytest.mark.parametrize("url", ["https://h:port/x", "https://[::1/x", "https://h:99999/x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    assert check(url, urlencode(CALL).encode(), sign(url, CALL, TOKEN)) is None
