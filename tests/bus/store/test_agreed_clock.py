"""One time for all hosts, whatever their own clocks say."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.clock import SystemClock
from bus.errors import TransientError
from bus.store.agreed_clock import AgreedClock, time_of
from bus.store.postgres import PostgresStore
from bus.store.postgres_settings import PostgresSettings
from bus.testing.clock import FakeClock

MINUTES = timedelta(minutes=7)


@given(
    wrong_s=st.floats(-86_400, 86_400), ways=st.lists(st.tuples(st.floats(0, 0.9), st.floats(0, 1), st.floats(0, 60)))
)
def test_it_is_never_further_off_than_the_way_to_the_database(
    wrong_s: float, ways: list[tuple[float, float, float]]
) -> None:
    host = FakeClock()
    agreed = AgreedClock(host)
    truth = timedelta(seconds=wrong_s)
    for round_trip_s, said_at, rest_s in [(0.5, 0.5, 1.0), *ways]:
        asked = host.monotonic()
        host.advance(round_trip_s * said_at)
        said = host.now() + truth
        host.advance(round_trip_s * (1 - said_at))
        agreed.agree(said, asked, host.monotonic())
        off = abs(agreed.now() - (host.now() + truth))
        assert off <= timedelta(seconds=round_trip_s, milliseconds=1)
        host.advance(rest_s)
        # And between two questions it goes as the steady clock goes.
        assert abs(abs(agreed.now() - (host.now() + truth)) - off) < timedelta(milliseconds=1)


async def test_a_host_whose_clock_is_set_under_way_goes_on_by_the_databases_time() -> None:
    class Host(FakeClock):
        wrong = timedelta()

        def now(self) -> datetime:
            return super().now() + self.wrong

    host = Host()
    agreed = AgreedClock(host)
    start = host.now()

    async def database() -> datetime:
        return start + timedelta(seconds=host.monotonic() - began)

    began = host.monotonic()
    await agreed.ask(database)
    host.advance(30)
    host.wrong = MINUTES
    assert agreed.now() == start + timedelta(seconds=30)
    await agreed.ask(database)
    assert agreed.now() == start + timedelta(seconds=30)


async def test_a_slow_answer_says_nothing_and_none_changes_nothing() -> None:
    host = FakeClock()
    agreed = AgreedClock(host)

    async def slow() -> datetime:
        host.advance(3)
        return host.now() + MINUTES

    await agreed.ask(slow)
    first = agreed.now() - host.now()
    assert abs(first - MINUTES) <= timedelta(seconds=3)

    async def slower() -> datetime:
        host.advance(3)
        return host.now()

    await agreed.ask(slower)
    assert agreed.now() - host.now() == first

    async def away() -> datetime:
        raise TransientError("no answer")

    with pytest.raises(TransientError):
        await agreed.ask(away)
    assert agreed.now() - host.now() == first


async def test_two_hosts_minutes_apart_agree_by_a_real_database(postgres_settings: PostgresSettings) -> None:
    hosts = [AgreedClock(SystemClock(wrong)) for wrong in (-MINUTES, MINUTES)]
    store = await PostgresStore.open(postgres_settings, tenant="shop", clock=SystemClock())
    try:
        assert abs(hosts[0].now() - hosts[1].now()) > MINUTES
        for host in hosts:
            for _ in range(3):
                await host.ask(lambda: time_of(store))
        assert abs(hosts[0].now() - hosts[1].now()) < timedelta(seconds=1)
        assert abs(hosts[0].now() - SystemClock().now()) < timedelta(seconds=1)
    finally:
        await store.close()
