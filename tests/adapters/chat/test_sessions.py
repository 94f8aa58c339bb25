"""Tokens: ours, of this tenant, in time; and identities that only the host site can sign."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import msgspec
import pytest

from adapters.chat.config import ChatConfig
from adapters.chat.sessions import BadIdentity, Identity, Sessions, read_identity
from bus.adapter.tokens import Signer

KEY = "a key that only the shop's server knows"
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def sessions(*, at: datetime = NOW, tenant: str = "shop", secret: bytes = b"0123456789abcdef") -> Sessions:
    config = ChatConfig(site_key="shop.example", identity_secrets=(KEY,), token_minutes=15, resume_hours=72)
    return Sessions(config, Signer(secret), tenant, lambda: at, lambda count: bytes(range(count)))


def signed(key: str = KEY, **claims: Any) -> str:
    base = {
        "sub": "kari.lunde@kunde.example",
        "aud": "shop.example",
        "exp": NOW.timestamp() + 600,
        "name": "Kari Lunde",
    }
    return jwt.encode({name: value for name, value in {**base, **claims}.items() if value is not None}, key, "HS256")


def test_a_token_opens_its_session_until_it_expires() -> None:
    token = sessions().mint("s-1")
    opened = sessions(at=NOW + timedelta(minutes=14)).open(token)
    assert opened is not None
    assert opened.id == "s-1"
    assert sessions(at=NOW + timedelta(minutes=15)).open(token) is None


def test_an_expired_token_still_renews_its_own_conversation_but_not_for_ever() -> None:
    token = sessions().mint("s-1")
    renewed = sessions(at=NOW + timedelta(hours=72)).renewable(token)
    assert renewed is not None
    assert renewed.id == "s-1"
    assert sessions(at=NOW + timedelta(hours=72, minutes=15)).renewable(token) is None


def test_session_ids_carry_128_random_bits() -> None:
    seen: list[int] = []

    def random(count: int) -> bytes:
        seen.append(count)
        return b"\x07" * count

    made = Sessions(ChatConfig(), Signer(b"0123456789abcdef"), "shop", lambda: NOW, random)
    made.new()
    assert seen == [16]


@pytest.mark.parametrize("change", ["session", "expiry", "identity", "signature", "cut", "none"])
def test_a_changed_token_opens_nothing(change: str) -> None:
    token = sessions().mint("s-1")
    value, _, signature = token.rpartition(".")
    session, expiry, packed = value.split("~")
    other = "a" if signature[0] != "a" else "b"
    forged = {
        "session": f"s-2~{expiry}~{packed}.{signature}",
        "expiry": f"{session}~{int(expiry) + 9999}~{packed}.{signature}",
        "identity": f"{session}~{expiry}~{base64.urlsafe_b64encode(b'{}').decode()}.{signature}",
        "signature": f"{value}.{other}{signature[1:]}",
        "cut": value,
        "none": "",
    }[change]
    assert sessions().open(forged) is None
    assert sessions().renewable(forged) is None


def test_tokens_of_another_tenant_purpose_or_secret_open_nothing() -> None:
    assert sessions().open(sessions(tenant="bank").mint("s-1")) is None
    assert sessions().open(sessions(secret=b"another secret of 16").mint("s-1")) is None
    value = sessions().mint("s-1").rpartition(".")[0]
    assert sessions().open(Signer(b"0123456789abcdef").token("confirm", "shop", value)) is None


def test_an_enormous_token_is_not_even_checked() -> None:
    assert sessions().open("x" * 1_000_000) is None


def test_an_identity_travels_in_the_token_and_ends_with_its_own_time() -> None:
    identity = Identity(kind="email", address="kari.lunde@kunde.example", until=int(NOW.timestamp()) + 60)
    token = sessions().mint("s-1", identity)
    now, later = sessions().open(token), sessions(at=NOW + timedelta(seconds=60)).open(token)
    assert now is not None
    assert now.identity == identity
    assert later is not None
    assert later.identity is None, "the token is still good, who it was is no longer known"


def test_the_host_site_says_who_is_logged_in() -> None:
    assert read_identity(signed(), (KEY,), "shop.example", NOW) == Identity(
        kind="email", address="kari.lunde@kunde.example", name="Kari Lunde", until=int(NOW.timestamp()) + 600
    )
    number = read_identity(signed(sub="4711", name=None), (KEY,), "shop.example", NOW)
    assert (number.kind, number.address, number.name) == ("customer", "4711", "")


def test_an_older_key_still_counts_while_keys_are_changed() -> None:
    assert read_identity(signed(), ("a newer key of the same shop's server", KEY), "shop.example", NOW).kind == "email"


def unsigned(claims: dict[str, Any]) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "x" * 5000,
        signed(key="another key, thirty-two bytes or more"),
        signed(aud="bank.example"),
        signed(aud=None),
        signed(exp=NOW.timestamp() - 1),
        signed(exp=NOW.timestamp() + 3601),
        signed(exp=None),
        signed(sub=None),
        signed(sub=""),
        signed(sub="x" * 300),
        unsigned({"sub": "a@b.example", "aud": "shop.example", "exp": NOW.timestamp() + 60}),
        jwt.encode({"sub": "a@b.example", "aud": "shop.example", "exp": NOW.timestamp() + 60}, KEY * 2, "HS512"),
    ],
)
def test_identities_that_the_site_did_not_sign_now_and_for_us_are_refused(token: str) -> None:
    with pytest.raises(BadIdentity):
        read_identity(token, (KEY,), "shop.example", NOW)


def test_without_a_key_nobody_is_believed() -> None:
    with pytest.raises(BadIdentity):
        read_identity(signed(), (), "shop.example", NOW)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("sites", ["https://shop.example/path"]),
        ("sites", ["shop.example"]),
        ("sites", ["*"]),
        ("trusted_proxies", ["not a network"]),
        ("identity_secrets", ["short"]),
        ("token_minutes", 61),
        ("resume_hours", 24 * 7),
        ("sockets_per_peer", 0),
        ("messages_per_second", 0),
        ("unknown", 1),
    ],
)
def test_unsafe_settings_are_refused(setting: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError, match=setting):
        msgspec.convert({setting: value}, ChatConfig)
