"""Topics on a real broker: planned, applied, and refused where the cluster would lose what it acknowledged."""

import uuid
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from bus.errors import ConfigurationError
from bus.log.kafka_settings import KafkaSettings
from bus.log.topics import CONTACT_RECEIVED
from bus.log.topics import topic as declared
from deploy.kafka.topics import LAST_NET, Difference, apply_plan, declared_topics, make_plan, refuse_unsafe

NAMES = [CONTACT_RECEIVED, "reply.email"]


@pytest.fixture
def settings(kafka_bootstrap: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap=tuple(kafka_bootstrap.split(",")),
        topic_prefix=f"t{uuid.uuid4().hex[:8]}.",
        replication_floor=1,
        min_insync_replicas=1,
    )


@pytest_asyncio.fixture
async def admin(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=list(settings.bootstrap))
    await client.start()
    yield client
    await client.close()


async def differences(
    settings: KafkaSettings, name: str, wanted: Callable[[list[Difference]], bool]
) -> list[Difference]:
    """What differs at a topic, once it is as wanted. Ends by the time-out of the test."""
    while True:
        found = [each for each in await make_plan(settings, NAMES) if each.name == name]
        if wanted(found):
            return found


async def test_what_is_missing_is_made_once(settings: KafkaSettings) -> None:
    planned = [each for each in await make_plan(settings, NAMES) if each.action == "create"]
    assert [each.name for each in planned] == [settings.topic_prefix + name for name in NAMES]
    done = await apply_plan(settings, NAMES)
    assert [each.name for each in done if each.action == "create"] == [each.name for each in planned]
    assert [each for each in await apply_plan(settings, NAMES) if each.action in ("create", "change")] == []
    await refuse_unsafe(settings, NAMES)


async def test_a_changed_setting_is_put_right_and_foreign_ones_stay(
    settings: KafkaSettings, admin: AIOKafkaAdminClient
) -> None:
    await apply_plan(settings, NAMES)
    name = settings.topic_prefix + CONTACT_RECEIVED
    await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "1000", "segment.bytes": "33554432"})]
    )
    kept = str(declared(CONTACT_RECEIVED).keep_days * LAST_NET * 86_400_000)
    # A broker learns of a change a moment after the controller has agreed to it.
    found = await differences(settings, name, lambda found: any(each.setting == "retention.ms" for each in found))
    assert ("change", "retention.ms", "1000", kept) in [
        (each.action, each.setting, each.now, each.wanted) for each in found
    ]
    await apply_plan(settings, NAMES)
    assert await differences(settings, name, lambda found: not found) == []
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    values = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert (values["segment.bytes"], values["retention.ms"]) == ("33554432", kept)


async def test_partitions_are_never_added(settings: KafkaSettings, admin: AIOKafkaAdminClient) -> None:
    name = settings.topic_prefix + "reply.email"
    await admin.create_topics([NewTopic(name=name, num_partitions=3, replication_factor=1)])
    done = await apply_plan(settings, ["reply.email"])
    (difference,) = [each for each in done if each.setting == "partitions"]
    assert (difference.action, difference.now, difference.wanted) == ("by-hand", "3", "8")
    (described,) = await admin.describe_topics([name])
    assert len(described["partitions"]) == 3
    with pytest.raises(ConfigurationError, match="3 partitions"):
        await refuse_unsafe(settings, ["reply.email"])


async def test_start_is_refused_with_the_fix(settings: KafkaSettings) -> None:
    with pytest.raises(ConfigurationError, match="contactbus topics apply"):
        await refuse_unsafe(settings, NAMES)
    await apply_plan(settings, NAMES)
    careful = KafkaSettings(
        bootstrap=settings.bootstrap, topic_prefix=settings.topic_prefix, replication_floor=3, min_insync_replicas=2
    )
    with pytest.raises(ConfigurationError, match="replication_floor"):
        await refuse_unsafe(careful, NAMES)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("cleanup.policy", "compact"), ("retention.bytes", "1048576"), ("retention.ms", str(86_400_000))],
)
async def test_topics_that_forget_what_nobody_has_handled_are_refused(
    settings: KafkaSettings, admin: AIOKafkaAdminClient, setting: str, value: str
) -> None:
    await apply_plan(settings, NAMES)
    name = settings.topic_prefix + CONTACT_RECEIVED
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {setting: value})])
    await differences(settings, name, lambda found: any(each.now == value for each in found))
    with pytest.raises(ConfigurationError, match=f"{setting} is {value}"):
        await refuse_unsafe(settings, NAMES)
    await apply_plan(settings, NAMES)
    await differences(settings, name, lambda found: not found)
    await refuse_unsafe(settings, NAMES)


async def test_a_shorter_retention_that_outlasts_the_houses_own_is_the_operators_choice(
    settings: KafkaSettings, admin: AIOKafkaAdminClient
) -> None:
    await apply_plan(settings, NAMES)
    name = settings.topic_prefix + CONTACT_RECEIVED
    kept = str(declared(CONTACT_RECEIVED).keep_days * 86_400_000)
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": kept})])
    await differences(settings, name, lambda found: any(each.now == kept for each in found))
    await refuse_unsafe(settings, NAMES)


async def test_no_broker_is_said_with_its_address() -> None:
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1:1"):
        await make_plan(KafkaSettings(bootstrap=("127.0.0.1:1",), request_timeout_s=1.0), NAMES)


async def test_settings_that_may_not_be_seen_are_not_taken_for_missing_ones(
    settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await apply_plan(settings, NAMES)

    async def refused(_client: Any, resources: list[ConfigResource]) -> list[Any]:
        rows = [(31, "", each.resource_type.value, each.name, []) for each in resources]
        return [SimpleNamespace(resources=rows)]

    monkeypatch.setattr(AIOKafkaAdminClient, "describe_configs", refused)
    with pytest.raises(ConfigurationError, match=r"username: may not see the settings of .*contact\.received"):
        await apply_plan(settings, NAMES)


def test_every_channel_has_its_topic_and_no_topic_is_named_twice() -> None:
    names = declared_topics(["email", "fax"])
    assert "reply.fax" in names
    assert len(names) == len(set(names))
