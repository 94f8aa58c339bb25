"""Topics on the brokers: what they must be, how they differ, and making them so.

Applying is idempotent and timid: it makes topics that are missing and changes settings, and it never adds partitions
to a topic, because records of one key would then lie in two of them and overtake each other.
"""

import asyncio
import tomllib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from bus.errors import ConfigurationError
from bus.log.kafka_client import client_options, why_refused
from bus.log.kafka_settings import KafkaSettings
from bus.log.topics import (
    CASE_LOG,
    CASE_OFFERS,
    CASE_TIMER,
    CONTACT_IDENTIFIED,
    CONTACT_RECEIVED,
    DEPARTMENTS,
    REPLY_STATUS,
    reply_topic,
    topic,
    work_topic,
)

__all__ = [
    "LAST_NET",
    "Difference",
    "NoBroker",
    "TopicPlan",
    "apply_plan",
    "declared_topics",
    "make_plan",
    "refuse_unsafe",
    "why_no_broker",
]

_DAY_MS = 86_400_000
LAST_NET = 4
"""The brokers forget by the clock alone, also what nobody has handled yet. So they keep for so many times as long as
the house does, which deletes by itself what every group has finished (`bus.log.kafka_retention`)."""

_LOOK_S = 0.05
"""Between two looks for a topic that was just made; brokers learn of it in some tens of milliseconds."""

_ALREADY_THERE = 36
"""TOPIC_ALREADY_EXISTS: somebody else applied at the same moment."""


class NoBroker(ConfigurationError):
    """Nobody answers at the addresses: an outage, or a wrong address. Who can do without brokers goes on."""


async def why_no_broker(settings: KafkaSettings, error: Exception) -> str:
    """What is wrong, with the setting to look at, when the client has reached no broker and raised `error`."""
    addresses = ", ".join(settings.bootstrap)
    refusal = await why_refused(settings)
    return refusal or f"[kafka] bootstrap: no broker answers at {addresses} ({type(error).__name__})"


class TopicPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a topic must be. `name` is the one on the brokers, with the prefix."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it must be.

    `action`: create or change (what `apply` does), or by-hand (what it refuses to do, with the reason in `why`).
    """

    action: str
    name: str
    setting: str = ""
    now: str = ""
    wanted: str = ""
    why: str = ""


def declared_topics(channels: Sequence[str]) -> list[str]:
    """Every topic that a house with these channels needs, without prefix."""
    fixed = [CONTACT_RECEIVED, CONTACT_IDENTIFIED, REPLY_STATUS, CASE_TIMER, CASE_LOG, CASE_OFFERS]
    work = [work_topic(department, lane) for department in DEPARTMENTS for lane in ("live", "deferred")]
    return [*fixed, *work, *(reply_topic(channel) for channel in channels)]


def _production() -> dict[str, dict[str, str]]:
    return tomllib.loads((files("deploy.kafka") / "production.toml").read_text("utf-8"))


def wanted(settings: KafkaSettings, names: Sequence[str]) -> list[TopicPlan]:
    """The plans of topics, from their declarations and the file of production settings."""
    production = _production()
    plans: list[TopicPlan] = []
    for name in names:
        declared = topic(name)
        given = {
            **production["topic"],
            **(production["intake"] if name == CONTACT_RECEIVED else {}),
            "min.insync.replicas": str(settings.min_insync_replicas),
            "retention.ms": str(declared.keep_days * LAST_NET * _DAY_MS),
        }
        plans.append(
            TopicPlan(
                name=settings.topic_prefix + name,
                partitions=declared.partitions,
                replication=settings.replication_floor,
                settings=given,
            )
        )
    return plans


async def make_plan(settings: KafkaSettings, names: Sequence[str]) -> list[Difference]:
    """How the cluster differs from what it must be. Raises ConfigurationError when no broker answers."""
    plans = wanted(settings, names)
    async with _admin(settings) as admin:
        found = await _described(admin, [plan.name for plan in plans])
        configs = await _settings_of(admin, [plan.name for plan in plans if plan.name in found])
        brokers = await _broker_settings(admin)
    differences: list[Difference] = []
    for plan in plans:
        if plan.name not in found:
            differences.append(_creation(plan))
        else:
            differences += compare(plan, *found[plan.name], configs.get(plan.name, {}))
    return differences + _broker_differences(brokers)


def compare(plan: TopicPlan, partitions: int, replication: int, settings: Mapping[str, str]) -> list[Difference]:
    """How a topic that exists differs from its plan."""
    differences: list[Difference] = []
    if partitions != plan.partitions:
        differences.append(
            Difference(
                action="by-hand",
                name=plan.name,
                setting="partitions",
                now=str(partitions),
                wanted=str(plan.partitions),
                why="records of one key would lie in two partitions and overtake each other; drain into a new topic",
            )
        )
    if replication < plan.replication:
        differences.append(
            Difference(
                action="by-hand",
                name=plan.name,
                setting="replication",
                now=str(replication),
                wanted=str(plan.replication),
                why="copies are moved with the brokers' own reassignment tool",
            )
        )
    differences += [
        Difference(action="change", name=plan.name, setting=name, now=settings.get(name, ""), wanted=value)
        for name, value in plan.settings.items()
        if settings.get(name) != value
    ]
    return differences


async def apply_plan(settings: KafkaSettings, names: Sequence[str]) -> list[Difference]:
    """Make what is missing and change what may be changed; what had to be done.

    Returns when the brokers list what was made, so that a house may be started at once. Raises ConfigurationError.
    """
    differences = await make_plan(settings, names)
    plans = {plan.name: plan for plan in wanted(settings, names)}
    missing = [plans[difference.name] for difference in differences if difference.action == "create"]
    changed = {difference.name for difference in differences if difference.action == "change"}
    async with _admin(settings) as admin:
        if missing:
            answer: Any = await admin.create_topics(
                [
                    NewTopic(
                        name=plan.name,
                        num_partitions=plan.partitions,
                        replication_factor=plan.replication,
                        topic_configs=dict(plan.settings),
                    )
                    for plan in missing
                ]
            )
            for name, code, *_ in answer.topic_errors:
                if code not in (0, _ALREADY_THERE):
                    raise ConfigurationError(f"topic {name} could not be made: {for_code(code).__name__}")
            await _until_listed(admin, [plan.name for plan in missing], settings.request_timeout_s)
        if changed:
            # The request replaces every setting of a topic, so what others set stays by being sent along.
            kept = await _settings_of(admin, sorted(changed), own_only=True)
            resources = [
                ConfigResource(ConfigResourceType.TOPIC, name, {**kept.get(name, {}), **plans[name].settings})
                for name in sorted(changed)
            ]
            answers: Sequence[Any] = await admin.alter_configs(resources)
            for answer in answers:
                for code, _message, _kind, name in answer.resources:
                    if code:
                        raise ConfigurationError(f"topic {name} could not be changed: {for_code(code).__name__}")
    return differences


async def _until_listed(admin: AIOKafkaAdminClient, names: Sequence[str], within_s: float) -> None:
    """The controller says yes to a topic a moment before the brokers know it."""
    try:
        async with asyncio.timeout(within_s):
            while not set(names) <= set(await admin.list_topics()):  # noqa: ASYNC110 - brokers tell nobody
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise ConfigurationError(
            "the topics are made, but the brokers do not list all of them yet: "
            "start the house when `contactbus topics plan` has nothing to say"
        ) from None


async def refuse_unsafe(settings: KafkaSettings, names: Sequence[str]) -> None:
    """Raises ConfigurationError with the fix when a topic is missing or the cluster could lose what it acknowledged.

    Settings that only differ are the operator's choice and pass: a longer retention, or a shorter one that still is
    longer than the house's own.
    """
    for difference in await make_plan(settings, names):
        if danger := _danger(difference):
            raise ConfigurationError(f"[kafka] {difference.name}{danger}")


def _danger(different: Difference) -> str:
    """How a difference could lose what was acknowledged, and the cure; nothing where it could not."""
    apply = "run `contactbus topics apply`"
    now, wanted = different.now, different.wanted
    match different.setting:
        case "partitions":
            return f" has {now} partitions, not {wanted}: {different.why}"
        case "replication":
            return f" has {now} copies, replication_floor is {wanted}: {different.why}"
        case "min.insync.replicas" if int(now or 1) < int(wanted):
            return f": min.insync.replicas is {now}; {apply}"
        case "auto.create.topics.enable" | "unclean.leader.election.enable" as setting:
            return f": {setting} is {now or 'not known'}; {different.why or apply}"
        case "cleanup.policy" | "retention.bytes" as setting if now:
            return f": {setting} is {now}, so records go that nobody has handled; {apply}"
        case "retention.ms" if 0 <= int(now or -1) < int(wanted) // LAST_NET:
            return f": retention.ms is {now}, so records go that nobody has handled; {apply}"
        case _:
            return f": the topic is missing; {apply}" if different.action == "create" else ""


@asynccontextmanager
async def _admin(settings: KafkaSettings) -> AsyncGenerator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(**client_options(settings))
    try:
        await client.start()
    except (KafkaError, OSError) as error:
        await client.close()
        raise NoBroker(await why_no_broker(settings, error)) from None
    try:
        yield client
    finally:
        await client.close()


async def _described(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Partitions and copies of the topics that exist."""
    existing = set(await admin.list_topics())
    names = [name for name in names if name in existing]
    if not names:
        return {}
    described: list[Any] = await admin.describe_topics(names)
    return {
        each["topic"]: (len(each["partitions"]), min((len(p["replicas"]) for p in each["partitions"]), default=0))
        for each in described
    }


async def _settings_of(
    admin: AIOKafkaAdminClient, names: Sequence[str], *, own_only: bool = False
) -> dict[str, dict[str, str]]:
    """Settings in force of topics; with `own_only` those set on the topic itself."""
    if not names:
        return {}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    return _read_settings(answers, own_only=own_only)


_OWN = 1
"""Source of a setting in the answer: the topic's own (DYNAMIC_TOPIC_CONFIG)."""

_NOT_ALLOWED = (29, 31)
"""TOPIC_ and CLUSTER_AUTHORIZATION_FAILED. Other codes pass, such as that of a broker that has not heard of a topic."""


def _read_settings(answers: Sequence[Any], *, own_only: bool = False) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for answer in answers:
        for code, _message, kind, name, entries in answer.resources:
            if code in _NOT_ALLOWED:
                # Taken for empty, they would seem to differ in everything, and `apply` would take away what others set.
                what = f"broker {name}" if kind == ConfigResourceType.BROKER else name
                raise ConfigurationError(f"[kafka] username: may not see the settings of {what}")
            found[name] = {
                entry[0]: entry[1] for entry in entries if entry[1] is not None and (not own_only or entry[3] == _OWN)
            }
    return found


async def _broker_settings(admin: AIOKafkaAdminClient) -> dict[str, dict[str, str]]:
    cluster = await admin.describe_cluster()
    nodes = [str(broker["node_id"]) for broker in cluster["brokers"]]
    return _read_settings(await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, n) for n in nodes]))


def _creation(plan: TopicPlan) -> Difference:
    return Difference(
        action="create", name=plan.name, wanted=f"{plan.partitions} partitions, {plan.replication} copies"
    )


def _broker_differences(brokers: Mapping[str, Mapping[str, str]]) -> list[Difference]:
    production = _production()
    reasons = {"broker": "set it in the broker's own configuration", "broker_advice": "recommended"}
    return [
        Difference(
            action="by-hand",
            name=f"broker {node}",
            setting=name,
            now=now.get(name, ""),
            wanted=value,
            why=reasons[part],
        )
        for node, now in sorted(brokers.items())
        for part in ("broker", "broker_advice")
        for name, value in production[part].items()
        if now.get(name) != value
    ]
