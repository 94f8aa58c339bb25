"""Where is my money: the refunds of an order, and when they arrive."""

from datetime import timedelta

from workers.dialogue import ORDER, NeedFacts, Person, Report, Step, Turn
from workers.dialogue.orders import open_order

__all__ = ["RefundStatus"]


class RefundStatus:
    """Procedure `refund_status`."""

    name = "refund_status"
    facts = (ORDER,)
    needs_proof = True
    authorises = ""

    async def decide(self, turn: Turn) -> Step:
        file = await open_order(turn)
        if isinstance(file, NeedFacts):
            return file
        days = turn.pack.policy.refunds.arrives_working_days
        for refund in file.refunds:
            arrives = turn.working_days(days, since=refund.at)
            charge = next(charge for charge in file.charges if charge.id == refund.charge)
            key = "refund.on-its-way" if arrives > turn.now else "refund.should-be-there"
            if arrives > turn.now:
                turn.promise("refund", arrives, action=f"refund:{refund.id}")
            turn.say(
                key, amount=turn.money(refund.amount, refund.currency), date=turn.date(refund.at),
                method=turn.phrase(f"method.{charge.method}", mark=charge.mark), until=turn.date(arrives),
                order=file.order.id,
            )  # fmt: skip
        if file.refunds:
            return Report("explained", "explained")
        back = next((back for back in file.returns if back.kind == "refund"), None)
        if back is not None:
            days = turn.pack.policy.returns.refund_days
            turn.promise("refund-after-return", turn.now + timedelta(days=days), action=f"return:{back.id}")
            turn.say("refund.after-return", order=file.order.id, days=days)
            return Report("explained", "explained")
        return Person("no refund is under way", say="refund.none")
