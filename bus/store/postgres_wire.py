"""One connection to PostgreSQL that is always in pipeline mode: requests go out as they come, answers come in order.

The driver's cursors cost some hundred microseconds of processor time per statement; a request here costs about ten, and
any number of reads share a connection without waiting for one another's answers. The socket is watched even when
nothing is asked, so notifications arrive at once and a dead connection is known before the next request.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import psycopg
import structlog
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.pq.abc import PGconn, PGresult
from psycopg.types.numeric import NumericBinaryLoader

from bus.errors import TransientError

__all__ = ["Command", "Text", "Wire"]

log = structlog.get_logger()

_COMMAND_OK = pq.ExecStatus.COMMAND_OK
_PIPELINE_SYNC = pq.ExecStatus.PIPELINE_SYNC
_BINARY = 1

_names = count(1)


class Text:
    """SQL text with `$1` parameters, prepared on each connection at its first use.

    `once`: not prepared, because there would be too many of its kind.
    """

    __slots__ = ("name", "sql")

    def __init__(self, sql: str, *, once: bool = False) -> None:
        self.sql = sql.encode()
        self.name = b"" if once else b"bus%d" % next(_names)


Command = tuple[Text, Sequence[bytes | None], Sequence[int] | None]
"""Text, values and their formats (0 text, 1 binary; None: all text)."""


class _Request:
    __slots__ = ("future", "prepared", "results", "since")

    def __init__(self, future: "asyncio.Future[list[PGresult]]", prepared: list[bytes | None]) -> None:
        self.future = future
        self.prepared = prepared
        """For each result to come: the name whose preparing it answers, or None for a statement's own."""
        self.results: list[PGresult] = []
        self.since = 0.0


class _Number(NumericBinaryLoader):
    """Sums of integers are of PostgreSQL's type numeric; elsewhere they are integers, and so they are here."""

    def load(self, data: Any) -> Any:
        number = super().load(data)
        return int(number) if number == number.to_integral_value() else float(number)


class Wire:
    """One connection. Opens when it is first used and again after it was lost. Belongs to one event loop."""

    def __init__(
        self,
        conninfo: str,
        *,
        connect_timeout_s: float,
        on_notify: Callable[[str], None] | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        self._conninfo = conninfo
        self._connect_timeout_s = connect_timeout_s
        self._on_notify = on_notify
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._opening: asyncio.Future[None] | None = None
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._pgconn: PGconn | None = None
        self._loader: Any = None
        self._socket = -1
        self._writing = False
        self._prepared: set[bytes] = set()
        self._requests: deque[_Request] = deque()
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as anybody knows."""
        return self._pgconn is not None

    @property
    def pid(self) -> int:
        """The process that serves the connection, 0 when there is none."""
        return self._pgconn.backend_pid if self._pgconn is not None else 0

    @property
    def waiting(self) -> int:
        """Requests without an answer so far."""
        return len(self._requests)

    def silent_s(self) -> float:
        """Seconds for which the oldest request has had nobody before it and no answer."""
        return self._loop.time() - self._requests[0].since if self._requests else 0.0

    async def open(self) -> None:
        """Connect unless connected. Raises TransientError when the server cannot be reached."""
        if self._pgconn is None:
            if self._opening is None:
                self._opening = asyncio.ensure_future(self._connect())
            # Whoever waits may give up; the connection is opened for the others all the same.
            await asyncio.shield(self._opening)

    async def run(self, commands: Sequence[Command]) -> list[PGresult]:
        """Send statements as one request and wait for their results; one per statement, failed ones included.

        Outside of BEGIN and COMMIT they are one transaction. After a failed statement the others are not executed:
        their status is PIPELINE_ABORTED. Raises TransientError when the connection is or gets lost: whether anything
        was executed is then unknown.
        """
        if self._pgconn is None:
            await self.open()
        return await self._send(commands)

    def rows(self, result: PGresult, make: Callable[[Sequence[Any]], Any] = tuple) -> list[Any]:
        """The rows of a result, with values of Python's types."""
        self._loader.set_pgresult(result)
        return self._loader.load_rows(0, result.ntuples, make)

    def drop(self, reason: str) -> None:
        """Give the connection up at once; requests fail with TransientError."""
        pgconn, self._pgconn = self._pgconn, None
        if pgconn is None:
            return
        self._loop.remove_reader(self._socket)
        if self._writing:
            self._loop.remove_writer(self._socket)
        self._writing = False
        self._connection = None
        self._prepared = set()
        pgconn.finish()
        requests, self._requests = self._requests, deque()
        for request in requests:
            if not request.future.done():
                request.future.set_exception(TransientError(f"the database is away for the moment: {reason}"))
        if not self._closed:
            log.warning("a database connection was lost", reason=reason, count=len(requests))
            if self._on_lost is not None:
                self._on_lost()

    def close(self) -> None:
        """Close for good."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
        self.drop("closed")

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        except (psycopg.Error, OSError, TimeoutError) as error:
            raise TransientError(f"the database cannot be reached: {type(error).__name__}") from error
        finally:
            self._opening = None
        if self._closed:
            connection.pgconn.finish()
            raise TransientError("the store is closed")
        connection.adapters.register_loader("numeric", _Number)
        pgconn = connection.pgconn
        pgconn.enter_pipeline_mode()
        # The server's remarks are for its own log; they may quote rows.
        pgconn.notice_handler = None
        pgconn.notify_handler = None
        self._connection = connection
        self._loader = Transformer(connection)
        self._socket = pgconn.socket
        self._pgconn = pgconn
        self._loop.add_reader(self._socket, self._readable)

    def _send(self, commands: Sequence[Command]) -> "asyncio.Future[list[PGresult]]":
        pgconn = self._pgconn
        if pgconn is None:
            raise TransientError("the database is away for the moment")
        prepared: list[bytes | None] = []
        try:
            for text, values, formats in commands:
                name = text.name
                if not name:
                    pgconn.send_query_params(text.sql, values, None, formats, _BINARY)
                else:
                    if name not in self._prepared:
                        pgconn.send_prepare(name, text.sql)
                        self._prepared.add(name)
                        prepared.append(name)
                    pgconn.send_query_prepared(name, values, formats, _BINARY)
                prepared.append(None)
            pgconn.pipeline_sync()
        except psycopg.Error as error:
            # Half a request is on its way: nothing sensible can follow it.
            self.drop(type(error).__name__)
            raise TransientError("the database is away for the moment") from error
        request = _Request(self._loop.create_future(), prepared)
        if not self._requests:
            request.since = self._loop.time()
        self._requests.append(request)
        self._flush()
        return request.future

    def _flush(self) -> None:
        pgconn = self._pgconn
        if pgconn is None:
            return
        try:
            left = pgconn.flush()
        except psycopg.Error as error:
            # What the server said before it went is read first.
            self._loop.call_soon(self.drop, type(error).__name__)
            return
        if bool(left) is not self._writing:
            self._writing = bool(left)
            if left:
                self._loop.add_writer(self._socket, self._flush)
            else:
                self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        pgconn = self._pgconn
        assert pgconn is not None, "the socket is watched while connected"
        try:
            pgconn.consume_input()
            self._take(pgconn)
            while (notice := pgconn.notifies()) is not None:
                if self._on_notify is not None:
                    self._on_notify(bytes(notice.extra).decode())
        except psycopg.Error as error:
            self._take_rest(pgconn)
            self.drop(type(error).__name__)
            return
        if pgconn.status == pq.ConnStatus.BAD:
            self.drop("the server closed the connection")
        elif self._writing:
            self._flush()

    def _take_rest(self, pgconn: PGconn) -> None:
        """After the end: an error that came with it says more than the end."""
        try:
            self._take(pgconn)
        except psycopg.Error:
            return

    def _take(self, pgconn: PGconn) -> None:
        nothing = False
        while self._requests and not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                # Once between two statements; twice when nothing more has come.
                if nothing:
                    return
                nothing = True
                continue
            nothing = False
            request = self._requests[0]
            if result.status != _PIPELINE_SYNC:
                request.results.append(result)
                continue
            self._requests.popleft()
            if self._requests:
                self._requests[0].since = self._loop.time()
            self._answer(request)

    def _answer(self, request: _Request) -> None:
        results: list[PGresult] = []
        refused: PGresult | None = None
        for name, result in zip(request.prepared, request.results, strict=False):
            if name is not None:
                if result.status != _COMMAND_OK:
                    self._prepared.discard(name)
                    refused = refused or result
            else:
                # What could not be prepared was not executed either: the reason lies with the preparing.
                results.append(refused or result)
                refused = None
        if not request.future.done():
            request.future.set_result(results)
