"""When a process shall end: a signal, an order of an operator, or the end of the process that started it."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable

import click

__all__ = ["Stop"]


class Stop:
    """Set once. A second SIGTERM or SIGINT ends the process at once: nothing acknowledged depends on a good end.

    `last_words` is called before that.
    """

    def __init__(self, last_words: Callable[[], None] = lambda: None) -> None:
        self._last_words = last_words
        self._asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signal, number)
        self._told = False
        self._nothing_in_hand = True

    def in_hand(self) -> None:
        """From now on there is something to finish. Before, a signal ends the process at once: learning takes long."""
        self._nothing_in_hand = False

    def ask(self) -> None:
        """End in good order."""
        self._asked.set()

    async def wait(self) -> None:
        """Until the process shall end."""
        await self._asked.wait()

    def with_parent(self) -> None:
        """End also when standard input ends: its other end is held by the process that started this one, and closes
        when that one says so or dies, however it dies.
        """
        loop = asyncio.get_running_loop()

        def readable() -> None:
            if not os.read(sys.stdin.fileno(), 4096):
                loop.remove_reader(sys.stdin.fileno())
                if self._nothing_in_hand:
                    os._exit(0)
                self.ask()

        loop.add_reader(sys.stdin.fileno(), readable)

    def _signal(self, number: int) -> None:
        if self._nothing_in_hand:
            self._last_words()
            os._exit(0)
        if self._told:
            self._last_words()
            click.echo("contactbus: told to stop twice, leaving at once", err=True)
            os._exit(128 + number)
        self._told = True
        self.ask()
