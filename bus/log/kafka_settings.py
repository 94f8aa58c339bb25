"""Settings of the Kafka engine, and which of them are refused: a wrong one loses customers quietly.

The client's own defaults are made for logs of clicks: it skips to the newest record when it knows no place, commits by
the clock whether or not the work was done, and takes one broker's word for a write. Here these are refused by name.
"""

from typing import Annotated, Literal

import msgspec

from bus.errors import ConfigurationError

__all__ = ["KafkaSettings", "check_settings"]


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[kafka]`.

    `topic_prefix` stands before every topic and group: one company's records, rights and quotas apart from another's.
    `replication_floor`: start-up refuses topics with fewer copies; 1 is for development alone.
    `static_member`: a name that outlives restarts (of the host or pod): a restart then moves no partition, but a crash
    leaves them waiting for `session_timeout_s`. Empty: dynamic membership.
    """

    bootstrap: tuple[str, ...] = ("127.0.0.1:9092",)
    topic_prefix: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9._-]*$", max_length=64)] = ""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] = "SCRAM-SHA-512"
    username: str = ""
    password: str = ""
    ca_file: str = ""

    replication_floor: Annotated[int, msgspec.Meta(ge=1, le=9)] = 3
    min_insync_replicas: Annotated[int, msgspec.Meta(ge=1, le=9)] = 2

    acks: str = "all"
    enable_auto_commit: bool = False
    auto_offset_reset: str = "earliest"
    auto_create_topics: bool = False

    static_member: str = ""
    session_timeout_s: Annotated[float, msgspec.Meta(ge=1, le=300)] = 30.0
    """A member without a heartbeat for so long has died; shorter, and a busy machine throws out the living."""
    heartbeat_s: Annotated[float, msgspec.Meta(ge=0.5, le=60)] = 3.0
    drain_s: Annotated[float, msgspec.Meta(ge=1, le=120)] = 20.0
    """What is in hand may take so long to finish when partitions move; then it is left to the next owner."""
    rebalance_timeout_s: Annotated[float, msgspec.Meta(ge=2, le=300)] = 60.0
    """The group waits so long for its members to come back; above `drain_s`, or drained members would be thrown out."""
    max_poll_interval_s: Annotated[float, msgspec.Meta(ge=10, le=3600)] = 120.0
    request_timeout_s: Annotated[float, msgspec.Meta(ge=1, le=120)] = 10.0
    """Of one request to a broker. The client itself never gives a batch up: our own deadlines stand around it."""
    publish_timeout_s: Annotated[float, msgspec.Meta(ge=1, le=120)] = 15.0
    """After this an append is in doubt, its producer is thrown away and the caller tries again; copies are sorted out
    by the inbox."""
    stuck_after_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 30.0
    """Records are waiting and the position has not moved for so long: the consumer is made anew."""


def check_settings(settings: KafkaSettings) -> None:
    """Raises ConfigurationError naming the setting and why it is unsafe."""
    refusals = (
        (settings.acks != "all", "acks", f"{settings.acks!r}: one broker's word is lost with that broker; only all"),
        (settings.enable_auto_commit, "enable_auto_commit", "the clock would commit what was not yet done"),
        (
            settings.auto_offset_reset != "earliest",
            "auto_offset_reset",
            f"{settings.auto_offset_reset!r}: a new or expired group would skip customers; only earliest",
        ),
        (settings.auto_create_topics, "auto_create_topics", "a slip of the pen would make topics with one copy"),
        (not settings.bootstrap, "bootstrap", "names no broker"),
        (
            settings.min_insync_replicas > settings.replication_floor,
            "min_insync_replicas",
            f"{settings.min_insync_replicas} of {settings.replication_floor} copies could never agree",
        ),
        (
            settings.replication_floor > 1 and settings.min_insync_replicas < 2,
            "min_insync_replicas",
            "with 1 a write is acknowledged that only one broker holds",
        ),
        (
            settings.heartbeat_s * 3 > settings.session_timeout_s,
            "heartbeat_s",
            "three heartbeats must fit into session_timeout_s",
        ),
        (
            settings.drain_s >= settings.rebalance_timeout_s,
            "drain_s",
            "must end before rebalance_timeout_s, or a member that drains is thrown out",
        ),
        (
            settings.security_protocol.startswith("SASL") and not (settings.username and settings.password),
            "username",
            f"{settings.security_protocol} needs username and password",
        ),
        (
            bool(settings.username or settings.password) and not settings.security_protocol.startswith("SASL"),
            "security_protocol",
            f"username or password is given, and {settings.security_protocol} signs nobody in",
        ),
        (
            bool(settings.ca_file) and not settings.security_protocol.endswith("SSL"),
            "security_protocol",
            f"ca_file is given, and {settings.security_protocol} would carry what customers say in the open",
        ),
    )
    for unsafe, name, reason in refusals:
        if unsafe:
            raise ConfigurationError(f"[kafka] {name} is refused: {reason}")
