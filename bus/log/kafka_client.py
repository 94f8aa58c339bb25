"""What every client of the brokers needs to reach them: addresses, encryption, sign-in, deadlines."""

import ssl
from typing import Any

from bus.errors import ConfigurationError
from bus.log.kafka_settings import KafkaSettings

__all__ = ["client_options"]


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments that producer, consumer and admin client share.

    Raises ConfigurationError when the file of the certificate authority cannot be read.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": list(settings.bootstrap),
        "security_protocol": settings.security_protocol,
        "request_timeout_ms": int(settings.request_timeout_s * 1000),
    }
    if settings.security_protocol in ("SSL", "SASL_SSL"):
        try:
            options["ssl_context"] = ssl.create_default_context(cafile=settings.ca_file or None)
        except (OSError, ssl.SSLError):
            raise ConfigurationError(f"[kafka] ca_file {settings.ca_file!r} cannot be read as certificates") from None
    if settings.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.username
        options["sasl_plain_password"] = settings.password
    return options
