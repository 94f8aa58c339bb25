"""Named places between two steps at which a process can be made to die, fail or stand still: for proofs only.

A crash matters between two effects: after the disk has it and before the caller hears yes, after the mail has left and
before the ledger knows. From outside such a moment cannot be hit on purpose, and a double that crashes instead of the
product proves something about the double. So the product names these places itself. They cost one comparison, and do
nothing unless the environment of the process arms them:

    CONTACTBUS_FAULT="accept.durable/email:kill:1,outcome.applied/intake:hang:3"

Each entry is `point[/detail]:mode:nth`: at the `nth` time (from 1) that the process passes this point (with the detail,
when one is given) it is killed (`kill`: SIGKILL, no cleaning up), fails (`raise`) or stands still (`hang`: the whole
process for CONTACTBUS_FAULT_HANG_S seconds, as a stopped machine does, and then goes on as if nothing had been).
CONTACTBUS_FAULT_CLOCK_S sets its clock forward or back by so many seconds.

| point | has happened | has not |
|---|---|---|
| `accept.begun` / channel | the channel has the input | anything durable |
| `accept.stored` / channel | the raw object is durable | the record |
| `accept.durable` / channel | the record is durable | the channel's yes |
| `status.durable` / channel | what became of a reply is durable | the channel knows that |
| `consume.fetched` / group | records are in the process | a decision |
| `outcome.decided` / group | decisions are made | their transaction |
| `outcome.applied` / group | the transaction is durable | the process knows it |
| `send.begun` / channel | the ledger says sending | the first byte has left |
| `send.sent` / channel | the channel's answer is known | the ledger knows it |
| `relay.published` / topic | the brokers have records of the spool | the spool knows it |
| `outbox.published` / topic | the brokers have records of the outbox | the outbox knows it |
| `commit.before` / group | work is finished and durable | the group's position |
"""

import os
import signal
import time
from collections.abc import Mapping
from datetime import timedelta

from bus.errors import ConfigurationError

__all__ = ["Fault", "InjectedFault", "arm", "clock_error", "reached"]

FAULTS = "CONTACTBUS_FAULT"
HANG = "CONTACTBUS_FAULT_HANG_S"
CLOCK = "CONTACTBUS_FAULT_CLOCK_S"

_MODES = ("kill", "raise", "hang")
_HANG_S = 8.0
"""Longer than the five seconds after which others take over what a silent process held."""


class InjectedFault(Exception):
    """Raised where `raise` is armed. Not one of the house's own errors: nobody may be prepared for it."""


class Fault:
    """One armed entry. `left` counts down to the pass at which it strikes."""

    __slots__ = ("left", "mode", "place")

    def __init__(self, place: str, mode: str, nth: int) -> None:
        self.place, self.mode, self.left = place, mode, nth


_armed: list[Fault] = []
_hang_s = _HANG_S


def arm(environment: Mapping[str, str]) -> None:
    """Read the environment, once at the start. Raises ConfigurationError for an entry that is none."""
    global _hang_s
    _armed.clear()
    _hang_s = float(environment.get(HANG, _HANG_S))
    for entry in filter(None, environment.get(FAULTS, "").split(",")):
        parts = entry.split(":")
        if len(parts) != 3 or parts[1] not in _MODES or not parts[2].isdigit() or int(parts[2]) < 1:
            raise ConfigurationError(f"{FAULTS}: {entry!r} is not point[/detail]:{'|'.join(_MODES)}:nth")
        _armed.append(Fault(parts[0], parts[1], int(parts[2])))


def clock_error(environment: Mapping[str, str]) -> timedelta:
    """By how much the clock of this process is wrong on purpose; nothing when it is not."""
    return timedelta(seconds=float(environment.get(CLOCK, 0.0)))


def reached(point: str, detail: str = "") -> None:
    """The process has come to a point. Returns at once unless that is armed."""
    if _armed:
        _strike(point, detail)


def _strike(point: str, detail: str) -> None:
    passed = [fault for fault in _armed if fault.place in (point, f"{point}/{detail}")]
    for fault in passed:
        fault.left -= 1
    for fault in passed:
        if fault.left:
            continue
        # Told without the log, which would be lost in a buffer: whoever proves something must know that it struck.
        os.write(2, f"fault {fault.place}:{fault.mode}\n".encode())
        if fault.mode == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault.mode == "hang":
            time.sleep(_hang_s)
        else:
            raise InjectedFault(fault.place)


arm(os.environ)
