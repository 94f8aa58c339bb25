"""What operators see: JSON log lines without customers' data, and metrics in the customer's terms first."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["ALLOWED_KEYS", "Metrics", "configure_logging"]

ALLOWED_KEYS = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "service",
        "tenant",
        "channel",
        "group",
        "topic",
        "partition",
        "offset",
        "record",
        "contact",
        "case",
        "reply",
        "worker",
        "reason",
        "state",
        "count",
        "seconds",
        "bytes",
        "attempt",
        "error",
        "where",
        "setting",
        "address",
        "pid",
        "version",
        "member",
        "generation",
        "path",
        "status",
        "name",
        "fix",
        "exit_code",
        "limit",
        "code",
        "detail",
        "trace",
        "pages",
        "kind",
        "peers",
        "advice",
        "sqlite",
    }
)
"""Keys a log line may carry. Anything else is dropped: a text, an address or a number of a customer has no key here.

`address` is an address that we listen on, `peers` a count; a peer's own address is not logged.
"""

_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 45, 60, 90, 120, 300, 3600, 14400, 86400)
"""Seconds. 60 is the promise of the product, so it is a bucket."""


def _keep_allowed(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value for key, value in event.items() if key in ALLOWED_KEYS}


def _name_errors(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Of an exception only its type and place: its text may quote a customer."""
    info = event.pop("exc_info", None)
    error = info if isinstance(info, BaseException) else (sys.exc_info()[1] if info else None)
    if error is not None:
        event["error"] = type(error).__name__
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is not None:
            code = trace.tb_frame.f_code
            event["where"] = f"{code.co_qualname}:{trace.tb_lineno}"
    return event


def _to_json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> bytes:
    return msgspec.json.encode(dict(event), enc_hook=str)


def configure_logging(level: str = "INFO") -> None:
    """JSON lines on standard error. Libraries that log payloads (smtpd, twilio, aiohttp access) stay quiet."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            _name_errors,
            _keep_allowed,
            _to_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format='{"level":"warning","name":"%(name)s"}', force=True
    )
    for noisy in ("mail.log", "aiohttp.access", "twilio.http_client", "watchfiles", "alembic"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    # With every broker away the client complains many times a second; what that means is said by our own lines.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class Metrics:
    """The metrics of one process. No label carries an id; tenants and channels are few."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.first_answer = Histogram(
            "first_answer_seconds",
            "From receiving a contact to handing a reply to its channel",
            ["tenant", "channel"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.oldest_unprocessed = Gauge(
            "oldest_unprocessed_seconds",
            "Age of the oldest record a group has not finished",
            ["group", "topic", "partition"],
            registry=self.registry,
        )
        self.records_behind = Gauge(
            "records_behind",
            "Records a group has not finished",
            ["group", "topic", "partition"],
            registry=self.registry,
        )
        self.reply_delivery = Counter(
            "reply_delivery", "Replies by what became of them", ["channel", "result"], registry=self.registry
        )
        self.replies_open = Gauge(
            "replies_open", "Replies that are not settled, by state", ["channel", "state"], registry=self.registry
        )
        self.phantom_replies = Counter(
            "phantom_replies", "Reports of replies that were never sent", ["channel"], registry=self.registry
        )
        self.contacts_accepted = Counter(
            "contacts_accepted", "Contacts made durable", ["tenant", "channel", "duplicate"], registry=self.registry
        )
        self.contacts_refused = Counter(
            "contacts_refused", "Contacts we could not take now", ["channel", "reason"], registry=self.registry
        )
        self.handled = Counter("records_handled", "Records by result", ["group", "result"], registry=self.registry)
        self.in_flight = Gauge(
            "records_in_flight",
            "Records fetched and not finished",
            ["group", "topic", "partition"],
            registry=self.registry,
        )
        self.lanes = Gauge("lanes", "Keys with records in flight", ["group"], registry=self.registry)
        self.parked_keys = Gauge(
            "parked_keys",
            "Keys whose records wait for a fault to pass",
            ["group", "topic", "partition"],
            registry=self.registry,
        )
        self.oldest_parked = Gauge(
            "oldest_parked_seconds",
            "Age of the oldest record that waits for a fault to pass",
            ["group", "topic", "partition"],
            registry=self.registry,
        )
        self.rebalances = Counter(
            "rebalances", "Times that the partitions of a member changed", ["group"], registry=self.registry
        )
        self.dead_letters = Counter("dead_letters", "Records given up", ["group", "reason"], registry=self.registry)
        self.unseen_letters = Counter(
            "dead_letters_unseen",
            "Records given up of which no case shows anything: somebody technical has to look",
            ["group"],
            registry=self.registry,
        )
        self.promises = Counter(
            "promises",
            "Promises to customers whose time has come: kept, broken, or due to be looked after by a person",
            ["result"],
            registry=self.registry,
        )
        self.service_missed = Counter(
            "service_promises_missed",
            "Service promises that were not kept in time, by target (first-answer, resolution)",
            ["channel", "target"],
            registry=self.registry,
        )
        self.praise = Counter("praise", "Contacts with praise that was passed on", ["tenant"], registry=self.registry)
        self.satisfaction = Counter(
            "satisfaction", "Answers to how satisfied somebody is, 1 to 5", ["channel", "score"], registry=self.registry
        )
        self.conversations_ended = Counter(
            "conversations_ended", "Live conversations ended for abuse", ["channel", "reason"], registry=self.registry
        )
        self.timer_lateness = Histogram(
            "timer_lateness_seconds", "How late a timer fired", buckets=_BUCKETS, registry=self.registry
        )
        self.spool_waiting = Gauge(
            "spool_records_waiting", "Records accepted here that the brokers do not have yet", registry=self.registry
        )
        self.spool_oldest = Gauge("spool_oldest_seconds", "Age of the oldest of them", registry=self.registry)
        self.spool_publishes = Counter(
            "spool_publishes", "Tries to publish what was spooled", ["result"], registry=self.registry
        )
        self.loop_lag = Gauge("event_loop_lag_seconds", "How long the loop was blocked", registry=self.registry)
