"""A port that is free now is still free when the server takes it."""

import random
import socket

import pytest

from deploy.ports import free_port, free_ports


class Always(random.Random):
    """Chance that says the same over and over."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def randint(self, a: int, b: int) -> int:
        assert a <= self.number <= b
        return self.number


def listener() -> socket.socket:
    """Somebody who listens in the range from which ports are given."""
    for port in range(20_000, 32_768):
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            continue
    raise AssertionError("every port is taken")


def test_no_outgoing_connection_is_ever_given_such_a_port() -> None:
    ports = free_ports(20)
    assert max(ports) < 32_768
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()


def test_none_is_given_twice() -> None:
    ports = [*free_ports(20), *free_ports(20), free_port()]
    assert len(set(ports)) == 41
    with pytest.raises(RuntimeError, match="no free port"):
        free_ports(1, chance=Always(ports[0]))


def test_a_port_on_which_somebody_listens_is_not_given() -> None:
    with listener() as held, pytest.raises(RuntimeError, match="no free port"):
        free_ports(1, chance=Always(held.getsockname()[1]))
