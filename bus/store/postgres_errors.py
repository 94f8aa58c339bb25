"""What an error of PostgreSQL means for the house, by its SQLSTATE."""

from enum import Enum

from psycopg import pq
from psycopg.pq.abc import PGresult

from bus.errors import ContactbusError, PermanentError, StorageFull, TransientError

__all__ = ["Kind", "ServerError", "kind_of", "raise_if_failed"]

_FATAL = pq.ExecStatus.FATAL_ERROR
_ABORTED = pq.ExecStatus.PIPELINE_ABORTED
_SQLSTATE = pq.DiagnosticField.SQLSTATE
_PRIMARY = pq.DiagnosticField.MESSAGE_PRIMARY


class Kind(Enum):
    """Who is to blame for an error, and what helps."""

    RACE = "race"
    """Somebody else's row was there first: decide again."""
    COLLISION = "collision"
    """Transactions met (deadlock, serialisation, a lock held too long): the same again may work."""
    FULL = "full"
    """No disk space is left."""
    AWAY = "away"
    """The server stops, starts, is overloaded or not writable: no statement is to blame."""
    WRONG = "wrong"
    """The statement or its values: it fails every time."""


_KINDS = {
    "23505": Kind.RACE,  # unique_violation
    "23503": Kind.RACE,  # foreign_key_violation
    "23P01": Kind.RACE,  # exclusion_violation
    "40001": Kind.COLLISION,  # serialization_failure
    "40P01": Kind.COLLISION,  # deadlock_detected
    "55P03": Kind.COLLISION,  # lock_not_available: lock_timeout
    "53100": Kind.FULL,  # disk_full
    "25006": Kind.AWAY,  # read_only_sql_transaction: a standby after a fail-over
    "26000": Kind.AWAY,  # invalid_sql_statement_name: its preparing failed just before
    "0A000": Kind.AWAY,  # feature_not_supported: "cached plan must not change result type" after a migration
}
_CLASSES = {
    "08": Kind.AWAY,  # connection exception
    "53": Kind.AWAY,  # insufficient resources
    "57": Kind.AWAY,  # operator intervention: shutdown, cancelled, statement_timeout
    "58": Kind.AWAY,  # system error
    "XX": Kind.AWAY,  # internal error, corrupted data
}


class ServerError(Exception):
    """A statement failed on the server. The text is for logs of the house only as far as `kind` says."""

    def __init__(self, sqlstate: str, text: str) -> None:
        super().__init__(f"{sqlstate}: {text}")
        self.sqlstate = sqlstate
        self.kind = kind_of(sqlstate)

    def translated(self) -> ContactbusError:
        """The house's error, for a statement on its own."""
        if self.kind is Kind.FULL:
            return StorageFull("the disk of the database is full")
        if self.kind is Kind.WRONG or self.kind is Kind.RACE:
            return PermanentError(f"the database refuses: {self}")
        return TransientError(f"the database is away for the moment: {self}")


def kind_of(sqlstate: str) -> Kind:
    """The kind of an SQLSTATE."""
    return _KINDS.get(sqlstate) or _CLASSES.get(sqlstate[:2]) or Kind.WRONG


def raise_if_failed(result: PGresult) -> None:
    """Raise ServerError when a result is an error's.

    Only the primary message is kept, and not of wrong values: the rest quotes what stands in rows.
    """
    status = result.status
    if status == _FATAL:
        sqlstate = _field(result, _SQLSTATE) or "XX000"
        raise ServerError(sqlstate, "a value does not fit" if sqlstate[:2] == "22" else _field(result, _PRIMARY))
    if status == _ABORTED:
        raise ServerError("XX000", "a statement before it failed")


def _field(result: PGresult, field: pq.DiagnosticField) -> str:
    return (result.error_field(field) or b"").decode("utf-8", "replace")
