"""A broker that asks for name and password, openly and over TLS: we are let in, or told why not."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import asdict, replace

from bus.config import Layered
from bus.errors import TransientError
from bus.log.kafka import KafkaLog
from bus.log.kafka_client import why_refused
from bus.log.kafka_settings import KafkaSettings
from bus.log.port import Delivery, Record
from bus.testing.log_records import TOPIC
from deploy.doctor_kafka import examine_distributed
from deploy.kafka.brokers import AT_ONCE_S, Brokers
from deploy.kafka.topics import NoBroker, apply_plan, make_plan
from deploy.settings import BusSettings, ProductSettings

PASSWORD = "richtig-und-geheim"
WRONG = "falsch-und-geheim"
RECORD = Record(topic=TOPIC, key="k-1", value=b'"1"', id="c-1")


def authority(folder: Path, name: str) -> Path:
    """The certificate of an authority; its key lies beside it."""
    _certify(folder, name, "-subj", f"/CN={name}")
    return folder / f"{name}.pem"


def certificate(folder: Path, issuer: Path) -> Path:
    """Key and certificate of a broker, which name the address 127.0.0.1 and nothing else."""
    issued = ("-CA", str(issuer), "-CAkey", str(issuer.with_suffix(".key")), "-addext", "basicConstraints=CA:FALSE")
    _certify(folder, "broker", "-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1", *issued)
    both = folder / "broker-with-key.pem"
    both.write_text((folder / "broker.key").read_text() + (folder / "broker.pem").read_text())
    return both


def _certify(folder: Path, name: str, *options: str) -> None:
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", f"{name}.key")
    command = ["openssl", "req", "-x509", "-days", "2", "-out", f"{name}.pem", *key, *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module", params=["SASL_PLAINTEXT", "SASL_SSL"])
def let_in(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """Settings that the broker accepts."""
    folder = tmp_path_factory.mktemp("sign-in")
    ours = authority(folder, "ours") if request.param == "SASL_SSL" else None
    shown = certificate(folder, ours) if ours is not None else None
    brokers = Brokers(folder, accounts={"bus": PASSWORD}, certificate=shown)
    try:
        brokers.start()
        yield KafkaSettings(
            bootstrap=(brokers.bootstrap,),
            replication_floor=1,
            min_insync_replicas=1,
            security_protocol=request.param,
            sasl_mechanism="SCRAM-SHA-512",
            username="bus",
            password=PASSWORD,
            ca_file=str(ours or ""),
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
    assert await why_refused(let_in) == ""


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
    assert f"does not let {settings.username!r} in" in str(refused.value)
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
    assert await why_refused(settings) == ""
    with pytest.raises(NoBroker, match=r"no broker answers at 127\.0\.0\.1:1"):
        await make_plan(settings, [TOPIC])


async def doctor(settings: KafkaSettings) -> str:
    """What the doctor says first about these settings, when something is wrong."""
    layers = Layered()
    layers.overlay({"kafka": asdict(settings)}, "test")
    finding, *_ = await examine_distributed(layers, ProductSettings(), BusSettings(engine="kafka"))
    return "" if finding["ok"] else finding["detail"]


@pytest.mark.parametrize("let_in", ["SASL_SSL"], indirect=True)
async def test_a_broker_that_nobody_vouches_for_is_refused_by_the_name_of_the_setting(
    let_in: KafkaSettings, tmp_path: Path
) -> None:
    (address,) = let_in.bootstrap
    elsewhere = f"localhost:{address.rpartition(':')[2]}"
    for wrong, reason in (
        ({"ca_file": str(authority(tmp_path, "others"))}, f"[kafka] ca_file: '{tmp_path}/others.pem' cannot vouch"),
        ({"ca_file": ""}, "[kafka] ca_file: the authorities of this machine cannot vouch"),
        ({"bootstrap": (elsewhere,)}, f"[kafka] bootstrap: the certificate of {elsewhere} is made out to another name"),
    ):
        settings = replace(let_in, **wrong)
        with pytest.raises(NoBroker) as refused:
            await make_plan(settings, [TOPIC])
        assert reason in str(refused.value)
        assert reason in await doctor(settings)
        log = KafkaLog(settings)
        try:
            with pytest.raises(TransientError):
                await log.append([RECORD])
        finally:
            await log.close()
    assert await doctor(let_in) == ""


async def test_a_file_of_authorities_that_is_none_is_a_finding_of_the_doctor(tmp_path: Path) -> None:
    nothing = KafkaSettings(security_protocol="SSL", ca_file=str(tmp_path / "nothing.pem"))
    assert "[kafka] ca_file" in await doctor(nothing)
