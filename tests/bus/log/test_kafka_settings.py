"""Settings that lose customers quietly are refused by name."""

from typing import Any

import pytest

from bus.errors import ConfigurationError
from bus.log.kafka_settings import KafkaSettings, check_settings


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("acks", {"acks": "1"}),
        ("enable_auto_commit", {"enable_auto_commit": True}),
        ("auto_offset_reset", {"auto_offset_reset": "latest"}),
        ("auto_create_topics", {"auto_create_topics": True}),
        ("bootstrap", {"bootstrap": ()}),
        ("min_insync_replicas", {"min_insync_replicas": 1}),
        ("min_insync_replicas", {"min_insync_replicas": 4}),
        ("heartbeat_s", {"heartbeat_s": 15.0}),
        ("drain_s", {"drain_s": 90.0}),
        ("username", {"security_protocol": "SASL_SSL"}),
        ("security_protocol", {"username": "bus", "password": "geheim"}),
        ("security_protocol", {"ca_file": "brokers.pem"}),
    ],
)
def test_an_unsafe_setting_is_refused_by_name(name: str, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=rf"\[kafka\] {name} is refused: .+"):
        check_settings(KafkaSettings(**given))


def test_the_defaults_and_a_single_broker_for_development_are_accepted() -> None:
    check_settings(KafkaSettings())
    check_settings(KafkaSettings(replication_floor=1, min_insync_replicas=1))
