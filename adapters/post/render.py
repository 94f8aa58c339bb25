"""Reply to finished letter: composes, hands to the typesetting child, returns bytes that passed every check."""

import asyncio
import tempfile
from datetime import UTC, date, datetime, time
from pathlib import Path

import msgspec

from adapters.post import limited
from adapters.post.config import PostConfig
from adapters.post.letter import Unprintable, compose
from adapters.post.letter_worker import Made, Request, Start
from bus.errors import TransientError
from bus.message import Reply

__all__ = ["Renderer", "RendererDied", "Unprintable"]

_LETTERS_PER_CHILD = 1000
"""A child is replaced after so many letters, so that a slow leak of a library ends too."""


class RendererDied(TransientError):
    """The child ended or ran into a limit: the machine's trouble at first, the letter's when it happens again."""


class Renderer:
    """One typesetting child, kept between letters (0.01 s each instead of 0.3 s) and restarted when it dies."""

    def __init__(self, config: PostConfig) -> None:
        self._config = config
        self._child: asyncio.subprocess.Process | None = None
        self._letters = 0
        self._one = asyncio.Lock()

    async def render(self, reply: Reply, today: date) -> tuple[bytes, int]:
        """The letter as PDF/A and its number of pages. Raises Unprintable (for good) and RendererDied (maybe not)."""
        composed = compose(reply, self._config.company, today)
        written = round(datetime.combine(today, time(12), tzinfo=UTC).timestamp())
        with tempfile.TemporaryDirectory(prefix="contactbus-letter-") as name:
            file = Path(name) / "letter.pdf"
            request = Request(letter=composed.letter, written=written, checks=composed.checks, file=str(file))
            async with self._one:
                made = await self._ask(request)
            if made.problem:
                raise Unprintable(made.problem)
            return await asyncio.to_thread(file.read_bytes), made.pages

    async def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None and child.returncode is None:
            child.kill()
            await child.wait()

    async def _ask(self, request: Request) -> Made:
        try:
            async with asyncio.timeout(self._config.render_s):
                child = await self._ready()
                assert child.stdin is not None
                assert child.stdout is not None
                child.stdin.write(msgspec.json.encode(request) + b"\n")
                await child.stdin.drain()
                answer = await child.stdout.readline()
                self._letters += 1
                return msgspec.json.decode(answer, type=Made)
        except (TimeoutError, OSError, ValueError, msgspec.MsgspecError) as error:
            await self.close()
            raise RendererDied("the typesetting process ended or took too long") from error
        except BaseException:
            # Cancelled in the middle of an exchange: the next letter must not get this answer.
            await self.close()
            raise

    async def _ready(self) -> asyncio.subprocess.Process:
        if self._child is not None and (self._child.returncode is not None or self._letters >= _LETTERS_PER_CHILD):
            await self.close()
        if self._child is None:
            self._letters = 0
            self._child = await asyncio.create_subprocess_exec(
                *limited.python_module("adapters.post.letter_worker"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=limited.child_environment(),
                # A key pressed in the terminal ends us first; we end the child.
                start_new_session=True,
            )
            start = Start(megabytes=self._config.page_megabytes, cpu_s=self._config.page_cpu_s)
            assert self._child.stdin is not None
            self._child.stdin.write(msgspec.json.encode(start) + b"\n")
        return self._child
