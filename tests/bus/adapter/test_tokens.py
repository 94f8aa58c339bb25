"""Signed tokens."""

import os
from pathlib import Path

import pytest

from bus.adapter.tokens import Signer, load_or_create_secret
from bus.errors import ConfigurationError

SIGNER = Signer(b"0123456789abcdef-one")


def test_a_token_opens_to_its_value_for_its_purpose_and_tenant_only() -> None:
    token = SIGNER.token("case", "shop", "k-1")
    assert SIGNER.open("case", "shop", token) == "k-1"
    assert SIGNER.open("case", "shop", token.upper().replace("K-1", "k-1")) == "k-1"
    assert SIGNER.open("confirm", "shop", token) is None
    assert SIGNER.open("case", "bank", token) is None


@pytest.mark.parametrize("token", ["", ".", "k-1", "k-1.", "k-2.{}", "k-1.ünïcode", "k-1." + "a" * 24])
def test_forged_tokens_are_refused(token: str) -> None:
    assert SIGNER.open("case", "shop", token.format(SIGNER.sign("case", "shop", "k-1"))) is None


def test_a_rotated_secret_still_verifies() -> None:
    newer = Signer(b"0123456789abcdef-two", b"0123456789abcdef-one")
    assert newer.open("case", "shop", SIGNER.token("case", "shop", "k-1")) == "k-1"
    assert SIGNER.open("case", "shop", newer.token("case", "shop", "k-1")) is None


def test_parts_cannot_be_shifted_into_each_other() -> None:
    assert SIGNER.sign("a", "bc", "d") != SIGNER.sign("ab", "c", "d")


def test_the_secret_is_made_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    secret = load_or_create_secret(path)
    assert load_or_create_secret(path) == secret
    assert len(secret) == 32
    assert path.stat().st_mode & 0o077 == 0


def test_short_secrets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="16"):
        Signer(b"short")
    (tmp_path / "k").write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="restore"):
        load_or_create_secret(tmp_path / "k")


def test_a_secret_is_seen_whole_or_not_at_all_by_whoever_starts_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "signing.key"
    random, others = os.urandom, list[bytes]()

    def slowly(count: int) -> bytes:
        if not others:
            # Another process starts, and is faster, while this one is about to write its secret down.
            others.append(b"")
            others[0] = load_or_create_secret(path)
        return random(count)

    monkeypatch.setattr("bus.adapter.tokens.os.urandom", slowly)
    assert load_or_create_secret(path) == others[0] == path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]
