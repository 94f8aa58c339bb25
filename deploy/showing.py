"""Every setting in force with its origin, for `contactbus config show`."""

from typing import Any

import msgspec

from bus.adapter.spool import SpoolSettings
from bus.config import Layered, Secret
from bus.delivery.sending_settings import SendingSettings
from bus.log.kafka_settings import KafkaSettings
from bus.store.postgres_settings import PostgresSettings
from deploy.channels import load_plugin, plugin_config
from deploy.settings import BusSettings, DemoSettings, HttpSettings, ProductSettings

__all__ = ["setting_rows"]


def setting_rows(layers: Layered, settings: ProductSettings) -> list[dict[str, str]]:
    """Rows of name, value and origin, for the product, the server, the demo, the engine and every channel."""
    rows = _rows(layers, "product", settings)
    rows += _rows(layers, "http", layers.section("http", HttpSettings))
    rows += _rows(layers, "demo", layers.section("demo", DemoSettings))
    rows += _rows(layers, "sending", layers.section("sending", SendingSettings))
    bus: BusSettings = layers.section("bus", BusSettings)
    rows += _rows(layers, "bus", bus)
    if bus.engine == "kafka":
        rows += _rows(layers, "kafka", layers.section("kafka", KafkaSettings))
        rows += _rows(layers, "postgres", layers.section("postgres", PostgresSettings))
        rows += _rows(layers, "spool", layers.section("spool", SpoolSettings))
    for name in settings.channels:
        plugin = load_plugin(name)
        rows += _rows(layers, f"adapters.{name}", plugin_config(layers, plugin))
    return rows


def _rows(layers: Layered, path: str, section: Any) -> list[dict[str, str]]:
    return [
        {
            "name": f"{path}.{field.name}",
            "value": _shown(field.name, getattr(section, field.name)),
            "origin": layers.origin(f"{path}.{field.name}"),
        }
        for field in msgspec.structs.fields(type(section))
    ]


def _shown(name: str, value: Any) -> str:
    # A connection string carries its password inside.
    telling = any(word in name for word in ("password", "secret", "token", "dsn")) and not name.endswith("_file")
    # A number of that name is a limit, such as how long a token lives.
    if value and (isinstance(value, Secret) or (telling and not isinstance(value, (int, float)))):
        return "•••"
    return msgspec.json.encode(value, enc_hook=str).decode() if not isinstance(value, str) else value
