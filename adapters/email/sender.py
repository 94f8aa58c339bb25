"""A rendered mail to the relay: blocking smtplib in a small thread pool, one mail in flight per connection.

What matters is what is known afterwards. Before the final dot has left, nothing was sent. After it, only the relay's
answer tells; without one the result is unknown, and the retry carries the same Message-ID.
"""

import asyncio
import queue
import re
import smtplib
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from adapters.email.config import EmailConfig
from adapters.email.render import Rendered
from adapters.email.wire import dot_stuff
from bus.adapter.contract import Accepted, Refused, RetryLater, SendResult, Unknown

__all__ = ["RelaySender", "classify"]

_MAX_IDLE_S = 30.0
"""Relays close idle connections after a minute or more; an older one is not used again."""

_MAX_MAILS = 100
"""Mails per connection, then a new one: many relays allow no more."""

_BACKOFF_S = (60.0, 300.0, 900.0, 3600.0, 14_400.0)
"""Between attempts (RFC 5321 4.5.4.1 asks for 30 minutes in the long run, less at the beginning)."""

_GREYLIST_S = 300.0
_OUR_TROUBLE_S = 3600.0
"""A full mailbox or a policy against us: no fault of the address, and not over in a minute."""


@dataclass
class _Connection:
    smtp: smtplib.SMTP
    used_at: float
    mails: int = 0


class RelaySender:
    """Sends through one relay. Create once, `close` once."""

    def __init__(self, config: EmailConfig) -> None:
        self._config = config
        self._idle: queue.LifoQueue[_Connection] = queue.LifoQueue()
        self._pool = ThreadPoolExecutor(max_workers=config.relay_connections, thread_name_prefix="mail-relay")

    async def send(self, mail: Rendered, attempt: int) -> SendResult:
        """Hand one mail over. Never raises for what a relay does."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._send, mail, attempt)

    async def probe(self) -> str:
        """Empty when the relay answers NOOP, else what is wrong."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._probe)

    async def close(self) -> None:
        """End the connections; mails under way are finished first."""
        await asyncio.get_running_loop().run_in_executor(None, self._end)

    # In threads -----------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        self._pool.shutdown()
        while not self._idle.empty():
            # A relay may take its time to say goodbye, and may live on our own event loop (the demonstration's does).
            _quit(self._idle.get_nowait().smtp)

    def _probe(self) -> str:
        try:
            connection = self._connection()
            code, _ = connection.smtp.noop()
        except (OSError, smtplib.SMTPException, ValueError) as error:
            return _why(error)
        self._keep(connection)
        return "" if code == 250 else f"the relay answers {code} to NOOP"

    def _send(self, mail: Rendered, attempt: int) -> SendResult:
        try:
            connection = self._connection()
        except smtplib.SMTPResponseException as error:
            # Refused before a word about the customer was said: our configuration or the relay's mood.
            return RetryLater(
                reason=_why(error), after_s=_OUR_TROUBLE_S if error.smtp_code >= 500 else _backoff(attempt)
            )
        except (OSError, smtplib.SMTPException, ValueError) as error:
            return RetryLater(reason=_why(error), after_s=_backoff(attempt))
        return self._transact(connection, mail, attempt)

    def _transact(self, connection: _Connection, mail: Rendered, attempt: int) -> SendResult:
        smtp = connection.smtp
        dotted = False
        try:
            size = f" SIZE={len(mail.data)}" if smtp.has_extn("size") else ""
            commands = (("MAIL", f"FROM:<{mail.mail_from}>{size}"), ("RCPT", f"TO:<{mail.rcpt_to}>"), ("DATA", ""))
            for command, argument in commands:
                code, text = smtp.docmd(command, argument)
                if code not in (250, 251, 354):
                    if code != 421:
                        smtp.docmd("RSET")
                        self._keep(connection)
                    else:
                        smtp.close()
                    return classify(code, text, attempt)
            content = dot_stuff(mail.data)
            smtp.send(content if content.endswith(b"\r\n") else content + b"\r\n")
            dotted = True
            smtp.send(b".\r\n")
            code, text = smtp.getreply()
        except (OSError, smtplib.SMTPException) as error:
            smtp.close()
            if dotted:
                return Unknown(reason="the connection was lost before the relay answered")
            return RetryLater(reason=_why(error), after_s=_backoff(attempt))
        if 200 <= code < 300:
            # RFC 5321 4.2.1: the first digit decides; to send again for an unusual second one would be a twin.
            connection.mails += 1
            self._keep(connection)
            return Accepted(provider_id=_provider_id(text) or mail.message_id)
        if not 400 <= code < 600:
            smtp.close()
            return Unknown(reason="the relay's answer to the mail cannot be read")
        if code == 421:
            smtp.close()
        else:
            self._keep(connection)
        return classify(code, text, attempt)

    def _connection(self) -> _Connection:
        """A kept connection that still answers, or a new one."""
        while True:
            try:
                connection = self._idle.get_nowait()
            except queue.Empty:
                return _Connection(self._connect(), time.monotonic())
            if time.monotonic() - connection.used_at > _MAX_IDLE_S or connection.mails >= _MAX_MAILS:
                _quit(connection.smtp)
                continue
            try:
                code, _ = connection.smtp.docmd("RSET")
            except (OSError, smtplib.SMTPException):
                connection.smtp.close()
                continue
            if code == 250:
                return connection
            connection.smtp.close()

    def _keep(self, connection: _Connection) -> None:
        connection.used_at = time.monotonic()
        self._idle.put_nowait(connection)

    def _connect(self) -> smtplib.SMTP:
        config = self._config
        timeout = config.relay_timeout_s
        local = config.hostname or config.domain
        context = ssl.create_default_context() if config.relay_tls != "none" else None
        if config.relay_tls == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                config.relay_host, config.relay_port, local_hostname=local, timeout=timeout, context=context
            )
        else:
            smtp = smtplib.SMTP(config.relay_host, config.relay_port, local_hostname=local, timeout=timeout)
        try:
            if smtp.sock is not None:
                # The dot is a packet of its own; Nagle would hold it back for 40 ms.
                smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            smtp.ehlo_or_helo_if_needed()
            if config.relay_tls == "starttls":
                code, text = smtp.starttls(context=context)
                if code != 220:
                    raise smtplib.SMTPResponseException(code, text)
                smtp.ehlo_or_helo_if_needed()
            if config.relay_user:
                smtp.login(config.relay_user, Path(config.relay_password_file).read_text(encoding="utf-8").strip())
        except BaseException:
            smtp.close()
            raise
        return smtp


def classify(code: int, text: bytes, attempt: int) -> SendResult:
    """What a refusal means for the reply. Texts of relays are not repeated: they quote addresses."""
    enhanced = _ENHANCED.match(text.decode("ascii", "replace"))
    status = enhanced[1] if enhanced else ""
    said = f"the relay answered {code} {status}".rstrip()
    if 400 <= code < 500:
        if status.endswith(".7.1") or (code in (450, 451) and b"grey" in text.lower()):
            return RetryLater(reason=said, after_s=max(_GREYLIST_S, _backoff(attempt)))
        return RetryLater(reason=said, after_s=_backoff(attempt))
    if code in (530, 535, 538) or status == "5.2.2" or status.startswith("5.7."):
        return RetryLater(reason=said, after_s=_OUR_TROUBLE_S)
    if 500 <= code < 600:
        return Refused(reason=said)
    return RetryLater(reason=said, after_s=_backoff(attempt))


_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")
_QUEUED = re.compile(
    r"(?:queued as|queued|taken as|accepted(?: message)?|id=|ok)[ :=<]+([A-Za-z0-9][A-Za-z0-9._@+-]{5,200})",
    re.IGNORECASE,
)


def _provider_id(text: bytes) -> str:
    """The relay's own id of the mail out of its 250, empty when it tells none."""
    match = _QUEUED.search(text.decode("ascii", "replace")[:500])
    return match[1].rstrip(".") if match else ""


def _backoff(attempt: int) -> float:
    return _BACKOFF_S[min(max(attempt, 1), len(_BACKOFF_S)) - 1]


def _why(error: Exception) -> str:
    """Plain words for a failure before anything was sent."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "the relay refused our user name or password"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the relay answered {error.smtp_code}"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "the relay does not offer what the settings ask for (STARTTLS or login)"
    if isinstance(error, ssl.SSLError):
        return "no trusted encrypted connection to the relay"
    if isinstance(error, FileNotFoundError | PermissionError):
        return "the password file of the relay cannot be read"
    if isinstance(error, TimeoutError):
        return "the relay did not answer in time"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return "the relay closed the connection"
    return "the relay cannot be reached"


def _quit(smtp: smtplib.SMTP) -> None:
    try:
        smtp.quit()
    except (OSError, smtplib.SMTPException):
        smtp.close()
