"""A broker that asks for name and password: with ours we are in, with others we are told why not."""

import asyncio
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from bus.errors import TransientError
from bus.log.kafka import KafkaLog
from bus.log.kafka_client import sign_in_refused
from bus.log.kafka_settings import KafkaSettings
from bus.log.port import Delivery, Record
from bus.testing.log_records import TOPIC
from deploy.kafka.brokers import AT_ONCE_S, Brokers
from deploy.kafka.topics import NoBroker, apply_plan, make_plan

PASSWORD = "richtig-und-geheim"
WRONG = "falsch-und-geheim"
RECORD = Record(topic=TOPIC, key="k-1", value=b'"1"', id="c-1")


@pytest.fixture(scope="module")
def let_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """Settings that the broker accepts."""
    brokers = Brokers(tmp_path_factory.mktemp("sign-in"), accounts={"bus": PASSWORD})
    try:
        brokers.start()
        yield KafkaSettings(
            bootstrap=(brokers.bootstrap,),
            replication_floor=1,
            min_insync_replicas=1,
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-512",
            username="bus",
            password=PASSWORD,
            request_timeout_s=10.0,
        )
    finally:
        brokers.stop(within_s=AT_ONCE_S)


async def test_every_client_signs_in_with_the_name_and_password_of_the_settings(let_in: KafkaSettings) -> None:
    await apply_plan(let_in, [TOPIC])
    assert [each for each in await make_plan(let_in, [TOPIC]) if each.action == "create"] == []
    log = KafkaLog(let_in)
    try:
        await log.append([RECORD])
        subscription = await log.subscribe("readers", [TOPIC], member="one")
        async with asyncio.timeout(30):
            while not (records := await subscription.fetch(10, 1.0)):
                pass
        assert [record.id for record in records] == ["c-1"]
        await subscription.commit([Delivery.of("readers", record) for record in records])
        assert sum(behind for behind, _ in (await log.lag("readers", [TOPIC])).values()) == 0
        await subscription.close()
    finally:
        await log.close()
    assert not await sign_in_refused(let_in)


@pytest.mark.parametrize(
    "wrong",
    [{"password": WRONG}, {"username": "nobody"}, {"sasl_mechanism": "PLAIN"}],
    ids=["password", "name", "mechanism"],
)
async def test_whoever_is_not_let_in_is_told_so_and_the_password_is_told_nobody(
    let_in: KafkaSettings, wrong: dict[str, str], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(let_in, **wrong)
    with pytest.raises(NoBroker) as refused:
        await make_plan(settings, [TOPIC])
    assert f"do not let {settings.username!r} in" in str(refused.value)
    assert settings.sasl_mechanism in str(refused.value)
    log = KafkaLog(settings)
    try:
        with pytest.raises(TransientError) as failed:
            await log.append([RECORD])
    finally:
        await log.close()
    said = capsys.readouterr()
    told = f"{refused.value} {failed.value} {caplog.text} {said.out} {said.err}"
    assert settings.password not in told


async def test_a_broker_that_is_away_is_not_taken_for_one_that_refuses(let_in: KafkaSettings) -> None:
    settings = replace(let_in, bootstrap=("127.0.0.1:1",))
    assert not await sign_in_refused(settings)
    with pytest.raises(NoBroker, match=r"no broker answers at 127\.0\.0\.1:1"):
        await make_plan(settings, [TOPIC])
