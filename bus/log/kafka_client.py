"""What every client of the brokers needs to reach them: addresses, encryption, sign-in, deadlines."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar, cast

import aiokafka  # pyright: ignore[reportMissingTypeStubs]
from aiokafka import admin, conn, errors  # pyright: ignore[reportMissingTypeStubs]

from bus.errors import ConfigurationError, ContactbusError, TransientError
from bus.log.kafka_settings import KafkaSettings

__all__ = [
    "Admin", "Consumer", "KafkaError", "Partition", "Producer", "answered", "client_options", "why_refused", "within",
]  # fmt: skip

T = TypeVar("T")

# The client has no types that a strict reader could use: they end here.
Admin: Any = admin.AIOKafkaAdminClient
Consumer: Any = aiokafka.AIOKafkaConsumer
Producer: Any = aiokafka.AIOKafkaProducer
Partition = aiokafka.TopicPartition
KafkaError: type[Exception] = errors.KafkaError
_connect: Any = cast(Any, conn).create_conn

_REFUSED = (errors.SaslAuthenticationFailed, errors.UnsupportedSaslMechanismError, errors.IllegalSaslStateError)
"""What a broker answers to a wrong password, an unknown name, and a mechanism that it does not offer."""

_OF_ANOTHER_HOST = (62, 64)
"""Codes of OpenSSL for a certificate that does not name the host, or the address, that we wanted to reach."""


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


async def why_refused(settings: KafkaSettings) -> str:
    """Why a broker that can be reached is not to be used or does not let us in, with the setting to look at; nothing
    when no broker refuses.

    For whoever has just failed to reach any: the client says the same whatever the cause, and an operator would look
    for the fault in the network.
    """
    if settings.security_protocol == "PLAINTEXT":
        return ""
    options = client_options(settings)
    for address in options.pop("bootstrap_servers"):
        host, _, port = address.rpartition(":")
        try:
            connection = await _connect(host.strip("[]"), int(port), **options)
        except ssl.SSLError as error:
            return _untrusted(settings, address, error)
        except _REFUSED:
            return (
                f"[kafka] username: {address} does not let {settings.username!r} in with this password and "
                f"{settings.sasl_mechanism}"
            )
        except (KafkaError, OSError, TimeoutError, ValueError):
            continue
        connection.close()
        return ""
    return ""


def _untrusted(settings: KafkaSettings, address: str, error: ssl.SSLError) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"[kafka] security_protocol: {address} and this host agree on no encryption ({error.reason})"
    if error.verify_code in _OF_ANOTHER_HOST:
        return f"[kafka] bootstrap: the certificate of {address} is made out to another name"
    authority = repr(settings.ca_file) if settings.ca_file else "the authorities of this machine"
    return f"[kafka] ca_file: {authority} cannot vouch for the certificate of {address} ({error.verify_message})"


@contextlib.asynccontextmanager
async def answered(deadline_s: float) -> AsyncGenerator[None]:
    """A deadline around the client, which has none of its own worth the name.

    Raises TransientError for whatever the client or the deadline raises: besides errors of the protocol the client
    stumbles over brokers that leave its metadata while it looks at them.
    """
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except ContactbusError:
        raise
    except Exception as error:
        raise TransientError(f"the brokers did not answer: {type(error).__name__}") from error


async def within(deadline_s: float, work: Coroutine[Any, Any, T]) -> T:
    """Wait for a call of the client. Raises TimeoutError, and TransientError when it was cut off inside.

    When its coordinator dies, the client cancels tasks of its own and lets whoever waits for them see a cancellation.
    Awaited directly, that would end *our* task, without a word: a member that commits nothing any more.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=deadline_s)
        if not done:
            raise TimeoutError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_CUT_OFF_S)
    if task.cancelled():
        raise TransientError("the client of the brokers gave a call up")
    return task.result()


_CUT_OFF_S = 1.0
"""For a call that was given up to end; one that does not is left behind."""
