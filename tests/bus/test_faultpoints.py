"""Points strike where, when and as armed, and never otherwise."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from bus import faultpoints
from bus.clock import SystemClock
from bus.errors import ConfigurationError
from bus.faultpoints import InjectedFault, arm, clock_error, reached


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    arm({})


def test_unarmed_points_do_nothing() -> None:
    arm({})
    reached("accept.durable", "email")


def test_a_point_strikes_at_the_nth_pass_and_only_then() -> None:
    arm({"CONTACTBUS_FAULT": "send.begun:raise:3"})
    reached("send.begun", "email")
    reached("send.sent", "email")
    reached("send.begun", "chat")
    with pytest.raises(InjectedFault):
        reached("send.begun", "email")
    reached("send.begun", "email")


def test_a_point_may_strike_more_than_once() -> None:
    arm({"CONTACTBUS_FAULT": "send.sent:raise:1,send.sent:raise:2,send.sent:raise:4"})
    struck: list[bool] = []
    for _ in range(5):
        try:
            reached("send.sent", "email")
            struck.append(False)
        except InjectedFault:
            struck.append(True)
    assert struck == [True, True, False, True, False]


def test_a_detail_narrows_it() -> None:
    arm({"CONTACTBUS_FAULT": "send.begun/chat:raise:1,send.sent/chat:raise:1"})
    reached("send.begun", "email")
    with pytest.raises(InjectedFault, match=r"send\.begun/chat"):
        reached("send.begun", "chat")
    with pytest.raises(InjectedFault, match=r"send\.sent/chat"):
        reached("send.sent", "chat")


def test_a_hang_stops_the_whole_process_and_then_goes_on() -> None:
    arm({"CONTACTBUS_FAULT": "send.begun:hang:1", "CONTACTBUS_FAULT_HANG_S": "0.05"})
    before = time.monotonic()
    reached("send.begun")
    assert time.monotonic() - before >= 0.05
    assert faultpoints._hang_s == 0.05


def test_a_kill_leaves_no_time_for_anything() -> None:
    program = "from bus.faultpoints import reached\ntry:\n  reached('a', 'b')\nfinally:\n  print('cleaned up')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"CONTACTBUS_FAULT": "a/b:kill:1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == ""
    assert done.stderr == "fault a/b:kill\n"


@pytest.mark.parametrize("entry", ["a", "a:kill", "a:explode:1", "a:kill:0", "a:kill:x"])
def test_what_is_no_entry_is_refused(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="CONTACTBUS_FAULT"):
        arm({"CONTACTBUS_FAULT": entry})


def test_the_clock_is_right_unless_it_is_set_wrong() -> None:
    assert clock_error({}) == timedelta()
    wrong = clock_error({"CONTACTBUS_FAULT_CLOCK_S": "-3600"})
    assert wrong == timedelta(hours=-1)
    assert timedelta(minutes=59) < SystemClock().now() - SystemClock(wrong).now() < timedelta(minutes=61)
