"""The customers' mail servers: keep every mail for ever, and misbehave on demand."""

import time
from collections.abc import Sequence

from adapters.email.mailbox import CUT, Mailbox, ReceivedMail
from proof.ledger import Ledger, Receipt
from proof.questions import matters_of

__all__ = ["REFUSING", "Sink"]

REFUSING = "abgelehnt.example"
"""A domain whose server refuses every recipient for good."""


class Sink(Mailbox):
    """Faults: `hide_yes` keeps the mail and cuts the line before its 250; `slow_down` answers 451 at RCPT."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__("127.0.0.1", 0)
        self._ledger = ledger
        self.hide_yes = False
        self.slow_down = False
        self.script = self._answer
        self.by_address: dict[str, list[ReceivedMail]] = {}

    def _answer(self, stage: str, address: str) -> str | None:
        if stage == "rcpt" and address.rpartition("@")[2] == REFUSING:
            return "550 5.1.1 Nobody here by that name"
        if stage == "rcpt" and self.slow_down:
            return "451 4.7.1 Greylisted, come again"
        if stage == "kept" and self.hide_yes:
            return CUT
        return None

    async def keep(self, mail_from: str, rcpt_to: Sequence[str], data: bytes) -> ReceivedMail:
        mail = await super().keep(mail_from, rcpt_to, data)
        matters = matters_of(mail.text)
        for address in rcpt_to:
            self.by_address.setdefault(address.lower(), []).append(mail)
            self._ledger.receive(
                Receipt(
                    "email",
                    address.lower(),
                    "answer" if matters else "other",
                    time.monotonic(),
                    reply=mail.message_id,
                    matters=matters,
                    answers=mail.in_reply_to,
                    sure=not self.hide_yes,
                )
            )
        return mail
