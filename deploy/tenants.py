"""The settings of each tenant of a groups file, and that no two of them stand on the same ground."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bus.config import Layered
from bus.errors import ConfigurationError
from bus.log.kafka_settings import KafkaSettings
from deploy.groups import GroupsFile
from deploy.settings import BusSettings, ProductSettings, load

__all__ = ["TenantSettings", "settings_of_tenants"]


class TenantSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All layers of one tenant."""

    name: str
    layers: Layered
    product: ProductSettings


def settings_of_tenants(
    file: GroupsFile, path: Path, environment: dict[str, str], flags: Mapping[str, Any]
) -> dict[str, TenantSettings]:
    """Load every tenant's settings.

    Raises ConfigurationError for a file that is wrong, that names another tenant, or two that would share records:
    each would work on the other's customers by its own rules.
    """
    found: dict[str, TenantSettings] = {}
    grounds: dict[str, str] = {}
    for name, tenant in file.tenants.items():
        layers = load(path.parent / tenant.config, environment, dict(flags))
        product: ProductSettings = layers.section("product", ProductSettings)
        if product.tenant != name:
            raise ConfigurationError(f"[tenants.{name}] {tenant.config} is of the tenant {product.tenant!r}")
        for ground in _grounds(layers, product):
            if ground in grounds:
                raise ConfigurationError(
                    f"the tenants {grounds[ground]} and {name} share {ground}; give each one of its own"
                )
            grounds[ground] = name
        found[name] = TenantSettings(name=name, layers=layers, product=product)
    return found


def _grounds(layers: Layered, product: ProductSettings) -> set[str]:
    """What must be one tenant's alone. Brokers are one cluster when tenants name any of them in common."""
    bus: BusSettings = layers.section("bus", BusSettings)
    if bus.engine == "embedded":
        return {f"the data folder {product.data_dir.resolve()}"}
    kafka: KafkaSettings = layers.section("kafka", KafkaSettings)
    return {f"the topic_prefix {kafka.topic_prefix!r} on {address}" for address in kafka.bootstrap}
