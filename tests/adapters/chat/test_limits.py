"""Rates, origins and peers."""

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from adapters.chat.limits import Bucket, Buckets, Origins, Peers
from bus.errors import Overloaded


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(rate=1.0, burst=3, now=0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(0.0) == pytest.approx(1.0)
    assert bucket.take(0.4) == pytest.approx(0.6), "asking takes nothing"
    assert bucket.take(1.0) == 0
    assert bucket.take(1.0) > 0
    assert [bucket.take(100.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(100.0) > 0, "it never holds more than its burst"


def test_coming_again_does_not_refill_a_bucket() -> None:
    now = [0.0]
    buckets = Buckets(1.0, 1, lambda: now[0])
    assert buckets.take("s-1") == 0
    assert buckets.take("s-1") > 0
    assert buckets.take("s-2") == 0


@pytest.mark.parametrize("origin", ["https://chat.example", "https://shop.example"])
def test_our_own_origin_and_named_sites_may_come_in(origin: str) -> None:
    assert Origins("https://chat.example", ["https://shop.example"]).allows(origin)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "http://chat.example",
        "https://chat.example:8443",
        "https://chat.example.evil.example",
        "https://evil.example",
        "https://chat.example/",
        "http://localhost",
    ],
)
def test_no_other_origin_may(origin: str | None) -> None:
    assert not Origins("https://chat.example", ["https://shop.example"]).allows(origin)


def test_on_one_machine_either_name_of_it_is_ours() -> None:
    origins = Origins("http://127.0.0.1:8080", [])
    assert origins.allows("http://localhost:8080")
    assert not origins.allows("http://localhost:8081")


def peer(remote: str, forwarded: str = "", trusted: tuple[str, ...] = ()) -> str:
    """`forwarded`: the fields of that name, one a line."""
    headers = CIMultiDict(("X-Forwarded-For", field) for field in forwarded.splitlines())
    request = make_mocked_request("GET", "/chat/socket", headers=headers).clone(remote=remote)
    return Peers(20, trusted).of(request)


def test_a_forwarded_address_counts_only_from_a_trusted_proxy() -> None:
    assert peer("203.0.113.9", "198.51.100.1") == "203.0.113.9"
    assert peer("10.0.0.1", "198.51.100.1", ("10.0.0.0/8",)) == "198.51.100.1"
    assert peer("10.0.0.1", "9.9.9.9, 198.51.100.1, 10.0.0.2", ("10.0.0.0/8",)) == "198.51.100.1", (
        "what the visitor wrote into the header itself stands further left and is not believed"
    )
    assert peer("10.0.0.1", "9.9.9.9\n198.51.100.1", ("10.0.0.0/8",)) == "198.51.100.1", (
        "nor what the visitor wrote into a field of the same name, before that of the proxy"
    )
    assert peer("10.0.0.1", "nonsense", ("10.0.0.0/8",)) == "unknown"


def test_an_ipv6_peer_is_its_network() -> None:
    assert peer("2001:db8::1") == peer("2001:db8::ffff") == "2001:db8::/64"
    assert peer("2001:db8:0:1::1") != peer("2001:db8::1")
    assert peer("::ffff:192.0.2.7") == "192.0.2.7"


def test_a_peer_has_so_many_places_and_gets_them_back() -> None:
    peers = Peers(2, ())
    with peers.place("a"), peers.place("a"):
        with pytest.raises(Overloaded), peers.place("a"):
            pytest.fail("a third place")
        with peers.place("b"):
            pass
    with peers.place("a"), peers.place("a"):
        pass
