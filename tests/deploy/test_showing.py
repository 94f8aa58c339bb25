"""`contactbus config show`: all settings that are in force, none of the secrets."""

from bus.config import load_layers
from deploy.settings import ProductSettings
from deploy.showing import setting_rows


def test_the_settings_of_a_house_on_kafka_are_shown_whole_and_its_secrets_are_not() -> None:
    given = {
        "bus": {"engine": "kafka"},
        "kafka": {"username": "bus", "password": "geheim-1"},
        "postgres": {"dsn": "host=db password=geheim-2", "owner_dsn": "host=db password=geheim-3"},
    }
    layers = load_layers(None, {"CONTACTBUS_SPOOL__KEEP_HOURS": "12"}, given)
    rows = {row["name"]: row for row in setting_rows(layers, ProductSettings())}
    assert (rows["spool.keep_hours"]["value"], rows["spool.keep_hours"]["origin"]) == (
        "12.0", "environment CONTACTBUS_SPOOL__KEEP_HOURS",
    )  # fmt: skip
    sections = {name.partition(".")[0] for name in rows}
    assert {"product", "http", "bus", "kafka", "postgres", "spool", "sending", "adapters"} <= sections
    assert "geheim" not in str(rows)
